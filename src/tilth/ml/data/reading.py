"""What a query over sources and datasets reads: its inputs, with projection and filters pushed to the sources.

Each table of a source is scanned once: streamed when it is all that the query reads, otherwise kept for the query's
time (in memory when small, in a temporary Parquet file when not), because the engine plans joins by size and a stream
has none. Datasets are their snapshots' Parquet files. A lower bound on a dataset's EVENT TIME is handed to a source
only when the query lets it pass unchanged in meaning.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import Position, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.scan import Predicate, Scan
from tilth.core.schema import Schema
from tilth.ml.data import snapshots
from tilth.ml.data.exact import Place, plain_array
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.limits import Limits
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Notice, Source
from tilth.ports.streams import closing
from tilth.sql.queries import origins, reads
from tilth.sql.queries.twins import settled

if TYPE_CHECKING:
    import pyarrow as pa

HELD_ROWS = 131_072  # a table that is kept stays in memory up to so many rows


@dataclass(slots=True)
class Reading:
    """The inputs of one query; `close` removes what was kept for it. `rows` counts what the sources handed over."""

    schemas: dict[str, Schema]
    inputs: dict[str, Relation] = field(default_factory=dict)
    scans: list[tuple[str, Scan]] = field(default_factory=list)
    rows: int = 0
    whole: list[tuple[str, Scan]] = field(default_factory=list)  # scans that were read to their end
    _folders: list[str] = field(default_factory=list)

    def folder(self, blobs: Blobs) -> str:
        """A new temporary folder, removed by `close`."""
        self._folders.append(blobs.scratch())
        return self._folders[-1]

    def close(self) -> None:
        while self._folders:
            shutil.rmtree(self._folders.pop(), ignore_errors=True)

    def counted(self, reader: pa.RecordBatchReader, source: str, scan: Scan) -> pa.RecordBatchReader:
        """The reader, counting its rows, and noting its end."""
        import pyarrow as pa

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                self.rows += batch.num_rows
                yield batch
            self.whole.append((source, scan))

        return pa.RecordBatchReader.from_batches(reader.schema, batches())


@dataclass(frozen=True, slots=True)
class Since:
    """Only rows whose `column` of the query's result is `start` or later, and before `end` where there is one, are wanted."""

    column: str
    start: datetime
    end: datetime | None = None

    def of(self, sql: str) -> str:
        """The query of these rows alone."""
        column = quoted(self.column)
        until = "" if self.end is None else f" AND {column} < TIMESTAMP {literal(str(self.end))}"
        return f"SELECT * FROM (\n{sql}\n) WHERE {column} >= TIMESTAMP {literal(str(self.start))}{until}"


def schemas_of(
    sql: str, sources: Mapping[str, Source], datasets: Mapping[str, Manifest], at: Position | None = None
) -> dict[str, Schema]:
    """The schemas of all tables that the query names: `source.table`, or a dataset's name. `at`: where it is written."""
    out: dict[str, Schema] = {}
    for use in reads.tables(sql, at):
        name = f"{use.schema}.{use.name}" if use.schema else use.name
        if name in out:
            continue
        try:
            out[name] = _schema(use, sources, datasets)
        except UnknownNameError as error:
            raise error.at(use.position) if use.position else error from None
    return settled(sql, out, at)


def _schema(use: reads.TableUse, sources: Mapping[str, Source], datasets: Mapping[str, Manifest]) -> Schema:
    if use.schema:
        return find_source(use.schema, sources).describe(use.name)
    found = next((m for n, m in datasets.items() if n.lower() == use.name.lower()), None)
    if found is None:
        raise UnknownNameError(
            f"There is no dataset `{use.name}`.", hint=did_you_mean(use.name, datasets, "datasets")
        )
    return found.schema


def find_source(name: str, sources: Mapping[str, Source]) -> Source:
    found = next((s for n, s in sources.items() if n.lower() == name.lower()), None)
    if found is None:
        raise UnknownNameError(f"There is no source `{name}`.", hint=did_you_mean(name, sources, "sources"))
    return found


def notices_of(
    sources: Mapping[str, Source], tables: Iterable[tuple[str, str]]
) -> tuple[tuple[str, Notice], ...]:
    """What the sources say of these (source, table), with the source's name; of what lies beside several tables, once."""
    found: dict[tuple[str | None, ...], tuple[str, Notice]] = {}
    for name, table in dict.fromkeys(tables):
        say: Any = getattr(find_source(name, sources), "notices", None)
        for notice in say(table) if say is not None else ():
            of = notice.table if notice.column or notice.option else None
            found.setdefault((name, of, notice.column, notice.text), (name, notice))
    return tuple(found.values())


def open_inputs(
    sql: str,
    schemas: Mapping[str, Schema],
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    blobs: Blobs,
    since: Since | None = None,
    *,
    hold: bool = False,
) -> Reading:
    """The inputs of the query, ready to be run once (with `hold`, as often as one likes), until they are closed."""
    reading = Reading(dict(schemas))
    try:
        alone = len(reads.tables(sql)) == 1
        wanted = {_name(s.schema, s.scan.table).lower(): s.scan for s in reads.scans(sql, schemas)}
        bound = _bound(sql, schemas, since)
        for name in schemas:
            space, _, table = name.partition(".")
            if not table:
                manifest = next(m for n, m in datasets.items() if n.lower() == name.lower())
                reading.inputs[name] = snapshots.relation(manifest, blobs)
                continue
            extra = bound[1] if bound and bound[0] == name.lower() else ()
            scan = _scan(table, wanted.get(name.lower()), extra)
            reading.scans.append((space, scan))
            reader = reading.counted(find_source(space, sources).scan(scan), space, scan)
            reading.inputs[name] = reader if alone and not hold else _held(reader, reading, blobs)
    except BaseException:
        reading.close()
        raise
    return reading


def _name(schema: str | None, table: str) -> str:
    return f"{schema}.{table}" if schema else table


def _scan(table: str, found: Scan | None, extra: tuple[Predicate, ...]) -> Scan:
    if found is None:
        return Scan(table, None, extra)
    return Scan(table, found.columns, (*found.where, *extra))


def _bound(
    sql: str, schemas: Mapping[str, Schema], since: Since | None
) -> tuple[str, tuple[Predicate, ...]] | None:
    """The table and predicates that bounds on the result's column amount to, when that is certain."""
    found = origins.origin(sql, since.column, schemas) if since else None
    if since is None or found is None or not found[0]:
        return None
    until = (Predicate(found[2], "<", since.end),) if since.end is not None else ()
    return _name(found[0], found[1]).lower(), (Predicate(found[2], ">=", since.start), *until)


def _held(reader: pa.RecordBatchReader, reading: Reading, blobs: Blobs) -> Relation:
    """The rows kept so that the engine knows how many there are, and can read them more than once."""
    import pyarrow as pa

    first: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        first.append(batch)
        rows += batch.num_rows
        if rows > HELD_ROWS:
            return [_spilled(first, reader, os.path.join(reading.folder(blobs), "held.parquet"))]
    return pa.Table.from_batches(first, reader.schema)


def _spilled(first: list[pa.RecordBatch], rest: pa.RecordBatchReader, path: str) -> str:
    """A Parquet file of all batches; what Parquet has types for stays what it is, others become plain."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = snapshots.plain_schema(rest.schema)
    schema = pa.schema([f if _lasts(f.type) else p for f, p in zip(rest.schema, plain, strict=True)])
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as file:
        while first:
            file.write_batch(_as(first.pop(0), schema))
        for batch in rest:
            file.write_batch(_as(batch, schema))
    return path


def _lasts(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_nested(kind) or t.is_timestamp(kind) or t.is_integer(kind))


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [plain_array(c, f.type, Place(f.name)) for c, f in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def query_rows(
    sql: str,
    datasets: Mapping[str, Manifest],
    sources: Mapping[str, Source],
    engine: QueryEngine,
    blobs: Blobs,
    limits: Limits | None = None,
    told: list[str] | None = None,
) -> pa.RecordBatchReader:
    """The result of a SELECT over datasets and tables of sources, as a stream, with the same pushdown as collecting.

    `told` gets, once the rows are read, what was left out of tables that were read to their end.
    """
    reading = open_inputs(sql, schemas_of(sql, sources, datasets), sources, datasets, blobs)
    try:
        reader = engine.stream(sql, reading.inputs, limits=limits)
    except BaseException:
        reading.close()
        raise

    def close() -> None:
        reading.close()
        if told is not None:
            told.extend(_left_out(reading.whole, sources))

    return closing(reader, close)


def _left_out(scans: Sequence[tuple[str, Scan]], sources: Mapping[str, Source]) -> Iterator[str]:
    """How many rows could not be read, with the first line and why."""
    for name, scan in dict.fromkeys(scans):
        look: Any = getattr(find_source(name, sources), "broken", None)
        found = look(scan) if look is not None else None
        if found is not None and found.num_rows:
            rows = "1 row" if found.num_rows == 1 else f"{found.num_rows:,} rows"
            first = found.slice(0, 1).to_pylist()[0]
            yield f"{name}.{scan.table}: {rows} could not be read and are left out; line {first['line']:,}: {first['reason']}"
