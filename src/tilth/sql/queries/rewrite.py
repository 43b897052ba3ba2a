"""Other texts of a query that mean the same elsewhere: tables under other names, a filter around it, models split off.

Texts are edited in place where that is possible, so that what the author wrote reaches DuckDB letter by letter. The
splitting of SELECTs over models is in `predictions`, that of pins in `timetravel`; both are offered here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.names import is_bare, quoted
from tilth.sql.language.trees import Named, named_tables, tree
from tilth.sql.queries.predictions import (
    Binding,
    JoinPrediction,
    ModelShape,
    ModelUse,
    RowPrediction,
    predictions,
)
from tilth.sql.queries.timetravel import Pin, time_travel

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = [
    "Binding",
    "JoinPrediction",
    "ModelShape",
    "ModelUse",
    "Pin",
    "RowPrediction",
    "predictions",
    "rename_tables",
    "time_travel",
    "wrap",
]


def rename_tables(sql: str, mapping: Mapping[str, str]) -> str:
    """The query over other tables: keys are `schema.table` or `table` (any case), values bare names.

    The old name stays as alias, so that qualified columns keep their meaning. CTEs are not renamed.

    >>> rename_tables("SELECT flights.origin FROM ops.flights", {"ops.flights": "t1"})
    'SELECT flights.origin FROM t1 AS flights'
    """
    names = {k.lower(): v for k, v in mapping.items()}
    root = tree(sql)
    edits: list[tuple[int, int, str]] = []
    plain: dict[tuple[str, ...], Named] = {}
    for table in named_tables(root):
        new = names.get(table.key)
        if new is None:
            continue
        start = min(i.meta["start"] for i in table.identifiers)
        end = max(i.meta["end"] for i in table.identifiers) + 1
        edits.append((start, end, _identifier(new) + _alias(table)))
        if not table.node.alias:
            plain[tuple(i.name.lower() for i in table.identifiers)] = table
    edits += _unqualified(root, plain)
    out = sql
    for start, end, text in sorted(edits, reverse=True):
        out = out[:start] + text + out[end:]
    return out


def _identifier(name: str) -> str:
    return name if is_bare(name) else quoted(name)


def _alias(table: Named) -> str:
    from sqlglot import exp

    if table.node.alias or isinstance(table.node.parent, exp.Pivot):
        return ""
    last = table.node.this
    return f" AS {quoted(last.name) if last.args.get('quoted') or not is_bare(last.name) else last.name}"


def _unqualified(root: exp.Expr, plain: Mapping[tuple[str, ...], Named]) -> list[tuple[int, int, str]]:
    """`schema.table.column` loses its schema, which the renamed table has no longer."""
    from sqlglot import exp

    edits = []
    for column in root.find_all(exp.Column):
        qualifiers = [column.args[k] for k in ("catalog", "db", "table") if column.args.get(k) is not None]
        if len(qualifiers) > 1 and tuple(q.name.lower() for q in qualifiers) in plain:
            edits.append((qualifiers[0].meta["start"], qualifiers[-1].meta["start"], ""))
    return edits


def wrap(sql: str, where: str) -> str:
    r"""The query's rows for which the condition (over its output columns) is true.

    >>> wrap("SELECT 1 AS a", "a > 0")
    'SELECT * FROM (\nSELECT 1 AS a\n) AS __rows WHERE a > 0'
    """
    return f"SELECT * FROM (\n{sql}\n) AS __rows WHERE {where}"
