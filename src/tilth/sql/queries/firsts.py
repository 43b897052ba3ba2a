"""`FROM PREDICT (y FROM d)`: a model that is declared where it is asked, cut out of the query around it.

What stands in the parentheses is read by the grammar of models, which is not known on this floor: here are only the places, and
the query with names in them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tilth.core.names import quoted
from tilth.sql.language.clauses import QUERY_WORDS
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.trees import tree

CALLED = "predict"
"""What its rows are called where the query gives them no name."""
_BEFORE = frozenset({"FROM", "JOIN", ","})
_AFTER = frozenset(
    {
        "WHERE", "JOIN", "LEFT", "RIGHT", "INNER", "CROSS", "FULL", "OUTER", "ASOF", "POSITIONAL", "NATURAL", "SEMI", "ANTI", "LATERAL",
        "ON", "USING", "GROUP", "ORDER", "LIMIT", "OFFSET", "FETCH", "HAVING", "QUALIFY", "WINDOW", "UNION", "EXCEPT", "INTERSECT",
        "TABLESAMPLE", "SELECT", "FOR", "PIVOT", "UNPIVOT",
    }
)  # fmt: skip
_HERE = re.compile(r"\bpredict\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class First:
    """One of them: the tokens in its parentheses, from where to where it stands in the text, and whether the query names its rows."""

    first: int
    last: int
    start: int
    end: int
    named: bool


def maybe(sql: str) -> bool:
    """Whether the text can hold one; cheap, and true of some that do not."""
    return _HERE.search(sql) is not None


def firsts(c: Cursor) -> tuple[First, ...]:
    """Those of the cursor's text, in order. `PREDICT (SELECT ...)` is none: it asks a source that is called so.

    >>> c = Cursor("SELECT * FROM PREDICT (y FROM d) WHERE a = 1")
    >>> [(c.slice(f.first, f.last), f.named) for f in firsts(c)]
    [('y FROM d', False)]
    """
    found, i = list[First](), 1
    while i < len(c.tokens) - 2:
        here = c.keys[i] == "PREDICT" and c.keys[i + 1] == "(" and c.keys[i - 1] in _BEFORE
        if here and c.keys[i + 2] not in QUERY_WORDS:
            c.i = i + 1
            first, last = c.balanced("a target and FROM")
            named = c.at_quoted or (c.at_word and c.key not in _AFTER)
            found.append(First(first, last, c.tokens[i].start, c.tokens[last].end + 1, named))
            i = last
        i += 1
    return tuple(found)


def without(sql: str, found: Sequence[First], names: Sequence[str]) -> str:
    """The text with the name of a model for each; its lines stay where they were.

    >>> c = Cursor("SELECT * FROM PREDICT (y FROM d) WHERE a = 1")
    >>> without(c.text, firsts(c), ["m"])
    'SELECT * FROM "m" AS predict WHERE a = 1'
    """
    parts, at = [], 0
    for one, name in zip(found, names, strict=True):
        lines = "\n" * sql[one.start : one.end].count("\n")
        parts += [sql[at : one.start], quoted(name), "" if one.named else f" AS {CALLED}", lines]
        at = one.end
    return "".join([*parts, sql[at:]])


def unfed(sql: str, names: Collection[str]) -> str | None:
    """The first of these models that stands alone in its SELECT, without a WHERE that could give it inputs; None without one.

    >>> unfed('SELECT y FROM "m" AS predict LIMIT 2', {"m"})
    'm'
    >>> unfed("SELECT y FROM m WHERE a = 1", {"m"})
    """
    from sqlglot import exp

    for table in tree(sql).find_all(exp.Table):
        select = table.parent.parent if isinstance(table.parent, exp.From) else None
        if table.db or table.name not in names or not isinstance(select, exp.Select):
            continue
        if not any(select.args.get(part) for part in ("where", "joins", "laterals")):
            return table.name
    return None
