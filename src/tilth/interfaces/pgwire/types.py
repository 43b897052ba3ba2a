"""PostgreSQL's types for what rows hold: OIDs, names and sizes (PostgreSQL 18, 8 and the catalog pg_type)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Type:
    """A type of PostgreSQL; `size` in bytes as binary, -1 where values differ in it."""

    oid: int
    name: str
    size: int = -1


BOOL, BYTEA, INT8, INT2, INT4 = Type(16, "bool", 1), Type(17, "bytea"), Type(20, "int8", 8), Type(21, "int2", 2), Type(23, "int4", 4)  # fmt: skip
TEXT, OID, JSON = Type(25, "text"), Type(26, "oid", 4), Type(114, "json")
FLOAT4, FLOAT8, UNKNOWN = Type(700, "float4", 4), Type(701, "float8", 8), Type(705, "unknown")
BPCHAR, VARCHAR, DATE, TIME = (
    Type(1042, "bpchar"),
    Type(1043, "varchar"),
    Type(1082, "date", 4),
    Type(1083, "time", 8),
)
TIMESTAMP, TIMESTAMPTZ, INTERVAL = (
    Type(1114, "timestamp", 8),
    Type(1184, "timestamptz", 8),
    Type(1186, "interval", 16),
)
NUMERIC, UUID, NAME, CHAR, JSONB = Type(1700, "numeric"), Type(2950, "uuid", 16), Type(19, "name", 64), Type(18, "char", 1), Type(3802, "jsonb")  # fmt: skip

BY_OID = {
    t.oid: t
    for t in (
        BOOL, BYTEA, INT8, INT2, INT4, TEXT, OID, JSON, FLOAT4, FLOAT8, UNKNOWN, BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP,
        TIMESTAMPTZ, INTERVAL, NUMERIC, UUID, NAME, CHAR, JSONB,
    )
}  # fmt: skip


def type_of(kind: pa.DataType) -> Type:
    """The type that a column of this Arrow type is sent as; lists, structs and maps are JSON."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(kind, pa.BaseExtensionType):
        return UUID if kind.extension_name == "arrow.uuid" else type_of(kind.storage_type)
    if t.is_dictionary(kind):
        return type_of(kind.value_type)
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
