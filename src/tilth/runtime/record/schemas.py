"""Schemas of source tables as datasets last read them, and what changed in them: the tables `source_schemas` and `schema_changes`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from tilth.core.schema import Schema
from tilth.core.schema_changes import SchemaChange
from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, text

Place = tuple[str, str]
"""A source by its first name, and a table."""


def seen(reader: Reader, dataset: str) -> Mapping[Place, Schema]:
    """The tables of the dataset as its last refresh that was published read them."""
    return {
        (text(r, "source"), text(r, "table_name")): Schema.from_plain(json.loads(text(r, "columns")))
        for r in reader.read("schemas_of", dataset=dataset)
    }


def put(change: Change, dataset: str, tables: Mapping[Place, Schema], at: Instant) -> None:
    """Put these in place of what was seen before."""
    change.write("forget_schemas", dataset=dataset)
    for (source, table), schema in tables.items():
        change.write(
            "add_schema", dataset=dataset, source=source, table_name=table, columns=json.dumps(schema.plain()),
            seen_at=show_instant(at),
        )  # fmt: skip


def add(
    change: Change, dataset: str, found: Iterable[tuple[Place, SchemaChange, str]], status: str, at: Instant
) -> None:
    """Write down what changed, each with its effect in words, once for what is read; `status` is the refresh's that met it."""
    for (source, table), one, effect in found:
        change.write(
            "add_schema_change", dataset=dataset, source=source, table_name=table, column_name=one.column,
            change=one.change, was=one.was, now=one.now, effect=effect, status=status, at=show_instant(at),
        )  # fmt: skip
