"""What a stranger's engine gives is refused by name before a figure is made of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tilth.core.errors import TrainingError
from tilth.ml.learning.taking import scorer_of, seen, unchanged
from tilth.ports.learning import Fitted, Task

X = np.arange(8.0).reshape(4, 2)
GOOD = Fitted("own", "json", b"{}")
GIVEN: dict[str, tuple[Any, str]] = {
    "a dict": ({"model": 1}, "gave a dict and not a Fitted"),
    "nothing": (None, "gave a NoneType and not a Fitted"),
    "a class as its format": (Fitted(dict, "json", b""), "the name of a format"),  # type: ignore[arg-type]
    "a path as its suffix": (Fitted("own", "../../x", b""), "a file's suffix without the point"),
    "a text as its payload": (Fitted("own", "json", "{}"), "gave a str as payload, which should be bytes"),  # type: ignore[arg-type]
    "a mapping as its notes": (Fitted("own", "json", b"", {"a": 1}), "not a tuple of pairs"),  # type: ignore[arg-type]
}


def _raises(_x: Any) -> Any:
    raise KeyError("weights")


def _changes(x: Any) -> Any:
    x[:] = 0
    return np.full(4, 0.5)


ANSWERS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "an error": ("binary", _raises, "does not read or score what the engine `e` made: KeyError: 'weights'"),
    "a change of the rows": ("binary", _changes, "changes the rows that it scores"),
    "a list": ("binary", lambda _x: [0.5] * 4, "with a list, which should be an array of float64"),
    "half the digits": ("binary", lambda _x: np.full(4, 0.5, np.float32), "an array of float32"),
    "a row too few": ("binary", lambda _x: np.full(3, 0.5), r"in the shape \(3,\) where \(4,\) is asked for"),
    "two columns": ("binary", lambda _x: np.full((4, 2), 0.5), r"in the shape \(4, 2\)"),
    "one column of three": ("multiclass", lambda _x: np.full(4, 0.5), r"where \(4, 3\) is asked for"),
    "NaN": (
        "regression",
        lambda _x: np.array([1, np.nan, np.inf, 1.0]),
        "2 of 4 rows with what is no finite number",
    ),
    "NaN of a class": ("multiclass", lambda _x: np.full((4, 3), np.nan), "4 of 4 rows"),
    "more than certain": ("binary", lambda _x: np.full(4, 5.2), "5.2 to 5.2, which should be probabilities"),
    "less than impossible": ("binary", lambda _x: np.full(4, -0.1), "should be probabilities"),
}


def _asked(kind: str, score: Callable[[Any], Any], made: Any = GOOD) -> Any:
    class Scorer:
        @classmethod
        def load(cls, _payload: bytes, _task: Task, _threads: int) -> Any:
            found = cls()
            found.score = score  # type: ignore[attr-defined]
            return found

    task = Task(kind, {"binary": 2, "multiclass": 3}.get(kind, 0), ("a", "b"))
    return scorer_of("e", made, task, lambda _name: Scorer, 1, X)


@pytest.mark.parametrize("name", GIVEN)
def test_what_a_fit_gives(name: str) -> None:
    made, says = GIVEN[name]
    with pytest.raises(TrainingError, match=says):
        _asked("binary", lambda _x: np.full(4, 0.5), made)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_scorer_answers(name: str) -> None:
    kind, score, says = ANSWERS[name]
    with pytest.raises(TrainingError, match=says):
        _asked(kind, score)


def test_what_is_right_is_taken() -> None:
    for kind, answer in (
        ("binary", np.full(4, 0.5)),
        ("multiclass", np.full((4, 3), 0.3)),
        ("regression", X[:, 0]),
    ):
        assert _asked(kind, lambda _x, found=answer: found).score(X) is answer


def test_rows_that_a_fit_changes_are_missed() -> None:
    x = X.copy()
    before = seen(x, x[:2])
    unchanged("e", before, x, x[:2])
    x[3, 1] = 8.0
    with pytest.raises(TrainingError, match="`e` changed the rows"):
        unchanged("e", before, x, x[:2])
