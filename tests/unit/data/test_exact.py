"""What a query's result becomes in a snapshot: the same value, or a refusal with column and row."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.core.errors import DataError, TilthError
from tilth.ml.data import snapshots
from tilth.ports.limits import Limits

BIG = 2**63


def kept(sql: str, limits: Limits | None = None) -> pa.Table:
    reader = DuckDBEngine().stream(sql, {}, limits=limits)
    schema = snapshots.plain_schema(reader.schema)
    return pa.Table.from_batches(snapshots.plain_batches(reader, schema), schema)


def values(literals: list[str]) -> str:
    return "SELECT a FROM (VALUES " + ", ".join(f"({v})" for v in literals) + ") t(a)"


@pytest.mark.parametrize(
    ("given", "type_", "becomes"),
    [
        (["1::UTINYINT", "255::UTINYINT"], "int64", [1, 255]),
        ([f"{BIG - 1}::UBIGINT", "NULL"], "int64", [BIG - 1, None]),
        ([f"{BIG - 1}::HUGEINT", f"{-BIG}::HUGEINT"], "int64", [BIG - 1, -BIG]),
        ([f"{BIG - 1}::UHUGEINT"], "int64", [BIG - 1]),
        ([f"{BIG}::DECIMAL(38,0)", "5::DECIMAL(38,0)"], "decimal128(38, 0)", [Decimal(BIG), Decimal(5)]),
        ([f"CAST({BIG}::UBIGINT AS DECIMAL(38,0))"], "decimal128(38, 0)", [Decimal(BIG)]),
        ([f"CAST({BIG}::UBIGINT AS VARCHAR)"], "string", [str(BIG)]),
        (["1.10::DECIMAL(9,2)"], "decimal128(9, 2)", [Decimal("1.10")]),
        (["9007199254740993::BIGINT"], "int64", [2**53 + 1]),
        (["0.1::FLOAT"], "double", [0.10000000149011612]),
        (["TIMESTAMP_NS '2024-01-01 00:00:00.123456'"], "timestamp[us]", [datetime(2024, 1, 1, 0, 0, 0, 123456)]),
        (["TIMESTAMP_NS '1969-12-31 23:59:59.999999'"], "timestamp[us]", [datetime(1969, 12, 31, 23, 59, 59, 999999)]),
        (["TIMESTAMP_S '2024-01-01 10:00:00'"], "timestamp[us]", [datetime(2024, 1, 1, 10)]),
        (["TIMESTAMPTZ '2024-01-01 10:00:00+02'"], "timestamp[us]", [datetime(2024, 1, 1, 8)]),
        (["DATE '0001-01-01'", "DATE '9999-12-31'"], "date32[day]", [date(1, 1, 1), date(9999, 12, 31)]),
        (["INTERVAL '2 days 3.5 seconds'"], "double", [172803.5]),
        (["[1, NULL, 3]"], "string", ["[1, null, 3]"]),
        (["{'a': 9007199254740993, 'b': 'nan'::DOUBLE, 'c': '-inf'::DOUBLE}"], "string",
         ['{"a": 9007199254740993, "b": "NaN", "c": "-Infinity"}']),
        (["{'n': 170141183460469231731687303715884105727::HUGEINT}"], "string",
         ['{"n": "170141183460469231731687303715884105727"}']),
    ],
)  # fmt: skip
def test_a_value_stays_what_it_is(given: list[str], type_: str, becomes: list[Any]) -> None:
    table = kept(values(given))
    assert str(table.schema.field("a").type) == type_
    assert table["a"].to_pylist() == becomes


def test_a_sum_of_whole_numbers_is_a_whole_number() -> None:
    for limits in (None, Limits(20, 1 << 30)):
        table = kept("SELECT sum(i) AS s FROM range(4) t(i)", limits)
        assert (str(table.schema.field("s").type), table["s"].to_pylist()) == ("int64", [6])


@pytest.mark.parametrize(
    ("given", "says", "instead"),
    [
        (["1::UBIGINT", "NULL", f"{BIG}::UBIGINT"], "beyond 64 bits in row 3", "DECIMAL(38,0)"),
        (["1::HUGEINT", f"{BIG}::HUGEINT"], "beyond 64 bits in row 2", "DECIMAL(38,0)"),
        ([f"{-BIG - 1}::HUGEINT"], "beyond 64 bits in row 1", "VARCHAR"),
        (["340282366920938463463374607431768211455::UHUGEINT"], "beyond 64 bits in row 1", "VARCHAR"),
        (["12345678901234567890::BIGNUM"], "BIGNUM", "VARCHAR"),
        (["'101'::BIT"], "BIT", "VARCHAR"),
        (["TIMETZ '10:00:00+02'"], "TIME WITH TIME ZONE", "VARCHAR"),
        (["TIME '10:00:00'", "TIME '24:00:00'"], "24:00, which ends a day and is of none in row 2", "VARCHAR"),
        (["TIMESTAMP_NS '2024-01-01'", "TIMESTAMP_NS '2024-01-01 00:00:00.123456789'"],
         "digits beyond microseconds in row 2", "AS TIMESTAMP"),
        (["INTERVAL '2 days'", "INTERVAL '1 month'"], "months, which are no number of seconds, in row 2", "epoch"),
        (["[DATE '2024-01-01']", "[DATE '0044-03-15 (BC)']"], "outside the years 1 to 9999 in row 2", "VARCHAR"),
    ],
)  # fmt: skip
def test_what_would_change_is_refused_with_column_row_and_what_to_write(
    given: list[str], says: str, instead: str
) -> None:
    with pytest.raises(DataError) as caught:
        kept(values(given))
    assert "`a`" in caught.value.message
    assert says in caught.value.message
    assert instead in (caught.value.hint or "")


@pytest.mark.parametrize(
    "given",
    [
        f"{BIG}::UBIGINT",
        f"{BIG}::HUGEINT",
        "340282366920938463463374607431768211455::UHUGEINT",
        "12345678901234567890::BIGNUM",
        "'101'::BIT",
        "TIMETZ '10:00:00+02'",
        "TIME '24:00:00'",
        "TIME_NS '10:00:00.123456789'",
        "TIMESTAMP_NS '2024-01-01 00:00:00.123456789'",
        "INTERVAL '1 month'",
        "[DATE '0044-03-15 (BC)']",
    ],
)
def test_what_the_hint_says_works(given: str) -> None:
    with pytest.raises(DataError) as caught:
        kept(values([given]))
    written = re.findall(r'(?:CAST|epoch)\([^()]*(?:\(38,0\))?\) AS "a"', caught.value.hint or "")
    assert written
    assert any(_is_kept(f"SELECT {w} FROM ({values([given])})") for w in written)


def _is_kept(sql: str) -> bool:
    try:
        return kept(sql)["a"].null_count == 0
    except TilthError:
        return False


def test_rows_are_counted_over_batches() -> None:
    sql = f"SELECT CASE WHEN i = 150_000 THEN {BIG} ELSE i END::UBIGINT AS a FROM range(200_000) t(i) ORDER BY i"
    with pytest.raises(DataError, match="row 150,001"):
        kept(sql)


def test_a_dataset_kept_as_double_does_not_merge_ids_that_come_as_decimals() -> None:
    batch = pa.record_batch({"a": pa.array([Decimal(5), Decimal(2**53 + 1)], pa.decimal128(20, 0))})
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
    with pytest.raises(DataError, match="more digits than a DOUBLE keeps in row 2"):
        list(snapshots.plain_batches(reader, pa.schema({"a": pa.float64()})))


def test_a_column_with_braces_in_its_name_is_named_as_it_is() -> None:
    with pytest.raises(DataError) as caught:
        kept(f'SELECT {BIG}::UBIGINT AS "{{0}}"')
    assert "Column `{0}`" in caught.value.message
    assert 'CAST("{0}" AS DECIMAL(38,0)) AS "{0}"' in (caught.value.hint or "")
