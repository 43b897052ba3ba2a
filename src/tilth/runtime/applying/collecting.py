"""Collecting a dataset as an act: the sources are opened, `ml.data.collect` does it, and what came out is recorded.

A refresh leaves its row and the result of every check whether it was published, stopped or failed; the snapshot's
row is there only when it was published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tilth.core.errors import CheckFailedError, TilthError
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.core.time import Instant, show_duration
from tilth.ml.data import inherited, reading, untimely
from tilth.ml.data.apart import Apart
from tilth.ml.data.collect import Collected, collect
from tilth.ml.data.healing import Healed, Seen, Span
from tilth.ml.data.reading import find_source
from tilth.ml.data.snapshots import plain_schema
from tilth.ports.arrow import schema_of
from tilth.ports.history import History
from tilth.ports.snapshots import CheckResult, Manifest
from tilth.ports.source import Notice, Source
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.act import Act
from tilth.runtime.applying import shapes
from tilth.runtime.applying.notices import of_source
from tilth.runtime.applying.shapes import Shapes
from tilth.runtime.record import (
    leakage,
    names,
    notices,
    refreshes,
    releases,
    schemas,
    scrubs,
    snapshots,
    states,
    waits,
)
from tilth.runtime.record.notices import Told
from tilth.runtime.record.refreshes import Compared, Quarantined, Refresh
from tilth.runtime.record.rows import Change, Reader, foreign
from tilth.runtime.unforeseen import known
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CheckKind, CreateDataset, Kind, NativeQuery, Query
from tilth.sql.queries import harmless, views
from tilth.sql.queries.pointintime import Timed

if TYPE_CHECKING:
    import pyarrow as pa


def refresh(
    act: Act,
    resource: Resource,
    declared: CreateDataset,
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    parent: Manifest | None,
    times: Mapping[str, Timed],
    graph: Graph | None = None,
    again: Span | None = None,
) -> Collected:
    """Collect, vet and record, with what changed in the columns of its tables where the graph says who depends on it.

    Raises what collecting raises after that was recorded too. `times` are of datasets, by name.
    """
    work, now, known_as = act.work, act.now(), names.origins(act.work.state)
    tokens = change_tokens(resource, sources, lambda source: known_as.origin(Kind.SOURCE, source))
    looked = shapes.look(work, graph, resource, sources) if graph is not None else None
    try:
        past = states.history(work.state, declared.name, resource.recipe) if _learns(declared) else History()
        found = collect(
            declared, resource.recipe, sources, datasets, work.engine, work.blobs, parent, now, act.progress,
            history=past, seen=_seen(work, parent), again=again, released=_released(work, declared.name), held=_held(work, resource.recipe),
        )  # fmt: skip
    except Exception as raised:
        error = known(raised)
        results = error.results if isinstance(error, CheckFailedError) else ()
        status = refreshes.STOPPED if isinstance(error, CheckFailedError) else refreshes.FAILED
        with act.change(now) as change:
            one = Refresh(declared.name, resource.recipe, status, act.now(), tokens, reason=error.message)
            _add(change, one, results)
            _reshaped(change, declared.name, looked, status, now)
        if looked is not None and isinstance(error, TilthError):
            error.detail = tuple(dict.fromkeys((*error.detail, *looked.lines)))
        raise error from error.__cause__
    if looked is not None:
        found = replace(found, notices=(*looked.notices, *found.notices))
    mended = _mended(work, found.manifest)
    judged = _judged(act, resource.recipe, declared, sources, datasets, times, found.manifest)
    with act.change(now) as change:
        snapshots.add(change, found.manifest, now)
        waits.forget(change, resource.recipe)
        snapshots.put_seen(change, found.manifest.id, found.seen.plain() if found.seen else None)
        if mended is not None:
            _mend(change, declared.name, mended)
        one = Refresh(
            declared.name, resource.recipe, refreshes.PUBLISHED, act.now(), tokens, found.manifest.id,
            found.rows_read, found.rows_quarantined, whole=found.whole, compared=_compared(found.healed),
        )  # fmt: skip
        number = _add(change, one, found.results)
        states.add(change, resource.recipe, found.states, now)
        _reshaped(change, declared.name, looked, refreshes.PUBLISHED, now)
        if judged is not None:
            leakage.put(change, declared.name, resource.recipe, judged, found.manifest.id, now)
        told = told_of(change, declared, found, resource.recipe)
        notices.put(change, notices.DATASET, declared.name, resource.recipe, told, now)
        if (kept := found.quarantine) is not None:
            held = Quarantined(number, declared.name, kept.blob, kept.rows, kept.bytes, now)
            refreshes.hold(change, held)
    return found


def _learns(declared: CreateDataset) -> bool:
    return any(e.kind in (CheckKind.USUAL, CheckKind.SET) for e in declared.expect)


def told_of(reader: Reader, declared: CreateDataset, found: Collected, recipe: str) -> list[Told]:
    """What is told of a collection: by its sources, what may be missed of them, of its checks, and of rows that hold what came later."""
    return [
        *(of_source(name, notice) for name, notice in (*found.notices, *_unguarded(declared, found))),
        *(Told(t.kind, t.text, None, t.column, t.option) for t in found.told),
        *_leaks(reader, recipe),
    ]


def _released(work: Workspace, dataset: str) -> list[str]:
    """Files of rows that a person let out of quarantine."""
    return [work.blobs.path(r.blob) for r in releases.of(work.state, dataset)]


def _held(work: Workspace, recipe: str) -> list[str]:
    """Files of rows that were held back since the sources were read whole."""
    return [work.blobs.path(q.blob) for q in refreshes.held_since(work.state, recipe)]


def _seen(work: Workspace, parent: Manifest | None) -> Seen | None:
    """What the sources held when the parent was collected; None where nothing was kept, or it is not to be read."""
    plain = snapshots.seen(work.state, parent.id) if parent is not None else None
    try:
        return None if plain is None else Seen.from_plain(plain)
    except (KeyError, TypeError, ValueError) as error:
        raise foreign("What is kept of the days of a source is none.") from error


def _compared(healed: Healed | None) -> Compared:
    if healed is None:
        return Compared()
    return Compared(
        healed.by, healed.checked, len(healed.healed), healed.reread, healed.counted, healed.seconds
    )


def _unguarded(declared: CreateDataset, found: Collected) -> tuple[tuple[str, Notice], ...]:
    """That rows of transactions that end late can be missed, where their source has transactions and does not tell."""
    if found.healed is None or not found.healed.unguarded:
        return ()
    days = declared.refresh.heal
    how = f"HEAL finds them for {show_duration(days)}" if days else "LOOKBACK and HEAL read days again"
    text = f"rows of transactions that end late can be missed: {found.healed.unguarded}; {how}"
    return ((declared.name, Notice("left_out", declared.name, text)),)


def _judged(
    act: Act,
    recipe: str,
    declared: CreateDataset,
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    times: Mapping[str, Timed],
    manifest: Manifest,
) -> untimely.Judged | None:
    """Whether its rows can hold what came after them, the first time that the recipe is collected; None where it is known or asked of nothing."""
    work = act.work
    if declared.event_time is None or leakage.of(work.state, recipe) is not None:
        return None
    schemas = reading.schemas_of(declared.query.sql, sources, datasets, declared.query.position)
    judged = untimely.by_text(declared, schemas, times)
    if judged.verdict != untimely.PROVEN:
        judged = _tried(act, declared, judged, manifest, schemas, sources, datasets, times)
    of = {n: leakage.of(work.state, m.recipe) for n, m in datasets.items() if n in schemas}
    brought = {n: inherited.Known(k.verdict, k.why, k.columns) for n, k in of.items() if k is not None}
    return inherited.inherited(judged, declared.query.sql, brought, manifest.schema.names)


def _tried(
    act: Act,
    declared: CreateDataset,
    judged: untimely.Judged,
    manifest: Manifest,
    schemas: Mapping[str, Schema],
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    times: Mapping[str, Timed],
) -> untimely.Judged:
    """What the trial of what the text leaves open says."""
    work = act.work
    act.progress.step(f"try {declared.name} without later rows")
    asked = work.engine if harmless.query(declared.query.sql) else Apart(work.engine)
    try:
        return untimely.tried(
            declared, judged, manifest, schemas, sources, datasets, times, asked, work.engine, work.blobs
        )
    except TilthError as error:
        return untimely.untried(judged, error.message)


def _leaks(reader: Reader, recipe: str) -> Iterator[Told]:
    """What a trial found to change with what came later."""
    found = leakage.of(reader, recipe)
    if found is not None and found.verdict == untimely.LEAKS:
        advice = "Join it AS OF the row's event time, end windows at the row, or leave it out of FEATURES."
        yield Told("leakage", f"Rows hold what came after them: {found.why}", option=advice)


def _add(change: Change, one: Refresh, results: Sequence[CheckResult]) -> int:
    """The refresh with its checks; its number."""
    number = refreshes.add(change, one, results)
    change.audit("refresh", one.dataset, {"refresh": number, "status": one.status, "snapshot": one.snapshot})
    return number


def _reshaped(change: Change, dataset: str, looked: Shapes | None, status: str, at: Instant) -> None:
    """Write down what changed in the columns, and, where the rows are published, what they are from now on."""
    if looked is None:
        return
    schemas.add(change, dataset, [(at_, one, effect) for _, at_, one, effect in looked.changes], status, at)
    if status == refreshes.PUBLISHED:
        schemas.put(change, dataset, looked.now, at)


def _mend(change: Change, dataset: str, mended: Manifest) -> None:
    """Give a snapshot the files that take the place of its damaged ones."""
    snapshots.mend(change, mended)
    for blob in (b for part in mended.parts for b in part.blobs):
        scrubs.forget(change, blob)
    change.audit("mend", dataset, {"snapshot": mended.id})


def native(query: NativeQuery, sources: Mapping[str, Source]) -> tuple[dict[str, Source], Query]:
    """A native query as a source with one table, and the query that reads it; over the source's tables where it has no language."""
    source = find_source(query.source, sources)
    if not getattr(source, "speaks", True):
        return dict(sources), Query(views.of_source(query.sql, query.source))
    rows = _NativeRows(source, query)
    return {"native": rows}, Query("SELECT * FROM native.rows", query.position)


class _NativeRows:
    """The result of a native query, as a source with the table `rows`."""

    def __init__(self, source: Source, query: NativeQuery) -> None:
        self._source, self._query = source, query

    def tables(self) -> tuple[str, ...]:
        return ("rows",)

    def describe(self, table: str) -> Schema:
        assert table == "rows"
        reader = self._source.native(self._query.sql)
        try:
            return schema_of(plain_schema(reader.schema))
        finally:
            reader.close()

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        assert scan.columns is None
        assert not scan.where
        return self._source.native(self._query.sql)

    def native(self, sql: str) -> pa.RecordBatchReader:
        return self._source.native(sql)

    def change_token(self, table: str) -> str | None:
        assert table == "rows"
        return None

    def close(self) -> None: ...


def change_tokens(
    resource: Resource, sources: Mapping[str, Source], first: Callable[[str], str]
) -> dict[str, str]:
    """What stands for the content of each source table that the dataset reads, of those that can tell.

    `first` gives the first name of a source, by which its tables are remembered.
    """
    out = {}
    for table in resource.tables:
        source = sources.get(table.source)
        token = source.change_token(table.table) if source is not None else None
        if token is not None:
            out[f"{first(table.source)}.{table.table}"] = token
    return out


def _mended(work: Workspace, fresh: Manifest) -> Manifest | None:
    """The snapshot of the same content that is recorded already, with the fresh files, when its own are not all whole."""
    known = snapshots.get(work.state, fresh.id)
    before = known.manifest if known is not None else None
    if before is None or all(work.blobs.intact(blob) for p in before.parts for blob in p.blobs):
        return None
    return replace(before, parts=fresh.parts)
