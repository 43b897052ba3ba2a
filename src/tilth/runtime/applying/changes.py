"""Which ON CHANGE datasets have a source that is no longer what it was when they were last refreshed.

A source says so by a change token of each table, got without reading it. One that has no tokens, or cannot be asked just
now, counts as unchanged; the latter is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tilth.core.errors import TilthError
from tilth.kinds import plan
from tilth.plan.actions import Note, Plan
from tilth.ports.source import Source
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import sources as opening
from tilth.runtime.applying import dropping
from tilth.runtime.applying.collecting import change_tokens
from tilth.runtime.record import refreshes
from tilth.runtime.record.current import current
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, Kind

Tell = Callable[[str], None]


def on_change(graph: Graph) -> tuple[Resource, ...]:
    """The datasets that are refreshed when a source changes."""
    return tuple(r for r in graph.of_kind(Kind.DATASET) if r.as_(CreateDataset).refresh.on_change)


def changed(work: Workspace, graph: Graph, sources: Mapping[str, Source]) -> frozenset[str]:
    """Recipes of ON CHANGE datasets of which a table's token differs from that of the last refresh, published or stopped by a check."""
    seen = refreshes.last_tokens(work.state)

    def first(source: str) -> str:
        return graph.get(source).remembered

    return frozenset(
        r.recipe
        for r in on_change(graph)
        if r.recipe in seen and change_tokens(r, sources, first) != seen[r.recipe]
    )


def planned(work: Workspace, graph: Graph, environment: str) -> Plan:
    """The plan of an environment, with the datasets whose sources changed; those that could not be asked are notes of it."""
    told: list[Note] = []

    def tell(said: str) -> None:
        name, _, text = said.partition(": ")
        told.append(Note(name, text))

    changed = look_for(work, graph, tell)
    now = current(work.state, environment, changed, work.serving)
    found = plan(graph, now, work.clock.now())
    return replace(found, notes=(*found.notes, *told, *dropping.notes(found, now)))


def look_for(work: Workspace, graph: Graph, tell: Tell) -> frozenset[str]:
    """`changed`, with the sources opened one by one, so that one that is down does not hide the others."""
    found: set[str] = set()
    for resource in on_change(graph):
        names = {t.source for t in resource.tables}
        try:
            with opening.opened(graph, work.root, names) as sources:
                found |= changed(work, graph.restricted_to([resource.name]), sources)
        except TilthError as error:
            tell(f"{resource.name}: its source cannot be asked whether it changed: {error.message}")
    return frozenset(found)
