"""How close a check came: what was found as a number, and the bounds that the expression gives it.

Of a set check it is what stands left of the comparison, of a row check on one column the value nearest to a bound, by the
statistics of the snapshot's files, of freshness the age in hours. Where an expression is no comparison with numbers, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tilth.core.errors import LanguageError
from tilth.core.schema import DataType, Schema
from tilth.ports.snapshots import CheckResult
from tilth.sql.language.statements import CheckKind, Expectation
from tilth.sql.language.trees import tree

if TYPE_CHECKING:
    from sqlglot import exp

NUMBERS = frozenset({DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL})


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which numbers an expression is to lie; `column` where it is a column of rows."""

    low: float | None
    high: float | None
    column: str | None = None


def bounds_of(expression: str) -> Bounds | None:
    """The numbers that a comparison compares with; `x IS NULL OR ...` around it makes no difference."""
    from sqlglot import exp

    try:
        root = tree(expression)
    except LanguageError:
        return None
    while isinstance(root, exp.Paren | exp.Or):
        parts = [root.this] if isinstance(root, exp.Paren) else [root.left, root.right]
        left = [p for p in parts if not (isinstance(p, exp.Is) and isinstance(p.expression, exp.Null))]
        if len(left) != 1:
            return None
        root = left[0]
    column = root.this.name if isinstance(root.this, exp.Column) else None
    if isinstance(root, exp.Between):
        return _bounds(_number(root.args["low"]), _number(root.args["high"]), column)
    number = _number(root.expression) if isinstance(root, exp.Binary) else None
    if isinstance(root, exp.GT | exp.GTE):
        return _bounds(number, None, column)
    if isinstance(root, exp.LT | exp.LTE):
        return _bounds(None, number, column)
    return _bounds(number, number, column) if isinstance(root, exp.EQ) else None


def _bounds(low: float | None, high: float | None, column: str | None) -> Bounds | None:
    return None if low is None and high is None else Bounds(low, high, column)


def _number(node: exp.Expr) -> float | None:
    from sqlglot import exp

    if isinstance(node, exp.Neg):
        found = _number(node.this)
        return None if found is None else -found
    if isinstance(node, exp.Literal) and not node.is_string:
        return float(node.this)
    return None


def of_value(result: CheckResult, item: Expectation, value: object) -> CheckResult:
    """The result of a set check with what was found and its bounds."""
    number = as_number(value)
    bounds = bounds_of(item.expression) if number is not None else None
    return result if bounds is None else replace(result, value=number, low=bounds.low, high=bounds.high)


def as_number(value: object) -> float | None:
    """A number as a float; None for what is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return float(value) if math.isfinite(value) else None


def of_rows(
    results: dict[int, CheckResult], items: Sequence[Expectation], schema: Schema, files: Iterable[str]
) -> dict[int, CheckResult]:
    """Row checks of one column with the value of the published rows that is nearest to a bound."""
    asked = {}
    for i, result in results.items():
        bounds = bounds_of(items[i].expression) if items[i].kind is CheckKind.ROW else None
        column = schema.find(bounds.column) if bounds is not None and bounds.column else None
        if bounds is not None and column is not None and column.type in NUMBERS:
            asked[i] = (result, bounds, column.name)
    if not asked:
        return results
    ends = _ends({name for _, _, name in asked.values()}, files)
    out = dict(results)
    for i, (result, bounds, name) in asked.items():
        least, greatest = ends.get(name, (None, None))
        value = _nearest(bounds, least, greatest)
        if value is not None:
            out[i] = replace(result, value=value, low=bounds.low, high=bounds.high)
    return out


def _nearest(bounds: Bounds, least: float | None, greatest: float | None) -> float | None:
    near = [] if least is None or bounds.low is None else [(least - bounds.low, least)]
    near += [] if greatest is None or bounds.high is None else [(bounds.high - greatest, greatest)]
    return min(near)[1] if near else None


def _ends(columns: set[str], files: Iterable[str]) -> dict[str, tuple[float | None, float | None]]:
    """The least and greatest of columns, by the statistics in the files' footers."""
    import pyarrow.parquet as pq

    found: dict[str, list[Any]] = {c: [] for c in columns}
    for path in files:
        footer = pq.read_metadata(path)
        places = {footer.schema.column(i).name: i for i in range(footer.num_columns)}
        for group in range(footer.num_row_groups):
            for name in columns:
                kept = footer.row_group(group).column(places[name]).statistics
                if kept is not None and kept.has_min_max:
                    found[name] += [as_number(kept.min), as_number(kept.max)]
    known = {name: [v for v in values if v is not None] for name, values in found.items()}
    return {name: (min(values, default=None), max(values, default=None)) for name, values in known.items()}
