"""A query written inside of one source, as one over its tables from outside: each table gets the source's name before it.

MindsDB's `FROM db (SELECT ... FROM t)` is read so where the source has no language of its own, or where its rows are not kept.
"""

from __future__ import annotations

from tilth.core.names import is_bare, quoted
from tilth.sql.language.trees import named_tables, tree


def qualified(sql: str, source: str) -> str:
    """The query with the source before every table that has none.

    >>> qualified("SELECT * FROM a JOIN b USING (id)", "ops")
    'SELECT * FROM ops.a JOIN ops.b USING (id)'
    """
    out = sql
    starts = {
        min(int(i.meta["start"]) for i in t.identifiers) for t in named_tables(tree(sql)) if t.schema is None
    }
    before = f"{source if is_bare(source) else quoted(source)}."
    for start in sorted(starts, reverse=True):
        out = f"{out[:start]}{before}{out[start:]}"
    return out
