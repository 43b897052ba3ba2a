"""`tilth test --create d`: a case made of a sample of what the sources hold, as small as gives the same rows.

Of the first table some rows are taken that the query gives something for; of the others all that could matter, and then halves of them are
left out again and again while the answer stays the same.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.errors import DataError, InputError, TilthError
from tilth.core.scan import Scan
from tilth.ml.data import reading
from tilth.ml.data import snapshots as parts
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.resources.graph import Graph
from tilth.runtime import sources as opening
from tilth.runtime.act import Act
from tilth.runtime.record import snapshots
from tilth.runtime.showing import cases, testing
from tilth.sql.language.statements import CreateDataset, Kind
from tilth.sql.queries import reads

if TYPE_CHECKING:
    import pyarrow as pa

READ = 20_000  # rows of a table that are looked at
TRIES = 150  # times that the query is asked
SAMPLE = "sample"


def made(act: Act, graph: Graph, name: str, rows: int) -> tuple[str, dict[str, int]]:
    """Write a case; its folder and how many rows each file has. InputError when there is one already."""
    declared, work = testing.dataset_of(graph, name), act.work
    folder = os.path.join(work.root, cases.FOLDER, name, SAMPLE)
    if os.path.exists(folder):
        raise InputError(
            f"{cases.FOLDER}/{name}/{SAMPLE} is there already.",
            hint="Rename or remove it, and run this again.",
        )
    needed = [n for n in graph.get(name).depends if graph.get(n).kind is Kind.SOURCE]
    datasets = {n: s.manifest for n, s in snapshots.current(work.state, act.environment).items()}
    with opening.opened(graph, work.root, needed) as sources:
        tables = _tables(declared, sources, datasets, work.blobs)
    small, given = _smaller(declared, tables, work.engine, rows)
    os.makedirs(folder)
    try:
        for table, found in small.items():
            cases.write(os.path.join(folder, table + cases.SUFFIX), found, work.engine)
        cases.write(os.path.join(folder, cases.EXPECTED + cases.SUFFIX), given, work.engine)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, {**{t: f.num_rows for t, f in small.items()}, cases.EXPECTED: given.num_rows}


def _tables(
    declared: CreateDataset, sources: Mapping[str, Source], datasets: Mapping[str, Manifest], blobs: Blobs
) -> dict[str, pa.Table]:
    """The first rows of each table, with the columns that the query needs."""
    schemas = reading.schemas_of(declared.query.sql, sources, datasets, declared.query.position)
    wanted = {
        (s.schema or "", s.scan.table.lower()): s.scan.columns
        for s in reads.scans(declared.query.sql, schemas)
    }
    out = {}
    for use in reads.tables(declared.query.sql):
        table = f"{use.schema}.{use.name}" if use.schema else use.name
        columns = wanted.get((use.schema or "", use.name.lower()))
        if use.schema:
            reader = reading.find_source(use.schema, sources).scan(Scan(use.name, columns))
        else:
            manifest = next(m for n, m in datasets.items() if n.lower() == use.name.lower())
            reader = parts.read(manifest, blobs, columns)
        out[table] = _first(reader)
    return out


def _first(reader: pa.RecordBatchReader) -> pa.Table:
    import pyarrow as pa

    batches, count = [], 0
    for batch in reader:
        batches.append(batch)
        count += batch.num_rows
        if count >= READ:
            break
    schema = reader.schema
    reader.close()
    return pa.Table.from_batches(batches, schema).slice(0, READ)


def _smaller(
    declared: CreateDataset, tables: dict[str, pa.Table], engine: QueryEngine, rows: int
) -> tuple[dict[str, pa.Table], pa.Table]:
    """The least of the tables that was found to give what the first rows of the first table give, and that."""
    first = next(iter(tables), None)
    if first is None:
        raise DataError(
            f"The query of `{declared.name}` reads no table.", hint="There is nothing to take a sample of."
        )
    given, size = None, rows
    while given is None or not given.num_rows:
        sample = {**tables, first: tables[first].slice(0, size)}
        given = testing.answer(declared, dict(sample), engine)
        if size >= tables[first].num_rows:
            break
        size *= 4
    if not given.num_rows:
        raise DataError(
            f"The query of `{declared.name}` gives no row for the first {tables[first].num_rows:,} of {first}.",
            hint=f"Write a case by hand: {cases.FOLDER}/{declared.name}/NAME/{first}.csv and expected.csv.",
        )
    wanted, tries = Counter(cases.texts(given, engine)), [TRIES]
    for table in sorted(sample, key=lambda t: t == first):
        sample[table] = _least(declared, sample, table, wanted, engine, tries)
    return sample, testing.answer(declared, dict(sample), engine)


def _least(
    declared: CreateDataset, sample: dict[str, pa.Table], name: str, wanted: Counter[tuple[str | None, ...]], engine: QueryEngine,
    tries: list[int],
) -> pa.Table:  # fmt: skip
    """The table without pieces that the answer does not need: halves first, then smaller ones."""
    import pyarrow as pa

    table, piece = sample[name], max(sample[name].num_rows // 2, 1)
    while table.num_rows and tries[0] > 0:
        start = 0
        while start < table.num_rows and tries[0] > 0:
            tries[0] -= 1
            less = pa.concat_tables([table.slice(0, start), table.slice(start + piece)])
            if _gives(declared, {**sample, name: less}, wanted, engine):
                table = less
            else:
                start += piece
        if piece == 1:
            break
        piece = max(piece // 2, 1)
    return table


def _gives(
    declared: CreateDataset,
    inputs: dict[str, pa.Table],
    wanted: Counter[tuple[str | None, ...]],
    engine: QueryEngine,
) -> bool:
    """Whether the query gives exactly these rows."""
    given: dict[str, Relation] = dict(inputs)
    try:
        return Counter(cases.texts(testing.answer(declared, given, engine), engine)) == wanted
    except TilthError:
        return False
