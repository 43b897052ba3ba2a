"""Numbers of a model against what is known of made-up rows: a rare class that can be told apart, and who answers for it."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load


def rows(shape: str, count: int, share: float, seed: int) -> pa.Table:
    """Two numbers that are evenly spread, noise, one of twenty categories, and a class that follows from them exactly."""
    random = np.random.default_rng(seed)
    x, z, noise = random.random(count), random.random(count), random.normal(size=count)
    category = random.choice([f"c{n}" for n in range(20)], count)
    rare = {
        "tail": x > 1 - share,
        "middle": abs(x - 0.5) < share / 2,
        "category": (category == "c3") & (x < 20 * share),
        "both": (x > 1 - share**0.5) & (z > 1 - share**0.5),
    }[shape]
    return pa.table({"x": x, "z": z, "noise": noise, "category": category, "y": rare.astype(np.int64)})


def predictor(table: pa.Table, to: Path) -> Predictor:
    """A model of `y`, trained in this process."""
    pq.write_table(table, to / "rows.parquet")
    learners, scorers = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
    spec = TrainingSpec(model="m", targets=("y",), threads=1)
    train(spec, Files([str(to / "rows.parquet")]), str(to / "o"), learners, scorers, lambda *_: None)
    return Predictor.load({p.name: p.read_bytes() for p in (to / "o").iterdir()}, scorers, 1, "test")


@pytest.mark.parametrize(
    ("shape", "count", "share", "seed"),
    [
        ("category", 5000, 0.003, 1),
        ("category", 5000, 0.003, 2),
        ("middle", 5000, 0.01, 2),
        ("both", 5000, 0.003, 1),
        ("tail", 5000, 0.01, 1),
    ],
)
def test_a_rare_class_that_can_be_told_apart_is_found(
    tmp_path: Path, shape: str, count: int, share: float, seed: int
) -> None:
    found = predictor(rows(shape, count, share, seed), tmp_path)
    fresh = rows(shape, 40_000, share, seed + 1000)
    truth = fresh["y"].to_numpy() == 1
    said = found.scores(fresh.drop(["y"]).combine_chunks()) > 0.5
    assert (said & truth).sum() > 0.7 * truth.sum()
    assert (said & ~truth).sum() < 0.1 * truth.sum()


def test_an_interval_covers_where_values_are_unsure_too(tmp_path: Path) -> None:
    """Nine of ten of all rows, and not many fewer of the quarter whose values spread most."""

    def drawn(count: int, seed: int) -> pa.Table:
        random = np.random.default_rng(seed)
        x, z = random.normal(size=count), random.random(count)
        y = 3 * x + 2 * np.sin(5 * z) + random.normal(size=count) * (0.2 + 3 * z)
        return pa.table({"x": x, "z": z, "y": y})

    found = predictor(drawn(4000, 1), tmp_path)
    fresh = drawn(10_000, 500)
    said = found.predict(fresh.drop(["y"]).combine_chunks().to_batches()[0])
    low, high = (said.column(f"y_{end}").to_numpy() for end in ("lower", "upper"))
    inside = (fresh["y"].to_numpy() >= low) & (fresh["y"].to_numpy() <= high)
    assert 0.86 < inside.mean() < 0.94
    assert inside[fresh["z"].to_numpy() > 0.75].mean() > 0.84
    assert (high - low).max() > 4 * (high - low).min()
