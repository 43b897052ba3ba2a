"""FORGET FROM d WHERE condition: rows of a dataset leave every snapshot that is kept, the quarantine and the prediction log.

Files without them are written first, under names that nothing points at. One change of the state then gives all snapshots and files
of quarantine their new files: before it nothing is forgotten, after it all of it is, whenever the process dies. What follows removes files
that nothing names any more and records of the prediction log; it is done again by the next FORGET, `tilth gc` or the reconciler until it
was done, and only then the condition goes from the state, which holds it till then.

A snapshot keeps the id that it was published with, so what points at it still does; `forgets` holds the digest of what is left of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TilthError
from tilth.core.schema import Field, Schema
from tilth.ml.data import thinning
from tilth.ml.data.apart import Apart
from tilth.ports.engine import QueryEngine
from tilth.ports.snapshots import Manifest, Part
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.act import Act
from tilth.runtime.applying.sweeping import sweep
from tilth.runtime.record import forgets, names, refreshes, releases, snapshots, statements, versions
from tilth.runtime.record.forgets import Forgotten
from tilth.runtime.record.refreshes import Quarantined
from tilth.runtime.record.releases import Release
from tilth.runtime.record.snapshots import Snapshot
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateEndpoint, Kind

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Found:
    """What a FORGET took out, and what it could not reach."""

    rows: int = 0
    snapshots: dict[str, str] = field(default_factory=dict)
    quarantined: int = 0
    predictions: int = 0
    statements: int = 0  # whose texts went
    waiting: int = 0  # predictions in a segment that is still written to
    models: list[str] = field(default_factory=list)  # versions that learned from rows that went
    unreached: list[str] = field(default_factory=list)


def forget(act: Act, graph: Graph, dataset: str, where: str, schema: Schema) -> Found:
    """Take the rows out; called while nobody makes or applies anything. Errors leave everything as it was."""
    work, found = act.work, Found()
    engine = thinning.apart(where, work.engine, Apart(work.engine))
    thinning.check(where, schema, engine)
    folder = work.blobs.scratch()
    try:
        thinned = list(_snapshots(act, dataset, where, engine, folder, found))
        freed = list(_releases(act, dataset, where, engine, folder, found))
        held = list(_quarantine(act, dataset, where, schema, engine, folder, found))
        found.models = _learned(work, found.snapshots)
        number = _commit(act, dataset, where, thinned, held, freed, found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _rest(act, number, dataset, where, schema, found)
    _unreached(work, graph, dataset, found)
    return found


def resume(act: Act) -> int:
    """Do what is left of each FORGET whose process died, or that met a segment that was written to; how many."""
    left = [f for f in forgets.all_of(act.work.state) if f.condition is not None]
    for one in left:
        schema = _schema_of(act.work, one.dataset)
        assert one.condition is not None
        if schema is not None:
            _rest(act, one.number, one.dataset, one.condition, schema, Found())
    return len(left)


def _schema_of(work: Workspace, dataset: str) -> Schema | None:
    found = [s for s in snapshots.all_of(work.state) if _is_of(work, s.dataset, dataset)]
    return found[-1].manifest.schema if found else None


def _is_of(work: Workspace, one: str, dataset: str) -> bool:
    known = names.origins(work.state)
    return known.origin(Kind.DATASET, one) == known.origin(Kind.DATASET, dataset)


# --- snapshots and quarantine ------------------------------------------------------------------------------


def _snapshots(
    act: Act, dataset: str, where: str, engine: QueryEngine, folder: str, found: Found
) -> Iterator[Manifest]:
    """The manifests of the snapshots that hold such rows, without them."""
    work = act.work
    parts: dict[str, Any] = {}  # by blob: snapshots share most of their parts
    mine = [s for s in snapshots.all_of(work.state) if _is_of(work, s.dataset, dataset)]
    for number, one in enumerate(mine):
        act.progress.step(
            f"forget from {dataset}", number / len(mine), f"snapshot {number + 1} of {len(mine)}"
        )
        if (missing := _missing(where, one, engine)) is not None:
            found.unreached.append(missing)
            continue
        for part in one.manifest.parts:
            if part.blob not in parts:
                parts[part.blob] = thinning.part(part, where, engine, work.blobs, folder)
        left = tuple(p for p in (parts[p.blob] for p in one.manifest.parts) if p is not None)
        if left == one.manifest.parts:
            continue
        found.rows += one.rows - sum(p.rows for p in left)
        made = replace(one.manifest, parts=left, known_as=one.id)
        found.snapshots[one.id] = made.content
        yield made


def _releases(
    act: Act, dataset: str, where: str, engine: QueryEngine, folder: str, found: Found
) -> Iterator[tuple[Release, str | None, int]]:
    """Files of rows that were let out of quarantine, each with what takes its place."""
    work = act.work
    for one in releases.of(work.state, dataset):
        if (why := _lacks(where, work.blobs.path(one.blob), engine)) is not None:
            found.unreached.append(
                f"release {one.number} of an earlier declaration, of which the condition cannot be asked: {why}"
            )
            continue
        left = thinning.part(Part(one.blob, "", one.rows, 0), where, engine, work.blobs, folder)
        if left is None or left.blob != one.blob:
            yield one, None if left is None else left.blob, 0 if left is None else left.rows


def _lacks(where: str, file: str, engine: QueryEngine) -> str | None:
    try:
        engine.stream(f"SELECT ({where}) AS hit FROM rows LIMIT 0", {"rows": [file]}).read_all()
    except TilthError as error:
        return error.message
    return None


def _missing(where: str, one: Snapshot, engine: QueryEngine) -> str | None:
    """Why the condition cannot be asked of a snapshot of an earlier declaration."""
    try:
        thinning.check(where, one.manifest.schema, engine)
    except TilthError as error:
        return f"snapshot {one.id[:12]} of an earlier declaration, of which the condition cannot be asked: {error.message}"
    return None


def _quarantine(
    act: Act, dataset: str, where: str, schema: Schema, engine: QueryEngine, folder: str, found: Found
) -> Iterator[tuple[Quarantined, Quarantined | None]]:
    """Files of rows that are held back, each with what takes its place."""
    work, unread = act.work, 0
    for one in refreshes.quarantine(work.state):
        if not _is_of(work, one.dataset, dataset):
            continue
        fresh, gone, lines = thinning.held(
            work.blobs.path(one.blob), where, schema, engine, work.blobs, folder
        )
        unread += lines
        found.quarantined += gone
        if gone:
            yield (
                one,
                None if fresh is None else replace(one, blob=fresh.blob, rows=fresh.rows, bytes=fresh.bytes),
            )
    if unread:
        found.unreached.append(f"{unread:,} lines in quarantine that could not be read as rows")


def _learned(work: Workspace, thinned: dict[str, str]) -> list[str]:
    """Versions that learned from a snapshot that held such rows."""
    return [f"{v.model}@{v.version}" for v in versions.all_of(work.state) if v.snapshot in thinned]


def _commit(
    act: Act,
    dataset: str,
    where: str,
    thinned: list[Manifest],
    held: list[tuple[Quarantined, Quarantined | None]],
    freed: list[tuple[Release, str | None, int]],
    found: Found,
) -> int:
    now = act.now()
    with act.change(now) as change:
        for manifest in thinned:
            snapshots.thin(change, manifest)
            snapshots.put_seen(change, manifest.id, None)
        for one, fresh in held:
            refreshes.thin(change, one, fresh)
        for release, blob, rows in freed:
            releases.thin(change, release, blob, rows)
        new = Forgotten(0, dataset, where, found.rows, found.quarantined, found.snapshots)
        number = forgets.begin(change, new, found.models, now)
        said = {
            "forget": number,
            "rows": found.rows,
            "quarantined": found.quarantined,
            "snapshots": found.snapshots,
        }
        change.audit("forget", dataset, said)
    return number


# --- what follows ------------------------------------------------------------------------------------------


def _rest(act: Act, number: int, dataset: str, where: str, schema: Schema, found: Found) -> None:
    """Files that nothing names go, and records of the prediction log; written down as done when none is left."""
    act.progress.step(f"forget from {dataset}", None, "files and predictions")
    sweep(act.work)
    values = thinning.values_in(where)
    found.statements = statements.erase(act.work.state, lambda text: thinning.named(text, values))
    act.work.lookups.keep(())  # servers make them again of what is left
    found.predictions, found.waiting = _predictions(act.work, dataset, where, schema, found)
    if found.waiting:
        found.unreached.append(
            f"{found.waiting:,} predictions that a running server still writes beside: they go with the next `tilth gc` after it was started anew"
        )
        return
    now = act.now()
    with act.change(now) as change:
        forgets.end(change, number, found.predictions, now)
        change.audit("forgotten", dataset, {"forget": number, "predictions": found.predictions})


def _predictions(work: Workspace, dataset: str, where: str, schema: Schema, found: Found) -> tuple[int, int]:
    """Records of models that learn from the dataset and whose inputs meet the condition: how many went, and how many stay for now."""
    import pyarrow as pa

    mine = {s.id for s in snapshots.all_of(work.state) if _is_of(work, s.dataset, dataset)}
    models = {name for v in versions.all_of(work.state) if v.snapshot in mine for name in (v.model, v.origin)}
    used = thinning.names_in(where, schema.names)
    asked = Schema(tuple(Field(f.name, f.type, True) for f in schema if f.name in used))
    engine = thinning.apart(where, work.engine, Apart(work.engine))
    silent: set[str] = set()

    def hits(records: pa.Table) -> pa.Array:
        import pyarrow.compute as pc

        of = pc.is_in(records["model"], value_set=pa.array(sorted(models), pa.string())).combine_chunks()
        some = records.filter(of)
        if not some.num_rows or not len(asked.names):
            return pa.array([False] * records.num_rows, pa.bool_())
        rows = thinning.of_json(some.select(["inputs"]), "inputs", asked, work.engine)
        for name in used:
            if rows[name].null_count == rows.num_rows:
                silent.add(name)
        truths = iter(thinning.hits(where, rows, rows.num_rows, engine).to_pylist())
        return pa.array([bool(mine_) and bool(next(truths)) for mine_ in of.to_pylist()], pa.bool_())

    gone = work.log.drop(hits)
    if silent and not gone[0]:
        found.unreached.append(
            f"the prediction log, whose requests do not give {', '.join(sorted(silent))}: none of its records could be told"
        )
    return gone


def _looks_up(resource: Resource, dataset: str) -> bool:
    one = resource.as_(CreateEndpoint).look_up
    return one is not None and one.dataset == dataset


def _unreached(work: Workspace, graph: Graph, dataset: str, found: Found) -> None:
    """What holds such rows and is out of reach."""
    made = [r.name for r in graph.downstream(dataset) if r.kind is Kind.DATASET]
    if made:
        found.unreached.append(
            f"rows of {', '.join(made)}, which {'is' if len(made) == 1 else 'are'} made of {dataset}: FORGET FROM them too"
        )
    by = [r.name for r in graph.of_kind(Kind.ENDPOINT) if _looks_up(r, dataset)]
    if by and found.rows:
        found.unreached.append(
            f"the prediction log of {', '.join(by)}: inputs that were looked up in {dataset} stand there without its key"
        )
    if found.models:
        found.unreached.append(
            "what models learned: RETRAIN makes versions without it, and `tilth gc` removes the old bundles"
        )
    found.unreached.append(
        "statements of the log (`tilth.statements`) that name them in other words, and cases of `tilth test` that were made of their rows"
    )
    found.unreached.append(
        "backups, tables that were written into sources, and the sources: a refresh brings back what they still hold"
    )
    del work
