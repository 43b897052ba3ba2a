"""A look where it turns: just enough rows, the very instant, the newest answer. On values by hand; `test_monitoring` has trained ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tilth.core.schema import DataType
from tilth.core.time import show_instant
from tilth.ml.data.profile import Numeric, Profile
from tilth.ml.judging.split import as_micros
from tilth.ml.model.signature import Input, Signature
from tilth.ml.watching import monitoring
from tilth.ml.watching.logged import Answers, Watched
from tilth.ml.watching.monitoring import Look, Tuned, measured

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)
SIGNATURE = Signature(
    "m", "y", "y", "binary", DataType.BOOLEAN,
    (Input("x", DataType.FLOAT), Input("z", DataType.FLOAT), Input("w", DataType.FLOAT, required=False)),
    (Input("id", DataType.INTEGER),), (False, True), ("id",), "at",
)  # fmt: skip
X = Numeric("x", 1000, 0, (-1.0, 0.0, 1.0), (250, 250, 250, 250))
WATCHED = Watched(SIGNATURE, Profile(1000, (X,)), "accuracy", keys=("id",))
SPREAD = [(-2.0, -0.5, 0.5, 2.0)[n % 4] for n in range(600)]


def instant(days: float) -> str:
    return show_instant(START + timedelta(days=days))


def answered(
    rows: int = 600, days: float = 3.0, last: float = 30.0, when: Any = None, ids: Any = None, **columns: Any
) -> Answers:
    """Answers that end on a day and began days before; each says yes where its number is even."""
    came = [last - days + days * n / (rows - 1) for n in range(rows)]
    inputs = {
        "id": pa.chunked_array([pa.array(list(range(rows)) if ids is None else ids, pa.int64())]),
        "x": pa.chunked_array([pa.array(columns.get("x", (SPREAD * 2)[:rows]), pa.float64())]),
        "z": pa.chunked_array([pa.array(columns.get("z", [0.0] * rows), pa.float64())]),
        "w": pa.chunked_array([pa.array(columns.get("w", [0.0] * rows), pa.float64())]),
    }
    happened = [None] * rows if when is None else [None if w is None else as_micros(instant(w)) for w in when]
    scores = columns.get("scores", [0.9 if n % 2 == 0 else 0.1 for n in range(rows)])
    return Answers(
        pa.chunked_array([pa.array([instant(d) for d in came])]),
        pa.table(inputs),
        pa.chunked_array([pa.array(scores, pa.float64())]),
        pa.chunked_array([pa.array(happened, pa.int64())]),
        pa.chunked_array([pa.array([], pa.string())]),
    )


def truth(rows: int = 600) -> tuple[pa.Array, pa.Array]:
    """What came true: yes where the number is even, but for each tenth."""
    return pa.array([str(n) for n in range(rows)]), pa.array(
        [n % 2 == 0 and n % 20 != 0 for n in range(rows)]
    )


def look(answers: Answers, at: float = 30.0, watched: Watched = WATCHED, **more: Any) -> Look:
    nothing: Any = None
    return monitoring.look(watched, answers, truth(), nothing, instant(at), 3, **more)


def test_what_was_answered_is_measured() -> None:
    found = look(answered())
    assert (found.predictions, found.outcomes, found.quality) == (600, 600, pytest.approx(0.95))
    assert found.drift == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("last", "predictions"), [(30.0, 600), (24.5, 300), (22.9, 0)])
def test_drift_is_of_the_last_week_and_quality_of_all_that_is_given(last: float, predictions: int) -> None:
    found = look(answered(last=last))
    assert found.predictions == pytest.approx(predictions, abs=1)
    assert (found.outcomes, found.quality) == (600, pytest.approx(0.95))


@pytest.mark.parametrize(("days", "told"), [(1.9999, False), (2.0, True)])
def test_answers_of_two_days_are_compared_with_weeks(days: float, told: bool) -> None:
    usual = replace(WATCHED, usual={"x": 0.01})
    assert (look(answered(days=days), watched=usual).drift is not None) is told
    assert look(answered(days=days)).drift is not None, "nothing says how much weeks differ"


def binary(rows: int, ones: int) -> np.ndarray:
    return (np.arange(rows) < ones).astype(float)


@pytest.mark.parametrize(
    ("kind", "rows", "ones", "told"),
    [
        ("binary", 200, 100, True), ("binary", 199, 100, False), ("binary", 200, 20, True), ("binary", 200, 19, False),
        ("binary", 200, 180, True), ("binary", 200, 181, False), ("regression", 200, 0, True), ("regression", 199, 0, False),
    ],
)  # fmt: skip
def test_quality_is_told_of_as_many_rows_as_a_gate_asks_for(
    kind: str, rows: int, ones: int, told: bool
) -> None:
    metric = "accuracy" if kind == "binary" else "mae"
    found = measured(metric, kind, binary(rows, ones), binary(rows, ones), 0.5)
    assert (found is not None) is told


def test_quality_is_of_the_decisions_that_were_served() -> None:
    said = np.where(np.arange(400) < 200, 0.3, 0.1)
    assert measured("accuracy", "binary", binary(400, 200), said, 0.2) == 1.0
    assert measured("accuracy", "binary", binary(400, 200), said, 0.5) == 0.5
    assert measured("roc_auc", "regression", np.ones(400), said, 0.5) is None, "rows of one class have none"


def test_the_newest_answer_to_a_key_counts() -> None:
    wrong = [0.1 if n % 2 == 0 else 0.9 for n in range(300)]
    right = [0.9 if n % 2 == 0 else 0.1 for n in range(300)]
    twice = [*range(300), *range(300)]
    assert look(answered(ids=twice, scores=[*wrong, *right])).quality == pytest.approx(0.95)
    assert look(answered(ids=twice, scores=[*right, *wrong])).quality == pytest.approx(0.05)
    some = [*range(300), *range(200), *[None] * 100]
    assert look(answered(ids=some)).outcomes == 300


DAY = 86_400.0
DUE = {
    "all were due": ([20.0] * 600, 5 * DAY, 600),
    "due at this very instant": ([25.0] * 600, 5 * DAY, 600),
    "not due yet": ([25.5] * 600, 5 * DAY, 0),
    "by when it came": (None, 5 * DAY, 0),
    "by when it came, where nothing else is known": ([20.0] * 300 + [None] * 300, 5 * DAY, 300),
}


@pytest.mark.parametrize(("when", "delay", "outcomes"), DUE.values(), ids=DUE)
def test_an_outcome_counts_when_it_is_due_by_its_event(when: Any, delay: float, outcomes: int) -> None:
    assert look(answered(when=when), delay=delay).outcomes == outcomes


KEYS = pa.array([str(n) for n in range(100)])
TUNED = {
    "to the very end": (Tuned(instant(20)), [20.0] * 100 + [20.0001] * 500, 500),
    "by keys where no time is known": (Tuned(instant(20), KEYS), None, 500),
    "by the time where one is known": (Tuned(instant(20), KEYS), [21.0] * 600, 600),
    "by keys alone": (Tuned(None, KEYS), [1.0] * 600, 500),
    "on nothing that is known": (Tuned(), [1.0] * 600, 600),
}


@pytest.mark.parametrize(("tuned", "when", "outcomes"), TUNED.values(), ids=TUNED)
def test_what_a_version_was_tuned_on_does_not_count(tuned: Tuned, when: Any, outcomes: int) -> None:
    assert look(answered(when=when), tuned=tuned).outcomes == outcomes


def test_an_answer_that_lacks_what_never_was_missing_is_counted_once() -> None:
    x, z, w = SPREAD.copy(), [0.0] * 600, [0.0] * 600
    for column, places in ((x, (1, 2)), (z, (2, 3)), (w, (4, 5))):
        for place in places:
            column[place] = None  # type: ignore[call-overload]
    assert look(answered(x=x, z=z, w=w)).gaps == 3
    assert look(answered()).gaps == 0
