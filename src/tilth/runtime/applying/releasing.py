"""RELEASE QUARANTINE: rows that are held back are repaired, vetted again and published beside those of the snapshot.

All of them or none: where one still fails, the check is named and nothing changes. What was released holds for its KEY and for what
the source gave, and is put in its place at every later refresh (`ml.data.releasing`), until the source gives something else.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from tilth.core.errors import CheckFailedError, DataError, ProjectError
from tilth.core.names import quoted
from tilth.core.schema import Schema
from tilth.ml.data import checks as checking
from tilth.ml.data import merge, referring, releasing, snapshots, thinning, windows
from tilth.ml.data import rows as kept
from tilth.ml.data.apart import Apart
from tilth.ml.data.checks import Checks
from tilth.ml.data.reading import Reading
from tilth.ml.data.rows import Rows
from tilth.ml.data.snapshots import Written, event_text
from tilth.plan.snapshot import Pointer
from tilth.ports.engine import Relation
from tilth.ports.snapshots import Manifest, Part
from tilth.resources.graph import Graph
from tilth.runtime import sources
from tilth.runtime.act import Act
from tilth.runtime.moving.publishing import Move, insert
from tilth.runtime.record import environments, refreshes, releases
from tilth.runtime.record import snapshots as recorded
from tilth.runtime.record.refreshes import Quarantined, Refresh
from tilth.runtime.record.rows import Change
from tilth.runtime.workspace import Workspace
from tilth.sql.language.mending import ReleaseQuarantine
from tilth.sql.language.statements import CreateDataset, Kind

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Released:
    """How many rows were published, the snapshot that they are in, and the generation that points at it."""

    rows: int
    snapshot: str
    generation: int


@dataclass(frozen=True, slots=True)
class At:
    """Where a dataset stands in an environment."""

    generation: int
    pointers: tuple[Pointer, ...]
    pointer: Pointer
    target: str  # the id of its snapshot
    recipe: str


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows of one file of quarantine that are to be released, and what stays in it."""

    file: Quarantined
    rows: pa.Table
    left: pa.Table


def release(act: Act, graph: Graph, statement: ReleaseQuarantine) -> Released:
    """Release the rows that meet the condition; called while nobody else applies to the environment."""
    work, folder = act.work, act.work.blobs.scratch()
    declared, at = ready(act, graph, statement.name)
    _keeps_key(declared, statement)
    parent = recorded.manifest_of(work.state, at.target)
    holds: list[Reading] = []
    try:
        with ExitStack() as stack:
            checks = checking.checks_of(declared, parent.schema, work.engine)
            references = references_of(act, graph, checks, stack, holds)
            found = _found(work, statement, at.recipe, parent.schema)
            rows = _repaired(act, found, statement, checks, references)
            manifest = manifest_with(act, parent, rows, checks, folder)
        return _publish(act, statement, found, rows, manifest, at, folder)
    finally:
        for held in holds:
            held.close()
        shutil.rmtree(folder, ignore_errors=True)


def _keeps_key(declared: CreateDataset, statement: ReleaseQuarantine) -> None:
    """Raise for a repair of the KEY: it would take the place of the row that has that KEY at the source, now or later."""
    keys = {k.lower() for k in declared.key}
    for column, _ in statement.sets:
        if column.lower() in keys:
            raise ProjectError(
                f"`{column}` is of the KEY of dataset `{declared.name}`, and a release holds for the KEY that the source gave.",
                hint="Correct the KEY at its source, or in the dataset's query.",
            )


def ready(act: Act, graph: Graph, name: str) -> tuple[CreateDataset, At]:
    """The dataset and where it stands; ProjectError for one without KEY, or that is not collected as it is declared."""
    resource = graph.get(name)
    declared = resource.as_(CreateDataset)
    generation, pointers = environments.pointers_of(act.work.state, act.environment)
    pointer = next(p for p in pointers if p.kind is Kind.DATASET and p.name == name)
    if not declared.key:
        raise ProjectError(
            f"Dataset `{name}` has no KEY, so nothing tells which rows a release holds for.",
            hint="Declare KEY (column), apply, and release then.",
        )
    if pointer.target is None or pointer.recipe not in resource.recipes:
        raise ProjectError(
            f"Dataset `{name}` is declared otherwise and not yet collected.", hint="Apply first."
        )
    return declared, At(generation, pointers, pointer, pointer.target, resource.recipe)


def references_of(
    act: Act, graph: Graph, checks: Checks, stack: ExitStack, holds: list[Reading]
) -> dict[str, Relation]:
    """The tables that REFERENCES checks look into, as inputs."""
    needed = {item.table[0] for item in checks.items if item.table is not None}
    if not needed:
        return {}
    opened = stack.enter_context(sources.opened(graph, act.work.root, needed))
    return referring.opened(checks, opened, act.work.blobs, holds)


def _found(work: Workspace, statement: ReleaseQuarantine, recipe: str, schema: Schema) -> list[_Held]:
    """The rows of quarantine that meet the condition, file by file, the newest first; none is an error."""
    import pyarrow as pa
    import pyarrow.compute as pc

    engine = thinning.apart(statement.where, work.engine, Apart(work.engine))
    thinning.check(statement.where, schema, engine)
    mine = refreshes.of_recipe(work.state, recipe)
    out = []
    for one in reversed([q for q in refreshes.quarantine(work.state) if q.refresh in mine]):
        rows = snapshots.file_rows(work.blobs.path(one.blob))
        query = pc.equal(rows["origin"], "query")
        some = rows.filter(query)
        values = thinning.of_json(some.select(["row"]), "row", schema, work.engine)
        truths = iter(thinning.hits(statement.where, values, values.num_rows, engine).to_pylist())
        hit = pa.array([bool(q) and bool(next(truths)) for q in query.to_pylist()], pa.bool_())
        if not pc.any(hit).as_py():
            continue
        taken = thinning.of_json(rows.filter(hit).select(["row"]), "row", schema, work.engine)
        taken = taken.append_column(releasing.ROW, rows.filter(hit)["row"].combine_chunks())
        out.append(_Held(one, taken, rows.filter(pc.invert(hit))))
    if not out:
        raise DataError(
            f"No row in quarantine of dataset `{statement.name}` meets the condition.",
            hint=f"SELECT row, reasons FROM tilth.quarantined_rows WHERE dataset = '{statement.name}' shows them.",
        )
    return out


def _repaired(
    act: Act,
    found: list[_Held],
    statement: ReleaseQuarantine,
    checks: Checks,
    references: Mapping[str, Relation],
) -> pa.Table:
    """The rows as they are to be published, which pass the checks; one a key, of the newest refresh."""
    import pyarrow as pa

    for column, _ in statement.sets:
        checks.schema.field(column)
    engine = Apart(act.work.engine)
    held = pa.concat_tables([h.rows for h in found])  # the newest first
    held = held.append_column("tilth_n", pa.array(range(held.num_rows), pa.int64()))
    keys = ", ".join(quoted(k) for k in checks.key)
    one = act.work.engine.stream(
        f"SELECT * EXCLUDE (tilth_n) FROM rows QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY tilth_n) = 1",
        {"rows": held},
    ).read_all()
    rows = releasing.repaired(one, checks.schema, statement.sets, engine)
    failing = releasing.fail(rows, checks, engine, dict(references))
    if failing:
        raise CheckFailedError(
            f"Nothing was released from dataset `{statement.name}`: {failing[0]}.",
            hint="Repair the rows with SET column = expression, or narrow the WHERE.",
            where=statement.position,
            detail=tuple(failing),
        )
    return rows


def manifest_with(
    act: Act, parent: Manifest, rows: pa.Table, checks: Checks, folder: str, gone: pa.Table | None = None
) -> Manifest:
    """The snapshot with the rows in it, and without those that are `gone`: of a key the one with the latest event time stays."""
    import pyarrow as pa

    work, schema = act.work, snapshots.empty(checks.schema).schema
    fresh = rows.select(checks.schema.names).cast(schema)
    taken = schema.empty_table() if gone is None else gone.select(checks.schema.names).cast(schema)
    low = _low(pa.concat_tables([fresh, taken]), checks)
    event = quoted(checks.event_time) if checks.event_time else ""
    edge = event_text(low) or "" if low is not None else ""
    old = [work.blobs.path(p.blob) for p in parent.parts if low is None or (p.event_max or "") >= edge]
    terms = [f"{event} >= TIMESTAMP '{low}'"] if low is not None else []
    terms += [releasing.not_among("old", "gone", checks)] if gone is not None else []
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    sql = (f"SELECT * FROM old{where} UNION ALL " if old else "") + "SELECT * FROM new"
    inputs: dict[str, Relation] = {**({"old": old} if old else {}), "new": fresh, "gone": taken}
    both = kept.spool(
        snapshots.plain_batches(work.engine.stream(sql, inputs), schema), schema, folder, "both", checks
    )
    repeats = kept.may_repeat(both, checks, work.engine)
    if repeats and not checks.event_time:
        raise DataError(
            "A row of the same KEY is published already, and without EVENT TIME none of both is the latest.",
            hint="Narrow the WHERE to rows whose KEY is not there.",
        )
    good = (
        both
        if both.ordered and not repeats
        else kept.ordered(both, checks, work.engine, {}, folder, drop=False, repeats=repeats)
    )
    parts = _parts(work, parent, good, checks, low, folder)
    done = tuple(p.put(work.blobs) if isinstance(p, Written) else p for p in parts)
    mark = windows.times(done, checks.event_time, act.now(), work.engine, work.blobs).watermark
    newest = max(filter(None, (mark, parent.watermark)), default=None)
    return Manifest(parent.dataset, parent.recipe, parent.schema, done, newest, parent.id)


def _low(fresh: pa.Table, checks: Checks) -> datetime | None:
    """The first event time of the rows."""
    import pyarrow.compute as pc

    if not checks.event_time:
        return None
    found = pc.min(fresh[checks.event_time]).as_py()
    return found if isinstance(found, datetime) else datetime.combine(found, datetime.min.time())


def _parts(
    work: Workspace, parent: Manifest, good: Rows, checks: Checks, low: datetime | None, folder: str
) -> tuple[Part | Written, ...]:
    if low is None:
        return good.parts or tuple(snapshots.write_parts(good.batches(), good.schema, folder, checks.marks))
    window = merge.Window(low, good, checks, work.engine, work.blobs, folder)
    return merge.merge(parent, window).kept


def _publish(
    act: Act,
    statement: ReleaseQuarantine,
    found: list[_Held],
    rows: pa.Table,
    manifest: Manifest,
    at: At,
    folder: str,
) -> Released:
    """Snapshot, release, quarantine without the rows and pointer, in one change of the state."""
    work, now = act.work, act.now()
    blob = releasing.write(rows, work.blobs, folder)
    files = [(h, _left(h, work, folder)) for h in found]
    with act.change(now) as change:
        number = releases.add(change, statement.name, blob, rows.num_rows, statement.because, now)
        for one, fresh in files:
            refreshes.thin(change, one.file, fresh)
            refreshes.fewer(change, one.file.refresh, one.rows.num_rows)
        said = {
            "release": number,
            "rows": rows.num_rows,
            "snapshot": manifest.id,
            "because": statement.because,
        }
        change.audit("release", statement.name, said)
        why = f"{statement.name}: released from quarantine: {statement.because}"
        made, _ = moved_to(act, change, manifest, statement.name, at, why)
    return Released(rows.num_rows, manifest.id, made)


def moved_to(
    act: Act, change: Change, manifest: Manifest, name: str, at: At, why: str, held: int = 0
) -> tuple[int, int]:
    """Publish a snapshot that a person made, and point at it: the generation, and the number of the refresh that it counts as."""
    work, now = act.work, act.now()
    last = refreshes.last_attempts(work.state).get(manifest.recipe)
    tokens = refreshes.last_tokens(work.state).get(manifest.recipe, {})
    recorded.add(change, manifest, now)
    recorded.put_seen(change, manifest.id, recorded.seen(work.state, at.target))
    when = last.at if last is not None else now  # nothing was asked of the source
    one = Refresh(
        name, manifest.recipe, refreshes.PUBLISHED, when, tokens, manifest.id, rows_quarantined=held
    )
    number = refreshes.add(change, one, ())
    moved = tuple(replace(p, target=manifest.id) if p == at.pointer else p for p in at.pointers)
    return insert(change, Move(act.environment, at.generation, why, now), moved), number


def _left(one: _Held, work: Workspace, folder: str) -> Quarantined | None:
    """What stays of a file of quarantine, as a file."""
    import os

    import pyarrow.parquet as pq

    if not one.left.num_rows:
        return None
    path = os.path.join(folder, f"left-{one.file.refresh}.parquet")
    pq.write_table(one.left, path, compression="zstd")
    size = os.path.getsize(path)
    return replace(one.file, blob=work.blobs.put_file(path), rows=one.left.num_rows, bytes=size)
