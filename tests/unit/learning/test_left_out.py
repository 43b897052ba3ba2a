"""Which engines `auto` leaves out, and that it says why and what would have them tried."""

from typing import Any

import pytest

from tilth.ml.learning import candidates as trying
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import Task

CASES: dict[str, tuple[dict[str, Any], Task, dict[str, str]]] = {
    "all are tried": ({}, Task("binary", 2, ("x",)), {}),
    "50 classes": ({}, Task("multiclass", 50, ("x",)), {}),
    "51 classes": ({}, Task("multiclass", 51, ("x",)), {"extra_trees": "51 are more than the 50"}),
    "1,000 classes": (
        {}, Task("multiclass", 1_000, ("x",)),
        {"extra_trees": "1,000 are more than the 50", "lightgbm": "1,000 are more than the 100"},
    ),
    "monotone": ({"monotone": ("x",)}, Task("binary", 2, ("x",)), {}),
    "a quantile": (
        {"metric": "pinball_0.9"}, Task("regression", 0, ("x",)),
        {"linear": "learns no quantiles", "extra_trees": "learns no quantiles"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "task", "left"), CASES.values(), ids=CASES)
def test_an_engine_that_is_left_out_says_why(asked: dict[str, Any], task: Task, left: dict[str, str]) -> None:
    spec = TrainingSpec("m", ("y",), **asked)
    said = {r.text.split("`")[1]: r for r in trying.unable(spec, task)}
    assert set(said) == set(left)
    for name, words in left.items():
        assert words in said[name].text
        assert said[name].option
    tried = {c.engine for c in trying.candidates(spec, task)}
    assert tried == {"linear", "lightgbm", "extra_trees"} - set(left)


def test_one_that_is_named_is_tried_all_the_same() -> None:
    spec, task = TrainingSpec("m", ("y",), engine="lightgbm"), Task("multiclass", 1_000, ("x",))
    assert [c.engine for c in trying.candidates(spec, task)] == ["lightgbm"]
    assert not trying.unable(spec, task)
