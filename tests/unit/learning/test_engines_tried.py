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

    engine = replace(LinearLearner.engine, name="third", rank=4)


def test_auto_tries_every_installed_engine_that_has_a_rank_and_shares_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is left each takes a share, and the last of them not all: other folds and the last fit come after it."""
    given: dict[str, Budget] = {}

    def watched(name: str) -> Any:
        learner = Third if name == "third" else registry.load("tilth.learners", name)

        class Watched(learner):  # type: ignore[misc, valid-type]
            def path(self, *arguments: Any) -> Any:
                given.setdefault(name, arguments[4])
                return super().path(*arguments)

        return Watched

    known = (*learning.engines(), Third.engine)
    monkeypatch.setattr(learning, "engines", lambda: known)
    began = time.monotonic()
    trained(tmp_path, watched, time_limit=60.0)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {m["name"] for m in metrics["members"]} == {"linear", "lightgbm", "extra_trees", "third"}
    ends = {name: budget.deadline - began for name, budget in given.items()}
    assert list(ends) == ["linear", "lightgbm", "extra_trees", "third"]
    assert ends["linear"] < 25
    assert ends["lightgbm"] < 35
    assert 30 < ends["third"] < 58
