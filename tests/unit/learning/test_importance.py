"""Importances tell which inputs a model listens to, whether or not its format can say so itself."""

from functools import partial

import numpy as np
import pytest

from tilth.ml.learning.importance import importance
from tilth.ports.learning import Budget, Task
from tilth.ports.registry import load


def fitted(engine: str, seed: int = 3):
    """A model of y = 4a + b, to which c says nothing."""
    x = np.random.default_rng(seed).normal(size=(2000, 3))
    y = 4 * x[:, 0] + x[:, 1]
    task = Task("regression", columns=("a", "b", "c"), metric="rmse")
    options = {"estimator": "sklearn.linear_model:Ridge"} if engine == "sklearn" else {}
    learner = load("tilth.learners", engine)()
    made = learner.fit(task, x, y, x[:400], y[:400], Budget(1e12), options, lambda _what, _done: None)
    return partial(load, "tilth.scorers")(made.scorer).load(made.payload, task, 1), x


@pytest.mark.parametrize("engine", ["linear", "lightgbm", "sklearn"])
def test_what_moves_the_answer_more_weighs_more(engine: str) -> None:
    scorer, x = fitted(engine)
    found = importance(scorer, x, ("a", "b", "c"))
    assert found["a"] > 2 * found["b"] > 4 * found["c"]
    assert sum(found.values()) == pytest.approx(1, abs=1e-5)
    assert found == importance(scorer, x, ("a", "b", "c"))


def test_columns_of_one_input_count_together() -> None:
    scorer, x = fitted("linear")
    found = importance(scorer, x, ("a", "a", "c"))
    assert set(found) == {"a", "c"}
    assert found["a"] > 0.95
