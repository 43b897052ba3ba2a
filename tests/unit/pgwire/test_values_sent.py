"""Rows and parameters in PostgreSQL's forms, as PostgreSQL itself writes them."""

from __future__ import annotations

import contextlib
import math
import struct
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.interfaces.pgwire import rows, types
from tilth.interfaces.pgwire.given import BadValue, value, values

US = pa.timestamp("us")


def sent(array: pa.Array, form: int) -> list[bytes | None]:
    """Each cell of a column, cut out of its rows."""
    kind = types.type_of(array.type)
    data, out = rows.rows(pa.record_batch([array], ["x"]), [kind], [form]), []
    while data:
        tag, length, wide, size = struct.unpack_from("!cihi", data)
        assert (tag, wide, length) == (b"D", 1, 10 + max(size, 0))
        out.append(None if size < 0 else data[11 : 11 + size])
        data = data[length + 1 :]
    return out


TEXTS: dict[str, tuple[pa.Array, list[str | None]]] = {
    "booleans": (pa.array([True, None, False]), ["t", None, "f"]),
    "whole numbers": (pa.array([1, None, -(2**63)]), ["1", None, str(-(2**63))]),
    "beyond 63 bits": (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
    "floats": (
        pa.array([1.0, 1.5, 1e20, 1e-7, -0.0, math.inf, -math.inf, math.nan, None]),
        ["1", "1.5", "1e+20", "1e-07", "-0", "Infinity", "-Infinity", "NaN", None],
    ),
    "small floats": (pa.array([1.5, 0.1, 1e6, 999999.0, 1e-5], pa.float32()), ["1.5", "0.1", "1e+06", "999999", "1e-05"]),
    "floats with a power": (
        pa.array([1e15, 1e14, 123456789012345.0, 1234567890123456.0, 1e-4, 6.42e-5, -1.5e-300, 1.7976931348623157e308]),
        ["1e+15", "100000000000000", "123456789012345", "1.234567890123456e+15", "0.0001", "6.42e-05", "-1.5e-300", "1.7976931348623157e+308"],
    ),
    "decimals": (pa.array([Decimal("1.50"), Decimal("-0.01")]), ["1.50", "-0.01"]),
    "texts": (pa.array(["", "é", None, "a\tb"]), ["", "é", None, "a\tb"]),
    "of a dictionary": (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    "dates": (pa.array([date(1999, 12, 31), None]), ["1999-12-31", None]),
    "times": (pa.array([time(1, 2, 3), time(1, 2, 3, 450_000)]), ["01:02:03", "01:02:03.45"]),
    "moments": (
        pa.array([datetime(2020, 1, 2), datetime(1969, 1, 2, 3, 4, 5, 100), None], US),
        ["2020-01-02 00:00:00", "1969-01-02 03:04:05.0001", None],
    ),
    "in a zone": (pa.array([datetime(2020, 1, 2, tzinfo=UTC)], pa.timestamp("us", "UTC")), ["2020-01-02 00:00:00+00"]),
    "bytes": (pa.array([b"\0\xff", b""]), ["\\x00ff", "\\x"]),
    "intervals": (pa.array([timedelta(days=1, seconds=5), timedelta(seconds=-1)]), ["1 day 00:00:05", "-1 days +23:59:59"]),
    "lists": (pa.array([[1, 2], None, [], [None]]), ["{1,2}", None, "{}", "{NULL}"]),
    "lists of texts": (
        pa.array([["a", "b c", "", "null", None, 'd"e\\', "f,g"]]),
        ['{a,"b c","","null",NULL,"d\\"e\\\\","f,g"}'],
    ),
    "lists of moments": (pa.array([[datetime(2020, 1, 2)]], pa.list_(US)), ['{"2020-01-02 00:00:00"}']),
    "lists of lists": (pa.array([[[1]]]), ["[[1]]"]),
    "endless days": (pa.array([2**31 - 1, -(2**31) + 1, 0, None], pa.int32()).cast(pa.date32()), ["infinity", "-infinity", "1970-01-01", None]),
    "endless moments": (pa.array([2**63 - 1, -(2**63) + 1, 0]).cast(US), ["infinity", "-infinity", "1970-01-01 00:00:00"]),
    "structs": (pa.array([{"a": "x"}]), ['{"a": "x"}']),
    "nothing": (pa.array([None, None]), [None, None]),
}  # fmt: skip


@pytest.mark.parametrize(("array", "expected"), TEXTS.values(), ids=TEXTS)
def test_a_column_as_text(array: pa.Array, expected: list[str | None]) -> None:
    assert [None if v is None else v.decode() for v in sent(array, rows.TEXT)] == expected


@pytest.mark.parametrize(("array", "expected"), TEXTS.values(), ids=TEXTS)
def test_a_part_of_a_column_is_sent_alone(array: pa.Array, expected: list[str | None]) -> None:
    for form in (rows.TEXT, rows.BINARY):
        assert sent(array.slice(1), form) == sent(array, form)[1:]


BINARY: dict[str, tuple[pa.Array, list[Any]]] = {
    "booleans": (pa.array([True, None, False]), [True, None, False]),
    "int2": (pa.array([1, -2, None], pa.int16()), [1, -2, None]),
    "int4": (pa.array([1, -2, None], pa.int32()), [1, -2, None]),
    "int8": (pa.array([1, -(2**63), None]), [1, -(2**63), None]),
    "float4": (pa.array([1.5, None], pa.float32()), [1.5, None]),
    "float8": (pa.array([1.5, -0.0, math.inf, None]), [1.5, -0.0, math.inf, None]),
    "numeric": (
        pa.array([Decimal("12345.678"), Decimal("-0.001"), Decimal("0.000"), Decimal("100000000.000"), None]),
        [Decimal("12345.678"), Decimal("-0.001"), Decimal("0.000"), Decimal("100000000.000"), None],
    ),
    "texts": (pa.array(["", "é", None]), ["", "é", None]),
    "dates": (pa.array([date(1999, 12, 31), date(9999, 1, 1)]), [date(1999, 12, 31), date(9999, 1, 1)]),
    "times": (pa.array([time(1, 2, 3, 450_000)]), [time(1, 2, 3, 450_000)]),
    "moments": (pa.array([datetime(1969, 1, 2, 3, 4, 5, 100)], US), [datetime(1969, 1, 2, 3, 4, 5, 100)]),
    "in a zone": (
        pa.array([datetime(2020, 1, 2, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        [datetime(2020, 1, 2, tzinfo=UTC)],
    ),
    "bytes": (pa.array([b"\0\xff", None]), [b"\0\xff", None]),
    "intervals": (pa.array([timedelta(days=1, seconds=5)]), [timedelta(days=1, seconds=5)]),
    "uuids": (
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID(int=5).bytes], pa.binary(16))),
        [UUID(int=5)],
    ),
    "lists": (pa.array([[1, 2], None]), [[1, 2], None]),
}


@pytest.mark.parametrize(("array", "expected"), BINARY.values(), ids=BINARY)
def test_what_is_sent_as_binary_reads_back(array: pa.Array, expected: list[Any]) -> None:
    oid = types.type_of(array.type).oid
    found = [None if v is None else value(v, rows.BINARY, oid) for v in sent(array, rows.BINARY)]
    assert found == expected


@settings(max_examples=200)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15), max_value=10**15))
def test_any_decimal_reads_back(number: Decimal) -> None:
    assert value(rows.numeric(number), rows.BINARY, types.NUMERIC.oid) == number


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=8)), st.one_of(st.none(), st.integers(-9, 9))))
)
def test_any_rows_are_put_together_of_their_columns(given_rows: list[tuple[str | None, int | None]]) -> None:
    batch = pa.record_batch(
        [pa.array([t for t, _ in given_rows], pa.string()), pa.array([n for _, n in given_rows], pa.int32())],
        ["t", "n"],
    )
    expected = b""
    for text, number in given_rows:
        cells = b""
        for one in (
            None if text is None else text.encode(),
            None if number is None else struct.pack("!i", number),
        ):
            cells += struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one
        expected += b"D" + struct.pack("!ih", 6 + len(cells), 2) + cells
    assert rows.rows(batch, [types.TEXT, types.INT4], [rows.TEXT, rows.BINARY]) == expected


PARAMETERS: dict[str, tuple[bytes, int, Any]] = {
    "true": (b"t", 16, True),
    "no": (b" NO ", 16, False),
    "a whole number": (b"-7", 23, -7),
    "a float": (b"1e3", 701, 1000.0),
    "infinite": (b"-Infinity", 701, -math.inf),
    "a decimal": (b"1.50", 1700, Decimal("1.50")),
    "a date": (b"2020-01-02", 1082, date(2020, 1, 2)),
    "a moment": (b"2020-01-02 03:04:05.6", 1114, datetime(2020, 1, 2, 3, 4, 5, 600_000)),
    "in a zone": (b"2020-01-02 03:04:05+02", 1184, datetime(2020, 1, 2, 1, 4, 5, tzinfo=UTC)),
    "hexadecimal bytes": (b"\\x00ff", 17, b"\0\xff"),
    "escaped bytes": (b"a\\\\b\\000", 17, b"a\\b\0"),
    "a uuid": (b"00000000-0000-0000-0000-000000000005", 2950, UUID(int=5)),
    "a text": ("é".encode(), 25, "é"),
    "of a type that is not told": (b"12", 0, "12"),
    "of a type that is not known": (b"x", 999_999, "x"),
}


@pytest.mark.parametrize(("data", "oid", "expected"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_parameter_as_text(data: bytes, oid: int, expected: Any) -> None:
    assert value(data, rows.TEXT, oid) == expected


BAD: dict[str, tuple[bytes, int, int, str, str]] = {
    "no number": (b"x", 0, 23, "22P02", r"\$1 is 'x', which is no int4"),
    "no boolean": (b"maybe", 0, 16, "22P02", "no bool"),
    "no date": (b"2020-13-01", 0, 1082, "22P02", "no date"),
    "no UTF-8": (b"\xff", 0, 25, "22021", "no UTF-8"),
    "a binary that is too short": (b"\0", 1, 23, "22P02", "no int4"),
    "a binary that is too long": (b"\0" * 5, 1, 23, "22P02", "no int4"),
    "a binary of a type that is not told": (b"\0", 1, 600, "0A000", "send it as text"),
    "a moment that no calendar has": (b"\x7f" * 8, 1, 1114, "22P02", "no timestamp"),
    "months": (struct.pack("!qii", 0, 0, 1), 1, 1186, "22P02", "no interval"),
    "digits that are none": (struct.pack("!hhHhh", 1, 0, 0, 0, 10_000), 1, 1700, "22P02", "no numeric"),
}


@pytest.mark.parametrize(("data", "form", "oid", "state", "words"), BAD.values(), ids=BAD)
def test_a_parameter_that_is_none_of_its_type(
    data: bytes, form: int, oid: int, state: str, words: str
) -> None:
    with pytest.raises(BadValue, match=words) as caught:
        values([data], [form], [oid])
    assert caught.value.state == state


@settings(max_examples=300)
@given(st.binary(max_size=40), st.sampled_from([0, 1]), st.sampled_from([*types.BY_OID, 0, 600]))
def test_any_bytes_are_a_value_or_refused(data: bytes, form: int, oid: int) -> None:
    with contextlib.suppress(BadValue):
        value(data, form, oid)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([2**31 - 1, -(2**31) + 1], pa.int32()).cast(pa.date32()), [struct.pack("!i", 2**31 - 1), struct.pack("!i", -(2**31))]),
        (pa.array([2**63 - 1, -(2**63) + 1]).cast(US), [struct.pack("!q", 2**63 - 1), struct.pack("!q", -(2**63))]),
    ],
)  # fmt: skip
def test_what_is_endless_is_so_in_binary(array: pa.Array, expected: list[bytes]) -> None:
    assert sent(array, rows.BINARY) == expected


@pytest.mark.parametrize("number", [2**100, -(10**40), Decimal("1e-30"), Decimal("12345678901234567890123456789012345678.5")])  # fmt: skip
def test_long_numbers_are_read_whole(number: Any) -> None:
    assert value(rows.numeric(Decimal(number)), 1, types.NUMERIC.oid) == number
