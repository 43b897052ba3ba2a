"""What people should know of how something is made: as sources and trainings say it, and beforehand for a plan.

What was recorded of it is `record.notices`'. Nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tilth.core.errors import TilthError
from tilth.ml.data.reading import notices_of
from tilth.plan.actions import CollectDataset, Note, Plan
from tilth.ports import registry
from tilth.ports.source import Notice
from tilth.resources.graph import Graph
from tilth.runtime import sources as opening
from tilth.runtime.record.notices import Told
from tilth.sql.language.statements import CreateSource, Kind


def of_source(source: str, notice: Notice) -> Told:
    return Told(notice.kind, notice.text, f"{source}.{notice.table}", notice.column, notice.option)


def of_training(facts: Mapping[str, Any], accepted: frozenset[str] = frozenset()) -> tuple[Told, ...]:
    """What a training says of what it left out or found odd; of columns that ACCEPT LEAK names, in lower case, no leak."""
    return tuple(
        Told(t["kind"], t["text"], None, t.get("column"), t.get("option"))
        for t in facts.get("told", ())
        if t["kind"] != "leak" or str(t.get("column")).lower() not in accepted
    )


def foreseen(plan: Plan, graph: Graph, root: str) -> Plan:
    """The plan with notes on what local sources guess of the tables it collects from; one that cannot be read is a note too."""
    notes: list[Note] = []
    for action in plan.actions:
        if not isinstance(action, CollectDataset):
            continue
        try:
            reads = graph.get(action.name).tables
            tables = [(t.source, t.table) for t in reads if _is_local(graph, t.source)]
            with opening.opened(graph, root, {source for source, _ in tables}) as sources:
                notes += [
                    Note(action.name, told.words)
                    for told in (of_source(*found) for found in notices_of(sources, tables))
                ]
        except TilthError as error:
            notes.append(Note(action.name, f"its source cannot be read now: {error.message}"))
    return replace(plan, notes=(*plan.notes, *notes))


def _is_local(graph: Graph, source: str) -> bool:
    found = graph.find(source)
    if found is None or found.kind is not Kind.SOURCE:
        return False
    return bool(getattr(registry.load("tilth.sources", found.as_(CreateSource).engine), "local", False))
