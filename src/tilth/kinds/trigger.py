"""CREATE TRIGGER: statements that are performed when rows of a table came or changed. How that is found is `runtime.asking.deltas`'."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from tilth.core.errors import LanguageError, Position, ProjectError
from tilth.core.time import Instant, show_duration
from tilth.kinds import statements
from tilth.kinds.job import LONGEST, elsewhere, every
from tilth.kinds.needs import need
from tilth.kinds.spec import KindSpec
from tilth.plan.actions import DeclareTrigger
from tilth.plan.deciding import Deciding, Outcome, changed, redeclared
from tilth.plan.snapshot import Current
from tilth.resources.facts import Facts
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, writing
from tilth.sql.language.acts import CreateTable, InsertInto, Statement
from tilth.sql.language.scheduled import DELTA, POLL, SOON, CreateTrigger
from tilth.sql.language.statements import Kind, RenamedFrom
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries import last, reach
from tilth.sql.queries.timetravel import time_travel

# --- grammar -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Trigger:
    place: tuple[str, str] | None = None
    done: tuple[Statement, ...] = ()
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    every: timedelta = POLL
    renamed_from: RenamedFrom | None = None


def _on(c: Cursor, t: _Trigger) -> None:
    source = c.name("a source's name", fold=True)
    c.expect(".", hint=f"Write ON {source}.table: a trigger looks at a table of a source.")
    t.place = (source, c.name("a table's name", reserved=False))


def _columns(c: Cursor, t: _Trigger) -> None:
    if c.at("("):
        t.columns = c.names("a column")
        return
    found = [c.name("a column", reserved=False)]
    while c.take(","):
        found.append(c.name("a column", reserved=False))
    t.columns = tuple(found)


def _key(c: Cursor, t: _Trigger) -> None:
    t.key = c.names("a key column")


def _every(c: Cursor, t: _Trigger) -> None:
    t.every = every(c)


def _as(c: Cursor, t: _Trigger) -> None:
    if t.done:
        c.fail("The statements are given twice.", "Write them in one pair of parentheses, with `;` between.")
    t.done = statements.read(c, "trigger")


def _bare(c: Cursor, t: _Trigger) -> None:
    c.i -= 1
    _as(c, t)


_CLAUSES = {
    "ON": _on,
    "COLUMNS": _columns,
    "KEY": _key,
    "EVERY": _every,
    clauses.RENAMED: clauses.renamed,
    "AS": _as,
    "(": _bare,
}


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateTrigger:
    """`[IF NOT EXISTS] name ON source.table` with its clauses; the statements stand in parentheses."""
    exists, name = clauses.head(c, "trigger")
    t = _Trigger()
    clauses.read(c, _CLAUSES, t, "CREATE TRIGGER")
    if t.place is None or not t.done:
        missing = "look at a table" if t.place is None else "do anything"
        raise LanguageError(
            f"Trigger `{name}` does not {missing}.",
            hint=f"Write CREATE TRIGGER {name} ON source.table AS (statement; statement).",
            where=where,
        )
    return CreateTrigger(
        name, *t.place, t.done, t.columns, t.key, t.every, or_replace, exists, where, t.renamed_from
    )


def show(s: CreateTrigger) -> str:
    """The declaration in its canonical form."""
    return writing.rows(
        f"{writing.create(s)} ON {writing.name(s.source)}.{writing.column(s.table)}",
        f"COLUMNS ({writing.columns(s.columns)})" if s.columns else None,
        f"KEY ({writing.columns(s.key)})" if s.key else None,
        f"EVERY {writing.span(s.every)}" if s.every != POLL else None,
        writing.renamed(s),
        statements.written(s.statements),
    )


# --- rules, needs and recipe -------------------------------------------------------------------------------


def check(d: CreateTrigger, _facts: Facts) -> None:
    """Raise for a trigger that looks too often, that goes off by what it does itself, or says LAST."""
    if d.every < SOON:
        raise ProjectError(
            f"Trigger `{d.name}` would look every {show_duration(d.every)}, and once a second is the most.",
            hint="Write EVERY '1 second', or more.",
            where=d.position,
        )
    if d.every > LONGEST:
        raise ProjectError(
            f"Trigger `{d.name}` would look every {d.every.days:,} days, and {LONGEST.days:,} are the most.",
            hint="Write how often it is to look.",
            where=d.position,
        )
    low = [k.lower() for k in (*d.columns, *d.key)]
    if twice := next((n for n in low if low.count(n) > 1), None):
        raise ProjectError(
            f"Trigger `{d.name}` names the column `{twice}` twice.",
            hint="A column of the KEY is looked at in any case: name each column once.",
            where=d.position,
        )
    statements.check_repeated(d, d.statements)
    for s in d.statements:
        if isinstance(s, CreateTable | InsertInto) and (s.source, s.table.lower()) == (
            d.source,
            d.table.lower(),
        ):
            raise ProjectError(
                f"Trigger `{d.name}` writes into the table that it looks at, and would go off by that again and again.",
                hint="Write into another table.",
                where=s.position or d.position,
            )
    for query in statements.queries(d.statements):
        reach.check(time_travel(query.sql)[0], query.position)
        if last.marks(query.sql, query.position):
            raise ProjectError(
                "A trigger has no LAST: its new rows are the table TABLE_DELTA.",
                hint="Write SELECT ... FROM TABLE_DELTA.",
                where=query.position or d.position,
            )


def needs(d: CreateTrigger, known: Known) -> Needs:
    """The source that it looks at, and all that its statements name."""
    source = need(d.source, Kind.SOURCE, known, d)
    found = statements.needs(d, d.statements, known, given=frozenset({DELTA}))
    return replace(found, others=tuple(sorted({source, *found.others})))


def recipe(d: CreateTrigger, _facts: Facts) -> dict[str, object]:
    """Nothing is made of it, so all that it says is its recipe."""
    return {
        "table": [d.source, d.table],
        "columns": sorted(c.lower() for c in d.columns),
        "key": sorted(c.lower() for c in d.key),
        "every": d.every,
        "statements": statements.recipe(d.statements),
    }


def renamed(d: CreateTrigger, names: Names) -> CreateTrigger:
    """The same declaration where resources have other names."""
    return replace(
        d,
        name=names.get(d.name, d.name),
        source=names.get(d.source, d.source),
        statements=statements.renamed(d.statements, names),
    )


# --- planning ----------------------------------------------------------------------------------------------


def decide(resource: Resource, current: Current, _now: Instant) -> Outcome:
    """Declare it when it is new or says something else."""
    pointer = current.pointer(Kind.TRIGGER, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        return redeclared(resource, pointer)
    why = "new" if pointer is None else changed(resource, pointer)
    declared = resource.as_(CreateTrigger)
    said = (*elsewhere(resource, current), *statements.notes(resource, declared.statements))
    return (DeclareTrigger(resource.name, resource.recipe, why),), said


TRIGGER = KindSpec(
    Kind.TRIGGER,
    CreateTrigger,
    parse,
    show,
    Making(check, needs, recipe, renamed),
    Deciding(decide, (DeclareTrigger,)),
)
