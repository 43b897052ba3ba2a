"""Planted useless columns: how many are proposed to be dropped, and whether a useful one ever is.

Run it: `python bench/columns.py` trains on generated tables and prints a line each. Useless are noise
of four kinds, constant and empty columns, and copies (one of each pair); useful are lines, steps, curves, products of two columns,
categories, and gaps that say something.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from result import Result, at_least, at_most

KINDS = ("binary", "regression", "multiclass")
TABLES, ROWS = 12, 6_000
LIMIT = 900.0  # seconds of a training: a slow machine is to cut nothing


def table(seed: int, rows: int, kind: str) -> tuple[Any, set[str], set[str], set[frozenset[str]]]:
    """A table with target `y`, its useful columns, its useless ones, and the pairs of which one is enough."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    x = {f"u{i}": rng.normal(size=rows) for i in range(6)}
    place = rng.integers(0, 5, rows)
    gap = rng.random(rows) < 0.3
    signal = (
        rng.uniform(0.6, 1.2) * x["u0"]
        + rng.uniform(0.6, 1.2) * (x["u1"] > 0.3)
        + rng.uniform(0.6, 1.0) * np.abs(x["u2"])
        + rng.uniform(0.8, 1.4) * x["u3"] * x["u4"]
        + rng.normal(size=5)[place] * 1.0
        + rng.uniform(0.7, 1.2) * gap
    )
    noise = rng.normal(0, rng.uniform(0.3, 1.0), rows)
    value = signal + noise
    y: Any = {
        "regression": value,
        "binary": value > np.median(value),
        "multiclass": np.array(["low", "mid", "high"])[np.digitize(value, np.quantile(value, [0.33, 0.66]))],
    }[kind]
    useful = {
        **{n: x[n] for n in ("u0", "u1", "u2", "u3", "u4")},
        "place": np.array(list("abcde"))[place],
        "gaps": pa.array(np.where(gap, 0.0, rng.normal(size=rows)), mask=gap),
    }
    useless = {
        **{f"noise{i}": rng.normal(size=rows) for i in range(6)},
        **{f"skewed{i}": rng.exponential(size=rows) ** 2 for i in range(2)},
        **{f"code{i}": np.array([f"k{v}" for v in rng.integers(0, 8 * (i + 1), rows)]) for i in range(3)},
        **{f"flag{i}": rng.random(rows) < 0.1 for i in range(2)},
        "rare": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.9),
        "constant": np.full(rows, 7.0),
        "empty": pa.nulls(rows, pa.float64()),
    }
    copies = {"copy": x["u0"] * 2.0 + 1.0}
    columns = {**useful, **useless, **copies}
    order = rng.permutation(sorted(columns))
    return (
        pa.table({"id": np.arange(rows), **{str(n): columns[str(n)] for n in order}, "y": y}),
        set(useful) - {"u0"},
        set(useless),
        {frozenset(("u0", "copy"))},
    )


def found(rows: Any, **spec: Any) -> dict[str, Any]:
    """What a training says of the columns."""
    import pyarrow.parquet as pq

    from tilth.ml.learning.dealing import Files
    from tilth.ml.learning.training import train
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ports.registry import load

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(rows, path)
        given: dict[str, Any] = {"model": "m", "targets": ("y",), "key": ("id",), "time_limit": LIMIT, **spec}
        facts = train(
            TrainingSpec(**given),
            Files([str(path)]),
            str(Path(folder) / "out"),
            partial(load, "tilth.learners"),
            partial(load, "tilth.scorers"),
            lambda *_: None,
        )
    return dict(facts["metrics"]["column_value"])  # type: ignore[index,call-overload]


def judged(seed: int, rows: int, kind: str) -> dict[str, Any]:
    """How a table went: planted useless ones, found ones, useful ones that were proposed."""
    made, useful, useless, pairs = table(seed, rows, kind)
    said = found(made)
    drop = {c["name"] for c in said["columns"] if c["drop"]}
    both = [p for p in pairs if p <= drop]
    hit = len(useless & drop) + sum(bool(p & drop) for p in pairs)
    return {
        "seed": seed, "kind": kind, "planted": len(useless) + len(pairs), "found": hit,
        "wrong": sorted((useful & drop).union(*both)), "missed": sorted(useless - drop),
        "share": said["cpu_share"], "cpu": said["cpu_seconds"], "loses": said.get("loses"), "why": said.get("why"),
    }  # fmt: skip


def run() -> list[Result]:
    """The rows for RESULTS.md."""
    each = [judged(seed, ROWS, KINDS[seed % len(KINDS)]) for seed in range(TABLES)]
    planted, hit = (sum(o[k] for o in each) for k in ("planted", "found"))
    what = f"{TABLES} tables of {ROWS:,} rows, {planted} planted"
    wrong = [name for o in each for name in o["wrong"]]
    return [
        at_least("planted useless columns that are proposed", hit / planted, 0.95, "of them", what),
        at_most("useful columns that are proposed", len(wrong), 0, "columns", ", ".join(wrong) or what),
        at_most(
            "CPU of measuring them against the training's, the worst table",
            max(o["share"] for o in each), 0.2, "of it", "a floor of 0.3 s a training is no part of the goal",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    for number in range(TABLES):
        print({k: v for k, v in judged(number, ROWS, KINDS[number % len(KINDS)]).items() if v})
