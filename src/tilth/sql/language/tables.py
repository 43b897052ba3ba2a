"""What writes rows into a source: CREATE TABLE s.t AS and INSERT INTO s.t. Each function begins after those words.

MindsDB's `CREATE TABLE s.t (SELECT ...)` and `INSERT INTO s.t (SELECT ...)` are read too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from tilth.core.errors import Position
from tilth.sql.language import clauses, values, writing
from tilth.sql.language.acts import CreateTable, InsertInto, Logged
from tilth.sql.language.statements import Query
from tilth.sql.language.tokens import Cursor

_LOG = tuple(Logged)
_CREATE = "CREATE TABLE ops.scores KEY (id) AS SELECT ..."
_INSERT = "INSERT INTO ops.scores KEY (id) SELECT ..."


@dataclass(slots=True)
class _Parts:
    key: tuple[str, ...] = ()
    log: Logged = Logged.SAMPLE


def create_table(c: Cursor, where: Position, *, or_replace: bool) -> CreateTable:
    """`[IF NOT EXISTS] s.t [KEY (a, b)] [WITH (log = 'all')] AS query`."""
    exists = c.take("IF", "NOT", "EXISTS")
    if exists and or_replace:
        c.fail("OR REPLACE and IF NOT EXISTS exclude each other.", "Keep one of them.", at=c.i - 1)
    source, table = _table(c)
    parts = _parts(c)
    if c.key == "(" and c.following not in clauses.QUERY_WORDS:
        c.fail(
            "A table of a source is made from the rows of a query, whose columns it gets.", f"Write {_CREATE}"
        )
    if c.key != "(":
        c.expect("AS", hint=f"Write {_CREATE}")
    query = _query(c, _CREATE)
    return CreateTable(source, table, query, parts.key, parts.log, or_replace, exists, where)


def insert_into(c: Cursor, where: Position) -> InsertInto:
    """`s.t [(a, b)] [KEY (a)] [WITH (log = 'all')] query`."""
    source, table = _table(c)
    columns = c.names("a column") if c.at("(") and c.following not in clauses.QUERY_WORDS else ()
    _apart(c, columns)
    parts = _parts(c)
    query = _query(c, _INSERT)
    return InsertInto(source, table, query, columns, parts.key, parts.log, where)


def _table(c: Cursor) -> tuple[str, str]:
    source = c.name("a source's name", fold=True)
    if not c.at("."):
        c.fail(
            f"Tables are written into a source, and `{source}` names none.",
            f"Write source.table, as in {_CREATE} Rows that models learn from are a DATASET.",
        )
    c.i += 1
    table = c.name("a table's name", reserved=False)
    if c.at("."):
        c.fail(
            "A table of a source has two names: source.table.",
            "Which schema it is, is an option of the source.",
        )
    return source, table


def _parts(c: Cursor) -> _Parts:
    found, seen = _Parts(), set[str]()
    while c.key in ("KEY", "WITH"):
        at, word = c.i, c.text_token().upper()
        if word == "WITH" and not c.at("("):  # a query with CTEs
            c.i = at
            break
        if word in seen:
            c.fail(f"{word} is given twice.", "Keep one of them.", at=at)
        seen.add(word)
        if word == "KEY":
            found.key = c.names("a key column")
            _apart(c, found.key)
        else:
            found.log = _log(c)
    return found


def _log(c: Cursor) -> Logged:
    at = c.i
    said = values.option_list(c, ("log",)).get("log", Logged.SAMPLE.value)
    if not isinstance(said, str) or said.lower() not in _LOG:
        c.fail("`log` is 'sample', 'all' or 'none'.", "Write WITH (log = 'all').", at=at)
    return Logged(said.lower())


def _apart(c: Cursor, names: tuple[str, ...]) -> None:
    low = [n.lower() for n in names]
    if twice := next((n for n in low if low.count(n) > 1), None):
        c.fail(f"The column `{twice}` is named twice.", "Name each once.", at=c.i - 1)


def _query(c: Cursor, example: str) -> Query:
    if c.key not in clauses.QUERY_WORDS:
        _no_query(c, example)
    return clauses.rest(c, c.i)


def _no_query(c: Cursor, example: str) -> NoReturn:
    c.fail(f"Expected a query here{c.instead()}.", f"Write {example}")


# --- how they are written ----------------------------------------------------------------------------------


def show_create(s: CreateTable) -> str:
    """The statement in its canonical form."""
    replace = "OR REPLACE " if s.or_replace else ""
    exists = "IF NOT EXISTS " if s.if_not_exists else ""
    head = f"CREATE {replace}TABLE {exists}{_named(s)}{_said(s)}"
    return writing.rows(head, f"AS {s.query.sql}")


def show_insert(s: InsertInto) -> str:
    """The statement in its canonical form."""
    listed = f" ({writing.columns(s.columns)})" if s.columns else ""
    return writing.rows(f"INSERT INTO {_named(s)}{listed}{_said(s)}", s.query.sql)


def _named(s: CreateTable | InsertInto) -> str:
    return f"{writing.name(s.source)}.{writing.column(s.table)}"


def _said(s: CreateTable | InsertInto) -> str:
    key = f" KEY ({writing.columns(s.key)})" if s.key else ""
    return key + ("" if s.log is Logged.SAMPLE else f" WITH (log = '{s.log}')")
