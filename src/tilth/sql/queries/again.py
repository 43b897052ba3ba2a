"""Whether rows that are written by KEY are the same when the query is asked again after they were written.

They may not be where the query reads the table that it writes into. An UPDATE reads it to find its rows; what it sets must come from
elsewhere. What is not certain is not repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError
from tilth.sql.language.trees import named_tables, parts_of, relations, selects_of, tree
from tilth.sql.queries.timetravel import time_travel

if TYPE_CHECKING:
    from sqlglot import exp


@lru_cache(maxsize=256)  # asked at every step of a turn
def repeatable(sql: str, place: tuple[str, str], key: tuple[str, ...]) -> bool:
    """Whether the query's rows stay what they are once they stand in the table `place` under their key.

    >>> repeatable("SELECT t.id, p.n FROM s.t AS t JOIN (SELECT 1 AS id, 2 AS n) AS p ON t.id = p.id", ("s", "t"), ("id",))
    True
    >>> repeatable("SELECT t.id, t.n + 1 AS n FROM s.t AS t JOIN (SELECT 1 AS id) AS p ON t.id = p.id", ("s", "t"), ("id",))
    False
    """
    try:
        root = tree(time_travel(sql)[0])
    except LanguageError:
        return False  # what is wrong with it is said when it runs
    own = [t for t in named_tables(root) if ((t.schema or "").lower(), t.name.lower()) == (place[0].lower(), place[1].lower())]  # fmt: skip
    if not own:
        return True
    top = selects_of(root)
    if top is None or len(own) > 1 or any(top.args.get(k) for k in ("group", "having", "qualify", "limit")):
        return False
    mine = next((r for r in relations(top) if r.node is own[0].node), None)
    return mine is not None and not any(_reads(item, top, mine.alias, key) for item in top.expressions)


def _reads(item: exp.Expr, top: exp.Expr, alias: str, key: Collection[str]) -> bool:
    """Whether the item's value may come from the table itself, but for a column that tells its rows."""
    from sqlglot import exp

    if item.find(exp.Star, exp.Columns, exp.Query, exp.Window):
        return True
    low = {k.lower() for k in key}
    if isinstance(item, exp.Column) and item.name.lower() in low:
        return False
    others = set(_given(top, alias))
    for column in item.find_all(exp.Column):
        *qualifiers, name = (p.lower() for p in parts_of(column))
        if (qualifiers and qualifiers[-1] == alias.lower()) or (not qualifiers and name not in others):
            return True
    return False


def _given(top: exp.Expr, alias: str) -> Iterator[str]:
    """Names of columns that subqueries beside the table certainly give, in lower case."""
    from sqlglot import exp

    for one in relations(top):
        inner = (
            selects_of(one.node.this) if isinstance(one.node, exp.Subquery) and one.alias != alias else None
        )
        yield from (e.alias_or_name.lower() for e in (inner.expressions if inner is not None else ()))
