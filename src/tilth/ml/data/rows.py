"""Rows on their way into a snapshot: in memory while few, in temporary Parquet files when many.

While they pass, their order is watched: rows that come by event time and key need no sorting, and a key that only
grows cannot repeat. `ordered` puts the others in order, drops what is not to be published, and keeps of each key the
row with the latest event time (of those with the same, the one that came last).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.names import quoted
from tilth.ml.data import snapshots
from tilth.ml.data.checks import ROWS, Checks, bad
from tilth.ml.data.snapshots import Marks, Written
from tilth.ports.engine import QueryEngine, Relation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MEMORY_ROWS = 65_536  # up to so many rows stay in memory
HASHED_ROWS = 16_000_000  # hashes compared at once when keys are checked: 128 MB


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as an input of the engine; `parts` are the files they lie in, if they do."""

    schema: pa.Schema
    relation: Relation
    rows: int
    parts: tuple[Written, ...] = ()
    ordered: bool = True  # by event time and key
    unique: bool = False  # certain: the key grew from row to row

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order."""
        import pyarrow as pa

        if isinstance(self.relation, pa.Table):
            yield from self.relation.to_batches(max_chunksize=MEMORY_ROWS)
        else:
            for part in self.parts:
                yield from snapshots.file_batches(part.path)

    def table(self) -> pa.Table | None:
        """The rows in memory, or None when they lie in files."""
        import pyarrow as pa

        return self.relation if isinstance(self.relation, pa.Table) else None


def spool(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: str, stem: str, checks: Checks | None = None
) -> Rows:
    """All rows, kept; watched for the order that `checks` names."""
    import pyarrow as pa

    key = checks.key if checks else ()
    by_order, by_key = _Watch(checks.order if checks else (), strict=False), _Watch(key, strict=True)
    source = iter(batches)
    first: list[pa.RecordBatch] = []
    count = 0

    def watched() -> Iterator[pa.RecordBatch]:
        for batch in source:
            by_order.see(batch)
            by_key.see(batch)
            yield batch

    passing = watched()
    for batch in passing:
        first.append(batch)
        count += batch.num_rows
        if count > MEMORY_ROWS:
            marks = checks.marks if checks else Marks()
            parts = snapshots.write_parts(_chained(first, passing), schema, folder, marks, stem)
            total = sum(p.rows for p in parts)
            unique = bool(key) and by_key.holds
            return Rows(schema, [p.path for p in parts], total, tuple(parts), by_order.holds, unique)
    table = pa.Table.from_batches(first, schema)
    return Rows(schema, table, count, (), by_order.holds, bool(key) and by_key.holds)


def _chained(first: list[pa.RecordBatch], rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while first:
        yield first.pop(0)
    yield from rest


class _Watch:
    """Whether rows come in ascending order of some columns (strictly, if asked); NULL counts as disorder."""

    def __init__(self, columns: Sequence[str], *, strict: bool) -> None:
        self._columns = tuple(columns)
        self._strict = strict
        self._last: tuple[Any, ...] | None = None
        self.holds = True

    def see(self, batch: pa.RecordBatch) -> None:
        if not self.holds or not self._columns or batch.num_rows == 0:
            return
        arrays = [batch.column(batch.schema.get_field_index(c)) for c in self._columns]
        if any(a.null_count for a in arrays):
            self.holds = False
            return
        try:
            first, last = (tuple(a[at].as_py() for a in arrays) for at in (0, -1))
        except (OverflowError, ValueError):  # a time in no calendar, on its way into quarantine
            self.holds = False
            return
        if self._last is not None and not (self._last < first or (self._last == first and not self._strict)):
            self.holds = False
            return
        self._last = last
        self.holds = self._within(arrays)

    def _within(self, arrays: list[pa.Array]) -> bool:
        import pyarrow as pa
        import pyarrow.compute as pc

        good = pa.scalar(not self._strict)
        for array in reversed(arrays):
            left, right = array[:-1], array[1:]
            good = pc.or_(pc.less(left, right), pc.and_(pc.equal(left, right), good))
        return bool(pc.all(good, min_count=0).as_py())


# --- in order, without the bad, one a key ------------------------------------------------------------------


def may_repeat(rows: Rows, checks: Checks, engine: QueryEngine) -> bool:
    """Whether two rows may have the same key: certain when False. Hashes of keys are compared, 8 bytes a row."""
    if not checks.key or rows.unique or rows.rows < 2:
        return False
    if (table := rows.table()) is not None:
        return bool(table.group_by(list(checks.key)).aggregate([]).num_rows < rows.rows)
    keys = ", ".join(quoted(c) for c in checks.key)
    turns = 1 + rows.rows // HASHED_ROWS
    return any(_collide(rows, f"hash({keys})", engine, turns, turn) for turn in range(turns))


def _collide(rows: Rows, hashed: str, engine: QueryEngine, turns: int, turn: int) -> bool:
    import numpy as np

    sql = f"SELECT {hashed} AS h FROM {ROWS}" + (f" WHERE {hashed} % {turns} = {turn}" if turns > 1 else "")
    space: npt.NDArray[np.uint64] = np.empty(rows.rows if turns == 1 else 2 * HASHED_ROWS, np.uint64)
    filled = 0
    for batch in engine.stream(sql, {ROWS: rows.relation}):
        piece = batch.column(0).to_numpy()
        if filled + len(piece) > len(space):
            return True  # far more of one remainder than there can be unless a key repeats over and over
        space[filled : filled + len(piece)] = piece
        filled += len(piece)
    found = space[:filled]
    found.sort()
    return bool((found[1:] == found[:-1]).any())


def ordered(
    rows: Rows,
    checks: Checks,
    engine: QueryEngine,
    references: Mapping[str, Relation],
    folder: str,
    *,
    drop: bool,
    repeats: bool,
) -> Rows:
    """The rows to publish: without the bad (`drop`), one for each key (`repeats`), by event time and key."""
    table = rows.table()
    if table is not None and not drop and not repeats:
        by = [(c, "ascending") for c in checks.order]
        return Rows(rows.schema, table.sort_by(by).combine_chunks(), rows.rows)
    sql = _publishable(checks, drop=drop, repeats=repeats)
    inputs = {ROWS: rows.relation, **(references if drop else {})}
    batches = snapshots.plain_batches(engine.stream(sql, inputs), rows.schema)
    return spool(batches, rows.schema, folder, "ordered", checks)


def _publishable(checks: Checks, *, drop: bool, repeats: bool) -> str:
    by = ", ".join(quoted(c) for c in checks.order)
    order = f" ORDER BY {by}" if by else ""
    good = f" WHERE NOT ({bad(checks)})" if drop else ""
    if not repeats:
        return f"SELECT * FROM {ROWS}{good}{order}"
    keys = ", ".join(quoted(c) for c in checks.key)
    latest = f"{quoted(checks.event_time)} DESC, " if checks.event_time else ""
    return (
        f"WITH good AS (SELECT *, row_number() OVER () AS tilth_place FROM {ROWS}{good}),"
        " lost AS (SELECT tilth_place FROM (SELECT tilth_place,"
        f" row_number() OVER (PARTITION BY {keys} ORDER BY {latest}tilth_place DESC) AS n FROM good) WHERE n > 1)"
        " SELECT * EXCLUDE (tilth_place) FROM good"
        f" WHERE tilth_place NOT IN (SELECT tilth_place FROM lost){order}"
    )
