"""The table of kinds in use: the functions of the floors below, closed over its rows.

The rows that ship are in `tilth.kinds`. The order of the rows is one in which each kind comes after those that it can
need; what is dropped goes the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard, TypeVar

from tilth.core.errors import TilthError
from tilth.core.time import Instant
from tilth.kinds.spec import KindSpec
from tilth.plan import alone as one
from tilth.plan import planner, renaming
from tilth.plan.actions import COMMON, Plan
from tilth.plan.deciding import Deciding
from tilth.plan.snapshot import Current
from tilth.resources import compiler
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.resources.making import Making
from tilth.sql.language import layout, parser, printer
from tilth.sql.language.acts import Statement
from tilth.sql.language.parser import Looked, Parse
from tilth.sql.language.printer import Show
from tilth.sql.language.statements import Declaration, Kind

D = TypeVar("D", bound=Declaration)


@dataclass(frozen=True, slots=True)
class Table:
    """Kinds by row. `Table((*table, row))` is the table with one more kind."""

    rows: tuple[KindSpec, ...]
    _parse: Mapping[str, Parse] = field(init=False, repr=False, compare=False)
    _show: Mapping[type, Show] = field(init=False, repr=False, compare=False)
    _making: Mapping[type, Making] = field(init=False, repr=False, compare=False)
    _deciding: Mapping[Kind, Deciding] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parse", {r.kind.keyword: r.parse for r in self.rows})
        object.__setattr__(self, "_show", {r.statement: r.show for r in self.rows})
        object.__setattr__(self, "_making", {r.statement: r.making for r in self.rows})
        object.__setattr__(self, "_deciding", {r.kind: r.deciding for r in self.rows})

    def __iter__(self) -> Iterator[KindSpec]:
        return iter(self.rows)

    @property
    def order(self) -> tuple[Kind, ...]:
        """The kinds, each after those that it can need."""
        return tuple(r.kind for r in self.rows)

    @property
    def actions(self) -> tuple[type, ...]:
        """The classes of all actions that a plan can hold."""
        return (*(a for r in self.rows for a in r.deciding.actions), *COMMON)

    def declares(self, statement: Statement) -> TypeGuard[Declaration]:
        """Whether the statement declares a resource."""
        return type(statement) in self._making

    def parse(self, text: str, file: str | None = None) -> tuple[Statement, ...]:
        """The statements of a text, in order; LanguageError or UnsupportedError with the place of the first problem."""
        return parser.parse(text, self._parse, file)

    def parse_one(self, text: str, file: str | None = None) -> Statement:
        """The one statement of a text; LanguageError when there are none or several."""
        return parser.parse_one(text, self._parse, file)

    def look(self, text: str, file: str | None = None) -> Looked:
        """What could be read of a text, and all that is wrong with the rest."""
        return parser.look(text, self._parse, file)

    def layout(self, text: str, file: str | None = None) -> str:
        """The text as tilth lays it out: its comments, its queries and what it means are what they were."""
        return layout.layout(text, self._parse, file)

    def show(self, statement: Statement) -> str:
        """The statement in its canonical form, ending in `;`."""
        return printer.show(statement, self._show)

    def compile(self, statements: Sequence[Statement], facts: Facts) -> Graph:
        """The graph of a project; ProjectError, UnknownNameError or CycleError with file, line and caret."""
        return compiler.compile(statements, facts, self._making, self._show)

    def look_at(self, statements: Sequence[Statement], facts: Facts) -> tuple[Graph, tuple[TilthError, ...]]:
        """All that is wrong with a project, and the graph of what is not."""
        return compiler.look(statements, facts, self._making, self._show)

    def plan(self, desired: Iterable[Resource], current: Current, now: Instant) -> Plan:
        """The actions that lead from what is to what is wanted, in an order that can be executed."""
        return planner.plan(desired, current, now, self._deciding, self.rewritten)

    def rewritten(self, text: str, names: Mapping[str, str]) -> str:
        """The text of a declaration in which resources have other names, by those that they had."""
        if not names:
            return text
        declared = self.parse_one(text)
        assert self.declares(declared)
        return printer.show(self.renamed(declared, names), self._show)

    def renamed(self, declared: D, names: Mapping[str, str]) -> D:
        """The declaration where resources have other names, by those that they had."""
        found: D = self._making[type(declared)].renamed(declared, names)
        return found

    def called(self, wanted: Iterable[Resource], current: Current) -> Current:
        """What is, with every name as it is wanted."""
        return renaming.called(wanted, current, self.rewritten)

    def alone(self, whole: Plan, name: str, graph: Graph, current: Current) -> Plan:
        """The part of the plan that belongs to one resource."""
        return one.alone(whole, name, graph, self.called(graph, current), self._deciding)
