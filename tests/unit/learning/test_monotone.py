"""OBJECTIVE (monotone = {...}): of rows that differ in one number, answers go the way that was asked for."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import DataError
from tilth.ml.learning import monotone
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.fitting import fitted
from tilth.ml.learning.made import Tools
from tilth.ml.learning.rows import task_of
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import registry
from tilth.ports.learning import Budget, Task, engines

ABLE = [e.name for e in engines() if e.monotone and not e.fault]
RNG = np.random.default_rng(4)
ROWS, PAIRS = 900, 1_000
X = RNG.normal(size=(ROWS, 4))
X[:, 3] = RNG.integers(0, 4, ROWS)
X[RNG.random((ROWS, 4)) < 0.05] = np.nan
VALUE = np.nan_to_num(np.sin(3 * X[:, 0]) - np.cos(2 * X[:, 1]) + X[:, 2] + X[:, 3] / 2)
VALUE += 0.3 * RNG.normal(size=ROWS)
WAYS = (1, -1, 0, 0)


def target(kind: str) -> np.ndarray:
    return VALUE if kind == "regression" else (VALUE > 0.5).astype(float)


def worst(score: Any) -> float:
    """By how much, of 1,000 pairs a column, the one that should be answered with more is answered with less."""
    found = 0.0
    for place, way in enumerate(WAYS):
        if way:
            low = np.nan_to_num(RNG.permuted(X, axis=0)[RNG.integers(0, ROWS, PAIRS)])
            high = low.copy()
            high[:, place] += RNG.exponential(1.0, PAIRS)
            found = max(found, float((way * (score(low) - score(high))).max()))
    return found


@pytest.mark.parametrize("kind", ["regression", "binary"])
@pytest.mark.parametrize("engine", ABLE)
def test_an_engine_that_promises_it_holds_it(engine: str, kind: str) -> None:
    free = Task(kind, 2 if kind == "binary" else 0, ("a", "b", "c", "d"), (3,), (4,))
    y, seen = target(kind), []
    few = {"trees": 40} if engine == "extra_trees" else {"rounds": 60}
    for task in (free, replace(free, monotone=WAYS)):
        budget = Budget(time.monotonic() + 60, 1, 3)
        made = registry.load("tilth.learners", engine)().fit(
            task, X[:700], y[:700], X[700:], y[700:], budget, few, lambda *_: None
        )
        seen.append(worst(registry.load("tilth.scorers", made.scorer).load(made.payload, task).score))
    assert seen[0] > 0.01
    assert seen[1] <= 1e-9


NAMES = ("a", "b", "c", "d")
SPEC = TrainingSpec("m", ("y",), key=("id",), monotone=(("a", "up"), ("b", "down")))


def written(folder: Path, **changes: Any) -> Files:
    columns = {"id": np.arange(ROWS), **{n: X[:, i] for i, n in enumerate(NAMES)}, "y": VALUE}
    pq.write_table(pa.table(columns | changes), folder / "rows.parquet")
    return Files([str(folder / "rows.parquet")])


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_a_model_of_several_members_holds_it_too(tmp_path: Path, kind: str) -> None:
    y = target(kind)
    data = dealt(SPEC, written(tmp_path, y=y if kind == "regression" else y > 0))
    task = replace(task_of(SPEC, data), monotone=monotone.of(SPEC, data))
    assert task.monotone == WAYS
    tools = Tools(
        lambda name: registry.load("tilth.learners", name), lambda name: registry.load("tilth.scorers", name),
        lambda *_: None,
    )  # fmt: skip
    made = fitted(SPEC, task, data, tools, Clock(time.monotonic(), 60.0, None, 1))
    assert worst(made.scores) <= 1e-9
    assert "linear" not in made.engines
    assert ["`linear` was not tried" in r.text for r in made.remarks if r.kind == "engine"] == [True]


TEXTS = [("north", "south", "east")[n % 3] for n in range(ROWS)]
REFUSED = [
    ("a text", {"a": TEXTS}, {}, "`a`, which is a category"),
    ("a switch", {"a": np.arange(ROWS) % 3 > 0}, {}, "`a`, which is true or false"),
    ("a constant", {"a": np.zeros(ROWS)}, {}, "`a`, which is not learned from"),
    ("no feature", {}, {"exclude": ("a",)}, "`a`, which is not learned from: it is no feature"),
    ("several classes", {"y": TEXTS}, {}, "has 3 classes"),
]


@pytest.mark.parametrize(
    ("columns", "spec", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_has_no_way_is_refused(
    tmp_path: Path, columns: dict[str, Any], spec: dict[str, Any], message: str
) -> None:
    asked = replace(SPEC, **spec)
    data = dealt(asked, written(tmp_path, **columns))
    with pytest.raises(DataError, match=message) as error:
        monotone.of(asked, data)
    assert "monotone" in error.value.hint
