"""What people should know of how something was made: recorded with it, and told by plan, apply, status and `tilth.notices`.

Of a dataset it is what its sources guessed or left out at the last refresh of its recipe; of a model what the training of a
version left out or found odd. Nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tilth.core.errors import TilthError
from tilth.ml.data.reading import notices_of
from tilth.plan.actions import CollectDataset, Note, Plan
from tilth.ports import registry
from tilth.ports.source import Notice
from tilth.ports.state import Change, Row, State
from tilth.resources.graph import Graph
from tilth.runtime import sources as opening
from tilth.sql.language.statements import CreateSource, Kind


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to know. `place` is source.table; `option` what to write to settle it, or a sentence of advice."""

    kind: str
    text: str
    place: str | None = None
    column: str | None = None
    option: str | None = None

    @property
    def words(self) -> str:
        """It as a line for people."""
        at = ".".join(p for p in (self.place, self.column) if p) if self.place else ""
        text = self.text if self.text.endswith(".") else f"{self.text}."
        advice = self.option or ""
        todo = "" if not advice else f" {advice}" if advice.endswith(".") else f" Write {advice}."
        return f"{at}: {text}{todo}" if at else f"{text}{todo}"


def of_source(source: str, notice: Notice) -> Told:
    return Told(notice.kind, notice.text, f"{source}.{notice.table}", notice.column, notice.option)


def of_row(row: Row) -> Told:
    """One that was recorded."""
    place, column, option = (
        None if row[k] is None else str(row[k]) for k in ("place", "column_name", "option")
    )
    return Told(str(row["kind"]), str(row["text"]), place, column, option)


def of_training(facts: Mapping[str, Any]) -> tuple[Told, ...]:
    """What a training says of what it left out or found odd."""
    return tuple(
        Told(t["kind"], t["text"], None, t.get("column"), t.get("option")) for t in facts.get("told", ())
    )


def recorded(state: State, resource: str, name: str, made: str) -> tuple[Told, ...]:
    """What stands of the dataset's recipe, or of the model's version."""
    return tuple(map(of_row, state.read("notices_of", resource=resource, name=name, made=made)))


def record(change: Change, resource: str, name: str, made: str, told: Iterable[Told], at: str) -> None:
    """Put these in place of what stood; what was said before keeps its time."""
    since = {
        of_row(r): str(r["at"]) for r in change.read("notices_of", resource=resource, name=name, made=made)
    }
    fresh = tuple(dict.fromkeys(told))
    if tuple(since) == fresh:
        return
    change.write("forget_notices", resource=resource, name=name, made=made)
    for one in fresh:
        change.write(
            "add_notice", resource=resource, name=name, made=made, kind=one.kind, place=one.place,
            column_name=one.column, text=one.text, option=one.option, at=since.get(one, at),
        )  # fmt: skip


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


def lines(told: Sequence[Told]) -> tuple[str, ...]:
    return tuple(t.words for t in told)
