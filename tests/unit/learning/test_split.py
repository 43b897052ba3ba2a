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
