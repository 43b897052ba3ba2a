"""EXPLAIN of a query: what is asked of which source, what runs where, and how many rows that may be. Nothing of it is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.figures import sql_text
from tilth.core.names import literal
from tilth.core.scan import Predicate
from tilth.core.schema import Schema
from tilth.ports.snapshots import Manifest
from tilth.sql.queries import reads
from tilth.sql.queries.direct import direct
from tilth.sql.queries.shapes import (
    Bound,
    ForecastPrediction,
    JoinPrediction,
    ModelUse,
    RowPrediction,
    Several,
)

if TYPE_CHECKING:
    import pyarrow as pa

Split: TypeAlias = JoinPrediction | RowPrediction | ForecastPrediction | None
ENGINE, HERE, WORKER = "query process", "this process", "training process"
_OPS = {"is_null": "IS NULL", "is_not_null": "IS NOT NULL"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: where it is done, to what, which columns and rows are asked for, and how many rows a dataset holds."""

    runs: str
    what: str
    columns: str | None = None
    filter: str | None = None
    rows: int | None = None


def steps(
    split: Split,
    text: str,
    schemas: Mapping[str, Schema],
    datasets: Mapping[str, Manifest],
    versions: Mapping[str, int],
) -> Iterator[Step]:
    """The steps of a query in the order in which rows go through them. `versions` are those of models that it does not hold to one."""
    if isinstance(split, RowPrediction):
        yield _row(split, versions)
        if direct(split.outer) is None or split.several:
            yield Step(ENGINE, split.outer)
        return
    if isinstance(split, ForecastPrediction):
        yield from _ahead(split, schemas, datasets, versions)
        return
    read = text if split is None else split.inner
    yield from _tables(read, schemas, datasets)
    yield Step(ENGINE, read)
    if split is None:
        return
    for use in split.models:
        yield _model(use, versions)
    if direct(split.outer) is None:
        yield from _tables(split.outer, schemas, datasets)
        yield Step(ENGINE, split.outer)


def _ahead(
    split: ForecastPrediction,
    schemas: Mapping[str, Schema],
    datasets: Mapping[str, Manifest],
    versions: Mapping[str, int],
) -> Iterator[Step]:
    """A forecast: the history, the model with the times that are asked for, and the rest over what it says."""
    if split.inner is not None:
        yield from _tables(split.inner, schemas, datasets)
        yield Step(ENGINE, split.inner)
    of = "the rows" if split.inner is not None else "the series that training left"
    only = "".join(f", {name} IN ({', '.join(map(_value, values))})" for name, values in split.only)
    high = "" if split.high is None else f" AND time {_end(split.high, '<')}"
    times = f"time {_end(split.low, '>')}{high}"
    yield Step(
        HERE, f"model {split.model}@{split.version or versions.get(split.model)}, of {of}{only}", filter=times
    )
    yield Step(ENGINE, split.outer)


def _end(bound: Bound, way: str) -> str:
    said = "LATEST" if bound.latest else str(bound.value)
    return f"{way}{'' if bound.open else '='} {said}"


def _tables(sql: str, schemas: Mapping[str, Schema], datasets: Mapping[str, Manifest]) -> Iterator[Step]:
    """What is read of each table, once."""
    known = {n.lower(): m for n, m in datasets.items()}
    found = reads.scans(sql, schemas)
    for one in found:
        scan = one.scan
        columns = "all" if scan.columns is None else ", ".join(scan.columns)
        where = " AND ".join(map(_shown, scan.where)) or None
        if one.schema is None:
            manifest = known[scan.table.lower()]
            yield Step(ENGINE, f"dataset {scan.table}", columns, where, manifest.rows)
        else:
            how = "streamed" if len(found) == 1 else "kept while it is asked"
            yield Step(f"source {one.schema}", f"table {scan.table}, {how}", columns, where)


def _shown(one: Predicate) -> str:
    if one.op in _OPS:
        return f"{one.column} {_OPS[one.op]}"
    if isinstance(one.value, tuple):
        return f"{one.column} IN ({', '.join(map(_value, one.value))})"
    return f"{one.column} {one.op} {_value(one.value)}"


def _value(value: Any) -> str:
    return literal(value) if isinstance(value, str) else sql_text(value)


def _row(split: RowPrediction, versions: Mapping[str, int]) -> Step:
    version = split.version or versions.get(split.model)
    given = ", ".join(f"{name} {_given(value)}" for name, value in split.inputs)
    rows = None if split.several else 1
    return Step(
        HERE, f"model {split.model}@{version}, of {given}", ", ".join(split.wanted) or None, rows=rows
    )


def _given(value: Any) -> str:
    if isinstance(value, Several):
        return f"IN ({', '.join(map(_value, value.values))})"
    return f"= {_value(value)}"


def _model(use: ModelUse, versions: Mapping[str, int]) -> Step:
    bound = [f"{b.input} = {b.column if b.column is not None else _value(b.value)}" for b in use.inputs]
    missing = [f"{name} = NULL" for name in use.missing]
    what = f"model {use.name}@{use.version or versions.get(use.name)}, of {', '.join([*bound, *missing])}"
    return Step(HERE, what, ", ".join(name for name, _ in use.outputs) or None)


def table(found: list[Step]) -> pa.Table:
    """The steps as a table."""
    import pyarrow as pa

    return pa.table(
        {
            "step": pa.array(range(1, len(found) + 1), pa.int64()),
            "runs_in": pa.array([s.runs for s in found], pa.string()),
            "what": pa.array([s.what for s in found], pa.string()),
            "columns": pa.array([s.columns for s in found], pa.string()),
            "filter": pa.array([s.filter for s in found], pa.string()),
            "rows": pa.array([s.rows for s in found], pa.int64()),
        }
    )


def together(parts: Iterable[pa.RecordBatchReader], outer: str) -> pa.Table:
    """The steps of queries that are asked one by one, and of what is asked of their answers."""
    found = [
        Step(row["runs_in"], row["what"], row["columns"], row["filter"], row["rows"])
        for part in parts
        for row in part.read_all().to_pylist()
    ]
    return table([*found, Step(ENGINE, outer)])


def after(made: Iterable[str], rest: pa.RecordBatchReader) -> pa.Table:
    """The steps of a query behind those that make what it asks."""
    found = [
        Step(row["runs_in"], row["what"], row["columns"], row["filter"], row["rows"])
        for row in rest.read_all().to_pylist()
    ]
    return table([*(Step(WORKER, one) for one in made), *found])
