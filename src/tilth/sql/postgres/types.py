"""PostgreSQL's types for what rows hold: OIDs, names and sizes (PostgreSQL 18, 8 and the catalog pg_type)."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.schema import DataType


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

ARRAYS = {
    BOOL.oid: Type(1000, "_bool"), BYTEA.oid: Type(1001, "_bytea"), INT2.oid: Type(1005, "_int2"), INT4.oid: Type(1007, "_int4"),
    TEXT.oid: Type(1009, "_text"), INT8.oid: Type(1016, "_int8"), FLOAT4.oid: Type(1021, "_float4"), FLOAT8.oid: Type(1022, "_float8"),
    DATE.oid: Type(1182, "_date"), TIME.oid: Type(1183, "_time"), TIMESTAMP.oid: Type(1115, "_timestamp"),
    TIMESTAMPTZ.oid: Type(1185, "_timestamptz"), INTERVAL.oid: Type(1187, "_interval"), NUMERIC.oid: Type(1231, "_numeric"),
    UUID.oid: Type(2951, "_uuid"), JSON.oid: Type(199, "_json"),
}  # fmt: skip
"""The type of lists of a type, by its OID."""
ELEMENTS = {array.oid: oid for oid, array in ARRAYS.items()}
"""The OID of the type that an array holds, by its own."""

BY_OID = {
    t.oid: t
    for t in (
        BOOL, BYTEA, INT8, INT2, INT4, TEXT, OID, JSON, FLOAT4, FLOAT8, UNKNOWN, BPCHAR, VARCHAR, DATE, TIME, TIMESTAMP,
        TIMESTAMPTZ, INTERVAL, NUMERIC, UUID, NAME, CHAR, JSONB, *ARRAYS.values(),
    )
}  # fmt: skip
TITLES = {
    "bool": "boolean", "int8": "bigint", "int2": "smallint", "int4": "integer", "float4": "real", "float8": "double precision",
    "bpchar": "character", "varchar": "character varying", "time": "time without time zone", "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone", "char": '"char"',
}  # fmt: skip
"""What format_type says, where it is not the name."""
OF = {
    DataType.BOOLEAN: BOOL, DataType.INTEGER: INT8, DataType.FLOAT: FLOAT8, DataType.DECIMAL: NUMERIC, DataType.STRING: TEXT,
    DataType.DATE: DATE, DataType.TIME: TIME, DataType.TIMESTAMP: TIMESTAMP, DataType.INTERVAL: INTERVAL, DataType.BINARY: BYTEA,
    DataType.JSON: JSON, DataType.SHARES: JSON, DataType.UUID: UUID, DataType.OTHER: TEXT,
}  # fmt: skip
"""The type that a column of ours is shown as."""
