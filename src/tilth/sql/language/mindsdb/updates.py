"""`UPDATE ops.t SET a = p.a FROM (query) AS p WHERE t.id = p.id` as INSERT INTO with a KEY: of rows that are there, so that none is added."""

from __future__ import annotations

from tilth.core.errors import LanguageError, Position
from tilth.sql.language import clauses, prefix, writing
from tilth.sql.language.acts import InsertInto
from tilth.sql.language.statements import Query
from tilth.sql.language.tokens import Cursor

_HOW = "Write UPDATE ops.t SET a = p.a FROM (SELECT ...) AS p WHERE t.id = p.id."
_END = frozenset({",", "FROM", ";"})


def update(c: Cursor, where: Position) -> InsertInto:
    """From the table on. The columns that WHERE compares tell the rows; the others of the table stay as they are."""
    source = prefix.resource_of_table(c)
    table = c.name("a table's name", reserved=False)
    mine = c.name("the table's name here", reserved=False) if c.take("AS") else table
    c.expect("SET", hint=_HOW)
    sets = [_set(c, mine)]
    while c.take(","):
        sets.append(_set(c, mine))
    c.expect("FROM", hint=_HOW)
    first, last = c.balanced("a query")
    query = clauses.query(c, first, last)
    c.take("AS")
    theirs = c.name("the name of the query's rows", reserved=False)
    c.expect("WHERE", hint=_HOW)
    begin = c.i
    c.skip_to(frozenset({";"}))
    if begin == c.i:
        c.fail(f"Expected a condition here{c.instead()}.", _HOW)
    key = _key(c, begin, mine, theirs)
    if not key:
        raise LanguageError(
            f"This does not say which rows of `{table}` are changed.",
            hint=f"Compare a column of each: WHERE {mine}.id = {theirs}.id.",
            where=c.position(begin),
        )
    low = {k.lower() for k in key}
    if twice := next((n for n, _ in sets if n.lower() in low), None):
        raise LanguageError(
            f"`{twice}` tells the rows, so it cannot be changed too.",
            hint="Leave it out of SET.",
            where=where,
        )
    named = [f"{writing.column(mine)}.{writing.column(k)}" for k in key]
    listed = ", ".join([*named, *(f"{text} AS {writing.column(n)}" for n, text in sets)])
    text = (
        f"SELECT {listed} FROM {writing.name(source)}.{writing.column(table)} AS {writing.column(mine)}"
        f" JOIN ({query.sql}\n) AS {writing.column(theirs)} ON {prefix.plain(c, begin, c.i)}"
    )
    return InsertInto(source, table, Query(text), (), key, position=where)


def _set(c: Cursor, mine: str) -> tuple[str, str]:
    """`[t.]column = expression`."""
    name = c.name("a column", reserved=False)
    if c.at(".") and name.lower() == mine.lower():
        c.i += 1
        name = c.name("a column", reserved=False)
    c.expect("=", hint=_HOW)
    first = c.i
    c.skip_to(_END)
    if c.i == first:
        c.fail(f"Expected a value here{c.instead()}.", _HOW)
    return name, prefix.plain(c, first, c.i)


def _key(c: Cursor, begin: int, mine: str, theirs: str) -> tuple[str, ...]:
    """Columns of the table that are compared with one of the query by `=`, at the top of the condition."""
    found: dict[str, str] = {}
    depth = 0
    for i in range(begin, c.i):
        depth += (c.keys[i] == "(") - (c.keys[i] == ")")
        if c.keys[i] == "OR":
            return ()
        if c.keys[i] != "=" or depth or i < begin + 3 or i + 3 >= len(c.tokens):
            continue
        sides = {_said(c, i - 3): c.tokens[i - 1].text, _said(c, i + 1): c.tokens[i + 3].text}
        if set(sides) == {mine.lower(), theirs.lower()}:
            name = sides[mine.lower()]
            found.setdefault(name.lower(), name)
    return tuple(found.values())


def _said(c: Cursor, i: int) -> str:
    """The table of `table.column` at a token; nothing where that does not stand there."""
    return c.tokens[i].text.lower() if c.keys[i + 1] == "." else ""
