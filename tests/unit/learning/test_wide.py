"""Linear models of more columns than rows: what is found is what is found by the long way."""

import time

import numpy as np
import pytest

from tilth.adapters.learners.wide import Inverse, Wide
from tilth.ports import registry
from tilth.ports.learning import Budget, Task

RNG = np.random.default_rng(6)
ROWS, COLUMNS = 40, 120
DESIGN = RNG.normal(size=(ROWS, COLUMNS))
FULL = np.concatenate([DESIGN, np.ones((ROWS, 1))], axis=1)
OWN = RNG.uniform(0.0, 2.0, ROWS)


@pytest.mark.parametrize("ridge", [100.0, 1.0, 0.1])
def test_the_dual_is_the_ridge_regression(ridge: float) -> None:
    y = DESIGN[:, 0] + 5.0 + RNG.normal(size=ROWS)
    bias, weights = Wide(FULL, OWN).solve(y, ridge)
    penalty = np.diag([*np.full(COLUMNS, ridge), 0.0])
    expected = np.linalg.solve(FULL.T @ (FULL * OWN[:, None]) + penalty, FULL.T @ (OWN * y))
    assert weights[:, 0] == pytest.approx(expected[:-1], abs=1e-9)
    assert bias[0] == pytest.approx(expected[-1], abs=1e-9)


def test_the_inverse_is_the_inverse() -> None:
    penalty = np.array([*np.full(COLUMNS, 0.5), 1e-6])
    q = RNG.normal(size=(COLUMNS + 1, 3))
    whole = 0.25 * FULL.T @ (FULL * OWN[:, None]) + np.diag(penalty)
    found = Wide(FULL, OWN).inverse(0.25, penalty)
    assert isinstance(found, Inverse)
    assert found @ q == pytest.approx(np.linalg.solve(whole, q), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_five_thousand_columns_take_moments_and_find_the_one_that_tells(kind: str) -> None:
    x = RNG.normal(size=(300, 5_000))
    value = 3.0 * x[:, 0]
    y = {"regression": value, "binary": (value > 0) * 1.0, "multiclass": np.digitize(value, [-1, 1]) * 1.0}[
        kind
    ]
    task = Task(kind, {"regression": 0, "binary": 2, "multiclass": 3}[kind], tuple(map(str, range(5_000))))
    began = time.process_time()
    made = registry.load("tilth.learners", "linear")().fit(
        task, x[:240], y[:240], x[240:], y[240:], Budget(time.monotonic() + 120, 1, 3), {}, lambda *_: None
    )
    assert time.process_time() - began < 40, "by the long way two classes take minutes"
    scorer = registry.load("tilth.scorers", made.scorer).load(made.payload, task)
    parts = np.abs(scorer.contributions(x[:20])).reshape(20, -1, 5_001)[:, :, :-1].mean(axis=(0, 1))
    assert parts.argmax() == 0
