"""Which times are forecast: the past as it would have been, horizon by horizon, and what lies ahead."""

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tilth.core.errors import InputError
from tilth.ml.forecasting import fitting, times
from tilth.ml.forecasting.forecaster import Forecaster
from tilth.ml.forecasting.spec import Options, Spec
from tilth.ml.forecasting.times import Times

START = date(2024, 1, 1)
DAYS = 60


def day(n: int) -> date:
    return START + timedelta(days=n)


def rows(days: int = DAYS, first: int = 0) -> pa.Table:
    """Two series with a week's season; `b` ends ten days earlier."""
    made = [
        {"at": day(n), "g": g, "y": float(10 * (n % 7) + n + (5 if g == "b" else 0))}
        for g in ("a", "b")
        for n in range(first, days - (10 if g == "b" else 0))
    ]
    return pa.Table.from_pylist(made)


@pytest.fixture(scope="module")
def model() -> Forecaster:
    options = Options.of({"members": ["seasonal", "linear"]})
    return fitting.fit(rows(), Spec("at", ("y",), 7, ("g",), options=options)).forecaster


def said(model: Forecaster, asked: Times, history: pa.Table | None) -> dict[tuple[str, date], float]:
    found = times.forecast(model, history, asked).table
    return {(r["g"], r["at"]): r["y"] for r in found.to_pylist()}


ASKED = {
    "ahead": (Times(), range(60, 67), range(50, 57)),
    "the newest": (Times(None, low_open=False, to_latest=True), range(59, 60), range(49, 50)),
    "from the newest on": (Times(None, low_open=False), range(59, 67), range(49, 57)),
    "since a day": (Times(day(45)), range(46, 67), range(46, 57)),
    "from a day on": (Times(day(45), low_open=False), range(45, 67), range(45, 57)),
    "between days": (Times(day(45), False, day(52)), range(45, 53), range(45, 53)),
    "before a day": (Times(day(45), True, day(52), True), range(46, 52), range(46, 52)),
    "up to the newest": (Times(day(45), to_latest=True), range(46, 60), range(46, 50)),
    "ahead up to a day": (Times(high=day(62)), range(60, 63), range(50, 57)),
    "since a moment": (Times(datetime(2024, 2, 20, 12)), range(51, 67), range(51, 57)),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_times_that_are_asked_for_are_those_that_are_said(model: Forecaster, name: str) -> None:
    asked, of_a, of_b = ASKED[name]
    found = said(model, asked, rows())
    assert sorted(k for k in found if k[0] == "a") == [("a", day(n)) for n in of_a]
    b = sorted(k for k in found if k[0] == "b")
    if name != "ahead up to a day":  # which goes on to that day from where it ended
        assert b == [("b", day(n)) for n in of_b]
    assert not any(np.isnan(v) for v in found.values())


def test_the_past_is_said_from_what_was_known(model: Forecaster) -> None:
    changed = rows()
    later = [
        v * 100 if t > day(45) else v
        for t, v in zip(changed["at"].to_pylist(), changed["y"].to_pylist(), strict=True)
    ]
    changed = changed.set_column(2, "y", pa.array(later))
    before, after = said(model, Times(day(45)), rows()), said(model, Times(day(45)), changed)
    first = [("a", day(n)) for n in range(46, 53)]
    assert [before[k] for k in first] == [after[k] for k in first], "what came later does not count"
    assert any(before[k] != after[k] for k in before if k not in first)


def promoted(days: int, without: int | None = None, ahead: int = 0) -> pa.Table:
    """Two series with a promotion that is known ahead; `b` ends five days earlier; of one day there is no row."""
    made = [
        {"at": day(n), "g": g, "promo": n % 5 == 0, "y": float(20 + n % 7 + 9 * (n % 5 == 0)) if n < end else None}
        for g, end in (("a", days), ("b", days - 5))
        for n in range(end + ahead)
        if n != without
    ]  # fmt: skip
    return pa.Table.from_pylist(
        made, pa.schema({"at": pa.date32(), "g": pa.string(), "promo": pa.bool_(), "y": pa.float64()})
    )


@pytest.fixture(scope="module")
def told_ahead() -> Forecaster:
    options = Options.of({"members": ["seasonal", "trees"]})
    spec = Spec("at", ("y",), 7, ("g",), known=("promo",), options=options)
    return fitting.fit(promoted(100), spec).forecaster


KNOWN_AHEAD = {
    "the newest": (Times(None, low_open=False, to_latest=True), promoted(100), range(99, 100), range(94, 95)),
    "up to the newest": (Times(day(85), to_latest=True), promoted(100), range(86, 100), range(86, 95)),
    "over a gap": (Times(day(85), to_latest=True), promoted(100, 90), range(86, 100), range(86, 95)),
    "ahead": (Times(), promoted(100, ahead=7), range(100, 107), range(95, 102)),
    "ahead over a gap": (Times(), promoted(100, 99, 7), range(100, 107), range(95, 102)),
    "of rows to come alone": (Times(), promoted(100, ahead=7).filter(pc.field("y").is_null()), range(100, 107), range(95, 102)),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN_AHEAD)
def test_what_is_known_ahead_is_needed_for_the_times_that_are_said(told_ahead: Forecaster, name: str) -> None:
    asked, history, of_a, of_b = KNOWN_AHEAD[name]
    found = said(told_ahead, asked, history)
    assert set(found) == {("a", day(n)) for n in of_a} | {("b", day(n)) for n in of_b}


def test_what_is_known_ahead_and_missing_is_refused(told_ahead: Forecaster) -> None:
    for asked in (Times(), Times(day(85))):
        with pytest.raises(InputError, match="`promo` of a has no value"):
            times.forecast(told_ahead, promoted(100), asked)


@pytest.mark.parametrize("gone", [(45,), (44, 45), (45, 52)])
def test_a_gap_at_a_cut_leaves_no_time_unsaid(model: Forecaster, gone: tuple[int, ...]) -> None:
    history = rows()
    history = history.filter(pc.invert(pc.is_in(history.column("at"), pa.array([day(n) for n in gone]))))
    found = said(model, Times(day(45), to_latest=True), history)
    assert set(found) == {("a", day(n)) for n in range(46, 60)} | {("b", day(n)) for n in range(46, 50)}


REFUSED = {
    "without rows": (Times(day(45)), None, "from rows"),
    "before all": (Times(date(1990, 1, 1), False, date(1990, 2, 1)), rows(), "enough rows"),
    "too long ago": (Times(date(1900, 1, 1)), rows(), "More than 200"),
    "nothing": (Times(to_latest=True), rows(), "Nothing lies behind"),
    "far": (Times(high=date(2029, 1, 1)), rows(), "at most"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_times_that_cannot_be_said_are_refused(model: Forecaster, name: str) -> None:
    asked, history, says = REFUSED[name]
    with pytest.raises(InputError, match=says):
        times.forecast(model, history, asked)
