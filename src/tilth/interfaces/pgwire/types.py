"""The type of PostgreSQL that a column of an answer is sent as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.sql.postgres.types import (
    ARRAYS,
    BOOL,
    BPCHAR,
    BY_OID,
    BYTEA,
    CHAR,
    DATE,
    ELEMENTS,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    NAME,
    NUMERIC,
    OF,
    OID,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    UUID,
    VARCHAR,
    Type,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ARRAYS",
    "BOOL",
    "BPCHAR",
    "BYTEA",
    "BY_OID",
    "CHAR",
    "DATE",
    "ELEMENTS",
    "FLOAT4",
    "FLOAT8",
    "INT2",
    "INT4",
    "INT8",
    "INTERVAL",
    "JSON",
    "JSONB",
    "NAME",
    "NUMERIC",
    "OF",
    "OID",
    "TEXT",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "UNKNOWN",
    "UUID",
    "VARCHAR",
    "Type",
    "type_of",
]  # fmt: skip


def type_of(kind: pa.DataType) -> Type:
    """The type that a column of this Arrow type is sent as; lists of what is none are arrays, structs and maps JSON."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(kind, pa.BaseExtensionType):
        return UUID if kind.extension_name == "arrow.uuid" else type_of(kind.storage_type)
    if t.is_dictionary(kind):
        return type_of(kind.value_type)
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return JSON if t.is_nested(kind.value_type) else ARRAYS[type_of(kind.value_type).oid]
    if t.is_timestamp(kind):
        return TIMESTAMP if kind.tz is None else TIMESTAMPTZ
    for test, found in (
        (t.is_boolean, BOOL), (t.is_int8, INT2), (t.is_int16, INT2), (t.is_uint8, INT2), (t.is_int32, INT4), (t.is_uint16, INT4),
        (t.is_int64, INT8), (t.is_uint32, INT8), (t.is_uint64, NUMERIC), (t.is_decimal, NUMERIC), (t.is_float32, FLOAT4),
        (t.is_float16, FLOAT4), (t.is_float64, FLOAT8), (t.is_date, DATE), (t.is_time, TIME), (t.is_duration, INTERVAL),
        (t.is_interval, INTERVAL), (t.is_binary, BYTEA), (t.is_large_binary, BYTEA), (t.is_binary_view, BYTEA),
        (t.is_fixed_size_binary, BYTEA), (t.is_nested, JSON), (t.is_null, TEXT),
    ):  # fmt: skip
        if test(kind):
            return found
    return TEXT
