"""A window of rows read again, put into the snapshot that was there before.

Everything from the window's start on is replaced by what was read; what is older stays, except rows whose key came
again. Parts that the window touches are written anew, and small last parts are joined with the new rows, so that
daily refreshes do not leave hundreds of files. Parts stay in the order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tilth.core.names import quoted
from tilth.ml.data import snapshots
from tilth.ml.data.checks import Checks
from tilth.ml.data.content import ContentDigest
from tilth.ml.data.rows import Rows
from tilth.ml.data.snapshots import SMALL_ROWS, Written, event_text
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine
from tilth.ports.snapshots import Manifest, Part

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Merged:
    """The parts of the new snapshot: those kept, then those written (all later)."""

    kept: tuple[Part | Written, ...]
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """Where the window begins (the first moment in it), and what is needed to put it in."""

    low: datetime
    rows: Rows
    checks: Checks
    engine: QueryEngine
    blobs: Blobs
    folder: str

    @property
    def event(self) -> str:
        assert self.checks.event_time is not None
        return self.checks.event_time


def merge(parent: Manifest, window: Window) -> Merged:
    """The snapshot's parts with the window's rows in place."""
    low = event_text(window.low) or ""
    old = [p for p in parent.parts if (p.event_max or "") < low]
    touched = [p for p in parent.parts if (p.event_max or "") >= low]
    again = _again(old + touched, window)
    if not again and _same(touched, window):
        return Merged(parent.parts, unchanged=True)
    keep: list[Part | Written] = []
    tail: list[Part | Written | _Few] = []
    for number, part in enumerate(old + touched):
        piece = _older(part, window, number, again) if part in touched or part.blob in again else part
        if piece is None:
            continue
        if piece.rows < SMALL_ROWS:
            tail.append(piece)
        else:
            keep += [_filed(p, window, f"{number}-{n}") for n, p in enumerate([*tail, piece])]
            tail = []
    batches = _tail(tail, window)
    written = snapshots.write_parts(batches, window.rows.schema, window.folder, window.checks.marks, "merged")
    return Merged((*keep, *written))


@dataclass(frozen=True, slots=True)
class _Few:
    """Rows of a part that are few, and most likely written with the next ones."""

    batches: tuple[pa.RecordBatch, ...]
    rows: int


def _filed(piece: Part | Written | _Few, window: Window, name: str) -> Part | Written:
    """The piece as a file."""
    if not isinstance(piece, _Few):
        return piece
    schema, stem = window.rows.schema, f"few-{name}"
    return snapshots.write_parts(piece.batches, schema, window.folder, window.checks.marks, stem)[0]


def _tail(parts: Sequence[Part | Written | _Few], window: Window) -> Iterator[pa.RecordBatch]:
    for part in parts:
        if isinstance(part, _Few):
            yield from part.batches
            continue
        for batch in snapshots.file_batches(_path(part, window)):
            yield batch.cast(window.rows.schema)
    yield from window.rows.batches()


def _path(part: Part | Written, window: Window) -> str:
    return part.path if isinstance(part, Written) else window.blobs.path(part.blob)


def _same(touched: Sequence[Part], window: Window) -> bool:
    """Whether the window's rows are, value for value, those that the snapshot has there."""
    was, now = ContentDigest(window.rows.schema), ContentDigest(window.rows.schema)
    files = [window.blobs.path(p.blob) for p in touched]
    times = (_later(snapshots.file_batches(f, [window.event]), window) for f in files)
    if sum(batch.num_rows for part in times for batch in part) != window.rows.rows:
        return False
    for file in files:
        for batch in _later(snapshots.file_batches(file), window):
            was.update(batch)
    for batch in window.rows.batches():
        now.update(batch)
    return was.hexdigest() == now.hexdigest()


def _later(batches: Iterable[pa.RecordBatch], window: Window) -> Iterator[pa.RecordBatch]:
    import pyarrow.compute as pc

    for batch in batches:
        yield batch.filter(
            pc.greater_equal(batch[window.event], _bound(batch[window.event].type, window.low))
        )


def _bound(kind: Any, low: datetime) -> pa.Scalar:
    """The window's start as a value of the event column; for dates it is a midnight."""
    import pyarrow as pa
    import pyarrow.types as t

    return pa.scalar(low.date() if t.is_date(kind) else low, kind)


def _older(part: Part, window: Window, number: int, again: set[str]) -> Written | _Few | None:
    """The part's rows from before the window whose keys did not come again; None if there are none."""
    if part.blob in again:
        keys = " AND ".join(f"n.{quoted(c)} = o.{quoted(c)}" for c in window.checks.key)
        by = ", ".join(quoted(c) for c in window.checks.order)
        sql = (
            f"SELECT * FROM old o WHERE o.{quoted(window.event)} < $low"
            f" AND NOT EXISTS (SELECT 1 FROM new n WHERE {keys}) ORDER BY {by}"
        )
        inputs = {"old": [window.blobs.path(part.blob)], "new": window.rows.relation}
        reader = window.engine.stream(sql, inputs, {"low": window.low})
        batches: Iterable[pa.RecordBatch] = snapshots.plain_batches(reader, window.rows.schema)
    else:
        batches = _earlier(snapshots.file_batches(window.blobs.path(part.blob)), window)
    if part.rows < SMALL_ROWS:
        few = tuple(batches)
        rows = sum(batch.num_rows for batch in few)
        return _Few(few, rows) if rows else None
    made = snapshots.write_parts(
        batches, window.rows.schema, window.folder, window.checks.marks, f"older-{number}"
    )
    return made[0] if made else None


def _earlier(batches: Iterable[pa.RecordBatch], window: Window) -> Iterator[pa.RecordBatch]:
    import pyarrow.compute as pc

    for batch in batches:
        kept = batch.filter(pc.less(batch[window.event], _bound(batch[window.event].type, window.low)))
        if kept.num_rows:
            yield kept.cast(_of(window.rows.schema, kept.schema.names))


def _of(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """The named fields of a schema."""
    import pyarrow as pa

    return schema if schema.names == list(names) else pa.schema([schema.field(n) for n in names])


# --- keys that came again ----------------------------------------------------------------------------------


def _again(parts: Sequence[Part], window: Window) -> set[str]:
    """Blobs of parts with a row from before the window whose key is among the new rows.

    Parts whose least and greatest keys (in their Parquet footers) leave no room for a new one are not read.
    """
    key = window.checks.key
    if not key or not window.rows.rows or not parts:
        return set()
    ends = _ends(window)
    near = [p for p in parts if _may_hold(window.blobs.path(p.blob), key, ends)]
    if not near:
        return set()
    fresh = _keys(window.rows.batches(), key)
    return {p.blob for p in near if _meet(_keys(_before(p, window), key), fresh)}


def _before(part: Part, window: Window) -> Iterator[pa.RecordBatch]:
    """Keys and event times of the part's rows from before the window."""
    names = list(dict.fromkeys([*window.checks.key, window.event]))
    return _earlier(snapshots.file_batches(window.blobs.path(part.blob), names), window)


def _keys(batches: Iterable[pa.RecordBatch], key: Sequence[str]) -> pa.Table | None:
    import pyarrow as pa

    found = [batch.select(list(key)) for batch in batches]
    return pa.Table.from_batches(found) if found else None


def _meet(old: pa.Table | None, new: pa.Table | None) -> bool:
    """Whether a row of both has the same key."""
    if old is None or new is None:
        return False
    return bool(old.join(new, old.schema.names, join_type="left semi").num_rows)


def _ends(window: Window) -> dict[str, tuple[Any, Any]]:
    """Least and greatest value of each key column of the new rows."""
    import pyarrow.compute as pc

    out: dict[str, tuple[Any, Any]] = {}
    for batch in window.rows.batches():
        for column in window.checks.key if batch.num_rows else ():
            found = pc.min_max(batch[column]).as_py()
            low, high = out.get(column, (found["min"], found["max"]))
            out[column] = (min(low, found["min"]), max(high, found["max"]))
    return out


def _may_hold(path: str, key: Sequence[str], ends: dict[str, tuple[Any, Any]]) -> bool:
    import pyarrow.parquet as pq

    footer = pq.read_metadata(path)
    places = {footer.schema.column(i).name: i for i in range(footer.num_columns)}
    for group in range(footer.num_row_groups):
        if all(_overlap(footer.row_group(group).column(places[c]).statistics, ends[c]) for c in key):
            return True
    return False


def _overlap(statistics: Any, ends: tuple[Any, Any]) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= ends[1] and statistics.max >= ends[0])
