"""Texts, CSV and binary that the door sends, beside what PostgreSQL itself sends of the same values."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tilth.interfaces.pgwire import copying, types
from tilth.interfaces.pgwire.commands import CopyOut, Tilth

US = pa.timestamp("us")
VALUES: dict[str, tuple[str, pa.Array]] = {
    "float8": ("float8", pa.array([0.1, -0.0, 1e15, 1e14, 6.4e-5, 1e-4, 1e300, float("inf"), float("-inf"), float("nan"), None, 123456.789])),
    "float4": ("float4", pa.array([0.1, 1e6, 999999.0, 1e-5, None], pa.float32())),
    "int8": ("int8", pa.array([1, -(2**63), 2**63 - 1, None])),
    "int2": ("int2", pa.array([1, -5, None], pa.int16())),
    "numeric": ("numeric", pa.array([Decimal("12345.6700"), Decimal("-0.0001"), Decimal("0.0000"), None])),
    "text": ("text", pa.array(["", "a", "tab\tnew\nline\rback\\slash", '"quoted", with commas', "\\.", "\\N", "é ü", None, " spaces "])),
    "boolean": ("bool", pa.array([True, False, None])),
    "date": ("date", pa.array([date(2000, 1, 1), date(1, 1, 1), date(9999, 12, 31), None])),
    "time": ("time", pa.array([time(1, 2, 3), time(1, 2, 3, 450_000), None])),
    "timestamp": ("timestamp", pa.array([datetime(2020, 1, 2), datetime(1969, 1, 2, 3, 4, 5, 120), None], US)),
    "timestamptz": ("timestamptz", pa.array([datetime(2020, 1, 2, tzinfo=UTC), None], pa.timestamp("us", "UTC"))),
    "bytea": ("bytea", pa.array([b"\0\xff", b"", None])),
    "interval": ("interval", pa.array([timedelta(days=1, seconds=5), timedelta(seconds=-1), timedelta(0), None])),
    "int8[]": ("int8[]", pa.array([[1, 2], [], [None], None])),
    "text[]": ("text[]", pa.array([["a", "b c", "", "NULL", None, 'd"e\\', "f,g", "{h}"], []])),
    "float8[]": ("float8[]", pa.array([[0.5, 1e-5]])),
}  # fmt: skip
FORMS = {
    "text": ("text", CopyOut(Tilth("", 0, ()), "text")),
    "csv": ("csv", CopyOut(Tilth("", 0, ()), "csv")),
    "csv with a header": ("csv, HEADER, DELIMITER ';', NULL 'nil'", CopyOut(Tilth("", 0, ()), "csv", header=True, delimiter=";", null="nil")),
    "binary": ("binary", CopyOut(Tilth("", 0, ()), "binary")),
}  # fmt: skip


def theirs(url: str, kind: str, values: pa.Array, options: str) -> bytes:
    """What PostgreSQL sends of a column of these values."""
    import psycopg

    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        connection.execute(f"CREATE TEMPORARY TABLE held (n int, v {kind})")
        for n, value in enumerate(values.to_pylist()):
            connection.execute("INSERT INTO held VALUES (%s, %s)", (n, value))
        query = f"COPY (SELECT v FROM held ORDER BY n) TO STDOUT (FORMAT {options})"
        with connection.cursor().copy(query) as copy:
            return b"".join(copy)


def ours(values: pa.Array, copy: CopyOut) -> bytes:
    batch = pa.record_batch([values], ["v"])
    found = b"".join(
        copying.data([batch.slice(0, 2), batch.slice(2)], ["v"], [types.type_of(values.type)], copy)
    )
    out = b""
    while found:
        size = int.from_bytes(found[1:5], "big")
        assert found[:1] == b"d"
        out, found = out + found[5 : 1 + size], found[1 + size :]
    return out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VALUES)
def test_a_column_is_copied_as_postgresql_copies_it(name: str, form: str, postgres_url: Any) -> None:
    kind, values = VALUES[name]
    options, copy = FORMS[form]
    assert ours(values, copy) == theirs(postgres_url, kind, values, options)
