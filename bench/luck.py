"""How often a candidate is promoted over a champion of the same recipe by luck alone, and how often over a stale one.

Both are really trained, on rows of their own from one stated generator, and judged as the gate judges: the candidate by its honest
answers, the champion as it serves. The luck of fitting is in it, which resampling rows alone does not show (Nadeau and Bengio
2003). Run it: `python bench/run.py luck`, or `python bench/luck.py --trainings 40 --rows 300`.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from result import Result, at_least, at_most

TRAININGS = 200
ROWS: tuple[int, ...] = (300, 2000)
ENGINE = "auto"
DRIFTS = {300: 2.0, 2000: 1.2}  # by how much the weight of an input falls, from 1: 2 turns it round


def drawn(rows: int, seed: int, moved: float = 0.0) -> Any:
    """A class that follows two numbers, their product and a category with noise; `moved` turns one input's weight."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 4))
    place = random.integers(0, 5, rows)
    raw = (1.0 - moved) * x[:, 0] + 0.8 * x[:, 1] + 0.7 * x[:, 0] * x[:, 1] + 0.4 * (place - 2)
    y = random.random(rows) < 1 / (1 + np.exp(-raw))
    columns = {f"x{i}": x[:, i] for i in range(4)}
    return pa.table(
        {"id": np.arange(rows) + seed * 1_000_003, **columns, "place": [f"p{p}" for p in place], "y": y}
    )


def trained(table: Any, folder: Path, seed: int) -> tuple[Any, Any, Any]:
    """The predictor, and the truth and honest answers of the rows that judge it, with their table."""
    import pyarrow.parquet as pq

    from tilth.ml.data import identity
    from tilth.ml.judging import answers
    from tilth.ml.learning.dealing import Files
    from tilth.ml.learning.training import train
    from tilth.ml.model.predictor import Predictor
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ports.registry import load

    folder.mkdir()
    pq.write_table(table, folder / "rows.parquet")
    learners, scorers = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
    spec = TrainingSpec("m", ("y",), key=("id",), metric="log_loss", engine=ENGINE, seed=seed, threads=1)
    train(
        spec, Files([str(folder / "rows.parquet")]), str(folder / "out"), learners, scorers, lambda *_: None
    )
    files = {p.name: p.read_bytes() for p in (folder / "out").iterdir()}
    kept = answers.read(files)
    place = kept.find(identity.row_ids(table, sorted(table.column_names)))
    return Predictor.load(files, scorers, 1, "bench", 1), place, kept.scores


def promoted(rows: int, seed: int, moved: float) -> bool:
    """Whether the gate takes the second of two trainings."""
    import numpy as np

    from tilth.ml.judging import split
    from tilth.ml.judging.gates import PASS, Holdout, Rule, judge
    from tilth.runtime.applying.gate import LUCK_OF_FOLDS

    first, second = drawn(rows, 2 * seed), drawn(rows, 2 * seed + 1, moved)
    with tempfile.TemporaryDirectory() as place:
        champion, _, _ = trained(first, Path(place) / "a", 1)
        _, where, scores = trained(second, Path(place) / "b", 2)
    known = where >= 0
    truth = np.asarray(second["y"], dtype=np.float64)[known]
    held = champion.scores(second)[known]
    blocks = np.arange(len(truth)) % split.HASH_BLOCKS
    own = scores[where[known]]
    found = judge(Rule("log_loss"), Holdout("binary", truth, blocks, 0, True, luck=LUCK_OF_FOLDS), own, held)
    return found.outcome == PASS


def run() -> list[Result]:
    out = []
    for rows in ROWS:
        lucky = sum(promoted(rows, seed, 0.0) for seed in range(TRAININGS // 2)) / (TRAININGS // 2)
        out.append(at_most(f"an equal candidate of {rows:,} rows is promoted", 100 * lucky, 5.0, "%"))
        drifts, moved = max(5, TRAININGS // 10), DRIFTS.get(rows, 2.0)
        stale = sum(promoted(rows, 10_000 + seed, moved) for seed in range(drifts)) / drifts
        what = f"a stale champion is replaced, by one of {rows:,} rows, when a weight goes from 1 to {1 - moved:g}"
        out.append(at_least(what, 100 * stale, 90.0, "%"))
    return out


def main() -> None:
    global TRAININGS, ROWS, ENGINE
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, default=TRAININGS)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--engine", default=ENGINE)
    given = parser.parse_args()
    TRAININGS, ROWS, ENGINE = given.trainings, tuple(given.rows), given.engine
    for one in run():
        print(one)


if __name__ == "__main__":
    main()
