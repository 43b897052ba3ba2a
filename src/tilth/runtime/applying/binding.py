"""Binds declarations to the columns that are really there, before anything is collected or trained.

The text alone cannot say whether a target is among the columns that a query returns. That is asked here, of the sources'
schemas, for what a plan is about to make; what was made before under the same recipe has been bound already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tilth.core.errors import LanguageError, Position, ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import Schema
from tilth.kinds.model import forecasting
from tilth.kinds.needs import SYSTEM
from tilth.ml.data.known import times_of
from tilth.ml.data.reading import find_source
from tilth.plan.actions import CollectDataset, DeclareTrigger, DeclareView, DeployEndpoint, Plan, TrainModel
from tilth.ports.engine import QueryEngine
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.applying import looking_up
from tilth.sql.language.scheduled import CreateTrigger
from tilth.sql.language.statements import (
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    CreateView,
    DatasetRef,
    Kind,
    Options,
    Query,
)
from tilth.sql.queries import reads
from tilth.sql.queries.located import located
from tilth.sql.queries.timetravel import time_travel
from tilth.sql.queries.twins import settled


def check(
    plan: Plan,
    graph: Graph,
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    engine: QueryEngine,
) -> dict[str, Schema]:
    """The schema of every dataset that the plan concerns; UnknownNameError where a name does not bind."""
    known = {name: manifest.schema for name, manifest in datasets.items()}
    for action in plan.actions:
        if isinstance(action, CollectDataset):
            known[action.name] = _dataset(graph.get(action.name), sources, known, engine)
    for action in plan.actions:
        if isinstance(action, TrainModel):
            _model(graph.get(action.name), sources, known, engine)
        elif isinstance(action, DeployEndpoint):
            _outcomes(graph.get(action.name), known)
        elif isinstance(action, DeclareView):
            _view(graph, graph.get(action.name), sources, known, engine)
        elif isinstance(action, DeclareTrigger):
            _trigger(graph.get(action.name).as_(CreateTrigger), sources)
    looking_up.check(plan, graph, known, lambda model: _learned_of(model, sources, known, engine))
    return known


def tables(declared: Iterable[str], graph: Graph, sources: Mapping[str, Source]) -> None:
    """Each of these sources can be reached and lists its tables, and has those that datasets of the graph name."""
    for name in declared:
        source, place = sources[name], graph.get(name).declaration.position
        try:
            source.tables()
            for resource in graph:
                for table in (t.table for t in resource.tables if t.source == name):
                    place = resource.declaration.position
                    source.describe(table)
        except TilthError as error:
            raise error.at(place) if place else error from None


def _dataset(
    resource: Resource, sources: Mapping[str, Source], known: Mapping[str, Schema], engine: QueryEngine
) -> Schema:
    declared = resource.as_(CreateDataset)
    found = _described(declared.query, sources, known, engine)
    times = [c for c in (declared.event_time, declared.known_at) if c is not None]
    for column in (*declared.key, *times, *(t.column for t in declared.tags)):
        _known(column, found, f"dataset `{declared.name}`", "its query returns", declared.position)
    try:
        times_of(declared, found)
    except ProjectError as error:
        raise error.at(declared.position) if declared.position is not None else error from None
    return found


def _trigger(declared: CreateTrigger, sources: Mapping[str, Source]) -> None:
    """The table that it looks at is there, with the columns that it names."""
    try:
        found = find_source(declared.source, sources).describe(declared.table)
    except TilthError as error:
        raise error.at(declared.position) if declared.position is not None else error from None
    who, where = f"trigger `{declared.name}`", f"`{declared.source}.{declared.table}` has"
    for column in (*declared.key, *declared.columns):
        _known(column, found, who, where, declared.position)


def _view(
    graph: Graph,
    resource: Resource,
    sources: Mapping[str, Source],
    known: Mapping[str, Schema],
    engine: QueryEngine,
) -> None:
    """What a view returns, where that can be told before its models are there; its tables in any case."""
    query = resource.as_(CreateView).query
    text, pins = time_travel(query.sql)
    uses = reads.tables(text)
    models = {r.name for r in graph.of_kind(Kind.MODEL)}
    if pins or any(u.name.lower() in models if u.schema is None else u.schema in SYSTEM for u in uses):
        for table in resource.tables:
            find_source(table.source, sources).describe(table.table)
        return
    try:
        _described(query, sources, known, engine)
    except TilthError as error:
        where = resource.declaration.position
        raise error.at(where) if where is not None else error from None


def _described(
    query: Query, sources: Mapping[str, Source], known: Mapping[str, Schema], engine: QueryEngine
) -> Schema:
    """The columns of a query's result, without reading a row."""
    schemas: dict[str, Schema] = {}
    for use in reads.tables(query.sql, query.position):
        try:
            if use.schema:
                found = find_source(use.schema, sources).describe(use.name)
            else:
                found = _need(known.get(use.name.lower()), use.name)
        except ProjectError as error:
            raise error.at(use.position) if use.position else error from None
        schemas[f"{use.schema}.{use.name}" if use.schema else use.name] = found
    try:
        return engine.describe(query.sql, settled(query.sql, schemas, query.position), placed=True)
    except (ProjectError, LanguageError) as error:
        raise located(error, query.sql, query.position) from None


def _need(schema: Schema | None, name: str) -> Schema:
    if schema is None:
        raise UnknownNameError(f"There is no dataset `{name}`.", hint="Run `tilth apply` first.")
    return schema


def _model(
    resource: Resource, sources: Mapping[str, Source], known: Mapping[str, Schema], engine: QueryEngine
) -> None:
    declared = resource.as_(CreateModel)
    found = _learned_of(declared, sources, known, engine)
    if found is None:
        return
    one = declared.source
    where = f"dataset `{one.name}` has" if isinstance(one, DatasetRef) else "its query returns"
    who = f"model `{declared.name}`"
    for target in declared.targets:
        _known(target.column, found, who, where, target.position or declared.position)
    place = declared.features.position or declared.position
    for column in (*declared.features.include, *declared.features.exclude):
        _known(column, found, who, where, place)
    weight = [str(declared.objective.get("weight"))] if "weight" in declared.objective else []
    accepted = declared.accept.columns if declared.accept else ()
    for column in (
        *slices_of(declared),
        *accepted,
        *declared.group_key,
        *declared.order_by,
        *declared.group_by,
        *forecasting.listed(declared.using.get("known")),
        *forecasting.listed(declared.using.get("static")),
        *weight,
        *(name for name, _ in monotone_of(declared)),
    ):
        _known(column, found, who, where, declared.position)


def _learned_of(
    declared: CreateModel, sources: Mapping[str, Source], known: Mapping[str, Schema], engine: QueryEngine
) -> Schema | None:
    """The columns that a model is trained on; None of a native query, of which only its source can tell, when it is run."""
    if isinstance(declared.source, DatasetRef):
        return known.get(declared.source.name.lower())
    if isinstance(declared.source, Query):
        return _described(declared.source, sources, known, engine)
    return None


def slices_of(declared: CreateModel) -> tuple[str, ...]:
    """The columns that OBJECTIVE (slices = [...]) names."""
    found = declared.objective.get("slices", ())
    return tuple(str(v) for v in found) if isinstance(found, tuple) else ()


def monotone_of(declared: CreateModel) -> tuple[tuple[str, str], ...]:
    """The columns that OBJECTIVE (monotone = {...}) names, each with its way."""
    found = declared.objective.get("monotone")
    return tuple((name, str(way)) for name, way in found.items) if isinstance(found, Options) else ()


def _outcomes(resource: Resource, known: Mapping[str, Schema]) -> None:
    declared = resource.as_(CreateEndpoint)
    if declared.outcomes is None or declared.outcomes.dataset not in known:
        return
    for column in (*declared.outcomes.key, declared.outcomes.column):
        _known(
            column,
            known[declared.outcomes.dataset],
            f"endpoint `{declared.name}`",
            f"dataset `{declared.outcomes.dataset}` has",
            declared.position,
        )


def _known(column: str, schema: Schema, who: str, where: str, place: Position | None) -> None:
    if schema.find(column) is None:
        names: Iterable[str] = schema.names
        raise UnknownNameError(
            f"There is no column `{column}`, which {who} needs.",
            hint=f"{did_you_mean(column, tuple(names), 'columns')} These are what {where}.",
            where=place,
        )
