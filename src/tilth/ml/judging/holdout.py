"""The rows that judge a candidate: due, labelled, and known to neither model when it was fitted, stopped or calibrated.

Which rows a version was tuned on follows from its snapshot and how that was dealt (`split`). Where both models' rows
were dealt alike the slices part them; else, and where a corrected row came again with a later time, rows are looked up
by their ids. A version that learned from all of its rows answers some of those by what its bundle keeps (`answers`): what
models that had not seen them said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.ml.data import identity, snapshots
from tilth.ml.judging import split
from tilth.ml.judging.answers import Kept
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.blobs import Blobs
from tilth.ports.snapshots import Manifest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ids = npt.NDArray[np.uint64]
    Mask = npt.NDArray[np.bool_]
    Array = npt.NDArray[np.float64]

SKETCHED = 512  # hashes kept of a look's rows: shares of them are known to within 5 %


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a version was tuned on: rows of a snapshot (None: it is gone), dealt `by` twin, folds, time or ids.

    `kept`: its honest answers to rows that it saw, by ids of the columns `told_by`. `since`: the event time after which those are, of a twin.
    """

    version: int
    manifest: Manifest | None
    by: str
    until: str | None
    key: tuple[str, ...] = ()
    event_time: str | None = None
    how: int = identity.HOW
    kept: Kept | None = None
    since: str | None = None
    told_by: tuple[str, ...] = ()

    def places(self, table: pa.Table) -> npt.NDArray[np.intp]:
        """The place of each row among the kept answers; -1 for one that has none, or whose columns are not there."""
        import numpy as np

        if self.kept is None or not self.told_by or not set(self.told_by) <= set(table.schema.names):
            return np.full(table.num_rows, -1, dtype=np.intp)
        return self.kept.find(identity.row_ids(table, self.told_by))

    @property
    def all_teach(self) -> bool:
        """Whether it learned from every row that was due."""
        return self.by in split.ALL_TEACH


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that may judge, with their ids and times, and how many newer ones wait for their labels."""

    table: pa.Table
    ids: Ids
    when: npt.NDArray[np.int64] | None
    immature: int = 0

    def where(self, mask: Mask) -> Rows:
        """Some of them."""
        import pyarrow as pa

        when = None if self.when is None else self.when[mask]
        table = self.table.filter(pa.array(mask))
        return Rows(table, self.ids[mask], when, self.immature)


def rows_of(manifest: Manifest, blobs: Blobs, spec: TrainingSpec, versions: Sequence[Tuned]) -> Rows:
    """The snapshot's rows that may judge the first of the versions, the candidate, as far as labels are due.

    Of one that learned from every row of this snapshot those are the rows that it has honest answers to; else all rows after
    the slices that tuned one of the versions.
    """
    import numpy as np
    import pyarrow as pa

    fresh = versions[0]
    own = fresh.all_teach and fresh.manifest is not None and fresh.manifest.id == manifest.id
    until = [v.until for v in versions if v.by in split.BY_A_TIME and v.until is not None]
    after = fresh.since if fresh.all_teach else max(until, default=None)
    after = after if spec.event_time else None
    tables, ids, times, immature = [], [], [], 0
    for table, found in _parts(manifest, blobs, spec, after):
        when = split.micros(table, spec.event_time) if spec.event_time else None
        mask = np.ones(table.num_rows, dtype=np.bool_)
        if not fresh.all_teach or after is not None:
            mask = split.judge_mask(found, when, after)
        mature = split.mature(when, spec.label_delay, spec.now)
        if mature is not None:
            immature += int((mask & ~mature).sum())
            mask &= mature
        if own and fresh.kept is not None:
            mask &= fresh.places(table) >= 0
        tables.append(table.filter(pa.array(mask)))
        ids.append(found[mask])
        if when is not None:
            times.append(when[mask])
    if not tables:
        tables = [snapshots.empty(manifest.schema)]
    none = np.empty(0, np.uint64)
    return Rows(
        pa.concat_tables(tables), np.concatenate([none, *ids]),
        np.concatenate([np.empty(0, np.int64), *times]) if spec.event_time else None, immature,
    )  # fmt: skip


def blocks_of(rows: Rows, group: tuple[str, ...], folds: bool) -> npt.NDArray[np.int64] | None:
    """The groups of GROUP KEY, days, or groups of ids; rows of few days that are judged by folds are blocks of neighbours."""
    import numpy as np

    if not len(rows.ids):
        return None
    if group:
        return split.group_blocks(identity.row_ids(rows.table, group))
    found = split.blocks(rows.ids, rows.when)
    if folds and rows.when is not None and len(np.unique(found)) < split.FOLDS:
        return np.argsort(np.argsort(rows.when, kind="stable")) * (2 * split.FOLDS) // len(rows.when)
    return found


def _parts(
    manifest: Manifest, blobs: Blobs, spec: TrainingSpec, after: str | None
) -> Iterator[tuple[pa.Table, Ids]]:
    """The rows of each part that may hold some later than `after`, a batch at a time, with their ids."""
    import pyarrow as pa

    columns = identity.columns_of(spec.key, manifest.schema.names)
    late = None if after is None else after.removesuffix("Z")
    for part in manifest.parts:
        if late is not None and part.event_max is not None and part.event_max <= late:
            continue
        ids, at = snapshots.part_ids(part, blobs, columns), 0
        for batch in snapshots.file_batches(blobs.path(part.blob)):
            yield pa.Table.from_batches([batch]), ids[at : at + batch.num_rows]
            at += batch.num_rows


def labels(manifest: Manifest, blobs: Blobs, spec: TrainingSpec) -> pa.Table:
    """The target, and what rows count, of all rows of a snapshot whose label is due: those that come quickly are of one kind."""
    import pyarrow as pa

    event = [spec.event_time] if spec.event_time and spec.label_delay else []
    names = [spec.target, *event, *([spec.weight] if spec.weight else [])]
    table = snapshots.read(manifest, blobs, list(dict.fromkeys(names))).read_all()
    when = split.micros(table, event[0]) if event else None
    due = split.mature(when, spec.label_delay, spec.now)
    return table if due is None else table.filter(pa.array(due))


def seen(rows: Rows, version: Tuned, manifest: Manifest, blobs: Blobs, spec: TrainingSpec) -> Mask:
    """Which of the rows the version was tuned on, or may have been."""
    import numpy as np

    none = np.zeros(len(rows.ids), dtype=np.bool_)
    own = version.manifest
    if own is None or not len(rows.ids) or _parted(version, manifest, spec):
        return none
    shared = tuple(sorted(set(own.schema.names) & set(manifest.schema.names)))
    keyed = [k for k in (spec.key, version.key) if k and set(k) <= set(shared)]
    columns = keyed[0] if keyed else shared
    if not columns:
        return none
    plain = any(own.schema.field(c).type is not manifest.schema.field(c).type for c in columns)
    mine = identity.row_ids(rows.table, columns, plain=plain)
    known = np.concatenate([np.empty(0, np.uint64), *_tuned_ids(version, own, blobs, columns, plain)])
    found: Mask = np.isin(mine, known)
    return found


def _parted(version: Tuned, manifest: Manifest, spec: TrainingSpec) -> bool:
    """Whether the slices alone keep its rows from those that judge."""
    assert version.manifest is not None
    if version.all_teach:
        return False
    if version.by == split.BY_TIME:
        same_time = version.event_time == spec.event_time is not None
        return same_time and (version.manifest.id == manifest.id or not (spec.key or version.key))
    if spec.event_time is not None:
        return False
    if spec.key or version.key:
        return spec.key == version.key and _alike(version.manifest, manifest, spec.key)
    names = tuple(sorted(manifest.schema.names))
    same = names == tuple(sorted(version.manifest.schema.names))
    return version.how != identity.HOW or (same and _alike(version.manifest, manifest, names))


def _alike(own: Manifest, manifest: Manifest, columns: Sequence[str]) -> bool:
    """Whether the columns have the same types in both."""
    return all(
        (found := own.schema.find(c)) is not None and found.type is manifest.schema.field(c).type
        for c in columns
    )


def _tuned_ids(
    version: Tuned, own: Manifest, blobs: Blobs, columns: Sequence[str], plain: bool
) -> Iterator[Ids]:
    """The ids, made of `columns`, of the rows that the version was tuned on."""
    timed = version.by != split.BY_ID and version.until is not None and version.event_time is not None
    late = split.as_micros(str(version.until)) if timed else None
    dealt = identity.columns_of(version.key, own.schema.names)
    for part in own.parts:
        read = list(
            dict.fromkeys(
                [*columns, *([version.event_time] if late is not None and version.event_time else [])]
            )
        )
        slices = snapshots.part_ids(part, blobs, dealt) if version.by == split.BY_ID else None
        start = 0
        for batch in snapshots.file_batches(blobs.path(part.blob), read):
            ids = identity.row_ids(batch, columns, plain=plain)
            if late is not None and version.event_time is not None:
                ids = ids[split.micros(batch, version.event_time) <= late]
            elif slices is not None:
                ids = ids[~split.judge_mask(slices[start : start + batch.num_rows], None, None)]
            start += batch.num_rows
            yield ids


def texts(column: Any) -> npt.NDArray[Any]:
    """The values of a slice's column as texts; a gap is a slice of its own."""
    import numpy as np

    found = ["(missing)" if v is None else str(v) for v in column.to_pylist()]
    return np.array(found, dtype=object).astype(str)


# --- looks -------------------------------------------------------------------------------------------------


def sketch(ids: Ids) -> bytes:
    """What is kept of the rows of a look: how many differ, and the least of their hashes (Cohen and Kaplan 2007), little-endian."""
    import numpy as np

    mixed = np.unique(identity.mixed(ids))
    return np.concatenate([np.array([len(mixed)], np.uint64), mixed[:SKETCHED]]).astype("<u8").tobytes()


def shared(first: bytes, second: bytes) -> float:
    """The share of the smaller look's rows that judged in both, estimated from their sketches."""
    import numpy as np

    (count, a), (others, b) = (
        (int(s[0]), s[1:]) for s in (np.frombuffer(x, dtype="<u8") for x in (first, second))
    )
    if not count or not others:
        return 0.0
    full = [s[-1] for s, n in ((a, count), (b, others)) if n > SKETCHED]
    if full:
        a, b = a[a <= min(full)], b[b <= min(full)]
    both, either = len(np.intersect1d(a, b)), len(np.union1d(a, b))
    alike = both / either if either else 0.0
    return min(1.0, alike / (1.0 + alike) * (count + others) / min(count, others))
