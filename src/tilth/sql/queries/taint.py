"""Which columns of a query's result are made of certain columns of one of its tables, as far as its text says."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.sql.language.trees import named_tables, parts_of, relations, selects_of, tree

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Tainted:
    """`made` are result columns that the outermost SELECT makes of them; `hidden` says that others may be, by way of an inner query."""

    made: tuple[str, ...]
    hidden: bool


def tainted(sql: str, table: str, columns: Collection[str], result: Collection[str]) -> Tainted:
    """What of the columns `result` is made of these columns of a dataset.

    >>> tainted("SELECT e.id, p.x + 1 AS y FROM s.e JOIN prices p ON p.id = e.id", "prices", ["x"], ["id", "y"])
    Tainted(made=('y',), hidden=False)
    """
    from sqlglot import exp

    root, low = tree(sql), {c.lower() for c in columns}
    nodes = {id(t.node) for t in named_tables(root) if t.name.lower() == table.lower()}
    select = selects_of(root)
    if select is None:
        return Tainted((), hidden=True)
    of = relations(select)
    aliases = {r.alias.lower() for r in of if any(id(t) in nodes for t in r.node.find_all(exp.Table))}
    others = {r.alias.lower() for r in of} - aliases
    made: list[str] = []
    for projection in select.expressions:
        if isinstance(projection, exp.Star) or isinstance(projection.find(exp.Star), exp.Star):
            made += [c for c in result if c.lower() in low and aliases and _starred(projection, aliases)]
        elif any(_is_one(c, low, aliases, others) for c in projection.find_all(exp.Column)):
            made.append(projection.alias_or_name)
    inner = len(nodes) > len([r for r in of if id(r.node) in nodes])
    return Tainted(tuple(dict.fromkeys(made)), hidden=inner and _named(root, low))


def _starred(projection: exp.Expr, aliases: Collection[str]) -> bool:
    """Whether a star is of one of these relations, or of all."""
    from sqlglot import exp

    column = projection if isinstance(projection, exp.Column) else None
    return column is None or not column.table or column.table.lower() in aliases


def _is_one(
    column: exp.Expr, low: Collection[str], aliases: Collection[str], others: Collection[str]
) -> bool:
    """Whether it is one of the columns of one of the relations, or may be."""
    parts = [p.lower() for p in parts_of(column)]
    if not aliases or parts[-1] not in low:
        return False
    return len(parts) == 1 or parts[-2] in aliases or parts[-2] not in others


def _named(root: exp.Expr, low: Collection[str]) -> bool:
    """Whether the query says any of the names, or takes all by a star."""
    from sqlglot import exp

    return any(c.name.lower() in low for c in root.find_all(exp.Column)) or root.find(exp.Star) is not None
