"""Write, audit, publish: a dataset's query becomes a snapshot, or an error and nothing.

The rows go to temporary files on the blobs' disk, the checks run over them there, and only then do files become blobs
and a manifest names them; what is not published is removed. With REFRESH ... INCREMENTAL and a parent made by the
same recipe, only rows from the parent's watermark less the lookback on are read, and take the place of the parent's
rows of that window (`merge`); more rows at the very watermark may have come since. The watermark is the newest event
time that is not later than now: a row from the future stays, is told, and is read again until its time has come.
Unchanged rows give the parent's manifest itself. With a file of the parent missing or damaged all rows are read, and
what has the parent's content mends it; an INCREMENTAL dataset whose sources give fewer rows by now is left as it is,
and what would be lost is said.

KEY is unique in every snapshot: of rows with the same key the one with the latest event time stays. Without an EVENT
TIME nothing says which is the latest, and a repeated key stops the collection. Rows that fail a QUARANTINE check,
that lack a value in KEY or EVENT TIME, and lines of files that do not parse are kept in a quarantine file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

from tilth.core.errors import DataError, ProjectError
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.core.time import Instant
from tilth.ml.data import checks as checking
from tilth.ml.data import (
    counting,
    healing,
    known,
    margins,
    patching,
    publishing,
    quarantine,
    reading,
    referring,
    releasing,
    snapshots,
    states,
    telling,
    windows,
)
from tilth.ml.data import merge as merging
from tilth.ml.data import rows as kept
from tilth.ml.data.apart import Apart
from tilth.ml.data.checks import Checks, RowCounts
from tilth.ml.data.rows import Rows
from tilth.ml.data.snapshots import Written
from tilth.ml.data.usual.found import Found
from tilth.ports.arrow import schema_of
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.history import History, States
from tilth.ports.progress import Progress
from tilth.ports.snapshots import CheckResult, Manifest, Part, QuarantineFile
from tilth.ports.source import Notice, Source
from tilth.sql.language.statements import CheckKind, CreateDataset
from tilth.sql.queries import harmless

if TYPE_CHECKING:
    import pyarrow as pa

USUAL = "usual"  # the kind of a check against the history


@dataclass(frozen=True, slots=True)
class Collected:
    """A snapshot ready to be recorded, and what was found on the way. `manifest.id` equals the parent's if nothing changed."""

    manifest: Manifest
    results: tuple[CheckResult, ...]
    quarantine: QuarantineFile | None
    rows_read: int
    rows_quarantined: int
    schema: Schema
    notices: tuple[tuple[str, Notice], ...] = ()  # what sources guessed or left out, with the source's name
    whole: bool = True  # all rows were read, not the new ones alone
    told: tuple[Notice, ...] = ()  # of its checks
    states: Mapping[str, tuple[str | None, bytes]] = field(default_factory=dict)  # counted, and of which file
    healed: healing.Healed | None = None  # what was compared with the source, of an INCREMENTAL dataset
    seen: healing.Seen | None = None  # of its sources, to be compared with at the next collection


@dataclass(slots=True)
class _Run:
    """One collection under way."""

    spec: CreateDataset
    recipe: str
    sources: Mapping[str, Source]
    datasets: Mapping[str, Manifest]
    engine: QueryEngine
    asked: QueryEngine  # for the dataset's query
    vetting: QueryEngine  # for its checks
    blobs: Blobs
    parent: Manifest | None
    now: Instant
    progress: Progress
    folder: str
    damaged: tuple[Part, ...] = ()  # of the parent
    start: windows.Start | None = None
    low: datetime | None = None  # rows from then on may change; all when None
    again: healing.Span | None = None  # days that are to be read whatever they hold
    released: Sequence[str] = ()  # files of rows that a person let out of quarantine
    held: Sequence[str] = ()  # files of rows that were held back since all was read
    healing: healing.Healing | None = None
    rows_read: int = 0
    scans: tuple[tuple[str, Scan], ...] = ()
    references: dict[str, Relation] = field(default_factory=dict)
    holds: list[reading.Reading] = field(default_factory=list)
    history: History = field(default_factory=History)
    states: States = field(default_factory=States)


def collect(
    spec: CreateDataset,
    recipe: str,
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    engine: QueryEngine,
    blobs: Blobs,
    parent: Manifest | None,
    now: Instant,
    progress: Progress,
    *,
    history: History | None = None,
    seen: healing.Seen | None = None,
    again: healing.Span | None = None,
    released: Sequence[str] = (),
    held: Sequence[str] = (),
) -> Collected:
    """Collect, vet and publish; CheckFailedError carries `.results` when an ON FAIL STOP does not hold.

    `seen` is what was seen of the sources when the parent was collected; the days `again` are read whatever they hold;
    `released` are files of rows that a person let out of quarantine (`releasing`), `held` those of rows held back since all was read.
    """
    folder = blobs.scratch()
    asked = engine if harmless.query(spec.query.sql) else Apart(engine)
    plain = all(harmless.expression(e.expression) for e in spec.expect if e.expression)
    vetting = engine if plain else Apart(engine)
    run = _Run(spec, recipe, sources, datasets, engine, asked, vetting, blobs, parent, now, progress, folder)
    run.history = history or History()
    run.states = States(run.history.states)
    try:
        run.damaged = publishing.damaged(parent, blobs) if parent else ()
        run.start = windows.start(spec, recipe, parent, now, engine, blobs) if not run.damaged else None
        run.again, run.released, run.held = again, released, held
        return _collected(run, seen)
    finally:
        for one in run.holds:
            one.close()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Vetted:
    """What was read, what was found, and what of it may be published; `repeated` rows gave way to others of their key."""

    raw: Rows
    checks: Checks
    counts: RowCounts
    good: Rows
    repeated: int


def _vetted(run: _Run, schemas: Mapping[str, Schema]) -> _Vetted:
    raw, checks = _read(run, schemas)
    if run.released:
        raw, _ = releasing.applied(run.released, raw, checks, run.engine, run.folder)
    if run.low is None:
        publishing.not_empty(run.spec, run.scans, raw.rows, stays=bool(run.parent))
    run.progress.step(f"vet {run.spec.name}", None, f"{raw.rows:,} rows")
    run.references = referring.opened(checks, run.sources, run.blobs, run.holds)
    by_file = run.low is not None or (run.spec.refresh.incremental and raw.rows > snapshots.FEW_ROWS)
    ahead = None if by_file else run.now
    counts = counting.count_rows(checks, raw.relation, run.vetting, run.references, ahead)
    good, repeated = _publishable(run, raw, checks, counts)
    return _Vetted(raw, checks, counts, good, repeated)


def _vanished(run: _Run, found: _Vetted) -> bool:
    """Whether a row that was from the future is not found in the window: all that the sources hold is looked at then."""
    event = found.checks.event_time
    if run.start is None or run.parent is None or event is None:
        return False
    return windows.vanished(
        run.parent, run.start.mark, found.good, found.checks.key, event, run.engine, run.blobs
    )


def _compared(run: _Run, schemas: Mapping[str, Schema], seen: healing.Seen | None) -> bool:
    """Ask the sources which days are to be read again; whether all rows are, for that cannot be told."""
    asking = healing.asking(run.spec, schemas, run.sources)
    run.low = run.start.low if run.start else None
    if asking is None:
        return False
    run.progress.step(f"collect {run.spec.name}", None, "comparing days with the source")
    run.healing = healing.begin(asking, run.start, seen, healing.first_day(run.parent))
    if run.again is not None:
        run.healing.again(run.again)
    run.low = run.healing.first
    return run.healing.everything


def _collected(run: _Run, seen: healing.Seen | None) -> Collected:
    run.progress.step(f"collect {run.spec.name}", None, "reading")
    schemas = reading.schemas_of(run.spec.query.sql, run.sources, run.datasets, run.spec.query.position)
    if vanished := _compared(run, schemas, seen):
        run.low = windows.FIRST
    vetted = _vetted(run, schemas)
    if not vanished and (vanished := _vanished(run, vetted)):
        run.low = windows.FIRST
        vetted = _vetted(run, schemas)
    if vanished:
        run.low = windows.first(vetted.raw, cast("str", vetted.checks.event_time), run.engine)
    raw, checks, counts, good = vetted.raw, vetted.checks, vetted.counts, vetted.good
    key_results = telling.of_key(checks, good.rows, vetted.repeated)
    parts, unchanged = _parts(run, good, checks)
    if raw.rows == 0:
        publishing.not_empty(run.spec, run.scans, sum(p.rows for p in parts), stays=bool(run.parent))
    times = windows.times(parts, checks.event_time, run.now, run.engine, run.blobs)
    total = sum(p.rows for p in parts)
    before = run.parent if run.parent and run.parent.recipe == run.recipe else None
    fewer = telling.of_volume(before, run.low, raw.rows, good.rows, total)
    told = (*key_results, *fewer, *times.results(checks.event_time))
    told += known.results(run.spec, parts, run.engine, run.blobs)
    usual = _usual(run, checks, parts, times)
    results = (*_results(run, checks, counts, parts, told, times.watermark), *usual.results)
    publishing.stop(run.spec, results, sum(p.rows for p in parts), stays=run.parent is not None)
    run.progress.step(f"publish {run.spec.name}", None, f"{sum(p.rows for p in parts):,} rows")
    whole = vanished or run.low is None
    held, bad = _quarantined(run, raw, checks, counts, () if whole else run.held)
    manifest = _publish(run, checks, parts, times.watermark, unchanged=unchanged)
    tables = [(name, scan.table) for name, scan in run.scans]
    said = reading.notices_of(run.sources, tables)
    healed, fresh = _healed(run, good, checks, manifest)
    return Collected(
        manifest, results, held, run.rows_read, bad, manifest.schema, said, whole,
        tuple(usual.notices), _stated(run.states.new, parts), healed, fresh,
    )  # fmt: skip


def _healed(
    run: _Run, good: Rows, checks: Checks, manifest: Manifest
) -> tuple[healing.Healed | None, healing.Seen | None]:
    """What was healed, and what is to be remembered of the source."""
    one = run.healing
    if one is None:
        return None, None
    healed = one.healed
    if (
        healed.by == healing.ENGINE
        and run.parent is not None
        and run.start is not None
        and one.since is not None
    ):
        until = healing.midnight(run.start.low.date())
        days = patching.changed(run.parent, good, checks, one.since, until, run.engine, run.blobs)
        healed = replace(healed, healed=tuple(sorted({*healed.healed, *days})))
    return healed, one.seen(manifest.watermark)


# --- reading -----------------------------------------------------------------------------------------------


def _read(run: _Run, schemas: Mapping[str, Schema]) -> tuple[Rows, Checks]:
    """The query's rows, kept, and the checks that apply to their schema; where days are read again, with the snapshot's own of the others."""
    one = run.healing
    if one is None or run.parent is None or not one.spans or run.low == windows.FIRST:
        return _read_spans(run, schemas)
    for _ in range(patching.ROUNDS):
        rows, checks = _read_spans(run, schemas)
        again = patching.more(run.parent, rows, one, checks, run.engine, run.blobs)
        if not again:
            break
        one.spans = healing.joined(one.spans, again)
        run.low = one.first
    else:
        assert one.first is not None
        one.spans, one.low = (), one.first
        return _read_spans(run, schemas)
    return patching.patched(run.parent, rows, one, checks, run.engine, run.blobs, run.folder), checks


def _spans(run: _Run) -> list[reading.Since | None]:
    """What is read, span by span; all at once: [None]."""
    if run.low is None or run.low == windows.FIRST or not run.spec.event_time:
        return [None]
    one = run.healing
    if one is None or one.low is None:
        return [reading.Since(run.spec.event_time, run.low)]
    return [*healing.bounds(run.spec.event_time, one.spans, one.low)]


def _read_spans(run: _Run, schemas: Mapping[str, Schema]) -> tuple[Rows, Checks]:
    spans = _spans(run)
    run.rows_read, run.scans = 0, ()
    reader, inputs = _opened(run, schemas, spans[0])
    schema = _schema(run, reader.schema)
    known = run.parent.schema if run.low is not None and run.parent else None
    checks = _checks(run, schema_of(schema), known)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from snapshots.plain_batches(reader, schema)
        _handed(run, spans[0], inputs)
        for span in spans[1:]:
            another, read = _opened(run, schemas, span)
            yield from snapshots.plain_batches(another, schema)
            _handed(run, span, read)

    return kept.spool(_counted(run, batches()), schema, run.folder, "read", checks), checks


def _opened(
    run: _Run, schemas: Mapping[str, Schema], since: reading.Since | None
) -> tuple[pa.RecordBatchReader, reading.Reading]:
    body = run.spec.query.sql.rstrip().rstrip(";")
    inputs = reading.open_inputs(run.spec.query.sql, schemas, run.sources, run.datasets, run.blobs, since)
    run.holds.append(inputs)
    return run.asked.stream(body if since is None else since.of(body), inputs.inputs), inputs


def _handed(run: _Run, since: reading.Since | None, inputs: reading.Reading) -> None:
    """A span was read to its end: its rows are counted, and compared with what its source had counted before."""
    run.rows_read += inputs.rows
    run.scans = (*run.scans, *inputs.scans)
    if run.healing is not None and since is not None:
        run.healing.handed(since, inputs.rows)


def _counted(run: _Run, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        run.progress.step(f"collect {run.spec.name}", None, f"{rows:,} rows read")
        yield batch


def _schema(run: _Run, schema: pa.Schema) -> pa.Schema:
    """The types that the rows are kept in: those of the parent's files when they are added to."""
    import pyarrow.parquet as pq

    plain = snapshots.plain_schema(schema)
    lowered = [n.lower() for n in plain.names]
    twice = sorted({n for n in lowered if lowered.count(n) > 1})
    if twice:
        raise ProjectError(
            f"The query of dataset `{run.spec.name}` returns column `{twice[0]}` twice.",
            hint=f"Name one of them differently, or leave it out: SELECT * EXCLUDE ({twice[0]}).",
            where=run.spec.query.position,
        )
    if run.low is None or run.parent is None:
        return plain
    before = pq.read_schema(run.blobs.path(run.parent.parts[0].blob)).remove_metadata()
    if before.names != plain.names:
        raise DataError(
            f"The query of dataset `{run.spec.name}` returns other columns than before: {', '.join(plain.names)}.",
            hint="A table of a source has changed. Name the columns in the query instead of *, then apply.",
        )
    return before


def _checks(run: _Run, schema: Schema, known: Schema | None) -> Checks:
    """The checks; over a schema that they bound to before, they are not bound again."""
    if known is not None and known == schema:
        event = schema.field(run.spec.event_time).name if run.spec.event_time else None
        key = tuple(schema.field(k).name for k in run.spec.key)
        return checking.with_gaps(Checks(run.spec.expect, key, event, schema), run.engine)
    return checking.checks_of(run.spec, schema, run.engine)


# --- vetting -----------------------------------------------------------------------------------------------


def _publishable(run: _Run, raw: Rows, checks: Checks, counts: RowCounts) -> tuple[Rows, int]:
    """The rows without the bad, one a key, in order; and how many were superseded by another of the same key."""
    repeats = kept.may_repeat(raw, checks, run.engine)
    if not counts.bad and not repeats and raw.ordered:
        return raw, 0
    good = kept.ordered(
        raw,
        checks,
        run.vetting if counts.bad else run.engine,
        run.references,
        run.folder,
        drop=counts.bad > 0,
        repeats=repeats,
    )
    return good, raw.rows - counts.bad - good.rows


def _results(
    run: _Run,
    checks: Checks,
    counts: RowCounts,
    parts: tuple[Part | Written, ...],
    first: tuple[CheckResult, ...],
    mark: str | None,
) -> tuple[CheckResult, ...]:
    """All results in the order of the EXPECT list, after those of KEY and EVENT TIME."""
    files = [p.path if isinstance(p, Written) else run.blobs.path(p.blob) for p in parts]
    found = margins.of_rows(checking.row_results(checks, counts), checks.items, checks.schema, files)
    total = sum(p.rows for p in parts)
    published = snapshots.opened(files, total) if files else snapshots.empty(checks.schema)
    answered = dict(counts.ahead) if not counts.bad and total == counts.rows else {}
    if not answered and total > snapshots.FEW_ROWS:
        each = [(p.content, snapshots.opened([f], p.rows)) for p, f in zip(parts, files, strict=True)]
        answered = states.answered(checks, each, run.states, run.vetting)
        answered |= checking.newest(checks, mark)
    found |= checking.set_results(checks, published, run.vetting, run.now, total, answered)
    return (*first, *checking.needed_results(checks, counts), *(found[i] for i in sorted(found)))


def _usual(run: _Run, checks: Checks, parts: tuple[Part | Written, ...], times: windows.Times) -> Found:
    """What the dataset's history says of what would be published."""
    if not any(e.kind is CheckKind.USUAL for e in run.spec.expect):
        return Found()
    from tilth.ml.data.usual import judging

    run.progress.step(f"vet {run.spec.name}", None, "against its history")
    files = [(p.content, p.path if isinstance(p, Written) else run.blobs.path(p.blob)) for p in parts]
    total = sum(p.rows for p in parts)
    opened = snapshots.opened([f for _, f in files], total) if files else snapshots.empty(checks.schema)
    ends = [(p.event_min, p.event_max) for p in parts if p.event_min and p.event_max]
    span = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None
    alone = [
        (content, snapshots.opened([file], p.rows)) for (content, file), p in zip(files, parts, strict=True)
    ]
    data = judging.Data(
        run.spec, run.recipe, checks.schema, alone, opened, total, times.watermark, span, run.now
    )
    found: Found = judging.judge(data, run.history, run.states, run.engine)
    return found


def _stated(
    states: Mapping[str, bytes], parts: tuple[Part | Written, ...]
) -> dict[str, tuple[str | None, bytes]]:
    """States with the content of the file that each is of."""
    contents = {p.content for p in parts}
    return {k: (c if (c := k.rpartition(":")[2]) in contents else None, v) for k, v in states.items()}


def _quarantined(
    run: _Run, raw: Rows, checks: Checks, counts: RowCounts, known_files: Sequence[str]
) -> tuple[QuarantineFile | None, int]:
    """What is kept of the rows that are held back, and how many there are."""
    broken = quarantine.broken_rows(run.sources, run.scans)
    if not counts.bad and broken.num_rows == 0:
        return None, 0
    inputs = {checking.ROWS: raw.relation, **run.references} if counts.bad else None
    return quarantine.write(checks, inputs, broken, run.vetting, run.blobs, run.folder, known_files)


# --- publishing --------------------------------------------------------------------------------------------


def _parts(run: _Run, good: Rows, checks: Checks) -> tuple[tuple[Part | Written, ...], bool]:
    """The parts that the snapshot will have, and whether it is the parent's."""
    if run.low is not None and run.parent is not None:
        window = merging.Window(run.low, good, checks, run.engine, run.blobs, run.folder)
        merged = merging.merge(run.parent, window)
        return merged.kept, merged.unchanged
    written = good.parts or tuple(
        snapshots.write_parts(good.batches(), good.schema, run.folder, checks.marks)
    )
    return written, False


def _publish(
    run: _Run, checks: Checks, parts: tuple[Part | Written, ...], watermark: str | None, *, unchanged: bool
) -> Manifest:
    if unchanged and run.parent is not None:
        return run.parent
    draft = Manifest(run.spec.name, run.recipe, checks.schema, tuple(publishing.draft(p) for p in parts))
    same = run.parent is not None and run.parent.id == draft.id
    if same and not run.damaged and run.parent is not None:
        return run.parent
    if not same:
        publishing.not_lost(run.spec, run.recipe, run.parent, run.damaged, draft.rows)
    done = tuple(p.put(run.blobs) if isinstance(p, Written) else p for p in parts)
    if same and run.parent is not None:
        return replace(run.parent, parts=done)
    marks = [watermark, run.start.mark if run.start else None]  # rows that are gone had moved it, too
    parent = run.parent.id if run.parent else None
    return replace(draft, parts=done, watermark=max(filter(None, marks), default=None), parent=parent)
