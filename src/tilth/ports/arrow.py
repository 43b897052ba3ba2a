"""The one table between Arrow's and DuckDB's types and ours. Each source's own type names are in its own module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.schema import DataType, Field, Schema

if TYPE_CHECKING:
    import pyarrow as pa

_DUCKDB = {
    DataType.BOOLEAN: "BOOLEAN",
    DataType.INTEGER: "BIGINT",
    DataType.FLOAT: "DOUBLE",
    DataType.DECIMAL: "DECIMAL(38,9)",
    DataType.STRING: "VARCHAR",
    DataType.DATE: "DATE",
    DataType.TIME: "TIME",
    DataType.TIMESTAMP: "TIMESTAMP",
    DataType.INTERVAL: "INTERVAL",
    DataType.BINARY: "BLOB",
    DataType.JSON: "JSON",
    DataType.UUID: "UUID",
    DataType.OTHER: "VARCHAR",
}
_FROM_DUCKDB = {
    "BOOLEAN": DataType.BOOLEAN,
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), DataType.INTEGER),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), DataType.INTEGER),
    **dict.fromkeys(("FLOAT", "DOUBLE"), DataType.FLOAT),
    "VARCHAR": DataType.STRING,
    "DATE": DataType.DATE,
    "TIME": DataType.TIME,
    "INTERVAL": DataType.INTERVAL,
    "BLOB": DataType.BINARY,
    "JSON": DataType.JSON,
    "UUID": DataType.UUID,
}


def duckdb_name(kind: DataType) -> str:
    """The DuckDB type that holds every value of ours."""
    return _DUCKDB[kind]


def from_duckdb(name: str) -> DataType:
    """Our type for a DuckDB type as DESCRIBE writes it; lists and structs are OTHER."""
    if name.endswith("]"):
        return DataType.OTHER
    if name.startswith("DECIMAL"):
        return DataType.DECIMAL
    if name.startswith("TIMESTAMP"):
        return DataType.TIMESTAMP
    if name.startswith("ENUM"):
        return DataType.STRING
    return _FROM_DUCKDB.get(name, DataType.OTHER)


def data_type(kind: pa.DataType) -> DataType:
    """Our type for an Arrow type; dictionaries count as what they hold, lists, structs and extensions are OTHER."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return data_type(kind.value_type)
    tests = (
        (t.is_boolean, DataType.BOOLEAN),
        (t.is_integer, DataType.INTEGER),
        (t.is_floating, DataType.FLOAT),
        (t.is_decimal, DataType.DECIMAL),
        (t.is_string, DataType.STRING),
        (t.is_large_string, DataType.STRING),
        (t.is_string_view, DataType.STRING),
        (t.is_date, DataType.DATE),
        (t.is_timestamp, DataType.TIMESTAMP),
        (t.is_time, DataType.TIME),
        (t.is_duration, DataType.INTERVAL),
        (t.is_interval, DataType.INTERVAL),
        (t.is_binary, DataType.BINARY),
        (t.is_large_binary, DataType.BINARY),
        (t.is_binary_view, DataType.BINARY),
        (t.is_fixed_size_binary, DataType.BINARY),
    )
    return next((ours for test, ours in tests if test(kind)), DataType.OTHER)


def arrow_type(kind: DataType) -> pa.DataType:
    """The plain Arrow type that holds values of ours; what has no better one is text."""
    import pyarrow as pa

    kinds = {
        DataType.BOOLEAN: pa.bool_(),
        DataType.INTEGER: pa.int64(),
        DataType.FLOAT: pa.float64(),
        DataType.DECIMAL: pa.decimal128(38, 9),
        DataType.DATE: pa.date32(),
        DataType.TIME: pa.time64("us"),
        DataType.TIMESTAMP: pa.timestamp("us"),
        DataType.INTERVAL: pa.float64(),
        DataType.BINARY: pa.binary(),
        DataType.SHARES: pa.map_(pa.string(), pa.float64()),
    }
    return kinds.get(kind, pa.string())


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The Arrow type as snapshots keep it: whole numbers of 64 bits, microseconds, seconds of an interval, decimals
    as they are, and text for all that has no better one.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if t.is_dictionary(kind):
        return plain_type(kind.value_type)
    if t.is_decimal(kind):
        return pa.decimal128(kind.precision, kind.scale)
    found = data_type(kind)
    return pa.string() if found is DataType.OTHER else arrow_type(found)


def schema_of(schema: pa.Schema) -> Schema:
    """Our schema for an Arrow schema."""
    return Schema(tuple(Field(f.name, data_type(f.type)) for f in schema))
