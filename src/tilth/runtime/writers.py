"""Who writes into which tables of sources, and whether a model learns from what it wrote: for plans, and when it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tilth.plan.actions import Note, Plan
from tilth.resources.graph import Graph
from tilth.runtime.record import writes
from tilth.runtime.record.rows import State
from tilth.sql.language.statements import Kind


def learns_from(graph: Graph, model: str, place: tuple[str, str]) -> str | None:
    """The name of what reads this table of a source on the model's way to its rows; None when nothing does."""
    if graph.find(model) is None:
        return None
    low = (place[0].lower(), place[1].lower())
    for resource in (*graph.upstream(model), graph.get(model)):
        if any((t.source.lower(), t.table.lower()) == low for t in resource.tables):
            return resource.name
    return None


def loop_words(model: str, place: str, through: str) -> str:
    """What there is to know of a model that learns from a table it writes into."""
    how = "" if through == model else f" through `{through}`"
    return (
        f"`{model}` learns from `{place}`{how}, where its own predictions are written: keep the written columns out of its "
        "FEATURES and target."
    )


def named(plan: Plan, graph: Graph, state: State) -> Plan:
    """The plan with notes on which tables of its sources are written to by whom, and on loops."""
    with state.reading() as reader:
        last, by = writes.last(reader), writes.writers(reader)
    notes = [
        Note(one.place, _words(one, by.get((one.source, one.table), ())))
        for one in last
        if one.environment == plan.environment and _is_source(graph, one.source)
    ]
    notes += [
        Note(model, loop_words(model, ".".join(place), through))
        for place, models in by.items()
        for model in models
        if _is_source(graph, place[0]) and (through := learns_from(graph, model, place))
    ]
    return replace(plan, notes=(*plan.notes, *notes))


def _is_source(graph: Graph, name: str) -> bool:
    found = graph.find(name)
    return found is not None and found.kind is Kind.SOURCE


def _words(one: writes.Last, models: Sequence[str]) -> str:
    what = f"predictions of {', '.join(models)}" if models else "rows of a query"
    state = "" if one.status == writes.DONE else f" ({one.status}: whether they are there is not known)"
    rows = f"{one.rows:,} row{'s' * (one.rows != 1)}"
    return f"written to by CREATE TABLE or INSERT INTO: {what}; last {one.at:%Y-%m-%d %H:%M} UTC by {one.actor}, {rows}{state}."
