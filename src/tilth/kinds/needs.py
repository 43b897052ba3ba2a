"""What declarations need of one another: names that are declared as a kind, and what a query reads.

Used by the modules of the kinds; which of it goes into a recipe is said by `resources.making.Needs`. A view is needed with all that its
query reads, since that is read in its place: the recipe holds the view's, and what is behind it is needed by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tilth.core.errors import Position, ProjectError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.kinds.source import as_read
from tilth.resources.kinds import TableRef
from tilth.resources.making import Known, Needs
from tilth.sql.language.prefix import PROJECT
from tilth.sql.language.statements import CreateView, Declaration, Kind, Query
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries import asof
from tilth.sql.queries.firsts import firsts, maybe
from tilth.sql.queries.reads import TableUse, tables
from tilth.sql.queries.timetravel import time_travel

SYSTEM = ("tilth", PROJECT)
QUESTIONS = (Kind.VIEW, Kind.JOB, Kind.TRIGGER)  # kinds whose queries are answered when they are asked


@dataclass(slots=True)
class _Reads:
    """What a query reads, gathered while it is looked through."""

    direct: set[TableRef] = field(default_factory=set)
    made: set[str] = field(default_factory=set)  # datasets and views that it names
    behind: set[str] = field(default_factory=set)  # what those views read, and models
    tables: set[TableRef] = field(default_factory=set)  # of all of them


def of_query(d: Declaration, query: Query, known: Known) -> Needs:
    """What a query reads whose rows are kept: tables of sources, datasets, and views of such."""
    return _needs(d, query, known, asked=False)


def of_question(d: Declaration, query: Query, known: Known, given: frozenset[str] = frozenset()) -> Needs:
    """What a query reads that is answered when it is asked: models too, tables of the schema tilth, and what is held by FOR.

    `given` are tables that it is given, in lower case.
    """
    return _needs(d, query, known, asked=True, given=given)


def _needs(
    d: Declaration, query: Query, known: Known, *, asked: bool, given: frozenset[str] = frozenset()
) -> Needs:
    found = _Reads()
    if maybe(query.sql) and firsts(Cursor(query.sql)):
        raise UnsupportedError(
            "PREDICT (...) is asked by SELECT, and does not stand in what is declared, or in another.",
            hint="Declare the model too: CREATE MODEL, or ask it once and write `tilth adopt NAME`; then name it here.",
            where=query.position or d.position,
        )
    text = time_travel(query.sql)[0] if asked else asof.plain(query.sql)
    for use in tables(text, query.position):
        if use.schema is None and use.name.lower() in given:
            continue
        if use.schema is not None:
            if (table := _table(d, use, known, asked=asked)) is not None:
                found.direct.add(table)
            continue
        name, kinds = use.name.lower(), (Kind.DATASET, Kind.VIEW, Kind.MODEL)[: 3 if asked else 2]
        kind = known[need_one(name, kinds, known, d, use.position)].kind
        (found.behind if kind is Kind.MODEL else found.made).add(name)
        if kind is Kind.VIEW:
            _behind(d, name, known, found, (d.name, name), asked=asked)
    refs = tuple(sorted(found.direct | found.tables, key=lambda t: (t.source, t.table)))
    sources = {t.source for t in found.direct}
    others = {*found.behind, *(t.source for t in found.tables)} - sources - found.made
    read = as_read(sources, known, tuple(t for t in refs if t in found.direct))
    return Needs(tuple(sorted(found.made)), read, tuple(sorted(others)), refs)


def _table(d: Declaration, use: TableUse, known: Known, *, asked: bool) -> TableRef | None:
    """The table of a source; None for one of the schema tilth, where that may be asked."""
    assert use.schema is not None
    schema = use.schema.lower()
    if asked and schema in SYSTEM:
        return None
    return TableRef(need(schema, Kind.SOURCE, known, d, use.position), use.name)


def _behind(
    d: Declaration, view: str, known: Known, found: _Reads, path: tuple[str, ...], *, asked: bool
) -> None:
    """Add what a view reads. A circle of views is found where the graph is put in order."""
    declared = known[view]
    assert isinstance(declared, CreateView)
    text, pins = time_travel(declared.query.sql)
    if pins and not asked:
        raise _no_rows(d, view, f"holds `{pins[0].name}` to what it was")
    for use in tables(text, declared.query.position):
        if use.schema is not None:
            if use.schema.lower() in SYSTEM and not asked:
                raise _no_rows(d, view, f"reads `{use.schema}.{use.name}`")
            if (table := _table(declared, use, known, asked=asked)) is not None:
                found.tables.add(table)
            continue
        name = need_one(
            use.name.lower(), (Kind.DATASET, Kind.VIEW, Kind.MODEL), known, declared, use.position
        )
        kind = known[name].kind
        if kind is Kind.MODEL and not asked:
            raise _no_rows(d, view, f"asks the model `{name}`")
        if name in path:
            continue
        found.behind.add(name)
        if kind is Kind.VIEW:
            _behind(d, name, known, found, (*path, name), asked=asked)


def _no_rows(d: Declaration, view: str, why: str) -> ProjectError:
    return ProjectError(
        f"The view `{view}` {why}, and the {d.kind} `{d.name}` is made of rows of sources, datasets and views of those.",
        hint="Views over models and over the schema tilth can be asked by SELECT, and by jobs, which write what they give into a source.",
        where=d.position,
    )


def need(name: str, kind: Kind, known: Known, user: Declaration, where: Position | None = None) -> str:
    """The name, which is declared as that kind; UnknownNameError where it is used when it is not."""
    return need_one(name, (kind,), known, user, where)


def need_one(
    name: str, kinds: tuple[Kind, ...], known: Known, user: Declaration, where: Position | None = None
) -> str:
    """The name, which is declared as one of those kinds; the first of them is what is called missing, or all that can be asked."""
    found = known.get(name)
    if found is not None and found.kind in kinds:
        return name
    asked = Kind.MODEL in kinds and len(kinds) > 1
    kind = "dataset, view or model" if asked else str(kinds[0])
    names = [n for n, d in known.items() if d.kind in kinds and n != user.name]
    hint = did_you_mean(name, names, "datasets, views and models" if asked else f"{kind}s")
    if found is None:
        message = f"There is no {kind} `{name}`, which `{user.name}` needs."
        if name in SYSTEM and Kind.SOURCE in kinds:
            hint = f"Tables of the schema {name} can be asked, but not be made into data. " + hint
    else:
        message = f"`{name}` is a {found.kind}, not a {kind}, which `{user.name}` needs."
        if found.kind is Kind.SOURCE and Kind.DATASET in kinds:
            hint = f"Write the table too: {name}.<table>. " + hint
    raise UnknownNameError(message, hint=hint, where=where or user.position)
