"""LIMIT, OFFSET and ORDER BY of a query over models: whether the rows may be cut before the models see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tilth.sql.language.trees import holds_aggregate, parts_of
from tilth.sql.queries.scope import Scope

if TYPE_CHECKING:
    from sqlglot import exp

Cut: TypeAlias = "tuple[exp.Expr, exp.Expr | None, exp.Expr | None]"


def limit_inside(scope: Scope, outer_where: list[exp.Expr]) -> Cut | None:
    """LIMIT, OFFSET and ORDER BY when they may as well be applied to the rows before the models."""
    from sqlglot import exp

    s = scope.select
    limit, offset, order = s.args.get("limit"), s.args.get("offset"), s.args.get("order")
    blocks = ("group", "having", "qualify", "distinct", "sample", "windows")
    if not isinstance(limit, exp.Limit) or outer_where or any(s.args.get(k) for k in blocks):
        return None
    if any(v for k, v in limit.args.items() if k != "expression"):
        return None  # a share of the rows: it would be taken twice, and it is not known before there are all
    if not isinstance(limit.expression, exp.Literal) or any(
        holds_aggregate(e) or e.find(exp.Window, exp.Unnest, exp.Explode) for e in s.expressions
    ):
        return None
    terms = []
    for term in order.expressions if order is not None else ():
        if not _data_term(scope, term):
            return None
        terms.append(term.copy())
    made = exp.Order(expressions=terms) if terms else None
    return limit.copy(), offset.copy() if offset is not None else None, made


def _data_term(scope: Scope, term: exp.Expr) -> bool:
    """Whether the term of ORDER BY is a plain column of the data, and no name of an output."""
    from sqlglot import exp

    column = term.this
    if not isinstance(column, exp.Column) or isinstance(column.this, exp.Star):
        return False
    if len(parts_of(column)) == 1:
        same = [e for e in scope.select.expressions if e.alias_or_name.lower() == column.name.lower()]
        if any(isinstance(e, exp.Alias) or scope.resolve(e).kind != "data" for e in same):
            return False
    return scope.resolve(column).kind == "data"
