"""One table between Arrow's types and ours: what a type is called, and what it is kept as."""

import pyarrow as pa
import pytest

from tilth.core.schema import DataType
from tilth.ports.arrow import arrow_type, data_type, duckdb_name, from_duckdb, plain_type, schema_of

DECIMAL = pa.decimal128(12, 2)
TABLE = (
    (pa.bool_(), "boolean", pa.bool_()),
    (pa.int8(), "integer", pa.int64()),
    (pa.uint64(), "integer", pa.int64()),
    (pa.float16(), "float", pa.float64()),
    (pa.float32(), "float", pa.float64()),
    (DECIMAL, "decimal", DECIMAL),
    (pa.decimal256(30, 4), "decimal", pa.decimal128(30, 4)),
    (pa.string(), "string", pa.string()),
    (pa.large_string(), "string", pa.string()),
    (pa.string_view(), "string", pa.string()),
    (pa.dictionary(pa.int32(), pa.string()), "string", pa.string()),
    (pa.dictionary(pa.int32(), pa.int16()), "integer", pa.int64()),
    (pa.date32(), "date", pa.date32()),
    (pa.date64(), "date", pa.date32()),
    (pa.time32("s"), "time", pa.time64("us")),
    (pa.timestamp("ns"), "timestamp", pa.timestamp("us")),
    (pa.timestamp("s", "Europe/Berlin"), "timestamp", pa.timestamp("us")),
    (pa.duration("ms"), "interval", pa.float64()),
    (pa.month_day_nano_interval(), "interval", pa.float64()),
    (pa.binary(), "binary", pa.binary()),
    (pa.large_binary(), "binary", pa.binary()),
    (pa.binary_view(), "binary", pa.binary()),
    (pa.binary(16), "binary", pa.binary()),
    (pa.list_(pa.int64()), "other", pa.string()),
    (pa.struct([("a", pa.int64())]), "other", pa.string()),
    (pa.null(), "other", pa.string()),
    (pa.json_(), "other", pa.string()),
)


@pytest.mark.parametrize(("given", "called", "kept"), TABLE, ids=[str(t[0]) for t in TABLE])
def test_an_arrow_type_has_one_name_and_one_plain_form(
    given: pa.DataType, called: str, kept: pa.DataType
) -> None:
    assert data_type(given).value == called
    assert plain_type(given) == kept
    assert plain_type(kept) == kept


@pytest.mark.parametrize("kind", [k for k in DataType if k not in (DataType.SHARES, DataType.OTHER)])
def test_a_type_of_ours_is_held_by_its_arrow_and_its_duckdb_type(kind: DataType) -> None:
    plain = {DataType.INTERVAL: "float", DataType.JSON: "string", DataType.UUID: "string"}
    assert data_type(arrow_type(kind)).value == plain.get(kind, kind.value)
    assert from_duckdb(duckdb_name(kind)) is kind


def test_a_schema_keeps_names_and_order() -> None:
    found = schema_of(pa.schema([("b", pa.int8()), ("a", pa.list_(pa.string()))]))
    assert [(f.name, f.type.value) for f in found] == [("b", "integer"), ("a", "other")]
