"""Loads a folder with MLflow's own client and writes what it answers: `python score_mlflow.py FOLDER ROWS ANSWERS` (Parquet)."""

import sys

import mlflow.pyfunc
import pandas as pd

folder, rows, answers = sys.argv[1:]
model = mlflow.pyfunc.load_model(folder)
assert model.metadata.signature is not None
model.predict(pd.read_parquet(rows)).to_parquet(answers)
