"""Queries of WITH: which of them a SELECT can name, and which nothing reads any more once it was replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def seen_by(select: exp.Expr) -> list[exp.Expr]:
    """The CTEs that a SELECT can name, outermost first."""
    from sqlglot import exp

    out: list[exp.Expr] = []
    inside: exp.Expr = select
    at: exp.Expr | None = select
    while at is not None:
        if isinstance(at, exp.With):
            before = at.expressions.index(inside)
            out = [*at.expressions[:before], *out]
        elif (with_ := at.args.get("with_")) is not None and with_ is not inside:
            out = [*with_.expressions, *out]
        inside, at = at, at.parent
    return out


def drop_unread(root: exp.Expr) -> None:
    """Leave out the CTEs that nothing reads any more."""
    from sqlglot import exp

    gone = True
    while gone:
        gone = False
        for cte in list(root.find_all(exp.CTE)):
            name, with_ = cte.alias.lower(), cte.parent
            uses = [t for t in root.find_all(exp.Table) if not t.db and t.name.lower() == name]
            if with_ is None or any(cte not in _ancestors(t) for t in uses):
                continue
            gone = True
            cte.pop()
            if not with_.expressions and with_.parent is not None:
                with_.parent.set("with_", None)


def _ancestors(node: exp.Expr) -> list[exp.Expr]:
    out: list[exp.Expr] = []
    at = node.parent
    while at is not None:
        out.append(at)
        at = at.parent
    return out
