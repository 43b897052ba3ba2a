"""What the footers of Parquet files say of their rows: how many, how many lack a value, the least and greatest whole number.

A row check that they prove for every row is not asked of any, and COUNT, MIN and MAX of such columns are not counted again.
They are those of files that tilth wrote, whose bytes are verified. Of floats they say nothing: NaN is in no statistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tilth.core.errors import LanguageError
from tilth.core.schema import DataType, Schema
from tilth.ports.engine import Relation
from tilth.sql.language.trees import tree

if TYPE_CHECKING:
    from sqlglot import exp


EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - data holds naive UTC times


@dataclass(frozen=True, slots=True)
class Column:
    """`low` and `high` of whole numbers, or of times in microseconds; None where they are not known."""

    nulls: int
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Footers:
    """Of all files together; a column is there if every file tells how many of its values are missing."""

    rows: int
    columns: Mapping[str, Column]
    times: frozenset[str] = frozenset()  # columns of times

    def newest(self, column: str) -> datetime | None:
        """The newest time; None where it is not known, as where one is in no calendar."""
        found = self.columns.get(column)
        if column not in self.times or found is None or found.high is None:
            return None
        return EPOCH + timedelta(microseconds=found.high)


def read(rows: Relation, schema: Schema) -> Footers | None:
    """What the files say; None for rows that are in no files, or none."""
    import pyarrow.parquet as pq

    if isinstance(rows, str) or not isinstance(rows, Sequence) or not rows:
        return None
    told = {f.name: f.type for f in schema if f.type is not DataType.FLOAT}
    found: dict[str, list[Column]] = {name: [] for name in told}
    total = groups = 0
    for path in rows:
        footer = pq.read_metadata(path)
        total, groups = total + footer.num_rows, groups + footer.num_row_groups
        places = [(footer.schema.column(i).name, i) for i in range(footer.num_columns)]
        for group in range(footer.num_row_groups):
            kept = footer.row_group(group)
            for name, place in places:
                if name in told and (one := _column(kept.column(place).statistics, told[name])) is not None:
                    found[name].append(one)
    if not total:
        return None
    times = frozenset(name for name, kind in told.items() if kind is DataType.TIMESTAMP)
    return Footers(total, {n: _together(f) for n, f in found.items() if len(f) == groups}, times)


def _column(kept: Any, kind: DataType) -> Column | None:
    if kept is None or kept.null_count is None:
        return None
    low = high = None
    if kind in (DataType.INTEGER, DataType.TIMESTAMP) and kept.has_min_max:
        try:
            low, high = _number_of(kept.min), _number_of(kept.max)
        except (OverflowError, ValueError):  # a time that no calendar holds
            low = high = None
    return Column(int(kept.null_count), low, high)


def _number_of(value: object) -> int:
    if not isinstance(value, datetime):
        return int(str(value))
    since = value.replace(tzinfo=None) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _together(parts: Sequence[Column]) -> Column:
    lows, highs = [p.low for p in parts], [p.high for p in parts]
    low = None if None in lows else min(v for v in lows if v is not None)
    high = None if None in highs else max(v for v in highs if v is not None)
    return Column(sum(p.nulls for p in parts), low, high)


# --- row checks --------------------------------------------------------------------------------------------


def proven(test: str, known: Footers) -> bool:
    """Whether the test is true of every row; False where that is not said."""
    try:
        columns = {n: Column(c.nulls) if n in known.times else c for n, c in known.columns.items()}
        return _sure(tree(test), columns)
    except LanguageError:
        return False


def _sure(node: exp.Expr, columns: Mapping[str, Column]) -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Paren):
        return _sure(node.this, columns)
    if isinstance(node, exp.And):
        return _sure(node.left, columns) and _sure(node.right, columns)
    if isinstance(node, exp.Or):
        return _sure(node.left, columns) or _sure(node.right, columns)
    if isinstance(node, exp.Not):
        of = node.this
        null = isinstance(of, exp.Is) and isinstance(of.expression, exp.Null)
        found = _found(of.this, columns) if null else None
        return found is not None and found.nulls == 0
    return _compared(node, columns)


def _compared(node: exp.Expr, columns: Mapping[str, Column]) -> bool:
    """Whether a comparison of a column with whole numbers is true of its least and greatest value, and so of all."""
    from sqlglot import exp

    found = _found(node.this, columns)
    if found is None or found.nulls or found.low is None or found.high is None:
        return False
    if isinstance(node, exp.Between):
        low, high = _whole(node.args["low"]), _whole(node.args["high"])
        return low is not None and high is not None and low <= found.low and found.high <= high
    number = _whole(node.expression) if isinstance(node, exp.Binary) else None
    if number is None:
        return False
    if isinstance(node, exp.GT):
        return found.low > number
    if isinstance(node, exp.GTE):
        return found.low >= number
    if isinstance(node, exp.LT):
        return found.high < number
    return isinstance(node, exp.LTE) and found.high <= number


def _found(node: object, columns: Mapping[str, Column]) -> Column | None:
    from sqlglot import exp

    if not isinstance(node, exp.Column) or len(node.parts) > 1:
        return None
    low = node.name.lower()
    return next((c for name, c in columns.items() if name.lower() == low), None)


def _whole(node: exp.Expr) -> int | None:
    from sqlglot import exp

    if isinstance(node, exp.Neg):
        found = _whole(node.this)
        return None if found is None else -found
    whole = isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit()
    return int(node.this) if whole else None


# --- set checks --------------------------------------------------------------------------------------------


def filled(expression: str, known: Footers) -> str:
    """The expression with numbers in the place of aggregates that the footers answer."""
    from sqlglot import exp

    try:
        root = exp.Paren(this=tree(expression).copy())
    except LanguageError:
        return expression
    if not plain(root):
        return expression
    changed = False
    for node in [n for n in root.walk() if isinstance(n, exp.Count | exp.Min | exp.Max)]:
        number = None if isinstance(node.parent, exp.Filter) else _number(node, known)
        if number is not None:
            node.replace(exp.cast(exp.Literal.number(number), "BIGINT", dialect="duckdb"))
            changed = True
    return root.this.sql(dialect="duckdb") if changed else expression


def _number(node: exp.Expr, known: Footers) -> int | None:
    from sqlglot import exp

    if node.expressions or node.args.get("expression"):
        return None
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
        return known.rows
    found = _found(node.this, known.columns)
    if found is None:
        return None
    if isinstance(node, exp.Count):
        return known.rows - found.nulls
    if any(node.this.name.lower() == name.lower() for name in known.times):
        return None
    return found.low if isinstance(node, exp.Min) else found.high


def plain(root: exp.Expr) -> bool:
    """Whether an expression is made of what means the same however it is laid out, and asks no other rows."""
    return all(isinstance(node, _plain()) for node in root.walk())


def counts(expression: str) -> bool | None:
    """Whether an aggregate is in a plain expression; None of one that is not plain."""
    from sqlglot import exp

    try:
        root = tree(expression)
    except LanguageError:
        return None
    return root.find(exp.AggFunc) is not None if plain(root) else None


def cheap(expression: str) -> bool:
    """Whether a plain expression asks for no distinct values."""
    from sqlglot import exp

    return counts(expression) is not None and tree(expression).find(exp.ApproxDistinct, exp.Distinct) is None


def _plain() -> tuple[type, ...]:
    from sqlglot import exp

    return (
        exp.Column, exp.Identifier, exp.Literal, exp.Star, exp.Paren, exp.Neg, exp.Not, exp.And, exp.Or, exp.Is, exp.Null,
        exp.Boolean, exp.Between, exp.In, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Add, exp.Sub, exp.Mul, exp.Div,
        exp.Cast, exp.DataType, exp.Nullif, exp.Coalesce, exp.Abs, exp.Filter, exp.Where, exp.Count, exp.CountIf, exp.Sum,
        exp.ApproxDistinct, exp.Distinct, exp.Avg, exp.Min, exp.Max, exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop,
    )  # fmt: skip
