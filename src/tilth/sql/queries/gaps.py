"""NaN as a gap: an expression of a check in which NaN is NULL, as everywhere else in tilth.

DuckDB takes NaN as a number greater than all others, so that `x >= 0` is true of it. Here NaN becomes NULL where it comes
in (columns that can hold it) and where it can come about (quotients, and whatever is compared or aggregated and is
neither a column nor a literal). Which of these are floats only the engine knows: `unsure` lists what to ask it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError
from tilth.sql.language.trees import tree

if TYPE_CHECKING:
    from sqlglot import exp


@lru_cache(maxsize=4096)
def unsure(expression: str) -> tuple[str, ...]:
    """The parts of the expression whose type decides whether they can be NaN, each as SQL of its own."""
    return tuple(dict.fromkeys(_text(node) for node in _parts(_copy(expression))))


def without_nan(expression: str, columns: Collection[str], floats: Collection[str]) -> str:
    """The expression with NULL in place of NaN in these columns and in these parts (as `unsure` wrote them).

    >>> without_nan("x >= 0", {"x"}, ())
    "NULLIF(x, CAST('NaN' AS DOUBLE)) >= 0"
    """
    return _without_nan(expression, frozenset(c.lower() for c in columns), frozenset(floats))


@lru_cache(maxsize=4096)
def _without_nan(expression: str, low: frozenset[str], floats: frozenset[str]) -> str:
    from sqlglot import exp

    root = _copy(expression)
    wrapped: list[exp.Expr] = [n for n in _parts(root) if _text(n) in floats]
    wrapped += [n for n in root.find_all(exp.Column) if n.name.lower() in low]
    if not wrapped:
        return expression
    holder = exp.Paren(this=root)
    for node in reversed(wrapped):  # what lies inside comes after what it lies in
        _wrap(node)
    return _text(holder.this)


def changed(expression: str, *, of_the_set: bool) -> bool:
    """Whether a check with this expression means something else since NULL and NaN no longer hold.

    Only one that reads no value of a column is certain to mean the same: COUNT(*), say.
    """
    from sqlglot import exp

    try:
        root = tree(expression)
    except LanguageError:
        return True  # the engine will say what is wrong with it
    return not of_the_set or root.find(exp.Column) is not None


def _copy(expression: str) -> exp.Expr:
    return tree(expression).copy()


def _text(node: exp.Expr) -> str:
    return node.sql(dialect="duckdb")


def _wrap(node: exp.Expr) -> None:
    from sqlglot import exp

    nan = exp.Cast(this=exp.Literal.string("NaN"), to=exp.DataType.build("DOUBLE"))
    place = exp.Placeholder()
    node.replace(place)
    place.replace(exp.Nullif(this=node, expression=nan))


def _parts(root: exp.Expr) -> list[exp.Expr]:
    """Quotients, and what is compared or aggregated and is more than a column or a literal; the outer before the inner."""
    from sqlglot import exp

    compared = (
        exp.EQ,
        exp.NEQ,
        exp.GT,
        exp.GTE,
        exp.LT,
        exp.LTE,
        exp.Between,
        exp.In,
        exp.Is,
        exp.NullSafeEQ,
        exp.NullSafeNEQ,
    )
    out = []
    for node in root.walk():
        parent = node.parent
        while isinstance(parent, exp.Paren):
            parent = parent.parent
        taken = isinstance(node, exp.Div) or isinstance(parent, (*compared, exp.AggFunc))
        if taken and not _plain(node) and node is not root:
            out.append(node)
    return out


def _plain(node: exp.Expr) -> bool:
    """Whether the node holds no number that was computed."""
    from sqlglot import exp

    if isinstance(node, exp.Paren | exp.Neg):
        return _plain(node.this)
    known = (
        exp.Column
        | exp.Literal
        | exp.Null
        | exp.Boolean
        | exp.Star
        | exp.Interval
        | exp.Identifier
        | exp.Query
    )
    logic = (
        exp.Predicate
        | exp.Connector
        | exp.Not
        | exp.Distinct
        | exp.DataType
        | exp.Order
        | exp.Filter
        | exp.Where
    )
    return isinstance(node, known | logic)
