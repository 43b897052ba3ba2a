"""How well the intervals of values hold on rows that no training saw: their coverage, and their width against one width for all.

The one width is the best there could be: the one that covers nine of ten of these very rows. Rows are made up, of errors
that grow, of targets that are never below 0, and of errors that are all alike; with TILTH_TASKS, a folder that holds a
tasks.json (name, file, target, kind of each task) and Parquet files, the regressions of that folder are measured instead.
Run it: `python bench/intervals.py`.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from result import Result, compared

ROWS = 4_000
SEEDS = (0, 1, 2)
KINDS = ("growing", "above nothing", "alike")
COVERAGE = 0.9
TASKS = os.environ.get("TILTH_TASKS")


def tasks(seed: int) -> Iterator[tuple[str, object, object, str]]:
    """Name, rows to learn from, rows to ask, and the target of each task."""
    import numpy as np

    if TASKS is None:
        for kind in KINDS:
            table = made(kind, seed)
            yield kind, table.slice(0, ROWS), table.slice(ROWS), "y"
        return
    import pyarrow.parquet as pq

    for task in json.loads((Path(TASKS) / "tasks.json").read_text())["tabular"]:
        if task["kind"] == "regression":
            table = pq.read_table(Path(TASKS) / task["file"])
            order = np.random.default_rng(seed).permutation(table.num_rows)
            cut = int(table.num_rows * 0.75)
            yield task["name"], table.take(order[:cut]), table.take(order[cut:]), task["target"]


def made(kind: str, seed: int):
    """Twice ROWS of six numbers and a text."""
    import numpy as np
    import pyarrow as pa

    rng, count = np.random.default_rng(seed), 2 * ROWS
    x = rng.normal(size=(count, 6))
    group = rng.integers(0, 8, count)
    mean = x[:, 0] + np.sin(2 * x[:, 1]) + 0.3 * group
    noise = rng.normal(size=count)
    y = {
        "growing": mean + noise * (0.2 + np.abs(x[:, 2])),
        "above nothing": np.exp(0.4 * mean + 0.3 * noise),
        "alike": mean + 0.5 * noise,
    }[kind]
    columns = {f"n{i}": x[:, i] for i in range(6)}
    return pa.table({"id": np.arange(count), **columns, "group": [f"g{g}" for g in group], "y": y})


def measured(rows, asked, target: str) -> dict[str, float]:
    """Coverage, rows, and the mean width as a share of the one width that covers as many."""
    import numpy as np
    import pyarrow.parquet as pq

    from tilth.ml.learning.training import Files, train
    from tilth.ml.model.predictor import Predictor
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ports.registry import load

    scorers = partial(load, "tilth.scorers")
    with tempfile.TemporaryDirectory() as name:
        path, out = f"{name}/rows.parquet", Path(name) / "out"
        pq.write_table(rows, path)
        spec = TrainingSpec("m", (target,), ("y",), metric="rmse", exclude=("id",))
        train(spec, Files([path]), str(out), partial(load, "tilth.learners"), scorers, lambda *_: None)
        found = Predictor.load({p.name: p.read_bytes() for p in out.iterdir()}, scorers, 1, "bench")
    _, can = found.answers(asked)
    asked = asked.filter(can)
    answers = found.predict(asked)
    value, low, high = (answers[n].to_numpy(zero_copy_only=False) for n in ("y", "y_lower", "y_upper"))
    truth = asked[target].cast("double").to_numpy()
    one = 2.0 * float(np.quantile(np.abs(truth - value), COVERAGE))
    return {
        "rows": len(truth),
        "covered": float(((low <= truth) & (truth <= high)).mean()),
        "width": float((high - low).mean()) / one,
    }


def main() -> dict[str, list[dict[str, float]]]:
    out: dict[str, list[dict[str, float]]] = {}
    for seed in SEEDS:
        for name, rows, asked, target in tasks(seed):
            out.setdefault(name, []).append(measured(rows, asked, target))
    return out


def run() -> list[Result]:
    """The rows for RESULTS.md."""
    found = main()
    every = [one for task in found.values() for one in task]
    total = sum(one["rows"] for one in every)
    pooled = sum(one["covered"] * one["rows"] for one in every) / total
    off = {name: _off(task) for name, task in found.items()}
    worst = max(off, key=lambda name: off[name])
    width = sum(one["width"] for one in every) / len(every)
    what = f"{len(found)} tasks, {len(SEEDS)} seeds, {total:,.0f} rows"
    return [
        Result(
            "intervals at 90 %: rows inside, all tasks", f"{pooled:.1%}", "90 %", f"{pooled:.3f}", "0.89 to 0.91",
            0.89 <= pooled <= 0.91, what,
        ),
        compared(
            f"the task farthest off ({worst})", f"{_mean(found[worst]):.1%}", "90 %", off[worst], most=1.0,
            note="the distance as a share of 2 points plus two standard errors of the rows asked",
        ),
        compared(
            "mean width of an interval", f"{width:.3f}", "the one width that covers nine of ten of these rows", width,
            most=1.0,
        ),
    ]  # fmt: skip


def _mean(task: list[dict[str, float]]) -> float:
    return sum(one["covered"] for one in task) / len(task)


def _off(task: list[dict[str, float]]) -> float:
    rows = sum(one["rows"] for one in task)
    return abs(_mean(task) - COVERAGE) / (0.02 + 2 * math.sqrt(COVERAGE * (1 - COVERAGE) / rows))


if __name__ == "__main__":
    for task, seeds in main().items():
        print(task, [{k: round(v, 3) for k, v in one.items()} for one in seeds])
