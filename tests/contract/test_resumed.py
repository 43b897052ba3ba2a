"""A learner that goes on from a member that it made: what it says at each stage is what it then is, and the same rows give the same bytes."""

import time

import numpy as np
import pytest
from test_learners import KINDS, PAIRS, data

from tilth.adapters.scorers.lightgbm_text import checked
from tilth.core.errors import TrainingError
from tilth.ports import registry
from tilth.ports.learning import REFIT, WARM, Budget, Fitted, Task, Weights, resumes

ABLE = [n for n in PAIRS if resumes(PAIRS[n][0])]


def quiet(_what: str, _done: float | None) -> None:
    """Nobody is told."""


def begun(kind: str) -> tuple[Task, np.ndarray, np.ndarray, Fitted]:
    """A member that knows the first rows, and rows of which the later ones differ in what `a` does."""
    task, x, y = data(kind)
    y = y.copy()
    if kind == "regression":
        y[750:] = y[750:] + 3 * (x[750:, 0] > 0)
    else:
        y[750:] = np.where(x[750:, 0] > 1, 0.0, y[750:])
    budget = Budget(time.monotonic() + 60, 1, 3)
    start = PAIRS["lightgbm"][0]().fit(
        task, x[:750], y[:750], x[:50], y[:50], budget, {"refit_rounds": 30}, quiet
    )
    return task, x, y, start


def test_who_can_go_on() -> None:
    assert ABLE == ["lightgbm"]
    others = [n for n in registry.names("tilth.learners") if resumes(registry.load("tilth.learners", n))]
    assert others == ["lightgbm"]


@pytest.mark.parametrize("way", [REFIT, WARM])
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_changed_and_is_what_its_path_said(kind: str, way: str) -> None:
    task, x, y, start = begun(kind)
    learner, scorer = PAIRS["lightgbm"]
    new, asked, rest = slice(750, 1100), slice(1100, 1300), np.ascontiguousarray(x[1300:])
    budget = Budget(time.monotonic() + 60, 1, 3)
    given = (x[new], y[new])
    stops = [(np.ascontiguousarray(x[asked]), y[asked])]
    path = learner.resumed(way, start.payload, task, *given, stops, budget, {}, quiet)
    stage = int(path.losses.mean(axis=1).argmin())
    options = dict(path.options(stage))
    made = [learner.resumed_fit(way, start.payload, task, *given, budget, options, quiet) for _ in range(2)]
    assert made[0].payload == made[1].payload
    checked(made[0].payload, task)
    said = scorer.load(made[0].payload, task).score(rest)
    assert np.allclose(said, path.answer(stage, rest), atol=1e-12)
    before = learner.resumed(REFIT, start.payload, task, *given, stops, budget, {}, quiet)
    assert path.losses[stage].mean() < 0.97 * before.losses[0].mean()  # its first stage is the member itself
    assert np.allclose(before.scores(0, 0), scorer.load(start.payload, task).score(stops[0][0]), atol=1e-12)


def test_a_leaf_that_no_new_row_meets_stays_as_it_was() -> None:
    task, x, y, start = begun("regression")
    low = x[:, 0] < 0
    budget = Budget(time.monotonic() + 60, 1, 3)
    given = (np.ascontiguousarray(x[low][:300]), y[low][:300] + 5.0)
    made = PAIRS["lightgbm"][0].resumed_fit(
        REFIT, start.payload, task, *given, budget, {"refit_old": 1e-6}, quiet
    )
    one, other = (PAIRS["lightgbm"][1].load(m.payload, task) for m in (start, made))
    moved = np.abs(other.score(x) - one.score(x))
    assert moved[low].mean() > 2 * moved[~low].mean()


def test_rows_of_weight_zero_teach_nothing() -> None:
    task, x, y, start = begun("binary")
    weights = Weights(np.concatenate([np.ones(200), np.zeros(200)]))
    budget = Budget(time.monotonic() + 60, 1, 3, weights)
    learner = PAIRS["lightgbm"][0]
    wrong = np.concatenate([y[750:950], 1 - y[950:1150]])
    made = [
        learner.resumed_fit(
            REFIT, start.payload, task, x[750:1150], labels, budget, {"refit_old": 1.0}, quiet
        )
        for labels in (wrong, y[750:1150])
    ]
    assert made[0].payload == made[1].payload


def test_leaves_of_a_quantile_are_not_refitted() -> None:
    task, x, y, start = begun("regression")
    asked = Task("regression", 0, task.columns, (3,), (5,), "pinball_0.9")
    budget = Budget(time.monotonic() + 60)
    with pytest.raises(TrainingError, match="quantile"):
        PAIRS["lightgbm"][0].resumed(REFIT, start.payload, asked, x, y, [(x, y)], budget, {}, quiet)
