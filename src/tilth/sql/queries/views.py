"""Views in a query: each name of one becomes the query that it stands for, edited in place, so that the rest reads as it was written.

Neighbours: `renaming` puts other names in, `rewrite` takes models out. Which views a query names, and whether it may, `tilth.kinds.needs`
says.
"""

from __future__ import annotations

from collections.abc import Mapping

from tilth.core.errors import LanguageError, UnsupportedError
from tilth.core.names import is_bare, quoted
from tilth.sql.language.trees import Named, named_tables, tree
from tilth.sql.queries.timetravel import ends_of, time_travel


def inlined(sql: str, queries: Mapping[str, str]) -> str:
    """The query with those of views in the place of their names, which are lower case; what is pinned by FOR stays pinned.

    LanguageError where a view is pinned itself, or where the query calls a table of its own as the view calls one of its own.

    >>> inlined("SELECT v.a FROM v JOIN V AS w", {"v": "SELECT a FROM ops.t"})
    'SELECT v.a FROM (SELECT a FROM ops.t) AS v JOIN (SELECT a FROM ops.t) AS w'
    """
    if not queries:
        return sql
    text, pins = time_travel(sql)
    used = [t for t in named_tables(tree(text)) if t.schema is None and t.name.lower() in queries]
    if not used:
        return sql
    pinned = {p.end for p in pins}
    own = _own(text)
    out = sql
    for table in sorted(used, key=_start, reverse=True):
        query = queries[table.name.lower()]
        if pinned.intersection(ends_of(table)):
            raise UnsupportedError(
                f"`{table.name}` is a view, which has no versions and no snapshots.",
                hint="Hold the datasets and models in its query instead, or look at what it was: DESCRIBE and ROLLBACK ENVIRONMENT.",
            )
        _check_apart(table, query, own)
        end = max(i.meta["end"] for i in table.identifiers) + 1
        close = "\n)" if "--" in query else ")"
        out = f"{out[: _start(table)]}({query}{close}{_alias(table)}{out[end:]}"
    return out


def of_source(sql: str, source: str) -> str:
    """The query with the source before each table that names none.

    >>> of_source("SELECT f.a FROM flights f, wx.days WHERE a IN (SELECT b FROM planes)", "ops")
    'SELECT f.a FROM ops.flights f, wx.days WHERE a IN (SELECT b FROM ops.planes)'
    """
    name = source if is_bare(source) else quoted(source)
    for table in sorted(named_tables(tree(time_travel(sql)[0])), key=_start, reverse=True):
        if table.schema is None:
            sql = f"{sql[: _start(table)]}{name}.{sql[_start(table) :]}"
    return sql


def _start(table: Named) -> int:
    return min(int(i.meta["start"]) for i in table.identifiers)


def _own(text: str) -> set[str]:
    """What a query calls tables of its own by WITH, in lower case."""
    from sqlglot import exp

    return {c.alias.lower() for c in tree(text).find_all(exp.CTE)}


def _check_apart(table: Named, query: str, own: set[str]) -> None:
    """Raise where the view's query, once it stands in the other, would read a WITH of that in place of a dataset, model or view."""
    if not own:
        return
    read = {t.name.lower() for t in named_tables(tree(time_travel(query)[0])) if t.schema is None}
    if both := sorted(own & read):
        raise LanguageError(
            f"This query calls a table of its own `{both[0]}`, and the view `{table.name}` reads something else that is called so.",
            hint=f"Call it otherwise: WITH my_{both[0]} AS (...).",
        )


def _alias(table: Named) -> str:
    from sqlglot import exp

    if table.node.alias or isinstance(table.node.parent, exp.Pivot):
        return ""
    return f" AS {table.name if is_bare(table.name) else quoted(table.name)}"
