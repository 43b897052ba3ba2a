"""Which rows of a table are new: compared with counting them one by one."""

import random
from collections import Counter
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.runtime.asking.deltas import _Known, told

IDS = st.lists(st.integers(0, 6), max_size=30)


@settings(max_examples=300, deadline=None)
@given(IDS, st.lists(IDS, max_size=4))
def test_a_row_is_new_when_it_was_not_there_so_often(before: list[int], batches: list[list[int]]) -> None:
    known, left = _Known(np.array(before, np.uint64)), Counter(before)
    for batch in batches:
        found = known.fresh(np.array(batch, np.uint64))
        expected = []
        for one in batch:
            expected.append(left[one] <= 0)
            left[one] -= 1
        assert Counter(n for n, new in zip(batch, found, strict=True) if new) == Counter(
            n for n, new in zip(batch, expected, strict=True) if new
        )


def test_many_rows_are_told_as_one_by_one() -> None:
    numbers = random.Random(7)
    before = [numbers.randrange(50_000) for _ in range(60_000)]
    after = [numbers.randrange(60_000) for _ in range(80_000)]
    known = _Known(np.array(before, np.uint64))
    new = [
        n
        for at in range(0, len(after), 777)
        for batch in [after[at : at + 777]]
        for n, fresh in zip(batch, known.fresh(np.array(batch, np.uint64)), strict=True)
        if fresh
    ]
    assert Counter(new) == Counter(after) - Counter(before)


APART = {
    "whole numbers": pa.array([0, -1, 1, None]),
    "numbers": pa.array([0.0, 0.5, -1.0, None]),
    "texts": pa.array(["", "None", "0", None]),
    "truth": pa.array([True, False, None]),
    "times": pa.array([0, 1, -1, None], pa.timestamp("us")),
    "decimals": pa.array([Decimal("1.10"), Decimal("1.11"), None], pa.decimal128(10, 2)),
    "bytes": pa.array([b"", b"a", b"None", None]),
    "lists": pa.array([[1], [1, 2], [], None]),
    "structs": pa.array([{"a": 1}, {"a": 2}, {"a": None}, None]),
}


@pytest.mark.parametrize("kind", APART)
def test_a_gap_is_no_value_and_values_differ(kind: str) -> None:
    batch = pa.record_batch({"c": APART[kind], "d": pa.nulls(len(APART[kind]), pa.int64())})
    ids = told(batch, ["c", "d"])
    assert len(set(ids.tolist())) == len(ids)
    assert told(batch, ["c", "d"]).tolist() == ids.tolist()


def test_columns_do_not_change_places() -> None:
    one, other = (
        pa.record_batch({"a": [1, None], "b": [2, 5]}),
        pa.record_batch({"a": [2, 5], "b": [1, None]}),
    )
    assert not set(told(one, ["a", "b"]).tolist()) & set(told(other, ["a", "b"]).tolist())
