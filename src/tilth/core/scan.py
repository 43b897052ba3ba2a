"""What is to be read of one table: `sql.queries.pushdown` finds it in a query, and a source of `ports.source` obeys it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

Literal: TypeAlias = "None | bool | int | float | str | date | datetime"


@dataclass(frozen=True, slots=True)
class Predicate:
    """`column op value`, with the meaning DuckDB gives it. `op`: = <> < <= > >= in is_null is_not_null.

    For `in`, `value` is a tuple of literals; for the null tests it is None.
    """

    column: str
    op: str
    value: Literal | tuple[Literal, ...] = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read of one table: these columns (None: all), rows for which all predicates are true."""

    table: str
    columns: tuple[str, ...] | None = None
    where: tuple[Predicate, ...] = ()
