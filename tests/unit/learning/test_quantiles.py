"""Quantiles: what a pinball loss measures, that as many values lie below as should, and who learns it."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import mean_pinball_loss

from tilth.core.errors import ProjectError
from tilth.core.metrics import PINBALL, quantile_of
from tilth.ml.learning.candidates import candidates, unable
from tilth.ml.learning.curves import lessened, shifted
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.losses import dummy, loss_of
from tilth.ml.learning.training import train
from tilth.ml.model.curve import Curve
from tilth.ml.model.metrics import evaluate
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import Task
from tilth.ports.registry import load

RNG = np.random.default_rng(12)
X = RNG.uniform(0, 3, size=(900, 2))
NOISE = RNG.exponential(1.0 + X[:, 0])
TABLE = pa.table({"id": range(900), "a": X[:, 0], "b": X[:, 1], "y": X[:, 1] * 2 + NOISE})
SPEC = TrainingSpec("m", ("y",), key=("id",), metric="pinball_0.9")
GET = partial(load, "tilth.scorers")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_loss_is_that_of_scikit_learn(share: float) -> None:
    y, said = RNG.normal(size=200), RNG.normal(size=200)
    weight = RNG.random(200)
    name = f"pinball_{share:g}"
    assert evaluate(name, y, said) == pytest.approx(mean_pinball_loss(y, said, alpha=share))
    theirs = mean_pinball_loss(y, said, alpha=share, sample_weight=weight)
    assert loss_of("regression", y, said, name, weight) == pytest.approx(theirs)


def test_names_go_from_a_hundredth_to_ninety_nine() -> None:
    assert (len(PINBALL), quantile_of("pinball_0.05"), quantile_of("pinball_0.5")) == (99, 0.05, 0.5)
    assert quantile_of("pinball_1") is None
    with pytest.raises(ProjectError, match="no metric `pinball_1`"):
        evaluate("pinball_1", np.ones(2), np.ones(2))
    assert dummy("regression", 0, np.arange(101.0), 1, "pinball_0.9")[0] == 90.0


def test_a_shift_puts_the_share_right_by_the_rows_of_other_parts() -> None:
    y, part = RNG.normal(size=500), np.arange(500) % 5
    curve, scores = shifted(Curve(), 0.8, y, np.zeros(500), part)
    assert curve.shift == pytest.approx(np.quantile(y, 0.8, method="inverted_cdf"))
    for one in range(5):
        others = np.quantile(y[part != one], 0.8, method="inverted_cdf")
        assert scores[part == one] == pytest.approx(others)
    assert Curve.from_plain(curve.plain()) == curve
    assert curve.one((1.0,)) == (1.0 + curve.shift,)


@pytest.mark.parametrize(
    ("taught", "more", "left"), [(640, 1000, 0.8), (1000, 1000, 1.0), (250, 1000, 0.5), (100, 1000, 0.5)]
)
def test_a_shift_is_less_where_more_rows_teach(taught: int, more: int, left: float) -> None:
    assert lessened(Curve(shift=-2.0, rows=7), taught, more) == Curve(
        shift=pytest.approx(-2.0 * left), rows=7
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.1, 0.085, 0.115), (0.5, 0.475, 0.525), (0.9, 0.885, 0.915)]
)
def test_on_the_mean_of_trainings_as_many_new_values_lie_below_as_should(
    tmp_path: Path, share: float, least: float, most: float
) -> None:
    """A skewed target; measured before fits of all rows were told from fits of four fifths: 0.088, 0.485, 0.905."""

    def drawn(rows: int, seed: int) -> pa.Table:
        random = np.random.default_rng(seed)
        x = random.normal(size=(rows, 4))
        y = np.exp(0.5 * x[:, 0] + random.normal(size=rows) * (0.4 + 0.3 * (x[:, 1] > 0)))
        return pa.table({"id": range(rows), **{f"x{i}": x[:, i] for i in range(4)}, "y": y})

    fresh, below = drawn(10_000, 99), []
    for seed in range(6):
        pq.write_table(drawn(1_000, seed), tmp_path / "rows.parquet")
        files, out = Files([str(tmp_path / "rows.parquet")]), tmp_path / f"out{seed}"
        spec = replace(SPEC, metric=f"pinball_{share}")
        train(spec, files, str(out), partial(load, "tilth.learners"), GET, lambda *_: None)
        found = Predictor.load({p.name: p.read_bytes() for p in out.iterdir()}, GET, 1, "d")
        below.append((fresh["y"].to_numpy() <= found.scores(fresh.drop_columns(["id", "y"]))).mean())
    assert least <= float(np.mean(below)) <= most, below


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Predictor]:
    folder: Path = tmp_path_factory.mktemp("quantile")
    pq.write_table(TABLE, folder / "rows.parquet")
    files = Files([str(folder / "rows.parquet")])
    facts = train(SPEC, files, str(folder / "out"), partial(load, "tilth.learners"), GET, lambda *_: None)
    return facts, Predictor.load({p.name: p.read_bytes() for p in (folder / "out").iterdir()}, GET, 1, "d")


def test_nine_of_ten_values_are_not_above_the_answer_on_new_rows(
    made: tuple[dict[str, Any], Predictor],
) -> None:
    facts, predictor = made
    fresh = RNG.uniform(0, 3, size=(4_000, 2))
    truth = fresh[:, 1] * 2 + RNG.exponential(1.0 + fresh[:, 0])
    said = predictor.scores(pa.table({"a": fresh[:, 0], "b": fresh[:, 1]}))
    assert 0.86 <= (truth <= said).mean() <= 0.94
    low = fresh[:, 0] < 1
    assert 0.82 <= (truth <= said)[low].mean() <= 0.98  # and not only on average
    blind = np.full(4_000, np.quantile(TABLE["y"].to_numpy(), 0.9))
    assert evaluate("pinball_0.9", truth, said) < 0.92 * evaluate("pinball_0.9", truth, blind)
    ideal = fresh[:, 1] * 2 - (1.0 + fresh[:, 0]) * np.log(0.1)
    assert evaluate("pinball_0.9", truth, said) < 1.15 * evaluate("pinball_0.9", truth, ideal)
    assert 0.88 <= facts["metrics"]["quantile"]["share"] <= 0.92


def test_the_share_is_told_and_who_learns_none(made: tuple[dict[str, Any], Predictor]) -> None:
    facts, predictor = made
    texts = [one["text"] for one in facts["told"]]
    assert any("where 90% is asked for" in text for text in texts)
    assert any("`extra_trees` was not tried: it learns no quantiles" in text for text in texts)
    assert {m["engine"] for m in facts["metrics"]["members"]} == {"lightgbm"}
    row = TABLE.select(["a", "b"]).slice(0, 1)
    assert predictor.score_row(predictor.convert(row.to_pylist()[0]))[0] == predictor.scores(row)[0]
    told = predictor.explain(row.to_pylist()[0])
    total = told["base"] + sum(c["contribution"] for c in told["contributions"]) + told["others"]
    assert total == pytest.approx(told["total"], abs=1e-6)


def test_auto_tries_those_that_learn_quantiles() -> None:
    task = Task("regression", columns=("a", "b"), metric="pinball_0.9")
    assert [c.name for c in candidates(SPEC, task)] == ["lightgbm"]
    assert not unable(replace(SPEC, metric="mae"), task)
