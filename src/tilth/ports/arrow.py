"""Between Arrow's and DuckDB's types and ours. Each source's own type names are in its own module."""

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


def from_arrow(kind: pa.DataType) -> DataType:
    """Our type for an Arrow type; dictionaries count as what they hold."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return from_arrow(kind.value_type)
    tests = (
        (t.is_boolean, DataType.BOOLEAN),
        (t.is_integer, DataType.INTEGER),
        (t.is_floating, DataType.FLOAT),
        (t.is_decimal, DataType.DECIMAL),
        (t.is_string, DataType.STRING),
        (t.is_large_string, DataType.STRING),
        (t.is_string_view, DataType.STRING),
        (t.is_date, DataType.DATE),
        (t.is_time, DataType.TIME),
        (t.is_timestamp, DataType.TIMESTAMP),
        (t.is_interval, DataType.INTERVAL),
        (t.is_duration, DataType.INTERVAL),
        (t.is_binary, DataType.BINARY),
        (t.is_large_binary, DataType.BINARY),
    )
    return next((ours for test, ours in tests if test(kind)), DataType.OTHER)


def schema_of(schema: pa.Schema) -> Schema:
    """Our schema for an Arrow schema."""
    return Schema(tuple(Field(f.name, from_arrow(f.type), f.nullable) for f in schema))
