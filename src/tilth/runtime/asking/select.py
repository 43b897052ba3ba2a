"""SELECT: over datasets, tables of sources, models and the schema `tilth`, as a stream of Arrow batches.

A query without models goes to the engine whole. One with models is split (`sql.queries.rewrite`): the engine gives the rows,
the models add their outputs batch by batch, and the engine answers the rest over that stream, so memory does not grow
with the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import InputError, LanguageError, Position, TilthError, UnknownNameError
from tilth.core.schema import DataType, Schema
from tilth.kinds.view import times
from tilth.ml.data import reading
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ml.model.answerer import input_names, of_rows
from tilth.ml.model.gaps import Gaps
from tilth.ports.limits import Limits
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.ports.streams import closing
from tilth.resources.graph import Graph
from tilth.runtime import sources
from tilth.runtime.asking import ahead, catalog, explaining, mindsdb, natively
from tilth.runtime.asking.frames import Frames
from tilth.runtime.asking.heeding import heeding
from tilth.runtime.asking.missing import is_made, no_model, no_source, pinned
from tilth.runtime.asking.scoring import Asked, Through, honest, predicted, through
from tilth.runtime.asking.single import answered, combined, picked, taken
from tilth.runtime.loading import any_version_of, newer
from tilth.runtime.record import declarations, environments, versions
from tilth.runtime.record import names as called
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.workspace import Workspace
from tilth.sql.language.acts import Select
from tilth.sql.language.parameters import FRAMES
from tilth.sql.language.statements import CreateView, Kind
from tilth.sql.queries import correlated, pointintime, reach, reads
from tilth.sql.queries.blocks import Blocks, blocks
from tilth.sql.queries.direct import direct
from tilth.sql.queries.rewrite import (
    JoinPrediction,
    ModelShape,
    Pin,
    RowPrediction,
    predictions,
    time_travel,
)
from tilth.sql.queries.shapes import PREDICTED, PREDICTION, ForecastPrediction, SeriesShape
from tilth.sql.queries.views import inlined

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ml.model.answerer import Answerer

Loaded: TypeAlias = "dict[tuple[str, int, int | None], Answerer]"  # by model, version and threads


@dataclass(frozen=True, slots=True)
class Models:
    """The versions that an environment points at, loaded when they are needed and kept."""

    work: Workspace
    pointed: Mapping[str, int]  # model -> version
    loaded: Loaded
    snapshots: Mapping[str, str] = field(
        default_factory=dict
    )  # of the datasets that models learn from, by model

    def get(self, name: str, version: int | None = None, threads: int | None = None) -> Answerer:
        """The version asked for, or the one that serves; UnknownNameError for a model that has none.

        `threads` limits how many a batch is scored with; None takes all cores.
        """
        if version is None:
            version = self.pointed.get(name)
        if version is None:
            raise no_model(self.work.state, name, self.pointed)
        key = (name, version, threads)
        if key not in self.loaded:
            self.loaded[key] = any_version_of(self.work, name, version, threads)
        return self.loaded[key]

    def newer(self, name: str, model: Answerer) -> pa.Table | None:
        """The rows that came since the training of a version that forecasts; None of another, and where there are none."""
        if not isinstance(model, ForecastPredictor):
            return None
        return newer(self.work, model, self.snapshots.get(name))

    def asked(self, name: str) -> correlated.Asked | None:
        """What a SELECT over the version that serves has to give it; None where none serves."""
        if name not in self.pointed:
            return None
        found = self.get(name)
        required = tuple(i.name for i in found.inputs if i.required)
        optional = tuple(i.name for i in found.inputs if not i.required)
        return correlated.Asked(required, optional, tuple(found.usual))


def select(
    work: Workspace,
    graph: Graph,
    environment: str,
    models: Models,
    statement: Select,
    limits: Limits | None = None,
    told: list[str] | None = None,
    frames: Mapping[str, Any] | None = None,
    asked: Asked | None = None,
    *,
    explained: bool = False,
) -> pa.RecordBatchReader:
    """The result of the query; errors are placed in the statement. What it holds open ends with its last batch.

    `told` gets what people should know of the answer once it is read: rows answered with gaps where training had none.
    `frames` are tables of the schema `$`; `asked` is told what each model is asked, with what it carries along. `explained`: the
    steps of it instead (`explaining`), of which none is taken.
    """
    sql, limits, given = statement.sql.rstrip().rstrip(";"), limits or Limits(), frames or {}
    stack = ExitStack()
    try:
        own, given = natively.read(sql, graph, work.root, limits, given, None if explained else stack)
        own = pointintime.joined(own, lambda: times(r.declaration for r in graph))
        whole = inlined(own, {**_unnamed(graph), **queries_of(graph)})
        whole = correlated.joined(whole, _served(models, graph), models.asked)
        place, sql = statement.position if whole == sql else None, whole
        if (parts := blocks(sql, _served(models, graph))) is not None:

            def ask(one: str) -> pa.RecordBatchReader:
                part = Select(one)
                return select(
                    work, graph, environment, models, part, limits, told, frames, asked, explained=explained
                )

            if explained:
                stack.close()
                return explaining.together((ask(one.sql) for one in parts.blocks), parts.outer).to_reader()
            place, sql = None, parts.outer
            given = _asked_apart(parts, given, stack, ask)
        text, pins = time_travel(sql)
        reach.check(text, place)
        uses = reads.tables(text, place)
        opened = _opened(stack, uses, work, graph, environment, given)
        opened = {name: heeding(source, limits) for name, source in opened.items()}
        datasets = _datasets(work, environment, pins)
        query = _Query(
            work, models, opened, datasets, sql, text, place, limits,
            told if told is not None else [], pinned(pins), asked,
        )  # fmt: skip
        return closing(query.explained() if explained else query.run(), stack.close)
    except TilthError as error:
        stack.close()
        limits.turn.check()  # whatever it looked like to who was reading
        raise error if statement.position is None else error.at(statement.position) from None
    except BaseException:
        stack.close()
        raise


def _opened(
    stack: ExitStack, uses: Iterable[reads.TableUse], work: Workspace, graph: Graph, environment: str, given: Mapping[str, Any]
) -> dict[str, Source]:  # fmt: skip
    """The sources that the query names, and those that are always there."""
    names = [(u.schema or "").lower() for u in uses]
    _check_sources(uses, graph)
    opened: dict[str, Source] = dict(stack.enter_context(sources.opened(graph, work.root, names)))
    opened[catalog.NAME] = catalog.SystemTables(work)
    if graph.find(mindsdb.NAME) is None:
        opened[mindsdb.NAME] = mindsdb.MindsDBTables(work, environment, graph)
    if given:
        opened[FRAMES] = Frames(given)
    return opened


def _served(models: Models, graph: Graph) -> set[str]:
    """Names that are models in a query: those that serve, and those that are deployed and may be held to a version."""
    return {*models.pointed, *(r.name for r in graph.of_kind(Kind.MODEL))}


def _asked_apart(
    parts: Blocks, frames: Mapping[str, Any], stack: ExitStack, ask: Callable[[str], pa.RecordBatchReader]
) -> dict[str, Any]:
    """The frames with the rows of each SELECT that is asked by itself; what is read more than once is kept whole."""
    out = dict(frames)
    for one in parts.blocks:
        try:
            reader = ask(one.sql)
        except TilthError as error:
            error.where = None  # a place in a text that nobody wrote
            raise
        stack.callback(reader.close)
        out[one.frame] = reader.read_all() if one.again else reader
    return out


def queries_of(graph: Graph) -> dict[str, str]:
    """What the graph's views stand for, by name."""
    return {r.name: r.as_(CreateView).query.sql for r in graph.of_kind(Kind.VIEW)}


def _unnamed(graph: Graph) -> dict[str, str]:
    """MindsDB's tables that are asked without a schema, as queries, where nothing else is called so."""
    return {n: f"SELECT * FROM {mindsdb.NAME}.{n}" for n in mindsdb.UNNAMED if graph.find(n) is None}


def _check_sources(uses: Iterable[reads.TableUse], graph: Graph) -> None:
    """Every source that the query names is deployed; UnknownNameError with those that are, where it is named."""
    known = (catalog.NAME, *(r.name for r in graph.of_kind(Kind.SOURCE)))
    for use in uses:
        if use.schema is not None and use.schema.lower() not in (*known, FRAMES, mindsdb.NAME):
            missing = no_source(use.schema, known)
            raise missing.at(use.position) if use.position else missing


def _datasets(work: Workspace, environment: str, pins: tuple[Pin, ...]) -> dict[str, Manifest]:
    """The snapshots that the environment points at, or that the query holds its tables to."""
    _, pointers = environments.pointers_of(work.state, environment)
    out = {
        p.name: manifest_of(work.state, p.target)
        for p in pointers
        if p.kind is Kind.DATASET and p.target is not None
    }
    held: dict[str, str] = {}
    known = called.origins(work.state)
    for pin in pins:
        if pin.snapshot is None:
            continue
        if held.setdefault(pin.name.lower(), pin.snapshot) != pin.snapshot:
            raise LanguageError(
                f"`{pin.name}` is held to two snapshots in one query.",
                hint="Ask for each in a query of its own, and compare the results.",
            )
        found = manifest_of(work.state, pin.snapshot)
        if known.origin(Kind.DATASET, found.dataset) != known.origin(Kind.DATASET, pin.name.lower()):
            raise UnknownNameError(
                f"Snapshot `{pin.snapshot}` is one of `{found.dataset}`, not of `{pin.name}`.",
                hint=f"SELECT id FROM tilth.snapshots WHERE dataset = '{pin.name.lower()}'",
            )
        out[pin.name.lower()] = found
    return out


@dataclass(frozen=True, slots=True)
class _Query:
    """One query being answered."""

    work: Workspace
    models: Models
    sources: Mapping[str, Source]
    datasets: Mapping[str, Manifest]
    sql: str
    text: str  # without FOR VERSION and FOR SNAPSHOT
    at: Position | None
    limits: Limits
    told: list[str]  # what people should know of the answer, once it is read
    pinned: Mapping[str, int]  # models that the query holds to one version
    asked: Asked | None = None

    def run(self) -> pa.RecordBatchReader:
        split, _ = self._split()
        if split is None:
            return self._rows(self.text)
        if isinstance(split, ForecastPrediction):
            return self._ahead(split)
        return self._one(split) if isinstance(split, RowPrediction) else self._many(split)

    def explained(self) -> pa.RecordBatchReader:
        """What would be done."""
        split, schemas = self._split()
        found = explaining.steps(split, self.text, schemas, self.datasets, self.models.pointed)
        return explaining.table(list(found)).to_reader()

    def _split(self) -> tuple[explaining.Split, dict[str, Schema]]:
        """The query split at its models, and the schemas of its tables."""
        uses = reads.tables(self.text, self.at)
        named = {u.name.lower() for u in uses if u.schema is None}
        unserved = (n for n in self.pinned if is_made(self.work.state, n))
        shapes = {n: self._shape(n) for n in {*self.models.pointed, *unserved} if n in named}
        self._known(uses, shapes)
        schemas = {
            name: schema
            for u in uses
            if u.schema is not None or u.name.lower() not in shapes
            for name, schema in [self._schema(u)]
        }
        try:
            return predictions(self.sql, shapes, schemas), schemas
        except InputError:  # once more, to say why a column is no input: that is read for an error alone
            told = {name: replace(shape, unused=self._unused(name)) for name, shape in shapes.items()}
            return predictions(self.sql, told, schemas), schemas

    def _unused(self, name: str) -> tuple[tuple[str, str], ...]:
        """The columns that a model does not learn from, and why."""
        version = versions.get(self.work.state, name, self.models.get(name, self.pinned.get(name)).version)
        every = () if version is None else version.parts
        found = (column for part in every for column in part.facts.get("columns", ()))
        return tuple((str(c["name"]), str(c["why"])) for c in found if not c["used"])

    def _known(self, uses: tuple[reads.TableUse, ...], shapes: Mapping[str, ModelShape]) -> None:
        for use in uses:
            if use.schema is None and use.name.lower() not in {*shapes, *self.datasets}:
                names = {*self.models.pointed, *self.datasets}
                missing = no_model(self.work.state, use.name, names, "datasets and models")
                raise missing.at(use.position) if use.position else missing

    def _shape(self, name: str) -> ModelShape:
        """Inputs, and outputs in the order of `*`; the JSON ones only when the query names them: they cost time."""
        found = self.models.get(name, self.pinned.get(name))
        lowered = self.sql.lower()
        known, usual = [o.name for o in found.outputs], found.usual
        outputs = tuple(n for n in known if n in usual or n.lower() in lowered)
        maps = tuple(o.name for o in found.outputs if o.type is DataType.SHARES)
        carried = () if self.asked is None else tuple(i.name for i in found.carried)
        series = None
        if isinstance(found, ForecastPredictor):
            own = found.signature
            series = SeriesShape(own.time, own.groups, own.targets)
        return ModelShape(input_names(found), outputs, maps, carried, series)

    def _schema(self, use: reads.TableUse) -> tuple[str, Schema]:
        if use.schema is None:
            return use.name, self.datasets[use.name.lower()].schema
        try:
            return f"{use.schema}.{use.name}", reading.find_source(use.schema, self.sources).describe(
                use.name
            )
        except UnknownNameError as error:
            raise error.at(use.position) if use.position else error from None

    def _rows(self, sql: str) -> pa.RecordBatchReader:
        return reading.query_rows(
            sql, self.datasets, self.sources, self.work.engine, self.work.blobs, self.limits, self.told
        )

    def _one(self, split: RowPrediction) -> pa.RecordBatchReader:
        import pyarrow as pa

        model = of_rows(self.models.get(split.model, split.version))
        arrays = (
            combined(model, split, self.told)
            if split.several
            else answered(model, split, dict(split.inputs), self.told)
        )
        if self.asked is not None:
            inputs = {i.name: arrays[i.name] for i in model.inputs}
            self.asked(model, pa.record_batch(list(inputs.values()), names=list(inputs)))
        columns = None if split.several else direct(split.outer)
        if columns is not None:
            return picked(columns, arrays).to_reader()
        return self.work.engine.stream(split.outer, {PREDICTION: pa.table(arrays)}, limits=self.limits)

    def _ahead(self, split: ForecastPrediction) -> pa.RecordBatchReader:
        model = ahead.of_model(self.models.get(split.model, split.version))
        if split.inner is None:
            history = self.models.newer(split.model, model)
        else:
            history = self._rows(split.inner).read_all()
        table = ahead.forecasts(model, split, history, self.told)
        others = self._others(split.outer)
        try:
            answer = self.work.engine.stream(
                split.outer, {**others.inputs, PREDICTED: table}, limits=self.limits
            )
        except TilthError:
            others.close()
            raise
        return closing(answer, others.close)

    def _many(self, split: JoinPrediction) -> pa.RecordBatchReader:
        rows = self._rows(split.inner)

        seen = {u.name: Gaps(u.name, self.models.get(u.name, u.version).strict) for u in split.models}

        def chain(threads: int | None) -> Through:
            uses = [(u, self.models.get(u.name, u.version, threads)) for u in split.models]
            return through(uses, seen, self.asked)

        failed: list[TilthError] = []
        if (columns := direct(split.outer)) is not None:
            return closing(taken(predicted(rows, chain, failed), columns), lambda: self._tell(seen))
        others = self._others(split.outer)
        inputs = {**others.inputs, PREDICTED: predicted(rows, chain, failed)}
        try:
            answer = self.work.engine.stream(split.outer, inputs, limits=self.limits)
        except TilthError as error:
            others.close()
            raise failed[0] if failed else error from None

        def close() -> None:
            others.close()
            self._tell(seen)

        return closing(honest(answer, failed), close)

    def _tell(self, seen: Mapping[str, Gaps]) -> None:
        self.told.extend(words for gaps in seen.values() for words in gaps.words())

    def _others(self, outer: str) -> reading.Reading:
        """The tables that the rest of the query names besides the predicted rows: in a subquery, say."""
        uses = [u for u in reads.tables(outer) if u.name != PREDICTED]
        schemas = dict(self._schema(u) for u in uses)
        return reading.open_inputs(outer, schemas, self.sources, self.datasets, self.work.blobs, hold=True)


def models_of(work: Workspace, environment: str, loaded: Loaded) -> Models:
    """The models that the environment serves now."""
    _, pointers = environments.pointers_of(work.state, environment)
    pointed = {p.name: int(p.target) for p in pointers if p.kind is Kind.MODEL and p.target is not None}
    for name, version in pointed.items():
        versions.require(work.state, name, version)
    found = {name: declarations.snapshot_of(pointers, name) for name in pointed}
    return Models(work, pointed, loaded, {n: s for n, s in found.items() if s is not None})
