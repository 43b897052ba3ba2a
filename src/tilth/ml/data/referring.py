"""The tables that REFERENCES checks look into, as inputs of the queries that vet rows."""

from __future__ import annotations

from collections.abc import Mapping

from tilth.core.names import quoted
from tilth.ml.data import checks as checking
from tilth.ml.data import reading
from tilth.ml.data.checks import Checks
from tilth.ml.data.reading import Reading
from tilth.ports.blobs import Blobs
from tilth.ports.engine import Relation
from tilth.ports.source import Source


def opened(
    checks: Checks, sources: Mapping[str, Source], blobs: Blobs, holds: list[Reading]
) -> dict[str, Relation]:
    """By the name that a check's SQL gives it, the distinct values that it refers to; `holds` gets what is to be closed."""
    out: dict[str, Relation] = {}
    for index in checks.references:
        item = checks.items[index]
        assert item.table is not None
        source, table = item.table
        names = ", ".join(quoted(c) for c in item.columns)
        sql = f"SELECT DISTINCT {names} FROM {quoted(source)}.{quoted(table)}"
        schemas = {f"{source}.{table}": reading.find_source(source, sources).describe(table)}
        held = reading.open_inputs(sql, schemas, sources, {}, blobs, hold=True)
        holds.append(held)
        out[checking.reference(index)] = next(iter(held.inputs.values()))
    return out
