"""OBJECTIVE (weight = ...): what rows count, in fits, in losses and in the choice of members."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import DataError
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.losses import loss_of
from tilth.ml.learning.training import train
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import registry
from tilth.ports.learning import Budget, Task, Weights, engines

WEIGHING = [e.name for e in engines() if e.weighs and not e.texts and not e.fault]
KINDS = ("regression", "binary", "multiclass")
RNG = np.random.default_rng(8)
ROWS = 1200
X = RNG.normal(size=(ROWS, 3))
ASTRAY = np.arange(ROWS) % 2 == 1  # half of the rows tell the opposite, and count nothing
WEIGHT = np.where(ASTRAY, 0.0, 2.0)


def target(kind: str) -> np.ndarray:
    value = np.where(ASTRAY, -1.0, 1.0) * X[:, 0]
    if kind == "regression":
        return value
    return (value > 0).astype(float) if kind == "binary" else np.digitize(value, [-0.4, 0.4]).astype(float)


def test_all_built_in_engines_that_fit_here_weigh() -> None:
    assert {"linear", "lightgbm", "extra_trees", "xgboost", "catboost"} <= {
        e.name for e in engines() if e.weighs and not e.texts
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", WEIGHING)
def test_rows_that_count_nothing_teach_nothing_and_judge_nothing(engine: str, kind: str) -> None:
    task = Task(kind, 3 if kind == "multiclass" else 2 if kind == "binary" else 0, ("a", "b", "c"))
    y = target(kind)
    few = {"rounds": 80} if engine in {"catboost", "xgboost", "lightgbm"} else {}
    fit, stop = slice(0, 800), slice(800, ROWS)
    stops = [(X[stop], y[stop])]
    budget = Budget(time.monotonic() + 60, 1, 3, Weights(WEIGHT[fit], (WEIGHT[stop],)))
    learner = registry.load("tilth.learners", engine)
    made = learner().fit(task, X[fit], y[fit], *stops[0], budget, few, lambda *_: None)
    scorer = registry.load("tilth.scorers", made.scorer).load(made.payload, task)
    said = scorer.score(X)
    own = ~ASTRAY
    assert loss_of(kind, y[own], said[own]) < 0.3 * loss_of(kind, y, said)
    way = learner().path(task, X[fit], y[fit], stops, budget, few, lambda *_: None)
    best = int(way.losses[:, 0].argmin())
    told = loss_of(kind, y[stop], way.scores(best, 0), "", WEIGHT[stop])
    assert way.losses[best, 0] == pytest.approx(told, rel=1e-3)


def table(**changes: Any) -> pa.Table:
    columns = {"id": np.arange(ROWS), "a": X[:, 0], "b": X[:, 1], "y": target("binary") > 0, "w": WEIGHT}
    return pa.table(columns | changes)


SPEC = TrainingSpec("m", ("y",), key=("id",), weight="w")


def test_a_model_goes_by_the_rows_that_count(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "rows.parquet")
    facts: Any = train(
        SPEC, Files([str(tmp_path / "rows.parquet")]), str(tmp_path / "out"),
        lambda name: registry.load("tilth.learners", name), lambda name: registry.load("tilth.scorers", name),
        lambda *_: None,
    )  # fmt: skip
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert min(m["loss"] for m in metrics["members"]) < 0.2
    assert [t["kind"] for t in facts["told"] if t["kind"] == "weight"] == ["weight"]
    assert metrics["metrics"]["roc_auc"] > 0.95, "rows that tell the opposite count nothing"
    signature = json.loads((tmp_path / "out" / "signature.json").read_text())
    assert [i["name"] for i in signature["inputs"]] == ["a", "b"]


HALF = np.where(np.arange(ROWS) < 20, 1.0, 0.0)
REFUSED = [
    ("text", {"w": [str(w) for w in WEIGHT]}, "is string, and no number"),
    ("a gap", {"w": [None, *WEIGHT[1:]]}, "is missing in 1 rows"),
    ("not a number", {"w": [float("nan"), *WEIGHT[1:]]}, "is missing in 1 rows"),
    ("negative", {"w": -WEIGHT}, "is negative in 600 rows"),
    ("infinite", {"w": [float("inf"), *WEIGHT[1:]]}, "is infinite in 1 rows"),
    ("all 0", {"w": np.zeros(ROWS)}, "is above 0 in 0 rows only"),
    ("nearly all 0", {"w": HALF}, "is above 0 in 20 rows only"),
]


@pytest.mark.parametrize(("changes", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_a_weight_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    pq.write_table(table(**changes), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=message) as error:
        dealt(SPEC, Files([str(tmp_path / "rows.parquet")]))
    assert "OBJECTIVE" in error.value.hint


def test_whole_numbers_are_weights_whose_mean_is_one(tmp_path: Path) -> None:
    pq.write_table(table(w=np.arange(ROWS)), tmp_path / "rows.parquet")
    found = dealt(replace(SPEC), Files([str(tmp_path / "rows.parquet")])).weight
    assert found is not None
    assert found.mean() == pytest.approx(1.0)
