"""The names of the columns that a query, or something in its FROM, returns; None where only the engine can tell.

What a query reads is in `reads`, and which column of which table an output is in `origins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.schema import Schema
from tilth.sql.language.trees import Named, Relation, named_tables, parts_of, relations, selects_of, tree

if TYPE_CHECKING:
    from sqlglot import exp


def output_names(sql: str, schemas: Mapping[str, Schema] | None = None) -> tuple[str, ...] | None:
    """The names of the columns that a query returns, in order; None when they cannot be known without the engine.

    >>> output_names("SELECT a, b + 1 AS c FROM t")
    ('a', 'c')
    """
    root = tree(sql)
    known = {k.lower(): v for k, v in (schemas or {}).items()}
    return _names_of(root, {id(t.node): t for t in named_tables(root)}, known, root)


def _names_of(
    query: exp.Expr, named: Mapping[int, Named], known: Mapping[str, Schema], root: exp.Expr
) -> tuple[str, ...] | None:
    from sqlglot import exp

    while isinstance(query, exp.SetOperation) and not query.args.get("by_name"):
        query = query.this
    select = selects_of(query)
    if select is None:
        return None
    of, out = relations(select), list[str]()
    for p in select.expressions:
        if isinstance(p, exp.Star) or (isinstance(p, exp.Column) and isinstance(p.this, exp.Star)):
            names = _star_names(p, of, named, known, root)
            if names is None:
                return None
            out += names
        elif isinstance(p, exp.Alias | exp.Column):
            out.append(p.alias_or_name)
        else:
            return None
    return tuple(out)


def _star_names(
    star: exp.Expr,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> list[str] | None:
    from sqlglot import exp

    inner = star.this if isinstance(star, exp.Column) else star
    if any(inner.args.get(k) for k in ("rename", "ilike", "like")) or any(
        r.join is not None and (r.join.args.get("using") or r.method == "NATURAL") for r in of
    ):
        return None
    if isinstance(star, exp.Column):
        of = [r for r in of if r.alias.lower() == parts_of(star)[-2].lower()]
    of = [r for r in of if r.kind not in ("SEMI", "ANTI")]
    left_out = {e.name.lower() for e in inner.args.get("except_") or ()}
    out: list[str] = []
    for r in of:
        names = relation_names(r, named, known, root)
        if names is None:
            return None
        out += [n for n in names if n.lower() not in left_out]
    return out


def relation_columns(r: Relation, root: exp.Expr, schemas: Mapping[str, Schema]) -> tuple[str, ...] | None:
    """The columns of something in FROM, in order; None when they cannot be known without the engine."""
    known = {k.lower(): v for k, v in schemas.items()}
    return relation_names(r, {id(t.node): t for t in named_tables(root)}, known, root)


def relation_names(
    r: Relation, named: Mapping[int, Named], known: Mapping[str, Schema], root: exp.Expr
) -> tuple[str, ...] | None:
    """As `relation_columns`, for who has the tables by node and the schemas by key already."""
    from sqlglot import exp

    table = named.get(id(r.node))
    if table is not None:
        return known[table.key].names if table.key in known and is_plain(table) else None
    if isinstance(r.node, exp.Values):
        return _value_names(r.node)
    inner = inner_query(r.node, root, once=False)
    return _names_of(inner, named, known, root) if inner is not None else None


def _value_names(values: exp.Expr) -> tuple[str, ...]:
    """The columns of `(VALUES ...) v(a, b)`; those without a name of their own are DuckDB's col0, col1, ..."""
    alias = values.args.get("alias")
    said = tuple(c.name for c in alias.args.get("columns") or ()) if alias is not None else ()
    width = len(values.expressions[0].expressions)
    return said + tuple(f"col{n}" for n in range(len(said), width))


def inner_query(node: exp.Expr, root: exp.Expr, *, once: bool = True) -> exp.Expr | None:
    """The query behind a subquery, or behind a CTE (that is used only `once`)."""
    from sqlglot import exp

    columns = node.args["alias"].args.get("columns") if node.args.get("alias") else None
    if columns:
        return None
    if isinstance(node, exp.Subquery):
        found: exp.Expr = node.this
        return found
    if not isinstance(node, exp.Table) or node.db or not isinstance(node.this, exp.Identifier):
        return None
    name = node.name.lower()
    ctes = [c for c in root.find_all(exp.CTE) if c.alias.lower() == name]
    uses = [t for t in root.find_all(exp.Table) if not t.db and t.name.lower() == name]
    if len(ctes) != 1 or (once and len(uses) != 1) or ctes[0].args["alias"].args.get("columns"):
        return None
    recursive = ctes[0].parent is not None and ctes[0].parent.args.get("recursive")
    return None if recursive else ctes[0].this


def is_plain(table: Named) -> bool:
    """Whether its columns are called as in its schema, and not anew as in `t(a, b)`."""
    alias = table.node.args.get("alias")
    return not (alias is not None and alias.args.get("columns"))
