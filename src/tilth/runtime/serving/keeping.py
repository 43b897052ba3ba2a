"""The rows of a snapshot's files as a store has them: JSON by key, written column by column, and of each key what can still be found.

Of rows that were seen when the snapshot was made (or when a replay of the past begins) the newest of a key is kept; those that are seen later all are, since which of them is the newest
depends on when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.names import quoted
from tilth.ml.data.snapshots import file_batches
from tilth.ports.engine import QueryEngine
from tilth.ports.lookups import Kept
from tilth.runtime.serving.looking_up import Store, encode, micros

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

ALWAYS = 0  # before any time that a server asks at, and no byte on the disk
WIDE = 64 << 20  # bytes of a batch, above which it is cut in two
AT, KNOWN, ROW = "tilth_at", "tilth_known", "tilth_row"


def kept(store: Store, paths: Sequence[str], engine: QueryEngine) -> Iterator[Kept]:
    """The rows to keep, one batch in memory at a time.

    A row without a key, or without a time that is needed, is never found: it is left out.
    """
    wanted = _newest(store, paths, engine) if store.event_time is not None and paths else None
    times = [t for t in (store.event_time, store.known_at) if t is not None]
    names = list(dict.fromkeys((*(k.name for k in store.key), *store.columns, *times)))
    start = 0
    for path in paths:
        for batch in file_batches(path, names):
            some = None if wanted is None else wanted[start : start + batch.num_rows]
            start += batch.num_rows
            for piece in _pieces(_there(store, batch, some)):
                yield from _rows(store, piece)


def _newest(store: Store, paths: Sequence[str], engine: QueryEngine) -> npt.NDArray[np.bool_]:
    """Which rows, in the order of the files, can be found now or later."""
    import numpy as np

    reader, count = _timed(store, paths)
    keys = ", ".join(quoted(k.name) for k in store.key)
    there = " AND ".join(f"{c} IS NOT NULL" for c in (*(quoted(k.name) for k in store.key), AT, KNOWN))
    later = f"greatest({AT}, {KNOWN}) > {micros(store.since)}"
    sql = (
        f"SELECT {ROW} FROM rows WHERE {there} QUALIFY {later} OR"
        f" row_number() OVER (PARTITION BY {keys}, {later} ORDER BY {AT} DESC, {KNOWN} DESC, {ROW} DESC) = 1"
    )
    found = np.zeros(count, bool)
    for batch in engine.stream(sql, {"rows": reader}):
        found[batch.column(0).to_numpy()] = True
    return found


def _timed(store: Store, paths: Sequence[str]) -> tuple[pa.RecordBatchReader, int]:
    """The keys and times of all rows, each with its number; and how many rows there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys = [k.name for k in store.key]
    names = list(dict.fromkeys((*keys, *(t for t in (store.event_time, store.known_at) if t is not None))))
    first = pq.read_schema(paths[0])
    schema = pa.schema(
        [*(first.field(k) for k in keys), *(pa.field(n, pa.int64()) for n in (AT, KNOWN, ROW))]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for path in paths:
            for batch in file_batches(path, names):
                number = pa.array(range(start, start + batch.num_rows), pa.int64())
                start += batch.num_rows
                times = [_times(batch, store.event_time), _times(batch, store.known_at)]
                yield pa.RecordBatch.from_arrays(
                    [*(batch.column(k) for k in keys), *times, number], schema=schema
                )

    count = sum(pq.read_metadata(p).num_rows for p in paths)
    return pa.RecordBatchReader.from_batches(schema, batches()), count


def _there(store: Store, batch: pa.RecordBatch, wanted: npt.NDArray[np.bool_] | None) -> pa.RecordBatch:
    """The rows that are wanted and have all that they are found by."""
    import pyarrow as pa
    import pyarrow.compute as pc

    needed = [*(k.name for k in store.key), *(t for t in (store.event_time, store.known_at) if t is not None)]
    mask = None if wanted is None else pa.array(wanted)
    for name in needed:
        column = batch.column(name)
        if column.null_count:
            mask = column.is_valid() if mask is None else pc.and_(mask, column.is_valid())
    return batch if mask is None else batch.filter(mask)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces whose JSON fits into one array."""
    if batch.nbytes <= WIDE or batch.num_rows < 2:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def _rows(store: Store, batch: pa.RecordBatch) -> Iterator[Kept]:
    if not batch.num_rows:
        return
    keys = _joined(batch, b"[", [(b"", k.name) for k in store.key], b"]")
    rows = _joined(batch, b"{", [(encode(c) + b":", c) for c in store.columns], b"}")
    happened, known = (_times(batch, name).to_pylist() for name in (store.event_time, store.known_at))
    yield from map(Kept, keys, happened, known, map(max, happened, known), rows)


# --- columns as JSON ---------------------------------------------------------------------------------------


def _joined(
    batch: pa.RecordBatch, opened: bytes, columns: Sequence[tuple[bytes, str]], closed: bytes
) -> list[bytes]:
    """Of each row the values of some columns, each after its words, with commas between."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[Any] = []
    for n, (words, name) in enumerate(columns):
        parts += [pa.scalar((b"," if n else opened) + words, pa.binary()), _texts(batch.column(name))]
    if not columns:
        return [opened + closed] * batch.num_rows
    found: list[bytes] = pc.binary_join_element_wise(
        *parts, pa.scalar(closed, pa.binary()), pa.scalar(b"", pa.binary())
    ).to_pylist()
    return found


def _texts(column: pa.Array) -> pa.Array:
    """Each value as JSON, as the encoder of answers writes it; each value that is there is written once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type):
        texts = column.cast(pa.string()).cast(pa.binary())
    else:
        # Decimals are the numbers that a model reads.
        plain = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
        coded = plain.dictionary_encode()
        written = pa.array([encode(v) for v in coded.dictionary.to_pylist()], pa.binary())
        texts = written.take(coded.indices)
    return pc.fill_null(texts, b"null") if texts.null_count else texts


def _times(batch: pa.RecordBatch, name: str | None) -> pa.Array:
    """Microseconds; where no column says when, always."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name is None:
        return pa.repeat(pa.scalar(ALWAYS, pa.int64()), batch.num_rows)
    return pc.cast(batch.column(name), pa.timestamp("us"), safe=False).cast(pa.int64())
