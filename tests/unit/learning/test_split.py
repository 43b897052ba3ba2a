"""Slices: newest rows judge, equal times stay together, and a key keeps its slice."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.errors import DataError
from tilth.ml.data.identity import row_ids
from tilth.ml.judging import split

START = datetime(2013, 1, 1)


def table(days: list[int]) -> pa.Table:
    return pa.table({"id": list(range(len(days))), "at": [START + timedelta(days=d) for d in days]})


def dealt(rows: pa.Table, key: str = "id", event_time: str | None = "at") -> tuple:
    """The ids and times that rows are dealt by."""
    return row_ids(rows, (key,)), split.micros(rows, event_time) if event_time else None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=30, max_size=300).filter(lambda d: len(set(d)) >= split.LEAST_TIMES)
)
def test_the_newest_rows_are_the_window_and_no_time_straddles(days: list[int]) -> None:
    _, values = split.order(*dealt(table(days)))
    cut = split.cut(values, "at", 30)
    assert (cut.by, cut.rows) == (split.BY_TWIN, len(days))
    assert 0 < cut.window < cut.rows
    assert values[: cut.window].max() < values[cut.window :].min()


def test_the_window_begins_after_a_time_that_is_told() -> None:
    rows = table([n // 10 for n in range(1000)])
    _, values = split.order(*dealt(rows))
    cut = split.cut(values, "at", 500)
    assert cut.window == 900
    assert (cut.since, cut.tuned_until) == ("2013-03-31T00:00:00.000000Z", "2013-04-10T00:00:00.000000Z")
    assert split.judge_mask(*dealt(rows), cut.since).sum() == 100
    assert cut.plain(100)["judge"] == 100


@pytest.mark.parametrize(
    ("rows", "event_time", "by"),
    [(499, "at", split.BY_FOLDS), (500, "at", split.BY_TWIN), (5000, None, split.BY_FOLDS)],
    ids=["few rows", "enough", "no time"],
)
def test_without_enough_rows_or_a_time_there_is_no_window(rows: int, event_time: str | None, by: str) -> None:
    values = split.order(*dealt(table(list(range(rows)))))[1]
    cut = split.cut(values, event_time, 500)
    assert cut.by == by
    assert (cut.window == cut.rows) is (by == split.BY_FOLDS)
    assert (cut.since is None) is (by == split.BY_FOLDS)
    assert (cut.tuned_until is None) is (event_time is None)


def test_order_does_not_depend_on_the_order_of_rows() -> None:
    rows = table([n % 20 for n in range(200)])
    mixed = rows.take(np.random.default_rng(0).permutation(200))
    first, second = (t.take(pa.array(split.order(*dealt(t))[0])) for t in (rows, mixed))
    assert first.equals(second)


@pytest.mark.parametrize(
    "key",
    [list(range(5000)), [f"k{n}" for n in range(5000)], [n / 8 for n in range(5000)]],
    ids=["int", "text", "float"],
)
def test_without_a_time_a_key_keeps_its_slice_whatever_else_is_in_the_table(key: list) -> None:
    rows = pa.table({"k": key, "v": list(range(5000))})
    judges = split.judge_mask(*dealt(rows, "k", None), None)
    assert 0.07 < judges.mean() < 0.13
    half = rows.slice(0, 2500).set_column(1, "v", pa.array([0] * 2500))
    assert np.array_equal(split.judge_mask(*dealt(half, "k", None), None), judges[:2500])


def test_blocks_are_days_or_groups_of_the_hash() -> None:
    rows = table([0, 0, 1, 5])
    assert (split.blocks(*dealt(rows)) - 15706).tolist() == [0, 0, 1, 5]
    many = pa.table({"id": list(range(5000))})
    assert len(np.unique(split.blocks(*dealt(many, "id", None)))) == split.HASH_BLOCKS


def test_too_short_a_history_and_gaps_in_time_are_said() -> None:
    with pytest.raises(DataError, match="fewer than"):
        split.cut(split.order(*dealt(table([0, 1, 2] * 50)))[1], "at", 30)
    gap = pa.table({"id": [1, 2], "at": [START, None]})
    with pytest.raises(DataError, match="missing in 1 rows"):
        split.order(*dealt(gap))


@pytest.mark.parametrize(
    ("days", "fits"),
    [([0, 1, 2, 3, 4, 5, 6] * 9, False), ([0, 1, 2, 3, 4, 5, 6, 7] * 9, True)],
    ids=["seven times", "eight times"],
)
def test_a_history_has_eight_times(days: list[int], fits: bool) -> None:
    values = split.order(*dealt(table(days)))[1]
    if fits:
        assert split.cut(values, "at", 30).rows == 72
        return
    with pytest.raises(DataError, match="fewer than 8 different values"):
        split.cut(values, "at", 30)


@pytest.mark.parametrize(
    ("days", "window"),
    [
        ([*range(7), *[7] * 60], 7),
        ([*[0] * 60, *range(1, 8)], 60),
        ([*range(4), *[4] * 60, *range(5, 8)], 64),
    ],
    ids=["most are the newest", "most are the oldest", "most are in the middle"],
)
def test_a_window_has_rows_however_many_are_of_one_time(days: list[int], window: int) -> None:
    assert split.cut(split.order(*dealt(table(days)))[1], "at", 30).window == window


def test_a_row_of_the_very_end_of_tuning_does_not_judge_and_of_what_is_due_counts() -> None:
    _, when = dealt(table([0, 1, 2, 3]))
    assert (
        split.judge_mask(np.zeros(4, np.uint64), when, "2013-01-02T00:00:00Z").tolist()
        == [False] * 2 + [True] * 2
    )
    due = split.mature(when, 86_400.0, "2013-01-04T00:00:00Z")
    assert due is not None
    assert due.tolist() == [True, True, True, False]
    for delay, now in ((0.0, "2013-01-04T00:00:00Z"), (86_400.0, None)):
        assert split.mature(when, delay, now) is None
    assert split.mature(None, 86_400.0, "2013-01-04T00:00:00Z") is None


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (list(range(10)), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        ([0, 0, 0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 1, 2, 2, 3, 3, 4, 4]),
        ([0, 0, 0, 0, 0, 0, 1, 1, 1, 2], None),
        ([0, 1, 2, 3, 3], None),
    ],
    ids=["alike", "a tie at an end", "three parts", "four parts"],
)
def test_parts_are_alike_and_part_no_time(values: list[int], parts: list[int] | None) -> None:
    if parts is None:
        with pytest.raises(DataError, match="too few to judge 5 parts"):
            split.parts(np.array(values), None)
        return
    assert split.parts(np.array(values), None).tolist() == parts


def test_each_class_is_in_every_part() -> None:
    classes = np.repeat([0.0, 1.0, 0.0], [400, 10, 90])
    found = split.parts(np.arange(500), classes)
    assert np.bincount(found[classes == 1.0]).tolist() == [2] * 5
    assert np.bincount(found[classes == 0.0]).tolist() == [98] * 5


def test_classes_of_a_row_or_two_are_dealt_as_one() -> None:
    found = split.parts(np.arange(100), np.arange(100) // 2 + 0.0)
    assert np.bincount(found).tolist() == [20] * 5
    both = split.parts(np.arange(100), np.where(np.arange(100) < 50, 0.0, np.arange(100)))
    assert np.bincount(found[:50]).tolist() == [20, 20, 10]
    assert np.bincount(both[:50]).tolist() == np.bincount(both[50:]).tolist() == [10] * 5


def test_instants_are_read_to_the_microsecond() -> None:
    assert split.as_micros("1970-01-02T00:00:01.000002Z") == 86_401_000_002
