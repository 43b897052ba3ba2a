"""Where an output column of a query comes from: the table whose rows may be filtered in place of the query's.

What a query reads is in `reads`, and what it returns in `outputs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.schema import Schema
from tilth.sql.language.trees import (
    Named,
    Relation,
    holds_aggregate,
    named_tables,
    parts_of,
    relations,
    selects_of,
    tree,
)
from tilth.sql.queries.outputs import inner_query, relation_names
from tilth.sql.queries.pushdown import is_preserved

if TYPE_CHECKING:
    from sqlglot import exp


def origin(sql: str, output: str, schemas: Mapping[str, Schema]) -> tuple[str | None, str, str] | None:
    """`(schema, table, column)` when filtering the output column is filtering that column of that table.

    So it is when the output is the plain column, the table is read once, on a preserved side of its joins, and no
    aggregate, window, LIMIT or sample stands between. None when not, or when it is not certain.
    """
    root = tree(sql)
    known = {k.lower(): v for k, v in schemas.items()}
    named = list(named_tables(root))
    found = _origin(root, output, {id(t.node): t for t in named}, known, root)
    if found is None:
        return None
    table, column = found
    if sum(t.key == table.key for t in named) != 1:
        return None
    return table.schema, table.name, column


def _origin(
    query: exp.Expr, output: str, named: Mapping[int, Named], known: Mapping[str, Schema], root: exp.Expr
) -> tuple[Named, str] | None:
    select = selects_of(query)
    if select is None or not _filterable(select):
        return None
    of = relations(select)
    hit = _projected(select, output, of, named, known, root)
    if hit is None:
        return None
    relation, column = hit
    if not is_preserved(relation, of):
        return None
    table = named.get(id(relation.node))
    if table is not None:
        field = known[table.key].find(column) if table.key in known else None
        return (table, field.name) if field else None
    inner = inner_query(relation.node, root)
    return _origin(inner, column, named, known, root) if inner is not None else None


def _filterable(select: exp.Expr) -> bool:
    """Whether a filter on a plain output column may as well be applied before this SELECT."""
    from sqlglot import exp

    blocks = (
        "group",
        "having",
        "qualify",
        "limit",
        "offset",
        "sample",
        "connect",
        "laterals",
        "match",
        "pivots",
    )
    if any(select.args.get(k) for k in blocks):
        return False
    distinct = select.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        return False
    rows = (exp.Window, exp.Unnest, exp.Explode)
    return not any(p.find(*rows) or holds_aggregate(p) for p in select.expressions)


def _projected(
    select: exp.Expr,
    output: str,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> tuple[Relation, str] | None:
    """The relation and its column that the output is, if it is just that."""
    from sqlglot import exp

    low, hits = output.lower(), list[tuple[Relation, str] | None]()
    for p in select.expressions:
        if isinstance(p, exp.Star) or (isinstance(p, exp.Column) and isinstance(p.this, exp.Star)):
            hits += _in_star(p, low, of, named, known, root)
        elif p.alias_or_name.lower() == low:
            bare = p.unalias()
            hits.append(_of_column(bare, of, named, known, root) if isinstance(bare, exp.Column) else None)
    return hits[0] if len(hits) == 1 else None


def _in_star(
    star: exp.Expr,
    low: str,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> list[tuple[Relation, str] | None]:
    from sqlglot import exp

    inner = star.this if isinstance(star, exp.Column) else star
    if any(inner.args.get(k) for k in ("replace", "rename", "ilike", "like")):
        return [None]
    if any(e.name.lower() == low for e in inner.args.get("except_") or ()):
        return []
    of_star = of
    if isinstance(star, exp.Column):
        of_star = [r for r in of if r.alias.lower() == parts_of(star)[-2].lower()]
    hits: list[tuple[Relation, str] | None] = []
    for r in of_star:
        names = relation_names(r, named, known, root)
        if names is None:
            return [None, None]
        hits += [(r, n) for n in names if n.lower() == low]
    return hits


def _of_column(
    column: exp.Expr,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> tuple[Relation, str] | None:
    parts = parts_of(column)
    if len(parts) == 2:
        same = [r for r in of if r.alias.lower() == parts[0].lower()]
        return (same[0], parts[1]) if len(same) == 1 else None
    if len(parts) != 1:
        return None
    hits = []
    for r in of:
        names = relation_names(r, named, known, root)
        if names is None:
            return (r, parts[0]) if len(of) == 1 else None
        hits += [r for n in names if n.lower() == parts[0].lower()]
    return (hits[0], parts[0]) if len(hits) == 1 else None
