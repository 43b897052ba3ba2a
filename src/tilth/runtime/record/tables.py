"""The state's own tables as they are, for those who ask in SQL (`asking.catalog`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilth.runtime.record.rows import State


def names(state: State) -> tuple[str, ...]:
    """The tables that may be asked."""
    return state.tables()


def columns(state: State, table: str) -> Mapping[str, str]:
    """The columns of a table in order, each TEXT, INTEGER, REAL or BLOB."""
    return state.column_types(table)


def rows(state: State, table: str) -> list[dict[str, Any]]:
    """Its rows; UnknownNameError with the nearest name."""
    found, cells = state.table(table)
    return [dict(zip(found, row, strict=True)) for row in cells]
