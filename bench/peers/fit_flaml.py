"""FLAML with a minute at most. Run by `bench/quality.py` in an environment of its own."""

import json
import sys

import pandas as pd
from flaml import AutoML


def main(job: dict) -> None:
    train, test = pd.read_parquet(job["train"]), pd.read_parquet(job["test"])
    x, y = train.drop(columns=job["target"]), train[job["target"]]
    model = AutoML()
    regression = job["kind"] == "regression"
    model.fit(
        x, y, task="regression" if regression else "classification", metric="rmse" if regression else "log_loss",
        time_budget=60, seed=job["seed"], verbose=0,
    )  # fmt: skip
    if regression:
        answers = pd.DataFrame({"y": model.predict(test)})
    else:
        answers = pd.DataFrame(model.predict_proba(test), columns=[str(c) for c in model.classes_])
    answers.to_parquet(job["answers"])


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(json.load(file))
