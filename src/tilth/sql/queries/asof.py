"""`AS OF e.t` after a table: found in a query, and blanked before sqlglot or DuckDB see it. What it becomes is in `pointintime`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tilth.sql.language.tokens import Cursor
from tilth.sql.language.trees import tree

if TYPE_CHECKING:
    from sqlglot import exp

AFTER = frozenset(
    """
    ANTI ASOF CROSS EXCEPT FOR FROM FULL GROUP HAVING INNER INTERSECT JOIN LEFT LIMIT NATURAL OFFSET ON ORDER OUTER PIVOT
    POSITIONAL QUALIFY RIGHT SELECT SEMI TABLESAMPLE UNION UNPIVOT USING WHERE WINDOW
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
"""Words that go on with a query: after `AS of` they show that `of` is an alias."""

_ASKED = "SELECT "
_MAYBE = re.compile(r"\bof\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AsOf:
    """Where it stands, in tokens (`last` exclusive), and the time that is asked for, as written."""

    first: int
    last: int
    time: str


def maybe(sql: str) -> bool:
    """Whether it is worth looking."""
    return _MAYBE.search(sql) is not None


def found(c: Cursor) -> tuple[AsOf, ...]:
    """Those of a text, in the order written: AS OF with a column or something in parentheses behind it."""
    out = []
    for i in range(1, len(c.keys) - 2):
        if c.keys[i] == "AS" and c.keys[i + 1] == "OF" and (last := _time(c, i + 2)) is not None:
            text = c.text[c.tokens[i + 2].start : c.tokens[last - 1].end + 1]
            out.append(AsOf(i, last, text))
    return tuple(out)


def _time(c: Cursor, i: int) -> int | None:
    """The token behind the time that begins at token `i`; None where none does."""
    if c.keys[i] == "(":
        return closing(c, i) + 1
    c.i = i
    if not c.at_name or c.keys[i] in AFTER:
        return None
    while i + 2 < len(c.keys) and c.keys[i + 1] == ".":
        i += 2
    return i + 1


def times(sql: str) -> tuple[tuple[int, exp.Expr], ...]:
    """The times that are asked for, as trees of `SELECT time`, with where such a text would begin in the query."""
    if not maybe(sql):
        return ()
    c = Cursor(sql)
    return tuple((c.tokens[u.first + 2].start - len(_ASKED), tree(_ASKED + u.time)) for u in found(c))


def closing(c: Cursor, i: int) -> int:
    """The token that closes the bracket which token `i` opens; the last token where none does."""
    depth = 0
    for at in range(i, len(c.keys)):
        depth += (c.keys[at] in "([{") - (c.keys[at] in ")]}") if c.keys[at] else 0
        if not depth:
            return at
    return len(c.keys) - 1


@lru_cache(maxsize=1024)
def plain(sql: str) -> str:
    """The query without them; places stay.

    >>> plain("SELECT * FROM e JOIN p AS OF e.t ON p.id = e.id")
    'SELECT * FROM e JOIN p           ON p.id = e.id'
    """
    if not maybe(sql):
        return sql
    c = Cursor(sql)
    out = list(sql)
    for one in found(c):
        for at in range(c.tokens[one.first].start, c.tokens[one.last - 1].end + 1):
            out[at] = "\n" if sql[at] == "\n" else " "
    return "".join(out)
