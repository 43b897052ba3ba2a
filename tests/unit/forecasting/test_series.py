"""Rows become series by stated rules: steps, gaps, duplicates, odd groups."""

from datetime import date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pytest
from series_made import days, hours, months, table

from tilth.core.errors import DataError, InputError, TargetError
from tilth.ml.forecasting import columns, series, steps
from tilth.ml.forecasting.spec import Options, Spec


def spec(horizon: int = 2, **options: object) -> Spec:
    return Spec("t", ("y",), horizon, ("g",), options=Options.of(options))


def made(rows: pa.Table, **options: object) -> tuple[dict[str, list[float]], dict[str, int]]:
    """(values by group, groups by reason of a notice)."""
    asked = spec(**options)
    read = series.read(rows, asked)
    panel, told = series.panel(read, "y", asked)
    names = read.groups.column("g").to_pylist()
    out = {
        names[m]: panel.values[s : s + n].tolist()
        for m, s, n in zip(panel.members, panel.starts, panel.lengths, strict=True)
    }
    return out, {n.reason: n.groups or n.count for n in (*read.notices, *told)}


LEAP = days(10, date(2024, 2, 24))
WEEKDAYS = [d for d in days(40) if d.weekday() < 5]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (days(10), "1 day"),
        (LEAP, "1 day"),
        (days(10, every=7), "1 week"),
        (days(10, every=14), "2 weeks"),
        (days(10, every=28), "4 weeks"),
        (WEEKDAYS, "1 business day"),
        (hours(50), "1 hour"),
        (hours(50, every=6), "6 hours"),
        ([datetime(2024, 1, 1) + timedelta(minutes=15 * i) for i in range(20)], "15 minutes"),
        ([datetime(2024, 1, 1) + timedelta(seconds=10 * i) for i in range(20)], "10 seconds"),
        (months(14), "1 month"),
        (months(14, day=31), "1 month"),
        (months(14, day=30), "1 month"),
        (months(40)[::3], "1 quarter"),
        (months(40, day=31)[2::3], "1 quarter"),
        ([date(y, 1, 1) for y in range(1999, 2012)], "1 year"),
        ([date(y, 12, 31) for y in range(1999, 2012)], "1 year"),
    ],
)
def test_the_step_is_the_commonest_difference(times: list[object], words: str) -> None:
    read = series.read(table(("a", times, [1.0] * len(times))), spec())
    assert read.step.words == words
    assert np.diff(read.place).tolist() == [1] * (len(times) - 1)
    again = read.step.instants(read.place) + read.shifts[read.code]
    assert again.tolist() == columns.instants(table(("a", times, [1.0] * len(times))), "t").tolist()


@pytest.mark.parametrize(
    ("words", "seasons"),
    [
        ("1 hour", (24, 168)), ("1 day", (7, 365)), ("1 week", (52,)), ("1 month", (12,)), ("1 quarter", (4,)), ("1 year", ()),
        ("15 minutes", (96, 672)), ("1 minute", (60, 1440)), ("1 business day", (5, 260)), ("1 second", (3600,)),
    ],
)  # fmt: skip
def test_a_step_has_the_seasons_of_the_calendar(words: str, seasons: tuple[int, ...]) -> None:
    assert steps.parse(words).seasons == seasons
    assert steps.parse(words).words == words


@pytest.mark.parametrize(
    "text", ["", "soon", "0 days", "1.5 days", "day 1", "99999999999 days", "10001 months"]
)
def test_a_step_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a step"):
        steps.parse(text)


GAPPY = ("a", [d for i, d in enumerate(days(9)) if i not in {3, 4}], [0.0, 1.0, 2.0, 8.0, 4.0, 4.0, 4.0])


@pytest.mark.parametrize(
    ("rule", "filled"),
    [
        ("interpolate", [0, 1, 2, 4, 6, 8, 4, 4, 4]),
        ("zero", [0, 1, 2, 0, 0, 8, 4, 4, 4]),
        ("last", [0, 1, 2, 2, 2, 8, 4, 4, 4]),
    ],
)
@pytest.mark.parametrize("null", [False, True])
def test_gaps_are_filled_by_the_rule_and_a_null_is_a_gap(rule: str, filled: list[float], null: bool) -> None:
    at = ("a", days(9), [0.0, 1.0, 2.0, None, None, 8.0, 4.0, 4.0, 4.0]) if null else GAPPY
    values, told = made(table(at), gaps=rule)
    assert values == {"a": filled}
    assert told["gaps"] == 1


GOOD = ("good", days(8), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0])


@pytest.mark.parametrize(
    ("other", "reason", "answered"),
    [
        (("short", days(2), [1.0, 2.0]), "short", False),
        (("nulls", days(5), [None, None, 1.0, None, None]), "short", False),
        (("sparse", [days(40)[i] for i in (0, 1, 2, 3, 39)], [1.0] * 5), "sparse", False),
        (("weekly", days(8, every=7), [1.0] * 8), "step", False),
        (("flat", days(8), [3.0] * 8), "constant", True),
        (("zeros", days(8), [0.0] * 8), "zeros", True),
        (("ends early", days(4), [1.0, 2.0, 3.0, 4.0]), "early", True),
        (("begins late", days(4, date(2024, 1, 5)), [1.0, 2.0, 3.0, 4.0]), None, True),
        (("null at the end", days(8), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, None, None]), None, True),
        (("three", days(3, date(2024, 1, 6)), [1.0, 2.0, 4.0]), None, True),
    ],
)
def test_a_group_with_a_trouble_harms_no_other(
    other: tuple[str, list[object], list[float | None]], reason: str | None, answered: bool
) -> None:
    values, told = made(table(other, GOOD))
    assert values["good"] == GOOD[2]
    assert (other[0] in values) == answered
    assert set(told) == ({reason} if reason else set())


def test_nulls_at_the_ends_are_no_values() -> None:
    values, told = made(table(("a", days(8), [None, 1.0, 2.0, 3.0, 4.0, None, 6.0, None])))
    assert values == {"a": [1, 2, 3, 4, 5, 6]}
    assert told == {"gaps": 1}


TWICE = ("a", [*days(5), days(5)[2]], [1.0, 2.0, 3.0, 4.0, 5.0, 7.0])


def test_duplicates_are_refused_with_their_count_and_group() -> None:
    with pytest.raises(DataError, match=r"1 rows have a `t` .* in 1 of 2 groups") as refused:
        made(table(TWICE, GOOD))
    assert refused.value.detail == ("('a',): 1",)
    assert "duplicates = 'mean'" in str(refused.value)


@pytest.mark.parametrize(("how", "third"), [("mean", 5.0), ("sum", 10.0), ("last", 7.0)])
def test_duplicates_are_merged_by_option(how: str, third: float) -> None:
    values, told = made(table(TWICE), duplicates=how)
    assert values == {"a": [1, 2, third, 4, 5]}
    assert told == {"merged": 1}


IRREGULAR = [
    datetime(2024, 1, 1) + timedelta(hours=h) for h in (0, 5, 13, 30, 37, 52, 61, 80, 95, 101, 119, 143.5)
]


def test_irregular_rows_are_refused_with_what_was_seen() -> None:
    with pytest.raises(DataError, match="no regular step") as refused:
        made(table(("a", IRREGULAR, range(12))))
    assert len(refused.value.detail) == 3
    assert "resample" in str(refused.value)


@pytest.mark.parametrize(
    ("how", "values"),
    [("sum", [3, 7, 11, 15, 19, 11]), ("mean", [1, 3.5, 5.5, 7.5, 9.5, 11]), ("last", [2, 4, 6, 8, 10, 11])],
)
def test_irregular_rows_are_resampled_by_option(how: str, values: list[float]) -> None:
    found, told = made(table(("a", IRREGULAR, range(12))), step="1 day", resample=how)
    assert found == {"a": values}
    assert "merged" in told


def test_a_last_step_that_rows_do_not_fill_is_left_out() -> None:
    found, told = made(
        table(("a", hours(60, datetime(2024, 1, 1)), [1.0] * 60)), step="1 day", resample="sum"
    )
    assert found == {}
    assert told == {"unfinished": 12, "merged": 46, "short": 1}


@pytest.mark.parametrize(
    ("rows", "zone", "told"),
    [
        # A day of 23 hours: naive local hours have a gap, hours of a zone have none.
        ([h for h in hours(60) if h != datetime(2024, 3, 31, 2)], None, {"gaps": 1}),
        (hours(60), "Europe/Berlin", {"zone": 0}),
        # Local midnights are 23 hours apart once.
        ([*hours(3, datetime(2024, 3, 28, 23), 24), *hours(4, datetime(2024, 3, 31, 22), 24)], "Europe/Berlin", {"zone": 0, "snapped": 4}),
    ],
)  # fmt: skip
def test_hours_are_those_of_utc(rows: list[datetime], zone: str | None, told: dict[str, int]) -> None:
    values, said = made(
        table(("a", rows, [1.0 + i % 3 for i in range(len(rows))]), kind=pa.timestamp("us", zone))
    )
    assert said == told
    assert len(values["a"]) == (60 if len(rows) > 10 else 7)


def test_an_hour_that_comes_twice_is_a_duplicate() -> None:
    autumn = [*hours(3, datetime(2024, 10, 27)), *hours(10, datetime(2024, 10, 27, 2))]
    with pytest.raises(DataError, match="give the time in UTC"):
        made(table(("a", autumn, range(13))))


@pytest.mark.parametrize(
    ("column", "values", "error", "words"),
    [
        ("t", [1, 2, 3], DataError, "make_date"),
        ("t", ["2024-01-01", "2024-01-02", "2024-01-03"], DataError, "AS TIMESTAMP"),
        ("t", [time(1), time(2), time(3)], DataError, "DATE '...'"),
        ("g", [1.0, float("nan"), 1.0], DataError, "GROUP BY `g` is NaN in 1 of 3"),
        ("t", [date(2024, 1, 1), None, date(2024, 1, 3)], DataError, "IS NOT NULL"),
        ("y", ["a", "b", "c"], TargetError, "AS DOUBLE"),
        ("y", [True, False, True], TargetError, "AS DOUBLE"),
        ("y", [1.0, float("inf"), 2.0], TargetError, "infinite or beyond 1e.100 in 1 rows"),
        ("y", [1.0, -1e101, 2.0], TargetError, "divide the column"),
    ],
)
def test_a_column_of_another_kind_is_refused_with_what_to_write(
    column: str, values: list[object], error: type[Exception], words: str
) -> None:
    rows = table(("a", days(3), [1.0, 2.0, 3.0]))
    with pytest.raises(error, match=words):
        made(rows.set_column(rows.schema.get_field_index(column), column, pa.array(values)))


def test_a_missing_column_and_no_row_are_refused() -> None:
    with pytest.raises(InputError, match="`y` is missing"):
        made(table(GOOD).drop_columns(["y"]))
    with pytest.raises(DataError, match="no row"):
        made(table(GOOD).slice(0, 0))


def test_one_row_a_group_has_no_step() -> None:
    with pytest.raises(DataError, match="no step to see"):
        made(table(("a", days(1), [1.0]), ("b", days(1), [1.0])))


def test_groups_keep_a_weekday_of_their_own() -> None:
    values, told = made(
        table(("a", days(5, every=7), range(5)), ("b", days(5, date(2024, 1, 3), every=7), range(5)))
    )
    assert values == {"a": [0, 1, 2, 3, 4], "b": [0, 1, 2, 3, 4]}
    assert told == {}


def test_a_null_group_is_a_group() -> None:
    rows = table(GOOD, ("x", days(4), [1.0, 2.0, 3.0, 5.0]))
    rows = rows.set_column(0, "g", pa.array([None if g == "x" else g for g in rows.column("g").to_pylist()]))
    assert set(made(rows)[0]) == {"good", None}


def test_only_the_newest_points_are_learned_from() -> None:
    from dataclasses import replace

    from tilth.ml.forecasting.spec import Limits

    asked = replace(spec(), limits=Limits(points=5))
    read = series.read(table(GOOD), asked)
    panel, told = series.panel(read, "y", asked)
    assert panel.values.tolist() == [4, 5, 6, 7, 9]
    assert [n.reason for n in told] == ["long"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gap": "zero"}, "Did you mean"), ({"gaps": "none"}, "interpolate"), ({"duplicates": "first"}, "refuse"),
        ({"resample": "sum"}, "needs a `step`"), ({"seasons": "1"}, "one or two lengths"), ({"seasons": "7, 30, 365"}, "one or two"),
        ({"members": "prophet"}, "no member"), ({"members": ""}, "no member"),
    ],
)  # fmt: skip
def test_an_option_that_is_not_known_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Options.of(given)
