"""Slices: newest rows judge, equal times stay together, and a key keeps its slice."""

import itertools
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
def test_slices_are_in_time_order_none_is_empty_and_no_time_straddles(days: list[int]) -> None:
    _, values = split.order(*dealt(table(days)))
    cut = split.cut(values, "at")
    edges = [0, cut.fit, cut.stop, cut.calibrate, cut.rows]
    parts = [values[a:b] for a, b in itertools.pairwise(edges)]
    assert all(len(p) for p in parts)
    for older, newer in itertools.pairwise(parts):
        assert older.max() < newer.min()


def test_the_boundary_is_the_newest_time_that_tuned() -> None:
    rows = table([n // 10 for n in range(1000)])
    _, values = split.order(*dealt(rows))
    cut = split.cut(values, "at")
    assert (cut.fit, cut.stop, cut.calibrate) == (700, 800, 900)
    assert cut.tuned_until == "2013-03-31T00:00:00.000000Z"
    mask = split.judge_mask(*dealt(rows), cut.tuned_until)
    assert mask.sum() == 100


def test_the_judge_slice_starts_after_what_the_champion_knew() -> None:
    _, values = split.order(*dealt(table([n // 10 for n in range(1000)])))
    assert split.cut(values, "at", "2013-02-01T00:00:00Z").calibrate == 900
    later = split.cut(values, "at", "2013-04-04T00:00:00Z")
    assert (later.calibrate, later.overlap) == (940, False)
    assert split.cut(values, "at", "2013-04-09T00:00:00Z").overlap


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
    index, values = split.order(*dealt(rows, "k", None))
    cut = split.cut(values, None)
    assert cut.tuned_until is None
    assert judges[index].sum() == cut.rows - cut.calibrate
    assert judges[index][cut.calibrate :].all()


def test_blocks_are_days_or_groups_of_the_hash() -> None:
    rows = table([0, 0, 1, 5])
    assert (split.blocks(*dealt(rows)) - 15706).tolist() == [0, 0, 1, 5]
    many = pa.table({"id": list(range(5000))})
    assert len(np.unique(split.blocks(*dealt(many, "id", None)))) == split.HASH_BLOCKS


def test_too_short_a_history_and_gaps_in_time_are_said() -> None:
    with pytest.raises(DataError, match="fewer than"):
        split.cut(split.order(*dealt(table([0, 1, 2] * 50)))[1], "at")
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
        assert split.cut(values, "at").rows == 72
        return
    with pytest.raises(DataError, match="fewer than 8 different values"):
        split.cut(values, "at")


@pytest.mark.parametrize(
    ("days", "slices"),
    [
        ([*range(7), *[7] * 60], (5, 6, 7, 67)),
        ([*[0] * 60, *range(1, 8)], (60, 61, 62, 67)),
        ([*range(4), *[4] * 60, *range(5, 8)], (3, 4, 64, 67)),
    ],
    ids=["most are the newest", "most are the oldest", "most are in the middle"],
)
def test_every_slice_has_rows_however_many_are_of_one_time(days: list[int], slices: tuple[int, ...]) -> None:
    cut = split.cut(split.order(*dealt(table(days)))[1], "at")
    assert (cut.fit, cut.stop, cut.calibrate, cut.rows) == slices


@pytest.mark.parametrize(
    ("day", "calibrate", "overlap"),
    [(92, 930, False), (94, 950, False), (95, 900, True), (20, 900, False), (89, 900, False)],
    ids=["70 newer", "just 50 newer", "40 newer", "long before", "where the slice begins"],
)
def test_enough_newer_rows_judge_after_what_the_champion_knew(
    day: int, calibrate: int, overlap: bool
) -> None:
    values = split.order(*dealt(table([n // 10 for n in range(1000)])))[1]
    cut = split.cut(values, "at", (START + timedelta(days=day)).isoformat() + "Z")
    assert (cut.calibrate, cut.overlap) == (calibrate, overlap)


def test_what_ends_before_the_slice_never_overlaps() -> None:
    values = split.order(*dealt(table(list(range(20)))))[1]
    cut = split.cut(values, "at", START.isoformat() + "Z")
    assert (cut.calibrate, cut.overlap) == (18, False)
    assert split.cut(values, "at", (START + timedelta(days=18)).isoformat() + "Z").overlap


EDGE = [int(share * 2**64) for share in split.SHARES]


@pytest.mark.parametrize(
    ("ids", "slices"),
    [
        ([0, EDGE[0] - 1, EDGE[0], EDGE[1], EDGE[2], 2**64 - 1], (2, 3, 4)),
        ([0, EDGE[1], EDGE[2]], None),
        ([EDGE[0], EDGE[1], EDGE[2]], None),
        ([0, EDGE[0], EDGE[1]], None),
    ],
    ids=["at the edges", "none stops", "none fits", "none judges"],
)
def test_ids_are_dealt_by_their_tenths(ids: list[int], slices: tuple[int, ...] | None) -> None:
    values = np.array(ids, dtype=np.uint64)
    if slices is None:
        with pytest.raises(DataError, match="too few to learn from some"):
            split.cut(values, None)
        return
    cut = split.cut(values, None)
    assert (cut.fit, cut.stop, cut.calibrate) == slices
    judges = split.judge_mask(values, None, None)
    assert judges.tolist() == [n >= cut.calibrate for n in range(len(ids))]


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
    ("days", "ends"),
    [
        (list(range(10)), (2, 4, 6, 8, 10)),
        ([0, 0, 0, 1, 2, 3, 4, 5, 6, 7], (3, 4, 6, 8, 10)),
        ([0, 0, 0, 0, 1, 1, 1, 2, 2, 3], None),
    ],
    ids=["alike", "a tie at an end", "four parts"],
)
def test_folds_are_alike_and_part_no_time(days: list[int], ends: tuple[int, ...] | None) -> None:
    values = split.order(*dealt(table(days)))[1]
    if ends is None:
        with pytest.raises(DataError, match="too few to judge 5 parts"):
            split.folded(values, "at")
        return
    assert split.folded(values, "at") == ends


def test_instants_are_read_to_the_microsecond() -> None:
    assert split.as_micros("1970-01-02T00:00:01.000002Z") == 86_401_000_002
