"""What CREATE JOB and CREATE TRIGGER share: the statements that they hold, in parentheses, and what those need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from tilth.core.errors import Position, ProjectError, UnsupportedError
from tilth.kinds.needs import need, of_question
from tilth.plan.actions import Note
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Names, Needs
from tilth.sql.language import prefix, printer
from tilth.sql.language.acts import (
    CreateTable,
    InsertInto,
    LookAt,
    RefreshDataset,
    RetrainModel,
    Select,
    Statement,
)
from tilth.sql.language.normal import normal
from tilth.sql.language.parser import Parse, Stands, each
from tilth.sql.language.statements import Declaration, Kind, NativeQuery, Query
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries import renaming
from tilth.sql.queries.again import repeatable

MAY = (CreateTable, InsertInto, LookAt, RefreshDataset, RetrainModel, Select)
_LISTED = "CREATE TABLE, INSERT INTO, REFRESH DATASET, RETRAIN, LOOK AT and SELECT"
_WORDS = ("SOURCE", "DATASET", "MODEL", "VIEW", "ENDPOINT", "CHANNEL", "JOB", "TRIGGER")


def read(c: Cursor, what: str) -> tuple[Statement, ...]:
    """`(statement; statement)`, from the parenthesis on; LanguageError for what a job does not do."""
    first, last = c.balanced("statements")
    c.slice(first, last)
    inner, out = c.within(first, last), []
    _check_names(c, first, last)
    for one in each(inner, _nothing(what)):
        _check_templates(c, one)
        if not isinstance(one.statement, MAY):
            c.fail(
                f"A {what} does not do this.",
                f"It may do {_LISTED}; what is declared stands in files.",
                at=one.first,
            )
        out.append(one.statement)
    if not out:
        c.fail("There is no statement in these parentheses.", f"Write {_LISTED}.", at=first)
    return tuple(out)


def _check_names(c: Cursor, first: int, last: int) -> None:
    """Raise where `{{...}}` stands in a name: what each run makes has one name here."""
    for i in range(first, last - 1):
        if c.keys[i] == c.keys[i + 1] == "{":
            raise UnsupportedError(
                "A name with `{{...}}` would be another one at each run.",
                hint="Write CREATE OR REPLACE TABLE, or INSERT INTO one table with the time as a column: localtimestamp AS at.",
                where=c.position(i, i + 2),
            )


def _check_templates(c: Cursor, one: Stands) -> None:
    """Raise where `{{...}}` is left in a statement: in a query that a source answers itself, say, or one that nobody knows."""
    s = one.statement
    source = s.source if isinstance(s, RetrainModel) else None
    queries = [q.sql for q in (query_of(s), source) if q is not None]
    if any("{{" in sql for sql in queries):
        raise UnsupportedError(
            f"`{{{{...}}}}` is not known here, or stands in a query that its source answers: {', '.join(prefix.TEMPLATES)} are read in queries over source.table.",
            hint="Write the time as SQL of the source, such as now() - interval '1 day', or leave the query out: RETRAIN reads the model's own rows anew.",
            where=c.position(one.first),
        )


def _nothing(what: str) -> Mapping[str, Parse]:
    """Kinds none of which may be declared."""

    def refused(c: Cursor, _or_replace: bool, _where: Position) -> NoReturn:
        word = c.keys[c.i - 1]
        made = "No job makes jobs or triggers" if word in ("JOB", "TRIGGER") else f"A {what} declares nothing"
        c.fail(f"{made}.", f"Write the CREATE {word} into a file; a {what} may do {_LISTED}.", at=c.i - 1)

    return dict.fromkeys(_WORDS, refused)


def written(statements: Sequence[Statement]) -> str:
    """The clause that holds them, in its canonical form."""
    lines = "\n    ".join(printer.show(s, {}) for s in statements)
    return f"AS (\n    {lines}\n  )"


def recipe(statements: Sequence[Statement]) -> list[str]:
    """What they say, however it is laid out."""
    return [normal(printer.show(s, {})) for s in statements]


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that is part of a statement."""

    query: Query
    writes: bool = False


def queries(statements: Sequence[Statement]) -> Iterator[Query]:
    """The queries of the statements, in order."""
    for s in statements:
        if (found := query_of(s)) is not None:
            yield found


def query_of(statement: Statement) -> Query | None:
    """The query of a statement, if it has one."""
    if isinstance(statement, Select):
        return Query(statement.sql, statement.position)
    return statement.query if isinstance(statement, CreateTable | InsertInto) else None


def with_query(statement: Statement, sql: str) -> Statement:
    """The statement with another query; what is edited has no place in a file any more."""
    if isinstance(statement, Select):
        return Select(sql)
    assert isinstance(statement, CreateTable | InsertInto)
    return replace(statement, query=Query(sql))


def needs(
    d: Declaration,
    statements: Sequence[Statement],
    known: Known,
    more: Sequence[Query] = (),
    given: frozenset[str] = frozenset(),
) -> Needs:
    """All that they name, by name: nothing of it is made again when it changes."""
    names: set[str] = set()
    for query in (*queries(statements), *more):
        names.update(of_question(d, query, known, given).depends)
    for s in statements:
        if isinstance(s, CreateTable | InsertInto):
            names.add(need(s.source, Kind.SOURCE, known, d, s.position))
        elif isinstance(s, RefreshDataset):
            names.add(need(s.name, Kind.DATASET, known, d))
        elif isinstance(s, RetrainModel):
            names.add(need(s.name, Kind.MODEL, known, d))
            if isinstance(s.source, NativeQuery):
                names.add(need(s.source.source, Kind.SOURCE, known, d, s.source.position))
            elif s.source is not None:
                names.update(of_question(d, s.source, known, given).depends)
        elif isinstance(s, LookAt):
            names.add(need(s.name, s.kind, known, d))
    return Needs(others=tuple(sorted(names)))


def renamed(statements: Sequence[Statement], names: Names) -> tuple[Statement, ...]:
    """The same statements where resources have other names."""
    return tuple(_renamed(s, names) for s in statements)


def _renamed(s: Statement, names: Names) -> Statement:
    if isinstance(s, Select):
        return replace(s, sql=renaming.renamed(s.sql, names))
    if isinstance(s, CreateTable | InsertInto):
        query = replace(s.query, sql=renaming.renamed(s.query.sql, names))
        return replace(s, source=names.get(s.source, s.source), query=query)
    assert isinstance(s, RefreshDataset | RetrainModel | LookAt)
    found = replace(s, name=names.get(s.name, s.name))
    if isinstance(found, RetrainModel) and found.source is not None:
        sql, of = found.source.sql, found.source
        own = (
            replace(of, source=names.get(of.source, of.source))
            if isinstance(of, NativeQuery)
            else replace(of, sql=renaming.renamed(sql, names))
        )
        return replace(found, source=own)
    return found


def check_repeated(d: Declaration, statements: Sequence[Statement]) -> None:
    """ProjectError for a table that would be made by every run, which all but the first would find there."""
    for s in statements:
        if isinstance(s, CreateTable) and not (s.or_replace or s.if_not_exists):
            raise ProjectError(
                f"The {d.kind} `{d.name}` makes the table `{s.source}.{s.table}` again and again, and it is there after the first time.",
                hint="Write CREATE OR REPLACE TABLE, or INSERT INTO it with a KEY.",
                where=s.position or d.position,
            )


def once(s: Statement) -> bool:
    """Whether the statement must not be done twice: nothing tells its rows from those that are there, or it makes them of those."""
    if not isinstance(s, InsertInto):
        return False
    return not s.key or not repeatable(s.query.sql, (s.source, s.table), s.key)


def notes(resource: Resource, statements: Sequence[Statement]) -> tuple[Note, ...]:
    """What to know of statements that are not repeated."""
    found = [s for s in statements if isinstance(s, InsertInto) and once(s)]
    said = "its rows are written at most once, and not again where a crash leaves open whether they were"
    parts = (
        ([s for s in found if not s.key], "has no KEY"),
        ([s for s in found if s.key], "makes its rows of those that it changes"),
    )
    return tuple(
        Note(resource.name, f"{_verb(each)} {', '.join(f'{s.source}.{s.table}' for s in each)} {why}: {said}")
        for each, why in parts
        if each
    )


def _verb(each: Sequence[InsertInto]) -> str:
    return "UPDATE or INSERT INTO" if each[0].key else "INSERT INTO"


def why_once(s: Statement) -> str:
    """Why a statement is not done again."""
    return (
        "has no KEY" if isinstance(s, InsertInto) and not s.key else "makes its rows of those that it changes"
    )
