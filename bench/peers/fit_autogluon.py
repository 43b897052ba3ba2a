"""AutoGluon's `medium` preset, on CPU. Run by `bench/quality.py` in an environment of its own."""

import json
import sys
import tempfile

import pandas as pd
from autogluon.tabular import TabularPredictor


def main(job: dict) -> None:
    train, test = pd.read_parquet(job["train"]), pd.read_parquet(job["test"])
    metric = "root_mean_squared_error" if job["kind"] == "regression" else "log_loss"
    with tempfile.TemporaryDirectory() as folder:
        model = TabularPredictor(
            job["target"], problem_type=job["kind"], eval_metric=metric, path=folder, verbosity=0
        ).fit(train, presets="medium_quality", num_gpus=0)
        if job["kind"] == "regression":
            answers = model.predict(test).to_frame("y")
        else:
            answers = model.predict_proba(test)
            answers.columns = [str(c) for c in answers.columns]
    answers.reset_index(drop=True).to_parquet(job["answers"])


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(json.load(file))
