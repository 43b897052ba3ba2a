"""The state's own tables as they are, for those who ask in SQL (`asking.catalog`); resources have their names of now in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilth.plan.snapshot import SERVING
from tilth.runtime.record import names as called
from tilth.runtime.record.rows import State
from tilth.sql.language.statements import Kind

_MODEL, _DATASET = (("model", Kind.MODEL),), (("dataset", Kind.DATASET),)
_NAMING: Mapping[str, tuple[tuple[str, Kind], ...]] = {
    "versions": _MODEL,
    "gates": _MODEL,
    "drift": _MODEL,
    "trials": _MODEL,
    "quality": _MODEL,
    "snapshots": _DATASET,
    "refreshes": _DATASET,
    "check_results": _DATASET,
    "quarantine": _DATASET,
    "source_schemas": (*_DATASET, ("source", Kind.SOURCE)),
    "schema_changes": (*_DATASET, ("source", Kind.SOURCE)),
    "leakage": _DATASET,
    "revisions": (("endpoint", Kind.ENDPOINT), *_MODEL),
    "messages": (("channel", Kind.CHANNEL),),
    "channel_marks": (("channel", Kind.CHANNEL),),
    "writes": (("source", Kind.SOURCE),),
    "write_models": _MODEL,
}
"""Columns in which the first name of a resource is kept."""
_KIND: Mapping[str, str] = {"notices": "resource", "schedules": "kind"}
"""Tables whose `name` is that of a resource of any kind: the column that says of which."""


def names(state: State) -> tuple[str, ...]:
    """The tables that may be asked."""
    return state.tables()


def columns(state: State, table: str) -> Mapping[str, str]:
    """The columns of a table in order, each TEXT, INTEGER, REAL or BLOB."""
    return state.column_types(table)


def rows(state: State, table: str, serving: str = SERVING) -> list[dict[str, Any]]:
    """Its rows; UnknownNameError with the nearest name. What belongs to no environment is called as in `serving`."""
    found, cells = state.table(table)
    made: list[dict[str, Any]] = [dict(zip(found, row, strict=True)) for row in cells]
    now = called.now(state)
    if not now.names:
        return made
    for row in made:
        kind = _KIND.get(table)
        naming = (("name", Kind(row[kind])),) if kind is not None else _NAMING.get(table, ())
        for column, kind in naming:
            row[column] = now.of(kind, row[column], row.get("environment", serving), serving)
    return made
