"""Which engines a training fits, with what options, and how they share the time."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.learners.linear_learner import LinearLearner
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import learning, registry
from tilth.ports.learning import Budget
from tilth.runtime.applying.candidates import _engine_options

RNG = np.random.default_rng(3)
X = RNG.normal(size=(900, 2))
TABLE = pa.table(
    {
        "id": np.arange(900),
        "a": X[:, 0],
        "b": X[:, 1],
        "y": (X[:, 0] * X[:, 1] > 0) ^ (RNG.random(900) < 0.1),
    }
)


def trained(folder: Path, learners: Any = None, **changes: Any) -> dict[str, Any]:
    pq.write_table(TABLE, folder / "rows.parquet")
    spec = TrainingSpec("m", ("y",), key=("id",), **changes)
    return train(
        spec, Files([str(folder / "rows.parquet")]), str(folder / "out"),
        learners or (lambda name: registry.load("tilth.learners", name)),
        lambda name: registry.load("tilth.scorers", name), lambda *_: None,
    )  # fmt: skip


USING = {"lightgbm.num_leaves": 5, "linear.ridge": 3.0, "estimator.C": 0.5, "sklearn.tol": 0.1, "seed": 7}
OPTIONS = [
    ("auto", (("linear.ridge", 3.0), ("lightgbm.num_leaves", 5))),
    ("lightgbm", (("num_leaves", 5),)),
    ("linear", (("ridge", 3.0),)),
    ("sklearn", (("C", 0.5), ("tol", 0.1))),
]


@pytest.mark.parametrize(("engine", "given"), OPTIONS, ids=[o[0] for o in OPTIONS])
def test_an_engine_is_given_its_own_options(engine: str, given: tuple[tuple[str, Any], ...]) -> None:
    assert _engine_options(USING, engine) == given


@pytest.mark.parametrize(
    ("engine", "options"),
    [("lightgbm", (("num_leaves", 5),)), ("auto", (("lightgbm.num_leaves", 5), ("linear.ridge", 3.0)))],
)
def test_what_serves_has_learned_with_the_options_also_after_the_refit(
    tmp_path: Path, engine: str, options: tuple[tuple[str, Any], ...]
) -> None:
    facts = trained(tmp_path, engine=engine, options=options)
    assert facts["engine"] == "lightgbm"
    assert "[num_leaves: 5]" in (tmp_path / "out" / "member.txt").read_text()


class Third(LinearLearner):
    """One more engine that `auto` tries."""

    engine = replace(LinearLearner.engine, name="third", rank=3)
    budgets: tuple[Budget, ...] = ()

    def fit(self, *arguments: Any) -> Any:
        Third.budgets = (*Third.budgets, arguments[5])
        return super().fit(*arguments)


def test_auto_tries_every_installed_engine_that_has_a_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Budget] = {}
    real = registry.load("tilth.learners", "lightgbm").fit

    def fit(self: Any, *arguments: Any) -> Any:
        given.setdefault("lightgbm", arguments[5])
        return real(self, *arguments)

    known = (*learning.engines(), Third.engine)
    monkeypatch.setattr(learning, "engines", lambda: known)
    monkeypatch.setattr(registry.load("tilth.learners", "lightgbm"), "fit", fit)
    began = time.monotonic()
    trained(
        tmp_path, lambda n: Third if n == "third" else registry.load("tilth.learners", n), time_limit=60.0
    )
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(metrics["members"]) == {"linear", "lightgbm", "third"}
    assert given["lightgbm"].deadline - began < 35  # half of what was left: another comes after it
    assert Third.budgets[0].deadline - began > 55
