"""HOLD QUARANTINE: what was released is taken back, and the checks judge again what the source gave.

The repaired rows leave the snapshot where they are in it still, the rows as they were given go into quarantine, or are published where no check
holds them back any more. A row that the source has changed since is none of a release, and stays.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import DataError
from tilth.core.names import quoted
from tilth.core.schema import Schema
from tilth.ml.data import checks as checking
from tilth.ml.data import releasing as data
from tilth.ml.data import snapshots, thinning
from tilth.ml.data.apart import Apart
from tilth.ml.data.checks import Checks
from tilth.ml.data.reading import Reading
from tilth.ports.engine import Relation
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.applying.releasing import At, manifest_with, moved_to, ready, references_of
from tilth.runtime.record import refreshes, releases
from tilth.runtime.record import snapshots as recorded
from tilth.runtime.record.refreshes import Quarantined
from tilth.runtime.record.releases import Release
from tilth.runtime.workspace import Workspace
from tilth.sql.language.mending import HoldQuarantine

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ports.snapshots import Manifest


@dataclass(frozen=True, slots=True)
class Held:
    """How many releases' rows were taken back, how many of them are held back, and published as they were given."""

    rows: int
    held: int
    published: int
    snapshot: str
    generation: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """Rows of one release that are taken back, and what stays of it."""

    release: Release
    rows: pa.Table
    left: pa.Table


def hold(act: Act, graph: Graph, statement: HoldQuarantine) -> Held:
    """Take back the releases of rows that meet the condition; called while nobody else applies to the environment.

    The condition is over the rows as their source gave them, as that of RELEASE. DataError where no release has such a row.
    """
    work, folder = act.work, act.work.blobs.scratch()
    declared, at = ready(act, graph, statement.name)
    parent = recorded.manifest_of(work.state, at.target)
    holds: list[Reading] = []
    try:
        with ExitStack() as stack:
            checks = checking.checks_of(declared, parent.schema, work.engine)
            references = references_of(act, graph, checks, stack, holds)
            taken = _taken(work, statement, parent.schema)
            gone = _together([t.rows for t in taken])
            given = _given(gone, parent, checks, work)
            good, back = data.judged(given, checks, Apart(work.engine), references)
            manifest = manifest_with(act, parent, good, checks, folder, gone)
            if not manifest.rows:
                raise DataError(
                    f"Without these rows dataset `{statement.name}` would have none.",
                    hint="Narrow the WHERE, or drop the dataset.",
                )
        return _publish(act, statement, taken, (good, back), manifest, at, folder)
    finally:
        for held in holds:
            held.close()
        shutil.rmtree(folder, ignore_errors=True)


def _taken(work: Workspace, statement: HoldQuarantine, schema: Schema) -> list[_Taken]:
    """The releases' rows that meet the condition, the oldest first; none is an error."""
    import pyarrow as pa
    import pyarrow.compute as pc

    engine = thinning.apart(statement.where, work.engine, Apart(work.engine))
    thinning.check(statement.where, schema, engine)
    out = []
    for one in releases.of(work.state, statement.name):
        rows = snapshots.file_rows(work.blobs.path(one.blob))
        if rows.schema.names != [data.ROW, *schema.names]:
            continue  # of an earlier declaration: it holds for no row of this one
        given = thinning.of_json(rows.select([data.ROW]), data.ROW, schema, work.engine)
        hit = pa.array(thinning.hits(statement.where, given, rows.num_rows, engine), pa.bool_())
        if pc.any(hit).as_py():
            out.append(_Taken(one, rows.filter(hit), rows.filter(pc.invert(hit))))
    if not out:
        raise DataError(
            f"No released row of dataset `{statement.name}` meets the condition.",
            hint="SELECT number, rows, because FROM tilth.releases lists what was released; the condition is over rows as their source gave them.",
        )
    return out


def _together(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables)


def _given(gone: pa.Table, parent: Manifest, checks: Checks, work: Workspace) -> pa.Table:
    """Of the released rows that are in the snapshot still: each once, as its source gave it, with the JSON that it was kept as."""
    there = f"NOT {data.not_among('gone', 'old', checks)}"
    inputs: dict[str, Relation] = {
        "gone": gone.select([data.ROW, *parent.schema.names]),
        "old": snapshots.relation(parent, work.blobs),
    }
    row = quoted(data.ROW)
    once = work.engine.stream(f"SELECT DISTINCT {row} FROM gone WHERE {there}", inputs).read_all()
    rows = thinning.of_json(once, data.ROW, parent.schema, work.engine)
    return rows.append_column(data.ROW, once[data.ROW].combine_chunks())


def _publish(
    act: Act,
    statement: HoldQuarantine,
    taken: list[_Taken],
    judged: tuple[pa.Table, pa.Table],
    manifest: Manifest,
    at: At,
    folder: str,
) -> Held:
    """Snapshot, what stays of the releases, the file of quarantine and the pointer, in one change of the state."""
    work, now = act.work, act.now()
    good, back = judged
    left = [
        (t.release, data.write(t.left, work.blobs, folder) if t.left.num_rows else None, t.left.num_rows)
        for t in taken
    ]
    rows = sum(t.rows.num_rows for t in taken)
    file = _file(back, work, folder) if back.num_rows else None
    with act.change(now) as change:
        for one, blob, count in left:
            releases.thin(change, one, blob, count)
        why = f"{statement.name}: taken back into quarantine: {statement.because}"
        made, number = moved_to(act, change, manifest, statement.name, at, why, back.num_rows)
        if file is not None:
            blob_of, size = file
            refreshes.hold(change, Quarantined(number, statement.name, blob_of, back.num_rows, size, now))
        said = {
            "releases": [t.release.number for t in taken], "rows": rows, "held": back.num_rows, "snapshot": manifest.id,
            "because": statement.because,
        }  # fmt: skip
        change.audit("hold", statement.name, said)
    return Held(rows, back.num_rows, good.num_rows, manifest.id, made)


def _file(rows: pa.Table, work: Workspace, folder: str) -> tuple[str, int]:
    """The rows as a file of quarantine: its blob and bytes."""
    import pyarrow.parquet as pq

    path = os.path.join(folder, "held.parquet")
    pq.write_table(rows, path, compression="zstd")
    size = os.path.getsize(path)
    return work.blobs.put_file(path), size
