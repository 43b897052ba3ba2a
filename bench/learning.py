"""Learning and predicting against the raw engine: ratios in one run, on made-up rows that look like flights.

`batch_predict()` compares `Predictor.predict` (columns to matrix to scores to outputs) with LightGBM's own
`Booster.predict` on the ready matrix, in turns. `one_row()` times `score_json` against the single-row fast call that is in it.
`training()` times a whole job in its jailed worker. Run it: `python bench/learning.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from result import Result, at_most, compared

ROWS = 200_000
TURNS = 5
BATCH = 65_536
DAYS = timedelta(days=278)
START = datetime(2013, 1, 1)  # noqa: DTZ001


def rows(count: int | None = None):
    """20 inputs: an instant, five texts, fourteen numbers (some with gaps), a target with signal in most of them."""
    import numpy as np
    import pyarrow as pa

    rng, count = np.random.default_rng(1), count or ROWS
    numbers = {f"n{i}": rng.normal(size=count) for i in range(14)}
    sizes = {"carrier": 16, "origin": 3, "dest": 100, "engine": 6, "maker": 30}
    texts = {name: rng.zipf(1.5, count) % size for name, size in sizes.items()}
    hour = np.arange(count) % 24
    raw = (
        sum((0.6 / (i + 1)) * v for i, v in enumerate(numbers.values())) + numbers["n1"] * numbers["n2"] * 0.5
    )
    raw = raw + (texts["dest"] % 7 - 3) * 0.2 + (hour - 12) * 0.08 - 1.5
    columns = {"id": np.arange(count), "at": [START + n * (DAYS / count) for n in range(count)]}
    columns |= {
        name: pa.array(v, mask=rng.random(count) < (0.1 if i % 4 == 0 else 0.0))
        for i, (name, v) in enumerate(numbers.items())
    }
    columns |= {name: pa.array([f"{name[:2].upper()}{v}" for v in values]) for name, values in texts.items()}
    columns["late"] = rng.random(count) < 1 / (1 + np.exp(-raw))
    return pa.table(columns)


def spec(**changes: object):
    from tilth.ml.model.spec import TrainingSpec

    given: dict = {
        "model": "late", "targets": ("late",), "key": ("id",), "event_time": "at", "engine": "lightgbm",
        "options": (("rounds", 300), ("patience", 300)), "time_limit": 600.0, "threads": os.cpu_count() or 1,
    }  # fmt: skip
    return TrainingSpec(**{**given, **changes})


def trained(folder: Path, table) -> dict[str, bytes]:
    """The files of a bundle trained in this process."""
    import pyarrow.parquet as pq

    from tilth.ml.learning.training import Files, train
    from tilth.ports.registry import load

    pq.write_table(table, folder / "rows.parquet")
    out = folder / "out"
    learners, scorers = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
    train(spec(), Files([str(folder / "rows.parquet")]), str(out), learners, scorers, lambda _w, _d: None)
    return {p.name: p.read_bytes() for p in out.iterdir()}


def predictor(files: dict[str, bytes]):
    from tilth.ml.model.predictor import Predictor
    from tilth.ports.registry import load

    return Predictor.load(files, partial(load, "tilth.scorers"), 1, "bench")


def batch_predict(files: dict[str, bytes], table) -> dict[str, float]:
    """Rows a second of `predict` and of the raw booster on the same rows, taking turns; medians."""
    import lightgbm

    found = predictor(files)
    raw = lightgbm.Booster(model_str=files["member.txt"].decode())
    batches = table.to_batches(max_chunksize=BATCH)
    matrices = [found.matrix(b) for b in batches]
    ours, theirs, preparing = [], [], []
    for _ in range(TURNS):
        ours.append(_seconds(lambda: [found.predict(b) for b in batches]))
        theirs.append(_seconds(lambda: [raw.predict(m) for m in matrices]))
        preparing.append(_seconds(lambda: [found.matrix(b) for b in batches]))
    return {
        "rows_per_second": len(table) / statistics.median(ours),
        "raw_rows_per_second": len(table) / statistics.median(theirs),
        "ratio": statistics.median(t / o for o, t in zip(ours, theirs, strict=True)),
        "preparing_share": statistics.median(p / o for o, p in zip(ours, preparing, strict=True)),
    }


def one_row(files: dict[str, bytes], table) -> dict[str, float]:
    """Microseconds of one JSON row: all of it, and the trees alone; medians over rounds of 2,000 rows."""
    found = predictor(files)
    names = [i.name for i in found.signature.inputs]
    bodies = [
        json.dumps(r, default=lambda d: d.isoformat()).encode()
        for r in table.slice(0, 2000).select(names).to_pylist()
    ]
    packed = [found._encoder.pack(found.decode(b)) for b in bodies]
    whole = [_seconds(lambda: [found.score_json(b) for b in bodies]) for _ in range(TURNS)]
    trees = [_seconds(lambda: [found._scorer.score_row(p) for p in packed]) for _ in range(TURNS)]
    us, tree_us = (statistics.median(v) / len(bodies) * 1e6 for v in (whole, trees))
    return {"microseconds": us, "trees_microseconds": tree_us, "own_microseconds": us - tree_us}


def training(folder: Path) -> dict[str, float]:
    """Seconds of a training job of engine `auto`, with the start of its worker."""
    from tilth.adapters.files.memory import MemoryBlobs
    from tilth.adapters.jobs.local import LocalJobs
    from tilth.ports.jobs import Job
    from tilth.ports.progress import Silent

    blobs = MemoryBlobs()
    rows = blobs.put_file(str(shutil.copy(folder / "rows.parquet", Path(blobs.scratch()) / "rows")))
    job = Job("train", spec(engine="auto", options=()).plain(), {"rows/000000": rows}, 4 << 30, 600.0)
    started = time.perf_counter()
    done = LocalJobs(blobs, str(folder)).run(job, Silent())
    inside = done.facts["seconds"]["total"]  # type: ignore[index]
    return {"seconds": time.perf_counter() - started, "inside_seconds": inside}


def _seconds(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run() -> list[Result]:
    """The rows for RESULTS.md."""
    found = main()
    batch, row, job = found["batch_predict"], found["one_row"], found["training"]
    outside = job["seconds"] - job["inside_seconds"]
    return [
        compared(
            "predictions of a table in Python", f"{batch['rows_per_second']:,.0f} rows/s",
            f"raw model {batch['raw_rows_per_second']:,.0f} rows/s", batch["ratio"], least=0.5,
            note=f"{ROWS:,} rows, from columns to outputs; {batch['preparing_share']:.0%} of it makes the matrix",
        ),
        Result(
            "one row of JSON to its answer, without the server", f"{row['microseconds']:.0f} us",
            f"its trees alone {row['trees_microseconds']:.0f} us",
            f"{row['microseconds'] / row['trees_microseconds']:.2f}", "", None,
        ),
        at_most(
            "a training's worker, without the training", outside, 2, "s",
            f"start, libraries, jail and end of the process; the training took {job['inside_seconds']:.1f} s",
        ),
    ]  # fmt: skip


def main() -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name:
        folder, table = Path(name), rows()
        files = trained(folder, table)
        return {
            "batch_predict": batch_predict(files, table),
            "one_row": one_row(files, table),
            "training": training(folder),
        }


if __name__ == "__main__":
    for what, figures in main().items():
        print(what, {k: round(v, 3) for k, v in figures.items()})
