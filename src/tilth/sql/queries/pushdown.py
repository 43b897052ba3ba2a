"""Which rows and columns of a source's table a query needs, so that the source reads no more.

Everything here may be left out without changing an answer: what is not certain is not pushed. A filter must mean the
same to the source as to DuckDB, so that its literal is converted to the column's type here, and comparisons
that depend on a collation or on a float's width are left to DuckDB.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

from tilth.core.scan import Literal, Predicate
from tilth.core.schema import DataType, Field, Schema
from tilth.sql.language.trees import Relation, conjuncts, parts_of, relations

if TYPE_CHECKING:
    from sqlglot import exp

_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def is_preserved(found: Relation, of: list[Relation]) -> bool:
    """Whether leaving out rows of this relation leaves out exactly the joined rows made of them."""
    at = of.index(found)
    if (
        found.method in ("ASOF", "POSITIONAL")
        or found.side in ("LEFT", "FULL")
        or found.kind in ("SEMI", "ANTI")
    ):
        return False
    if any(k in found.node.args and found.node.args[k] for k in ("sample", "pivots", "joins", "laterals")):
        return False
    return all(r.side not in ("RIGHT", "FULL") and r.method != "POSITIONAL" for r in of[at + 1 :])


def filters(
    select: exp.Expr, table: exp.Expr, schema: Schema, known: dict[int, Schema]
) -> tuple[Predicate, ...]:
    """What the WHERE of the SELECT that reads this table says of it alone; `known` are schemas by node identity."""
    of = relations(select)
    found = next((r for r in of if r.node is table), None)
    where = select.args.get("where")
    if found is None or where is None or select.args.get("sample") or not is_preserved(found, of):
        return ()
    out: list[Predicate] = []
    for part in conjuncts(where.this):
        for column, op, value in comparisons(part):
            field = _field(column, found, of, schema, known, select)
            if field is not None and (made := converted(field, op, value)) is not None:
                out.append(made)
    return tuple(dict.fromkeys(out))


def _field(
    column: exp.Expr,
    found: Relation,
    of: list[Relation],
    schema: Schema,
    known: dict[int, Schema],
    select: exp.Expr,
) -> Field | None:
    """The field of the table that the column certainly is; None when it is not or could be something else."""
    parts = parts_of(column)
    field = schema.find(parts[-1])
    if field is None or len(parts) > 2:
        return None
    if len(parts) == 2:
        alias = parts[0].lower()
        same = [r for r in of if r.alias.lower() == alias]
        return field if len(same) == 1 and same[0] is found else None
    name = parts[0].lower()
    if any(e.alias.lower() == name for e in select.expressions if e.alias):
        return None
    others = [r for r in of if r is not found]
    if any(id(r.node) not in known or name in known[id(r.node)] for r in others):
        return None
    return field


def comparisons(part: exp.Expr) -> list[tuple[exp.Expr, str, object]]:
    """`(column, op, value)` of a condition on one column and literals; empty for any other."""
    from sqlglot import exp

    ops: dict[type, str] = {
        exp.EQ: "=",
        exp.NEQ: "<>",
        exp.LT: "<",
        exp.LTE: "<=",
        exp.GT: ">",
        exp.GTE: ">=",
    }
    if type(part) in ops:
        op = ops[type(part)]
        if isinstance(part.this, exp.Column):
            return _compared(part.this, op, part.expression)
        return _compared(part.expression, _FLIPPED[op], part.this)
    if isinstance(part, exp.Between) and not part.args.get("symmetric"):
        return _compared(part.this, ">=", part.args["low"]) + _compared(part.this, "<=", part.args["high"])
    if isinstance(part, exp.In) and isinstance(part.this, exp.Column) and part.expressions:
        values = [_kept(e) for e in part.expressions]
        plain = not any(part.args.get(k) for k in ("query", "unnest", "field"))
        return [(part.this, "in", tuple(values))] if plain and None not in values else []
    return _null_test(part)


def _compared(column: exp.Expr, op: str, value: exp.Expr) -> list[tuple[exp.Expr, str, object]]:
    from sqlglot import exp

    found = _kept(value)
    return [(column, op, found)] if isinstance(column, exp.Column) and found is not None else []


def _kept(node: exp.Expr) -> Literal | None:
    """The literal's value where it compares with every whole number as its digits do; None where a float would not."""
    from sqlglot import exp

    found = literal(node)
    if not isinstance(found, float):
        return found
    inner = next(n for n in node.walk() if isinstance(n, exp.Literal))
    rounded = found.is_integer() and abs(found) != Decimal(str(inner.this))
    return None if rounded or abs(found) >= 2**53 else found


def _null_test(part: exp.Expr) -> list[tuple[exp.Expr, str, object]]:
    from sqlglot import exp

    op = "is_null"
    if isinstance(part, exp.Not):
        part, op = part.this, "is_not_null"
    while isinstance(part, exp.Paren):
        part = part.this
    if (
        isinstance(part, exp.Is)
        and isinstance(part.expression, exp.Null)
        and isinstance(part.this, exp.Column)
    ):
        return [(part.this, op, None)]
    return []


def literal(node: exp.Expr) -> Literal | None:
    """The value of a literal, negative number, boolean, DATE '...', TIMESTAMP '...' or TIMESTAMPTZ '...' (naive, in UTC).

    None for anything else.
    """
    from sqlglot import exp

    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Neg):
        inner = literal(node.this)
        return -inner if isinstance(inner, int | float) and not isinstance(inner, bool) else None
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else _number(str(node.this))
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.this.is_string:
        kind = node.args["to"].this.name
        if kind == "DATE":
            return _date(str(node.this.this))
        if kind in ("TIMESTAMP", "TIMESTAMPNTZ", "DATETIME"):
            return _instant(str(node.this.this))
        if kind == "TIMESTAMPTZ":
            return _zoned(str(node.this.this))
    return None


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()) if len(text.strip()) == 10 else None
    except ValueError:
        return None


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip()) if len(text.strip()) >= 10 else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is None else None


def _zoned(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip()) if len(text.strip()) >= 10 else None
        return found if found is None or found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def has_offset(node: exp.Expr) -> bool:
    """Whether this is a text with an offset made a TIMESTAMP: DuckDB drops the offset, and the moment is another."""
    from sqlglot import exp

    if not (isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.this.is_string):
        return False
    if node.args["to"].this.name not in ("TIMESTAMP", "TIMESTAMPNTZ", "DATETIME"):
        return False
    try:
        return datetime.fromisoformat(str(node.this.this).strip()).tzinfo is not None
    except ValueError:
        return False


def converted(field: Field, op: str, value: object) -> Predicate | None:
    """The filter with its value in the column's type; None when source and DuckDB might disagree."""
    if value is None:
        return Predicate(field.name, op)
    if isinstance(value, tuple):
        items = [_value(field.type, "=", v) for v in value]
        return None if None in items else Predicate(field.name, op, tuple(v for v in items if v is not None))
    found = _value(field.type, op, value)
    return None if found is None else Predicate(field.name, op, found)


def _value(kind: DataType, op: str, value: object) -> Literal | None:
    if kind is DataType.STRING:
        return value if isinstance(value, str) and op == "=" else None
    if kind is DataType.BOOLEAN:
        return value if isinstance(value, bool) and op in ("=", "<>") else None
    if kind in (DataType.INTEGER, DataType.DECIMAL, DataType.FLOAT):
        return _numeric(kind, value)
    if kind is DataType.TIMESTAMP:
        if isinstance(value, str):
            return _instant(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime.combine(value, time())
        return value if isinstance(value, datetime) else None
    if kind is DataType.DATE:
        return _as_date(value)
    return None


def _numeric(kind: DataType, value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= 2**62:
        return None
    if kind is DataType.FLOAT:  # its width is not known: only what is exact in every width
        return value if value == int(value) and abs(value) < 2**24 else None
    return value if isinstance(value, int) or kind is DataType.INTEGER else None


def _as_date(value: object) -> date | None:
    if isinstance(value, str):
        return _date(value)
    if isinstance(value, datetime):
        return value.date() if value.time() == time() else None
    return value if isinstance(value, date) else None
