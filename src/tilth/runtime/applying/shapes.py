"""Columns of source tables that are not as a dataset last read them: told before they are read, and written down when they are.

What changed is `core.schema_changes`', what was seen `record.schemas`'. Here is what it means: which dataset reads the column, which models
learn from that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tilth.core.errors import TilthError
from tilth.core.schema import Schema
from tilth.core.schema_changes import ADDED, SchemaChange, differences
from tilth.plan.actions import CollectDataset, Note, Plan
from tilth.ports import registry
from tilth.ports.source import Notice, Source
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import sources as opening
from tilth.runtime.record import names, schemas
from tilth.runtime.record.schemas import Place
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, CreateSource, Kind
from tilth.sql.queries import reads


@dataclass(frozen=True, slots=True)
class Shapes:
    """The tables of a dataset as they are now, and what changed since it read them: (source.table, first name and table, change, effect)."""

    now: Mapping[Place, Schema]
    changes: tuple[tuple[str, Place, SchemaChange, str], ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(f"{one.words(place)}: {effect}" for place, _, one, effect in self.changes)

    @property
    def notices(self) -> tuple[tuple[str, Notice], ...]:
        """Each as a notice, with its source's name."""
        return tuple(
            (place.partition(".")[0], Notice("changed", at[1], f"{one.words()}: {effect}"))
            for place, at, one, effect in self.changes
        )


def look(work: Workspace, graph: Graph, resource: Resource, sources: Mapping[str, Source]) -> Shapes:
    """What the sources say of the dataset's tables now. One that cannot be described is left to whoever reads it."""
    origins = names.origins(work.state)
    with work.state.reading() as reader:
        before = schemas.seen(reader, resource.name)
    now: dict[Place, Schema] = {}
    found: list[tuple[str, Place, SchemaChange, str]] = []
    was = {
        f"{t.source}.{t.table}": before[at]
        for t in resource.tables
        if (at := (origins.origin(Kind.SOURCE, t.source), t.table)) in before
    }
    for table in dict.fromkeys(resource.tables):
        if table.source not in sources:
            continue
        at = (origins.origin(Kind.SOURCE, table.source), table.table)
        try:
            now[at] = sources[table.source].describe(table.table)
        except TilthError:
            continue
        if at in before:
            place = f"{table.source}.{table.table}"
            found += [
                (place, at, one, _effect(graph, resource, place, one, was))
                for one in differences(before[at], now[at])
            ]
    return Shapes(now, tuple(found))


def foreseen(plan: Plan, graph: Graph, work: Workspace) -> Plan:
    """The plan with notes on columns that changed, of sources that a plan asks: local ones, and those of ON CHANGE datasets."""
    notes: list[Note] = []
    for action in plan.actions:
        if not isinstance(action, CollectDataset):
            continue
        resource = graph.get(action.name)
        asked = {t.source for t in resource.tables if _asks(graph, resource, t.source)}
        try:
            with opening.opened(graph, work.root, asked) as sources:
                notes += [Note(action.name, line) for line in look(work, graph, resource, sources).lines]
        except TilthError:
            continue  # `notices.foreseen` and `changes` say that it cannot be asked
    return replace(plan, notes=(*plan.notes, *notes))


def explained(
    error: TilthError, todo: Plan, graph: Graph, work: Workspace, sources: Mapping[str, Source]
) -> TilthError:
    """An error of binding, with the columns that changed since the plan's datasets were last read."""
    lines = [
        line
        for action in todo.actions
        if isinstance(action, CollectDataset)
        for line in look(work, graph, graph.get(action.name), sources).lines
    ]
    error.detail = (*error.detail, *dict.fromkeys(lines))
    return error


def _asks(graph: Graph, resource: Resource, source: str) -> bool:
    """Whether a plan asks the source: one that would copy files to answer it does not."""
    found = graph.find(source)
    if found is None or found.kind is not Kind.SOURCE:
        return False
    adapter = registry.load("tilth.sources", found.as_(CreateSource).engine)
    if getattr(adapter, "copies", False):
        return False
    declared = resource.declaration
    on_change = isinstance(declared, CreateDataset) and declared.refresh.on_change
    return on_change or bool(getattr(adapter, "local", False))


def _effect(
    graph: Graph, resource: Resource, place: str, one: SchemaChange, was: Mapping[str, Schema]
) -> str:
    """Who reads the column, in words."""
    columns = _read(resource, place, was)
    if one.change == ADDED:
        taken = columns is None
        return f"{resource.kind} `{resource.name}` takes it, as all columns" if taken else "nothing reads it"
    if columns is not None and one.column.lower() not in columns:
        return f"{resource.kind} `{resource.name}` does not read it"
    models = [r.name for r in graph.downstream(resource.name) if r.kind is Kind.MODEL]
    if not models:
        return f"{resource.kind} `{resource.name}` reads it"
    listed = ", ".join(f"`{m}`" for m in models[:10]) + (
        f" and {len(models) - 10} more" if len(models) > 10 else ""
    )
    return f"{resource.kind} `{resource.name}` reads it, model{'s' * (len(models) > 1)} {listed} learn{'s' * (len(models) == 1)} from that"


def _read(resource: Resource, place: str, was: Mapping[str, Schema]) -> frozenset[str] | None:
    """The columns that the dataset's query read of the table as it was; None: all of them, or it cannot be told."""
    declared = resource.declaration
    if not isinstance(declared, CreateDataset):
        return None
    try:
        scans = reads.scans(declared.query.sql, was)
    except TilthError:
        return None
    for found in scans:
        if f"{found.schema}.{found.scan.table}".lower() == place.lower():
            columns = found.scan.columns
            tested = {w.column.lower() for w in found.scan.where}
            return None if columns is None else frozenset({c.lower() for c in columns} | tested)
    return None
