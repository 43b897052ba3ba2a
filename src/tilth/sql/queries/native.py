"""`FROM ops (SELECT ...)`: MindsDB's way to have a source answer a query in its own language, cut out of the query around it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tilth.sql.language.parameters import FRAMES
from tilth.sql.language.tokens import Cursor

_BEFORE = frozenset({"FROM", "JOIN", ","})
_BEGINS = frozenset({"SELECT", "WITH", "VALUES", "(", "TABLE", "SHOW", "EXPLAIN"})


@dataclass(frozen=True, slots=True)
class Native:
    """A query for a source: the table that stands in its place in the rest, and where it stood."""

    frame: str
    source: str
    sql: str
    start: int
    end: int


def natives(sql: str, sources: Collection[str]) -> tuple[Native, ...]:
    """The native queries of a text, for those sources (in lower case), in order.

    >>> natives("SELECT * FROM ops (SELECT 1) AS t", {"ops"})[0].sql
    'SELECT 1'
    """
    low = sql.lower()
    if "(" not in sql or not any(s in low for s in sources):
        return ()
    c, found = Cursor(sql), list[Native]()
    i = 1
    while i < len(c.tokens) - 2:
        name = c.tokens[i].text.lower()
        if c.keys[i - 1] in _BEFORE and name in sources and c.keys[i + 1] == "(" and c.keys[i + 2] in _BEGINS:
            c.i = i + 1
            first, last = c.balanced("a query")
            start, end = c.tokens[i].start, c.tokens[last].end + 1
            found.append(Native(f"native_{len(found) + 1}", name, c.slice(first, last), start, end))
            i = last
        i += 1
    return tuple(found)


def without(sql: str, found: tuple[Native, ...], queries: dict[str, str]) -> str:
    """The text with a table of frames for each; for those in `queries`, by frame, that query in parentheses."""
    parts, at = [], 0
    for one in found:
        told = sql[one.start : one.end]
        meant = f'"{FRAMES}".{one.frame}' if one.frame not in queries else f"({queries[one.frame]})"
        parts += [sql[at : one.start], meant, "\n" * max(0, told.count("\n") - meant.count("\n"))]
        at = one.end
    return "".join([*parts, sql[at:]])
