"""OBJECTIVE (monotone = {...}): of rows that differ in one number, answers go the way that was asked for."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.optimize import minimize

from tilth.adapters.learners.slopes import held, least
from tilth.core.errors import DataError
from tilth.ml.learning import monotone
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.fitting import fitted
from tilth.ml.learning.made import Tools
from tilth.ml.learning.rows import task_of
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import registry
from tilth.ports.learning import Budget, Task, Weights, engines

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
    few: dict[str, Any] = {"extra_trees": {"trees": 40}, "linear": {}}.get(engine, {"rounds": 60})
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
    assert "linear" in {one.engine for one in made.tried}
    assert not [r for r in made.remarks if r.kind == "engine"]


def test_the_least_under_bounds_is_that_of_another_solver() -> None:
    """No row is worth more elsewhere: scipy's L-BFGS-B, from many steps, finds no lower value."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        half = random.normal(size=(12, 8))
        bend, pull = half.T @ half + 0.1 * np.eye(8), random.normal(size=8)
        signs = random.integers(-1, 2, 8)
        bounds = [(0, None) if s > 0 else (None, 0) if s < 0 else (None, None) for s in signs]
        found = least(bend, pull, signs.astype(float))
        assert all(s * v >= 0 for s, v in zip(signs, found, strict=True))
        other = minimize(
            lambda v, h=bend, p=pull: 0.5 * v @ h @ v - p @ v, np.zeros(8), jac=lambda v, h=bend, p=pull: h @ v - p,
            bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-12},
        )  # fmt: skip
        assert 0.5 * found @ bend @ found - pull @ found <= other.fun + 1e-9


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_a_line_that_rises_anyway_is_the_same_with_the_promise_and_without(kind: str) -> None:
    x = RNG.normal(size=(2_000, 3))
    value = 2 * np.tanh(x[:, 0]) - x[:, 1] ** 3 / 3 - x[:, 1] + 0.5 * x[:, 2] ** 2 + RNG.normal(0, 0.2, 2_000)
    y = value if kind == "regression" else (RNG.random(2_000) < 1 / (1 + np.exp(-2 * value))).astype(float)
    weight = RNG.uniform(0.5, 2.0, 2_000)
    free, said = Task(kind, 2 if kind == "binary" else 0, ("a", "b", "c")), []
    for task in (free, replace(free, monotone=(1, -1, 0))):
        budget = Budget(time.monotonic() + 60, 1, 3, Weights(weight[:1_500], (weight[1_500:],)))
        options = {"ridge": 1.0, "hinges": 3}
        made = registry.load("tilth.learners", "linear")().fit(
            task, x[:1_500], y[:1_500], x[1_500:], y[1_500:], budget, options, lambda *_: None
        )
        said.append(registry.load("tilth.scorers", made.scorer).load(made.payload, task).score(x))
    assert np.abs(said[0] - said[1]).max() < (1e-6 if kind == "regression" else 0.02)


@pytest.mark.parametrize("ways", [(), (1, 1, 0)])
@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_no_ridge_on_columns_that_say_the_same_is_hardly_one(kind: str, ways: tuple) -> None:
    x = RNG.normal(size=(400, 3))
    x[:, 1] = x[:, 0]
    y = x[:, 0] if kind == "regression" else (x[:, 0] > 0).astype(float)
    task = Task(kind, 2 if kind == "binary" else 0, ("a", "b", "c"), monotone=ways)
    made = registry.load("tilth.learners", "linear")().fit(
        task, x, y, x, y, Budget(time.monotonic() + 60, 1, 3), {"ridge": 0}, lambda *_: None
    )
    said = registry.load("tilth.scorers", made.scorer).load(made.payload, task).score(x)
    assert np.abs(said - y).max() < 0.05 if kind == "regression" else ((said > 0.5) == y).mean() > 0.98


LINES = [
    # weight, slopes, way; what is left of them
    (1.0, [0.5, -0.2], 1, (1.0, [0.5, -0.2])),
    (1.0, [-1.0000000001, 0.5], 1, (1.0, [-1.0, 0.5])),
    (-1e-12, [0.5], 1, (0.0, [0.5])),
    (-2.0, [1.0, 1.5], -1, (-2.0, [1.0, 1.0])),
    (0.0, [0.0, 0.0], -1, (0.0, [0.0, 0.0])),
]


@pytest.mark.parametrize(("weight", "slopes", "way", "kept"), LINES)
def test_rounding_turns_no_line_round(weight: float, slopes: list, way: int, kept: tuple) -> None:
    found = held({"weight": [weight], "slopes": [[s] for s in slopes], "center": 0.0}, way)
    assert (found["weight"][0], [s for (s,) in found["slopes"]]) == kept
    assert found["center"] == 0.0


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
