"""Whether a query asks for more than its inputs, told before anything is opened for it, and where.

The engine decides it again, on its own reading of the text (`ports.engine`): what is not seen here is refused there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.errors import Position, UnsupportedError
from tilth.core.reach import AROUND, HINT, TABLES, no_call, no_table
from tilth.sql.language.tokens import place
from tilth.sql.language.trees import shifted
from tilth.sql.queries.reads import parsed

if TYPE_CHECKING:
    from sqlglot import exp


def check(sql: str, at: Position | None = None) -> None:
    """Return when nothing but tables is read; UnsupportedError at the function that would. `at`: where the query begins."""
    from sqlglot import exp

    for node in parsed(sql, at).find_all(exp.Anonymous, exp.ReadCSV, exp.ReadParquet):
        name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        if isinstance(node.parent, exp.Table):
            if name.lower() not in TABLES:
                raise _refused(no_table(name.lower()), sql, node, at)
        elif name.lower() in AROUND:
            raise _refused(no_call(name.lower()), sql, node, at)


def _refused(words: str, sql: str, node: exp.Expr, at: Position | None) -> UnsupportedError:
    start, end = node.meta.get("start"), node.meta.get("end")
    where = place(sql, start, end + 1) if isinstance(start, int) and isinstance(end, int) else None
    return UnsupportedError(words, hint=HINT, where=shifted(where, at))
