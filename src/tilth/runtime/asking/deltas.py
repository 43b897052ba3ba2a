"""Which rows of a table came or changed since it was looked at last: what a trigger goes off by, and gives to its statements.

A row is told by 64 bits of its key and of the columns whose change counts (of all columns, where none are named). Those of all rows that
were there stand in a blob, sorted; a row whose bits are not among them, or more often than among them, is new. Rows that went are no news.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DamagedError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.scan import Scan
from tilth.ml.data import snapshots
from tilth.ml.data.exact import Place, plain_array
from tilth.ml.data.identity import mixed, row_ids
from tilth.ports.blobs import Blobs
from tilth.ports.source import Source
from tilth.sql.language.scheduled import CreateTrigger

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ids = npt.NDArray[np.uint64]

SAW = b"tilth.saw"
NULL = 0x9E6D62D06F6A9A9B  # what tells a gap from any value


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found. `seen` and `delta` are blobs; `rows` how many rows came or changed, `there` how many there are.

    `anew` says why rows that are there count as seen: it is the first look, or the table has other columns now.
    """

    seen: str
    delta: str | None
    rows: int
    there: int
    anew: str | None = None


def look(source: Source, declared: CreateTrigger, blobs: Blobs, seen: str | None) -> Looked | None:
    """Look at the whole table, column by column; None when it holds what was seen."""
    schema = source.describe(declared.table)
    watched = _watched(declared, tuple(schema.names))
    before, anew = _before(blobs, seen, watched)
    folder = blobs.scratch()
    try:
        path = os.path.join(folder, "delta.arrow")
        ids, rows = _walk(source, declared.table, watched, None if anew else before, path)
        if not anew and not rows and len(ids) == len(before):
            return None
        delta = blobs.put_file(path) if rows and not anew else None
        kept = blobs.put_file(_write(os.path.join(folder, "seen.arrow"), ids, watched))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Looked(kept, delta, rows, len(ids), anew)


def _watched(declared: CreateTrigger, names: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that tell a row, as the table has them."""
    known = {n.lower(): n for n in names}
    said = (*declared.key, *declared.columns) if declared.columns else names
    for column in (*declared.key, *declared.columns):
        if column.lower() not in known:
            raise UnknownNameError(
                f"`{declared.source}.{declared.table}` has no column `{column}`, which the trigger `{declared.name}` looks at.",
                hint=did_you_mean(column, names, "columns"),
                where=declared.position,
            )
    return tuple(sorted(known[c.lower()] for c in said))


def _before(blobs: Blobs, seen: str | None, watched: Sequence[str]) -> tuple[Ids, str | None]:
    """What was there, and why that says nothing."""
    import numpy as np
    import pyarrow as pa

    nothing = np.empty(0, np.uint64)
    if seen is None:
        return nothing, "it is the first look"
    try:
        with pa.OSFile(blobs.path(seen)) as file:
            found = pa.ipc.open_file(file).read_all()
    except DamagedError:
        return nothing, "what was seen before is lost"
    if (found.schema.metadata or {}).get(SAW) != _named(watched):
        return nothing, "its columns are not those of before"
    return found.column(0).to_numpy(), None


def _named(watched: Sequence[str]) -> bytes:
    return "\n".join(watched).encode()


def _write(path: str, ids: Ids, watched: Sequence[str]) -> str:
    import pyarrow as pa

    schema = pa.schema([("row", pa.uint64())], metadata={SAW: _named(watched)})
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as file:
        file.write_table(pa.table([pa.array(ids)], schema=schema))
    return path


def _walk(
    source: Source, table: str, watched: Sequence[str], before: Ids | None, path: str
) -> tuple[Ids, int]:
    """The ids of all rows, sorted; those rows that are not among `before` (None: nothing counts) go into a file, and are counted."""
    import numpy as np
    import pyarrow as pa

    known = None if before is None else _Known(before)
    every, rows = [np.empty(0, np.uint64)], 0
    reader = source.scan(Scan(table, None, ()))
    schema = snapshots.plain_schema(reader.schema)
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as file:
        for batch in _plain(reader, schema):
            ids = told(batch, watched)
            every.append(ids)
            fresh = None if known is None else known.fresh(ids)
            if fresh is not None and fresh.any():
                new = batch.filter(_mask(fresh))
                rows += new.num_rows
                file.write_batch(new)
    return np.sort(np.concatenate(every)), rows


def _plain(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in reader:
        columns = [plain_array(c, f.type, Place(f.name)) for c, f in zip(batch.columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _mask(fresh: Any) -> pa.Array:
    import pyarrow as pa

    return pa.array(fresh)


def told(batch: pa.RecordBatch, watched: Sequence[str]) -> Ids:
    """64 bits for each row, of these columns; a gap is no value."""
    import numpy as np
    import pyarrow as pa

    total = np.zeros(batch.num_rows, np.uint64)
    for name in watched:
        column = batch.column(name)
        flat = pa.record_batch({name: _flat(column)})
        bits = row_ids(flat, [name]).copy()
        gaps = np.asarray(column.is_null(), dtype=bool)
        bits[gaps] = np.uint64(NULL)
        total = mixed(total ^ bits)
    return total


def _flat(column: pa.Array) -> pa.Array:
    """A list, struct or map as the text that stands for it."""
    import pyarrow as pa

    if not pa.types.is_nested(column.type):
        return column
    return pa.array([None if v is None else repr(v) for v in column.to_pylist()], pa.string())


class _Known:
    """How often each id was there, less what was found again."""

    def __init__(self, before: Ids) -> None:
        import numpy as np

        self._ids, self._left = np.unique(before, return_counts=True)

    def fresh(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which of these were not there, or not so often."""
        import numpy as np

        if not len(self._ids):
            return np.ones(len(ids), dtype=bool)
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        out: npt.NDArray[np.bool_] = self._ids[at] != ids
        there = np.flatnonzero(~out)
        order = there[np.argsort(at[there], kind="stable")]
        places, first, counts = np.unique(at[order], return_index=True, return_counts=True)
        nth = np.arange(len(order)) - np.repeat(first, counts)
        out[order[nth >= np.repeat(self._left[places], counts)]] = True
        self._left[places] = np.maximum(self._left[places] - counts, 0)
        return out


def rows(blobs: Blobs, delta: str) -> pa.Table:
    """A trigger's rows for its statements, which may read them as often as they like: mapped from the disk, not held."""
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(blobs.verified(delta))).read_all()
