"""Rows held back: kept whole as JSON with the reasons, in one Parquet blob for each collection.

Its columns: `row` (JSON text of the row as the query returned it, or the raw line of a file), `reasons` (texts), and
`origin` (the dataset's query, or `source.table:line` for a line that did not parse). A row that was held back before, since all was read,
is not kept again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.names import quoted
from tilth.core.scan import Scan
from tilth.ml.data.checks import ROWS, Checks, bad, reasons
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.snapshots import QuarantineFile
from tilth.ports.source import Source

if TYPE_CHECKING:
    import pyarrow as pa


def broken_rows(sources: Mapping[str, Source], scans: Sequence[tuple[str, Scan]]) -> pa.Table:
    """Lines that did not parse, of all files that were read, as rows of a quarantine file."""
    import pyarrow as pa

    tables = [_schema().empty_table()]
    for name, scan in dict.fromkeys(scans):
        read: Any = getattr(_find(sources, name), "broken", None)
        found = read(scan) if read is not None else None
        if found is not None and found.num_rows:
            lines = found["line"].to_pylist()
            columns = {
                "row": found["text"].cast(pa.string()),
                "reasons": pa.array([[r] for r in found["reason"].to_pylist()], pa.list_(pa.string())),
                "origin": pa.array([f"{name}.{scan.table}:{line}" for line in lines], pa.string()),
            }
            tables.append(pa.table(columns, schema=_schema()))
    return pa.concat_tables(tables)


def _find(sources: Mapping[str, Source], name: str) -> Source:
    return next(s for n, s in sources.items() if n.lower() == name.lower())


def write(
    checks: Checks,
    inputs: Mapping[str, Relation] | None,
    broken: pa.Table,
    engine: QueryEngine,
    blobs: Blobs,
    folder: str,
    known: Sequence[str] = (),
) -> tuple[QuarantineFile | None, int]:
    """The bad rows of the inputs and the broken lines as a blob, but for those of the files `known`; and how many there are with those."""
    import pyarrow.parquet as pq

    path, rows, kept, before = os.path.join(folder, "quarantine.parquet"), 0, 0, _held(known)
    with pq.ParquetWriter(path, _schema(), compression="zstd") as file:
        for batch in _batches(checks, inputs, broken, engine):
            fresh = _fresh(batch, before) if before else batch
            rows, kept = rows + batch.num_rows, kept + fresh.num_rows
            file.write_batch(fresh)
    if not kept:
        return None, rows
    size = os.path.getsize(path)
    return QuarantineFile(blobs.put_file(path), kept, size), rows


def _held(files: Sequence[str]) -> Counter[tuple[str, str]]:
    """How often each row, with its origin, is held in all of the files together; `tilth verify` tells of one that is gone."""
    import pyarrow.parquet as pq

    tables = (pq.read_table(f, columns=["origin", "row"]) for f in files if os.path.isfile(f))
    return Counter(pair for t in tables for pair in zip(*(c.to_pylist() for c in t.columns), strict=True))


def _fresh(batch: pa.RecordBatch, before: Counter[tuple[str, str]]) -> pa.RecordBatch:
    """The rows that were not held before; each of those before is taken for one."""
    import pyarrow as pa

    wanted = []
    for pair in zip(batch["origin"].to_pylist(), batch["row"].to_pylist(), strict=True):
        wanted.append(before[pair] <= 0)
        before[pair] -= 1
    return batch.filter(pa.array(wanted, pa.bool_()))


def _batches(
    checks: Checks, inputs: Mapping[str, Relation] | None, broken: pa.Table, engine: QueryEngine
) -> Iterator[pa.RecordBatch]:
    if inputs is not None:
        fields = ", ".join(f"{quoted(f.name)} := {quoted(f.name)}" for f in checks.schema)
        sql = (
            f"SELECT to_json(struct_pack({fields}))::VARCHAR AS row, {reasons(checks)} AS reasons, 'query' AS origin"
            f" FROM {ROWS} WHERE {bad(checks)}"
        )
        for batch in engine.stream(sql, inputs):
            yield _typed(batch)
    yield from broken.to_batches()


def _typed(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    schema = _schema()
    arrays = [c.cast(f.type) for c, f in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema({"row": pa.string(), "reasons": pa.list_(pa.string()), "origin": pa.string()}.items())
