"""CREATE VIEW: a query with a name. Nothing is kept of it; whoever names it reads what its query gives then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tilth.core.errors import LanguageError, Position
from tilth.core.time import Instant
from tilth.kinds.needs import of_question
from tilth.kinds.spec import KindSpec
from tilth.plan.actions import DeclareView
from tilth.plan.deciding import Deciding, Outcome, changed, redeclared
from tilth.plan.snapshot import Current
from tilth.resources.facts import Facts
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, prefix, writing
from tilth.sql.language.normal import normal
from tilth.sql.language.statements import CreateDataset, CreateView, Declaration, Kind, Query, RenamedFrom
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries import pointintime, reach, renaming, views
from tilth.sql.queries.pointintime import Timed
from tilth.sql.queries.timetravel import time_travel

# --- grammar -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _View:
    query: Query | None = None
    source: str | None = None  # of which tables without one are
    renamed_from: RenamedFrom | None = None


def _as(c: Cursor, v: _View) -> None:
    if c.key not in clauses.QUERY_WORDS:
        c.fail(f"Expected a query after AS{c.instead()}.", "Write AS SELECT ... ; it runs to the semicolon.")
    v.query = clauses.rest(c, c.i)


def _from(c: Cursor, v: _View) -> None:
    name = prefix.resource(c, "a source's name")
    v.source = None if name == prefix.PROJECT else name
    if c.at("("):
        v.query = clauses.rest(c, c.i)


_CLAUSES = {clauses.RENAMED: clauses.renamed, "AS": _as, "FROM": _from}


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateView:
    """`[IF NOT EXISTS] name [FROM source] AS query`; the query runs to the semicolon, and may stand in parentheses.

    FROM is MindsDB's: tables that name no source are of that one.
    """
    exists, name = clauses.head(c, "view")
    v = _View()
    clauses.read(c, _CLAUSES, v, "CREATE VIEW")
    if v.query is None:
        raise LanguageError(f"View `{name}` has no query.", hint="Add AS SELECT ...", where=where)
    query = v.query if v.source is None else Query(views.of_source(v.query.sql, v.source), v.query.position)
    return CreateView(name, query, or_replace, exists, where, v.renamed_from)


def show(s: CreateView) -> str:
    """The declaration in its canonical form."""
    return f"{writing.rows(writing.create(s), writing.renamed(s))}\nAS {s.query.sql}"


# --- rules, needs and recipe -------------------------------------------------------------------------------


def check(d: CreateView, _facts: Facts) -> None:
    """Raise for a query that reads more than tables; what it names is checked where names are known."""
    reach.check(time_travel(d.query.sql)[0], d.query.position)


def needs(d: CreateView, known: Known) -> Needs:
    """All that its query reads: tables of sources, datasets, models and views."""
    return of_question(d, d.query, known)


def recipe(d: CreateView, _facts: Facts) -> dict[str, object]:
    """Its query."""
    return {"query": normal(d.query.sql)}


def renamed(d: CreateView, names: Names) -> CreateView:
    """The same declaration where resources have other names."""
    query = replace(d.query, sql=renaming.renamed(d.query.sql, names))
    return replace(d, name=names.get(d.name, d.name), query=query)


def over(d: CreateView, queries: Mapping[str, str], known: Known) -> CreateView:
    """The same declaration with the queries of views in the place of their names, and AS OF as a join."""
    found = query_over(d.query, queries, known)
    return d if found is d.query else replace(d, query=found)


def query_over(query: Query, queries: Mapping[str, str], known: Known) -> Query:
    """The query with those of views in it and with AS OF as a join, itself when it has neither; what is edited has no place in a file any more."""
    text = pointintime.joined(query.sql, lambda: times(known.values()), query.position)
    text = views.inlined(text, queries)
    return query if text == query.sql else Query(text)


def times(declared: Iterable[Declaration]) -> dict[str, Timed]:
    """When rows of the datasets happened and became known, by name: what AS OF asks."""
    return {d.name: Timed(d.event_time, d.known_at, d.key) for d in declared if isinstance(d, CreateDataset)}


# --- planning ----------------------------------------------------------------------------------------------


def decide(resource: Resource, current: Current, _now: Instant) -> Outcome:
    """Declare it when it is new, says something else, or reads what was changed."""
    pointer = current.pointer(Kind.VIEW, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        return redeclared(resource, pointer)
    why = "new" if pointer is None else changed(resource, pointer)
    return (DeclareView(resource.name, resource.recipe, why),), ()


VIEW = KindSpec(
    Kind.VIEW,
    CreateView,
    parse,
    show,
    Making(check, needs, recipe, renamed, stands_for=lambda d: d.query.sql, over=over),
    Deciding(decide, (DeclareView,)),
)
