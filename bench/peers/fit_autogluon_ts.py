"""AutoGluon's forecasts without neural members, on CPU. Run by `bench/forecasts.py` in an environment of its own."""

import json
import sys
import tempfile

import pandas as pd
from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor

MEMBERS = ("SeasonalNaive", "AutoETS", "DynamicOptimizedTheta", "RecursiveTabular", "DirectTabular")


def main(job: dict) -> None:
    rows = pd.read_parquet(job["train"])
    rows["unique_id"], rows["ds"] = rows["unique_id"].astype(str), pd.to_datetime(rows["ds"])
    frame = TimeSeriesDataFrame.from_data_frame(
        rows.rename(columns={"unique_id": "item_id", "ds": "timestamp", "y": "target"})
    )
    frame = frame.convert_frequency(
        pd.infer_freq(rows[rows.unique_id == rows.unique_id.iloc[0]].ds.iloc[-30:])
    )
    with tempfile.TemporaryDirectory() as folder:
        model = TimeSeriesPredictor(
            prediction_length=job["horizon"], freq=frame.freq, eval_metric="MASE", path=folder, verbosity=0
        ).fit(frame, hyperparameters={m: {} for m in MEMBERS}, time_limit=300)
        said = model.predict(frame).reset_index()
    answers = pd.DataFrame({"unique_id": said["item_id"], "ds": said["timestamp"], "y": said["mean"]})
    answers["ds"] = answers["ds"].astype("datetime64[us]")
    answers.to_parquet(job["answers"])


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(json.load(file))
