"""Rows held back: kept whole as JSON with the reasons, in one Parquet blob for each collection.

Its columns: `row` (JSON text of the row as the query returned it, or the raw line of a file), `reasons` (texts), and
`origin` (the dataset's query, or `source.table:line` for a line that did not parse).
"""

from __future__ import annotations

import os
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
) -> QuarantineFile:
    """The bad rows of the inputs and the broken lines as a blob."""
    import pyarrow.parquet as pq

    path, rows = os.path.join(folder, "quarantine.parquet"), 0
    with pq.ParquetWriter(path, _schema(), compression="zstd") as file:
        for batch in _batches(checks, inputs, broken, engine):
            rows += batch.num_rows
            file.write_batch(batch)
    size = os.path.getsize(path)
    return QuarantineFile(blobs.put_file(path), rows, size)


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
