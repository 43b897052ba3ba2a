"""Looks at the models that an environment serves, each as often as its endpoint's WATCH says, and writes down what was seen.

A look compares the answers of WATCH's window with the profile, joins those whose truth was due in as long a time (the
last, or as much earlier as labels are late) with their outcomes, and rests in the tables `drift` and `quality`, from
which the planner's RETRAIN WHEN reads. A look on demand (`look_now`) is not written down, and so decides nothing. When a look is due is read from there too, so it survives a restart. The window
stays decoded in memory between looks, and only what was appended since is read. The figures are `ml.watching.monitoring`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from tilth.core.errors import TilthError
from tilth.core.figures import figure
from tilth.core.principals import reconciler
from tilth.core.schema import Schema
from tilth.core.time import Instant, show_instant
from tilth.ml.data.snapshots import file_rows
from tilth.ml.forecasting.signature import ENGINE
from tilth.ml.watching.logged import Answers, Watched, decode
from tilth.ml.watching.monitoring import Look, Tuned, joined, key_texts, look
from tilth.plan.snapshot import Pointer
from tilth.ports.predictions import BATCH, START
from tilth.ports.snapshots import Manifest
from tilth.resources.graph import Graph
from tilth.resources.naming import Histories
from tilth.resources.rules import duration_of
from tilth.runtime import unforeseen
from tilth.runtime.loading import verified
from tilth.runtime.record import (
    declarations,
    endpoints,
    environments,
    looks,
    names,
    snapshots,
    versions,
    writes,
)
from tilth.runtime.record.looks import Looked
from tilth.runtime.record.versions import Version
from tilth.runtime.watching import forecasts, tuning
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, Kind, Outcomes, Watch

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ml.forecasting.predicting import ForecastPredictor

Failed: TypeAlias = "Callable[[Served, TilthError], None]"
ANSWERED = ("champion", "canary")  # roles whose answers a client has seen


@dataclass(frozen=True, slots=True)
class Served:
    """A version that answers for a model in this environment, through which endpoints, since when.

    One without endpoints answers batches that are written into sources, and is looked at as WATCH says by default.
    """

    model: str
    version: int
    endpoints: tuple[str, ...]
    outcomes: tuple[tuple[str, Outcomes], ...]  # by target, in lower case
    began: Instant
    delay: timedelta = timedelta()  # after the event, until its truth is due
    watch: Watch = field(default_factory=Watch)

    @property
    def since(self) -> timedelta:
        """How far back its answers are looked at: the window, and as long before as the truth is waited for."""
        return self.watch.window + self.delay


def served(work: Workspace, environment: str) -> tuple[Served, ...]:
    """What answers now, by model and version; in a rollout the version that answers most.

    Of several endpoints of a version the shortest pace and the longest window hold for it. A model without an endpoint
    answers batches: its version counts once predictions of it were written somewhere.
    """
    with work.state.reading() as reader:
        _, pointers = environments.checked(reader, environment)
        current = endpoints.current(reader, environment)
        batches = writes.batches(reader, environment)
    found: dict[tuple[str, int], Served] = {}
    for p in pointers:
        at = current.get(p.name) if p.kind is Kind.ENDPOINT else None
        if at is None or at.answering is None:
            continue
        key = (at.model, at.answering)
        declared = declarations.endpoint(p)
        began, watch = at.created_at, declared.watch
        outcomes = tuple(declarations.truths(pointers, declared).items())
        if (same := found.get(key)) is not None:
            began, outcomes = min(began, same.began), same.outcomes or outcomes
            watch = replace(
                same.watch,
                every=min(watch.every, same.watch.every),
                window=max(watch.window, same.watch.window),
            )
        names = (*(same.endpoints if same else ()), p.name)
        found[key] = Served(*key, names, outcomes, began, _delay(pointers, key[0]), watch)
    behind = {model for model, _ in found}
    for p in pointers:
        if p.kind is not Kind.MODEL or p.target is None or p.name in behind:
            continue
        key = (p.name, int(p.target))
        if key in batches:
            found[key] = Served(*key, (), (), batches[key], _delay(pointers, p.name))
    return tuple(found[k] for k in sorted(found))


def _delay(pointers: Sequence[Pointer], model: str) -> timedelta:
    """The label delay that the model declares where it is served."""
    text = next((p.text for p in pointers if p.kind is Kind.MODEL and p.name == model), None)
    declared = None if text is None else declarations.declared(text)
    found = declared.objective.get("label_delay") if isinstance(declared, CreateModel) else None
    return duration_of(found) or timedelta()


def next_look(one: Served, last: Looked | None) -> Instant:
    """When the model is due to be looked at: a while after the last look, or after it began to be served."""
    return (one.began if last is None else last.at) + one.watch.every


def look_now(
    work: Workspace, environment: str, now: Instant, graph: Graph, names: Container[str]
) -> tuple[Look, ...]:
    """Look at the served models of these names (or of these endpoints), due or not. Nothing is written down, and so nothing
    is decided by it.
    """
    watcher = Watcher(work, environment)
    return watcher.take(
        now, graph, [s for s in served(work, environment) if any(n in names for n in (s.model, *s.endpoints))]
    )


@dataclass(slots=True)
class _Part:
    """What the bundle says of one target of a served version, and its answers of the window."""

    watched: Watched
    outcomes: Outcomes | None
    version: Version
    answers: Answers | None = None
    tuned: Tuned | None = None


@dataclass(slots=True)
class _Held:
    """A served version, by target."""

    one: Served
    parts: list[_Part]
    ahead: ForecastPredictor | None = None  # of a version that forecasts, which has no parts


class Watcher:
    """Looks at one environment, and remembers the window between looks. For one thread."""

    def __init__(self, work: Workspace, environment: str) -> None:
        self._work = work
        self._environment = environment
        self._held: dict[Served, _Held] = {}
        self._mark = START
        self._truth: dict[tuple[str, ...], tuple[pa.Array, pa.Array]] = {}

    def look(
        self,
        now: Instant,
        graph: Graph,
        only: Callable[[Served], bool] | None = None,
        failed: Failed | None = None,
    ) -> tuple[Look, ...]:
        """Look at the models that are due (of those that `only` allows), and write it down; the looks.

        One that cannot be looked at is handed to `failed`, and does not keep the others from it; without, it raises.
        """
        known = served(self._work, self._environment)
        last = looks.last(self._work.state, self._environment)
        due = [s for s in known if next_look(s, last.get(s.model)) <= now and (only is None or only(s))]
        taken = self.take(now, graph, due, known, failed) if due else ()
        if taken:
            record(self._work, self._environment, taken, now)
        return taken

    def take(
        self,
        now: Instant,
        graph: Graph,
        wanted: Sequence[Served],
        known: Sequence[Served] | None = None,
        failed: Failed | None = None,
    ) -> tuple[Look, ...]:
        """Look at what is wanted of what is `known` to be served (itself, if nothing is said); nothing is written down."""
        self._read(wanted if known is None else known, now, failed)
        taken = []
        for one in (s for s in wanted if s in self._held):
            with self._apart(one, failed):
                taken.append(self._one(self._held[one], now, graph))
        return tuple(taken)

    @contextmanager
    def _apart(self, one: Served, failed: Failed | None) -> Iterator[None]:
        """Whatever goes wrong with one served version is its own; its window is read anew at the next look."""
        try:
            yield
        except Exception as error:
            self._held.pop(one, None)
            if failed is None:
                raise
            failed(one, unforeseen.known(error))

    def _read(self, known: Sequence[Served], now: Instant, failed: Failed | None) -> None:
        """Bring the windows up to date; from the beginning when other versions are served than before.

        A window goes as far back as the truth of its oldest days is waited for.
        """
        if set(known) != set(self._held):
            self._held, self._mark, self._truth = {}, START, {}
            for one in known:
                with self._apart(one, failed):
                    self._held[one] = self._hold(one)
        starts = {one: show_instant(now - one.since) for one in self._held}
        since = min(starts.values(), default=show_instant(now))
        fresh, self._mark = self._work.log.table(self._mark, since=since)
        known_as = names.origins(self._work.state)
        for one, held in tuple(self._held.items()):
            with self._apart(one, failed):
                records = _of(fresh, self._environment, one, known_as)
                for part in held.parts:
                    found = decode(part.watched, records)
                    whole = found if part.answers is None else part.answers.and_(found)
                    part.answers = whole.since(starts[one])

    def _hold(self, one: Served) -> _Held:
        version = versions.require(self._work.state, one.model, one.version)
        if version.engine == ENGINE:
            return _Held(one, [], forecasts.loaded(self._work, version))
        return _Held(one, self._parts(one, version))

    def _parts(self, one: Served, version: Version) -> list[_Part]:
        sealed, truths = Watched.of_each(verified(self._work, version).files), dict(one.outcomes)
        if len(sealed) == len(truths) == 1:  # whatever a single target is called
            truths = {sealed[0].signature.target.lower(): next(iter(truths.values()))}
        return [
            _Part(self._watched(one, w, truth := truths.get(w.signature.target.lower())), truth, row)
            for w, row in zip(sealed, version.parts, strict=True)
        ]

    def _watched(self, one: Served, sealed: Watched, truth: Outcomes | None) -> Watched:
        bare = replace(sealed, signature=replace(sealed.signature, model=one.model))
        if truth is None:
            return bare
        logged = {i.name.lower(): i.name for i in (*bare.signature.inputs, *bare.signature.carried)}
        return replace(bare, keys=tuple(logged.get(k.lower(), k) for k in truth.key))

    def _one(self, held: _Held, now: Instant, graph: Graph) -> Look:
        _, pointers = environments.pointers_of(self._work.state, self._environment)
        pointed = {p.name: p.target for p in pointers if p.kind is Kind.DATASET and p.target is not None}
        if held.ahead is not None:
            return self._look_ahead(held.one, held.ahead, now, graph, pointed)
        seen = [self._look(held.one, part, now, graph, pointed) for part in held.parts]
        return joined([part.watched for part in held.parts], seen)

    def _look_ahead(
        self, one: Served, model: ForecastPredictor, now: Instant, graph: Graph, pointed: dict[str, str]
    ) -> Look:
        """Of a version that forecasts: what came is read of the dataset of OUTCOMES, else of its own."""
        start = show_instant(now - one.watch.window)
        records, _ = self._work.log.table(START, since=start)
        answered = _of(records, self._environment, one, names.origins(self._work.state)).num_rows
        dataset = next((o.dataset for _, o in one.outcomes), None) or _own_dataset(one.model, graph)
        target = None if dataset is None else pointed.get(dataset)
        manifest = None if target is None else snapshots.manifest_of(self._work.state, target)
        trained = versions.require(self._work.state, one.model, one.version).rows
        more = new_rows(self._work, one, trained, model.signature.targets[0], graph, pointed)
        return forecasts.look(self._work, model, manifest, show_instant(now), answered, more)

    def _look(self, one: Served, part: _Part, now: Instant, graph: Graph, pointed: dict[str, str]) -> Look:
        assert part.answers is not None
        truth, declared = None, part.outcomes
        if declared is not None and (found := pointed.get(declared.dataset)) is not None:
            manifest = snapshots.manifest_of(self._work.state, found)
            truth = self._outcomes(declared, manifest)
            timed = not part.answers.when.null_count
            if part.tuned is None or (part.tuned.keys is None and not timed):
                signature = part.watched.signature
                part.tuned = tuning.tuned(
                    self._work, part.version, signature, declared, manifest, timed=timed
                )
        return look(
            part.watched,
            part.answers,
            truth,
            self._work.engine,
            show_instant(now),
            one.version,
            new_rows(self._work, one, part.version.rows, part.watched.signature.target, graph, pointed),
            one.delay.total_seconds(),
            part.tuned,
            one.watch.window,
        )

    def _outcomes(self, declared: Outcomes, manifest: Manifest) -> tuple[pa.Array, pa.Array] | None:
        """Key texts and truths of all rows whose truth is known. A part is read once, however often it is looked at."""
        import pyarrow as pa

        keys = tuple(manifest.schema.field(k).name for k in declared.key)
        column = manifest.schema.field(declared.column).name
        kept = {(p.blob, column, *keys): p.blob for p in manifest.parts}
        stale = {k for k in self._truth if k[1:] == (column, *keys)} - set(kept)
        for key in stale:
            del self._truth[key]
        for key, blob in kept.items():
            if key not in self._truth:
                self._truth[key] = _known(self._work.blobs.path(blob), keys, column)
        found = [self._truth[k] for k in kept]
        if not found:
            return None
        return pa.concat_arrays([k for k, _ in found]), pa.concat_arrays([t for _, t in found])


def _own_dataset(model: str, graph: Graph) -> str | None:
    """The dataset that a model learns from; None for one that reads a query."""
    found = graph.find(model)
    source = found.as_(CreateModel).source if found is not None else None
    return source.name if isinstance(source, DatasetRef) else None


def _of(records: pa.Table, environment: str, one: Served, known: Histories) -> pa.Table:
    """The records in which this version answered a client of this environment, or a batch that was written; under whatever name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not records.num_rows:
        return records
    called = [name for e in one.endpoints for name in known.names(Kind.ENDPOINT, e)]
    tests = [
        pc.equal(records.column("environment"), environment),
        pc.is_in(records.column("model"), value_set=pa.array(known.names(Kind.MODEL, one.model))),
        pc.equal(records.column("version"), one.version),
        pc.or_(
            pc.and_(
                pc.is_in(records.column("endpoint"), value_set=pa.array(called, pa.string())),
                pc.is_in(records.column("role"), value_set=pa.array(ANSWERED)),
            ),
            pc.equal(records.column("role"), BATCH),
        ),
    ]
    mine = tests[0]
    for test in tests[1:]:
        mine = pc.and_(mine, test)
    return records.filter(mine)


def _known(path: str, keys: tuple[str, ...], column: str) -> tuple[pa.Array, pa.Array]:
    table = file_rows(path, list(dict.fromkeys((*keys, column))))
    table = table.filter(table.column(column).is_valid())
    texts = key_texts(table, keys)
    assert texts is not None
    return texts, table.column(column).combine_chunks()


# --- rows since training -----------------------------------------------------------------------------------


def new_rows(
    work: Workspace, one: Served, trained: int, target: str, graph: Graph, pointed: dict[str, str]
) -> float | None:
    """Labelled rows that the version could not have been trained on, as a share of those it was `trained` on.

    With an EVENT TIME those later than all of its snapshot; without, by how many the labelled rows have become more.
    None for a model that reads no dataset.
    """
    source = _own_dataset(one.model, graph)
    if source is None or pointed.get(source) is None:
        return None
    version = versions.require(work.state, one.model, one.version)
    manifest = snapshots.manifest_of(work.state, pointed[source])
    if manifest.schema.find(target) is None or not trained:
        return None
    declared = graph.get(source).as_(CreateDataset)
    before = snapshots.get(work.state, version.snapshot)
    mark = before.watermark if before is not None else None
    if declared.event_time is None or not mark:
        return max(0, _labelled(work, manifest, target) - trained) / trained
    return _labelled_after(work, manifest, target, declared.event_time, mark) / trained


def _labelled(work: Workspace, manifest: Manifest, target: str) -> int:
    name = manifest.schema.field(target).name
    return sum(_valid(file_rows(work.blobs.path(p.blob), [name])[name]) for p in manifest.parts)


def _labelled_after(work: Workspace, manifest: Manifest, target: str, event_time: str, mark: str) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    names = _names(manifest.schema, target, event_time)
    count = 0
    for part in manifest.parts:
        if part.event_max is None or part.event_max <= mark:
            continue
        table = file_rows(work.blobs.path(part.blob), sorted(set(names)))
        limit = pa.scalar(datetime.fromisoformat(mark), pa.timestamp("us"))
        when = table.column(names[1]).cast(pa.timestamp("us"))
        count += _valid(table.filter(pc.greater(when, limit)).column(names[0]))
    return count


def _valid(values: pa.ChunkedArray) -> int:
    return len(values) - int(values.null_count)


def _names(schema: Schema, *columns: str) -> tuple[str, ...]:
    return tuple(schema.field(c).name for c in columns)


# --- writing down ------------------------------------------------------------------------------------------


def record(work: Workspace, environment: str, taken: Sequence[Look], now: Instant) -> None:
    """The looks, in one transaction."""
    with work.state.change(reconciler(environment), show_instant(now)) as change:
        for one in taken:
            looks.add(change, environment, one)
            detail: dict[str, object] = {
                "version": one.version,
                "predictions": one.predictions,
                "outcomes": one.outcomes,
            }
            for what in ("left_out", "without_key", "gaps", "outside"):
                if count := getattr(one, what):
                    detail[what] = count
            change.audit("look", one.model, detail)


def words(one: Look) -> str:
    """The look on one line."""

    def shown(name: str, value: float | None) -> str:
        return f"{name} {'unknown' if value is None else figure(value, 3)}"

    quality = [(one.metric, one.quality)]
    if one.targets is not None:
        quality = [(f"{t['output']} {t['metric']}", t["quality"]) for t in json.loads(one.targets)]
    parts = [
        shown("drift", one.drift),
        shown("prediction drift", one.prediction_drift),
        *(shown(*each) for each in quality),
    ]
    rows = f"{one.predictions:,} answers, {one.outcomes:,} outcomes"
    if one.left_out:
        rows += f", {one.left_out:,} left out: they are not what the version takes"
    if one.gaps:
        rows += f", {one.gaps:,} without an input that never was missing in training"
    if one.outside:
        rows += f", {one.outside:,} with an input far out of what training had"
    if one.without_key:
        rows += (
            f", {one.without_key:,} without the key of OUTCOMES: nothing will tell whether they were right"
        )
    return f"looked at {one.model}@{one.version}: {', '.join(parts)} ({rows})"
