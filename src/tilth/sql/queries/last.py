"""What a job's and a trigger's queries say that no other query does: `column > LAST`, and the table `TABLE_DELTA`.

LAST stands for the greatest value of the column that the runs before this one have dealt with. A run fixes once up to where it goes, so
that what it reads does not depend on when in the run it is read: `low < column <= high`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError, Position
from tilth.core.names import quoted
from tilth.sql.language.parameters import FRAMES
from tilth.sql.language.trees import (
    Named,
    named_tables,
    parts_of,
    position_of,
    relations,
    shifted,
    span_of,
    tree,
)
from tilth.sql.queries.timetravel import time_travel

if TYPE_CHECKING:
    from sqlglot import exp

HOW = "Write WHERE column > LAST: the rows whose column is greater than in all runs before."


@dataclass(frozen=True, slots=True)
class Mark:
    """A column of a table whose newest values a query asks for, both as SQL; `key` is the same however they are written."""

    key: str
    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Window:
    """The values from beyond `low` up to `high`, as SQL; without `low` from the first on, without `high` none."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class _Use:
    """A comparison with LAST: the mark, the column as it is written, and where the comparison stands in the text."""

    mark: Mark
    column: str
    start: int
    end: int


def marks(sql: str, at: Position | None = None) -> tuple[Mark, ...]:
    """What the query compares with LAST, each once; LanguageError where LAST stands otherwise."""
    return tuple({u.mark.key: u.mark for u in _uses(sql, at)}.values())


def since(sql: str, windows: Mapping[str, Window]) -> str:
    """The query with the window of each mark, by its key, in the place of the comparison.

    >>> since("SELECT * FROM ops.t WHERE id > LAST AND a", {"ops.t.id": Window("3", "9")})
    'SELECT * FROM ops.t WHERE (id > 3 AND id <= 9) AND a'
    """
    for use in sorted(_uses(sql), key=lambda u: u.start, reverse=True):
        window = windows[use.mark.key]
        low = "" if window.low is None else f"{use.column} > {window.low} AND "
        text = "(FALSE)" if window.high is None else f"({low}{use.column} <= {window.high})"
        sql = sql[: use.start] + text + sql[use.end :]
    return sql


def greatest(mark: Mark, low: str | None, bound: str | None = None) -> str:
    """The query for the greatest value beyond `low` that a mark's column has now, as the text that SQL reads back, and its type;
    of rows for which `bound` is true.
    """
    beyond = None if low is None else f"{mark.column} > {low}"
    conditions = " AND ".join(c for c in (beyond, bound) if c is not None)
    where = f" WHERE {conditions}" if conditions else ""
    newest = f"max({mark.column})"
    return f"SELECT CAST({newest} AS VARCHAR) AS value, typeof({newest}) AS type FROM {mark.table}{where}"


def _uses(sql: str, at: Position | None = None) -> tuple[_Use, ...]:
    from sqlglot import exp

    text = time_travel(sql)[0]
    root = tree(text)
    tables = {id(t.node): t for t in named_tables(root)}
    out = []
    for node in root.find_all(exp.Column):
        if _is_last(node):
            where = shifted(position_of(text, node), at)
            out.append(_use(text, node, tables, where))
    return tuple(out)


def _is_last(node: exp.Expr) -> bool:
    return parts_of(node) in (("LAST",), ("last",), ("Last",)) and not node.this.args.get("quoted")


def _use(text: str, node: exp.Expr, tables: Mapping[int, Named], where: Position | None) -> _Use:
    from sqlglot import exp

    compared = node.parent
    column: exp.Expr | None = None
    if isinstance(compared, exp.GT) and compared.expression is node:
        column = compared.this
    elif isinstance(compared, exp.LT) and compared.this is node:
        column = compared.expression
    if not isinstance(column, exp.Column) or isinstance(column.this, exp.Star) or _is_last(column):
        raise LanguageError("LAST is compared with a column, and with nothing else.", hint=HOW, where=where)
    span, own = span_of(column, node), span_of(column)
    assert span is not None
    assert own is not None
    return _Use(_mark(text, column, tables, where), text[own[0] : own[1]], *span)


def _mark(text: str, column: exp.Expr, tables: Mapping[int, Named], where: Position | None) -> Mark:
    """The table that the column is one of: the one that it names, or the only one there is."""
    from sqlglot import exp

    select = column.find_ancestor(exp.Select)
    of = relations(select) if select is not None else []
    *qualifier, name = parts_of(column)
    if qualifier:
        said = ".".join(qualifier).lower()
        of = [
            r
            for r in of
            if said == r.alias.lower() or (id(r.node) in tables and tables[id(r.node)].key == said)
        ]
    if len(of) != 1 or id(of[0].node) not in tables:
        raise LanguageError(
            f"It is not told of which table `{'.'.join(parts_of(column))} > LAST` is a column.",
            hint="Write t.column > LAST, where t is a table of a source, a dataset or a view in the same FROM.",
            where=where,
        )
    table = tables[id(of[0].node)]
    span = span_of(*table.identifiers)
    assert span is not None
    return Mark(f"{table.key}.{name}".lower(), text[span[0] : span[1]], quoted(name))


def given(sql: str, name: str) -> str:
    """The query with the frame of that name, in lower case, in the place of the table that is called so.

    >>> given("SELECT table_delta.a FROM TABLE_DELTA", "table_delta")
    'SELECT table_delta.a FROM "$"."table_delta" AS TABLE_DELTA'
    """
    out = sql
    found = [
        t for t in named_tables(tree(time_travel(sql)[0])) if t.schema is None and t.name.lower() == name
    ]
    for table in sorted(found, key=lambda t: int(t.node.this.meta["start"]), reverse=True):
        start, end = int(table.node.this.meta["start"]), int(table.node.this.meta["end"]) + 1
        alias = "" if table.node.alias else f" AS {out[start:end]}"
        out = f'{out[:start]}"{FRAMES}"."{name}"{alias}{out[end:]}'
    return out


def names(sql: str, name: str) -> bool:
    """Whether the query names a table that is called so, in lower case, and is none of a source."""
    return any(t.schema is None and t.name.lower() == name for t in named_tables(tree(time_travel(sql)[0])))
