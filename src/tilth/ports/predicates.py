"""Predicates of a scan: as SQL text that DuckDB and PostgreSQL read alike, and applied to Arrow by DuckDB.

What a source cannot decide is its own business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import UnsupportedError
from tilth.core.names import literal, quoted
from tilth.core.scan import Literal, Predicate, Scan
from tilth.core.schema import Schema
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

_SETTINGS = (
    "enable_external_access = false",
    "python_enable_replacements = false",
    "TimeZone = 'UTC'",
    "lock_configuration = true",
)


def condition(where: Predicate, column: str | None = None) -> str:
    """The predicate as SQL that DuckDB and PostgreSQL read alike; `column` is its expression if not its name."""
    name = column or quoted(where.column)
    if where.op in {"is_null", "is_not_null"}:
        return f"{name} IS {'NOT ' if where.op == 'is_not_null' else ''}NULL"
    if where.op == "in":
        values = [v for v in where.value if v is not None] if isinstance(where.value, tuple) else []
        return f"{name} IN ({', '.join(map(sql_literal, values))})" if values else "1 = 0"
    if where.op not in {"=", "<>", "<", "<=", ">", ">="} or isinstance(where.value, tuple):
        raise UnsupportedError(
            f"A source cannot test `{where.op}`.", hint="Use = <> < <= > >= in is_null is_not_null."
        )
    return "1 = 0" if where.value is None else f"{name} {where.op} {sql_literal(where.value)}"


def sql_literal(value: Literal) -> str:
    """A value as SQL; a moment with a zone becomes naive UTC."""
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).upper()
    if isinstance(value, float) and not math.isfinite(value):
        return f"CAST('{value}' AS DOUBLE PRECISION)"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        plain = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return f"TIMESTAMP '{plain.isoformat(sep=' ')}'"
    return f"DATE '{value.isoformat()}'" if isinstance(value, date) else literal(value)


def selected(
    rows: pa.Table | pa.RecordBatchReader, scan: Scan, schema: Schema, values: Mapping[str, str] | None = None
) -> pa.RecordBatchReader:
    """What the scan wants of the rows, exactly as DuckDB decides it: for sources that cannot test predicates themselves.

    `schema` are the columns of `rows`; `values` gives SQL for those that are not read as they are. UnknownNameError for a column that is not there.
    """
    import duckdb

    say = values or {}
    names = [schema.field(c).name for c in (schema.names if scan.columns is None else scan.columns)]
    tests = [condition(w, say.get(n := schema.field(w.column).name, quoted(n))) for w in scan.where]
    listed = ", ".join(f"{say.get(n, quoted(n))} AS {quoted(n)}" for n in names) or "NULL AS none"
    connection: Any = duckdb.connect(":memory:")
    for setting in _SETTINGS:
        connection.execute(f"SET {setting}")
    connection.register("given", rows)
    found = connection.sql(f"SELECT {listed} FROM given WHERE {' AND '.join(tests) or 'true'}")
    return closing(found.to_arrow_reader(32_768), connection.close)
