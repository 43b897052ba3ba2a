"""What rows can be found by: the types of key columns, and which columns of a dataset a model's input takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from tilth.core.errors import ProjectError
from tilth.core.schema import DataType, Schema

KEYS: Mapping[DataType, str] = {
    DataType.BOOLEAN: "true or false",
    DataType.INTEGER: "a whole number",
    DataType.STRING: "a text",
    DataType.DATE: "a date in ISO 8601",
    DataType.TIMESTAMP: "a date and time in ISO 8601",
}
"""The types of columns that rows are found by; of others two values may be one, or one be written in two ways."""
LEARNED = (*KEYS, DataType.FLOAT, DataType.DECIMAL, DataType.JSON)
"""The types of columns that a model learns from."""
_PLAIN: Mapping[DataType, Any] = {
    DataType.BOOLEAN: True,
    DataType.INTEGER: 1,
    DataType.DATE: "2026-01-01",
    DataType.TIMESTAMP: "2026-01-01T12:00:00",
}
_NUMBERS = frozenset({DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL})


class KeyColumn(NamedTuple):
    """A column that rows are found by."""

    name: str
    type: DataType


def key_of(dataset: str, columns: Sequence[str], schema: Schema) -> tuple[KeyColumn, ...]:
    """The columns of the key as the schema has them; ProjectError for one by which nothing is looked up."""
    out = []
    for name in columns:
        field = schema.find(name)
        if field is None:
            raise ProjectError(
                f"Dataset `{dataset}` has no column `{name}`, by which rows are looked up.",
                hint=f"It has: {', '.join(schema.names)}.",
            )
        if field.type not in KEYS:
            raise ProjectError(
                f"Rows are looked up by `{field.name}`, which is of type {field.type}: of that type a value can be written in several ways.",
                hint=f"Write CAST({field.name} AS VARCHAR) AS {field.name} in the query of `{dataset}`.",
            )
        out.append(KeyColumn(field.name, field.type))
    return tuple(out)


def fits(column: DataType, wanted: DataType) -> bool:
    """Whether an input of a type takes what a column of a type holds."""
    return column is wanted or {column, wanted} <= _NUMBERS


def columns_of(
    schema: Schema, inputs: Sequence[tuple[str, DataType]], key: Sequence[KeyColumn]
) -> tuple[str, ...]:
    """The columns that are inputs of a model, by name and type, and no part of the key; ProjectError where types do not fit."""
    by, out = {k.name.lower() for k in key}, []
    for name, wanted in inputs:
        field = schema.find(name)
        if field is None or field.name != name or name.lower() in by or field.type not in LEARNED:
            continue
        if not fits(field.type, wanted):
            raise ProjectError(
                f"`{name}` is of type {field.type} where it is looked up, and of type {wanted} where the model learned.",
                hint=f"Write CAST({name} AS ...) AS {name} in one of both queries, and train the model again.",
            )
        out.append(name)
    return tuple(out)


def sample(path: str | None, key: Sequence[KeyColumn], tagged: Collection[str]) -> dict[str, Any]:
    """A key to show: that of a file's first row, as JSON has it; of columns that are `tagged`, or where there is no row, a word."""
    first = {} if path is None else _first(path, [k.name for k in key])
    hidden = {t.lower() for t in tagged}
    return {
        k.name: _PLAIN.get(k.type, "text")
        if k.name.lower() in hidden or first.get(k.name) is None
        else first[k.name]
        for k in key
    }


def _first(path: str, names: Sequence[str]) -> dict[str, Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        rows = next(file.iter_batches(1, columns=list(names)), None)
    found = {} if rows is None or not rows.num_rows else rows.to_pylist()[0]
    return {n: v.isoformat() if isinstance(v, date) else v for n, v in found.items()}
