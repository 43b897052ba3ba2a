"""LightGBM's defaults on all rows: categories as they are, texts too, moments as their numbers. Run by `bench/quality.py`."""

import json
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(job: dict) -> None:
    train, test = pq.read_table(job["train"]), pq.read_table(job["test"])
    names = [n for n in train.column_names if n != job["target"]]
    columns = [_numbers(train.column(n), test.column(n)) for n in names]
    x, of_test = (np.column_stack(c) for c in zip(*[c[:2] for c in columns], strict=True))
    coded = [i for i, c in enumerate(columns) if c[2]]
    y = train.column(job["target"])
    classes = job["classes"]
    target = y.to_numpy() if not classes else np.array([classes.index(str(v)) for v in y.to_pylist()])
    options = {"verbose": -1, "seed": job["seed"], "deterministic": True, "num_threads": os.cpu_count()}
    options |= {"objective": job["kind"]} | (
        {"num_class": len(classes)} if job["kind"] == "multiclass" else {}
    )
    data = lightgbm.Dataset(x, target, categorical_feature=coded or "auto", params={"verbose": -1})
    said = lightgbm.train(options, data, 100).predict(of_test)
    if job["kind"] == "binary":
        said = np.column_stack([1 - said, said])
    answers = {"y": said} if not classes else {c: said[:, i] for i, c in enumerate(classes)}
    pq.write_table(pa.table(answers), job["answers"])


def _numbers(train: pa.ChunkedArray, test: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, bool]:
    """A column of both as numbers, and whether they are codes of categories."""
    if (
        pa.types.is_string(train.type)
        or pa.types.is_large_string(train.type)
        or pa.types.is_dictionary(train.type)
    ):
        known = {v: i for i, v in enumerate(sorted(set(train.to_pylist()) - {None}))}
        both = [np.array([known.get(v, -1) for v in c.to_pylist()], float) for c in (train, test)]
        return both[0], both[1], True
    if pa.types.is_temporal(train.type):
        both = [pc.cast(c, pa.timestamp("us")).cast(pa.int64()) for c in (train, test)]
    else:
        both = [train, test]
    found = [np.asarray(c.cast(pa.float64()).to_numpy(zero_copy_only=False), float) for c in both]
    return found[0], found[1], False


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(json.load(file))
