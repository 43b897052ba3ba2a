"""Predicates of a scan as SQL text that DuckDB and PostgreSQL read alike. What a source cannot decide is its own business."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

from tilth.core.errors import UnsupportedError
from tilth.core.names import literal, quoted
from tilth.core.scan import Literal, Predicate


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
