"""The digest of rows: what makes a difference and what does not."""

from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.ml.data.content import ContentDigest, content_of

CELLS = {
    "i": st.none() | st.integers(-(2**62), 2**62),
    "f": st.none() | st.floats(allow_nan=False),
    "s": st.none() | st.text(max_size=5),
    "t": st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),
    "b": st.none() | st.booleans(),
}
SCHEMA = pa.schema(
    {"i": pa.int64(), "f": pa.float64(), "s": pa.string(), "t": pa.timestamp("us"), "b": pa.bool_()}
)


@given(st.lists(st.fixed_dictionaries(CELLS), max_size=20), st.lists(st.integers(1, 7), min_size=1))
def test_the_cut_into_batches_makes_no_difference(rows: list[dict[str, object]], sizes: list[int]) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    hashed, at, turn = ContentDigest(SCHEMA), 0, 0
    while at < table.num_rows:
        size = sizes[turn % len(sizes)]
        for batch in table.slice(at, size).to_batches():
            hashed.update(batch)
        at, turn = at + size, turn + 1
    assert hashed.hexdigest() == content_of(table)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array(["x", None, "y"]), pa.array(["x", None, "y"]).dictionary_encode()),
        (pa.array(["x", "y"]), pa.array(["x", "y"], pa.large_string())),
        (pa.array(["x", "y"]), pa.array(["x", "y"], pa.string_view())),
        (pa.array([1, None], pa.int64()), pa.array([1, None], pa.int16())),
        (pa.array([1.5], pa.float64()), pa.array([1.5], pa.float32())),
        (pa.array([datetime(2024, 1, 1)], pa.timestamp("us")), pa.array([datetime(2024, 1, 1)], pa.timestamp("s"))),
        (pa.array([date(2024, 1, 1)], pa.date32()), pa.array([date(2024, 1, 1)], pa.date64())),
        (pa.array([b"ab"]), pa.array([b"ab"], pa.binary(2))),
    ],
)  # fmt: skip
def test_how_values_are_stored_makes_no_difference(one: pa.Array, other: pa.Array) -> None:
    assert content_of(pa.table({"a": one})) == content_of(pa.table({"a": other}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["x", "yz"]}, {"a": ["xy", "z"]}),
        ({"a": ["", None]}, {"a": [None, ""]}),
        ({"a": [0, None]}, {"a": [None, 0]}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [1, 2]}, {"b": [1, 2]}),
        ({"a": [1]}, {"a": [1.0]}),
        ({"a": ["1"]}, {"a": [b"1"]}),
        ({"a": [1], "b": [2]}, {"a": [2], "b": [1]}),
        ({"a": [Decimal("1.0")]}, {"a": [Decimal("1.00")]}),
        ({"a": [[1], [2, 3]]}, {"a": [[1, 2], [3]]}),
    ],
)
def test_other_values_have_another_digest(
    one: dict[str, list[object]], other: dict[str, list[object]]
) -> None:
    assert content_of(pa.table(one)) != content_of(pa.table(other))
