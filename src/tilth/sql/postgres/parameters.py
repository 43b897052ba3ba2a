"""Which types a statement's `$1`, `$2` are of, as far as the statement says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError
from tilth.core.schema import DataType
from tilth.sql.language.parameters import named
from tilth.sql.language.trees import tree
from tilth.sql.postgres import types

if TYPE_CHECKING:
    from sqlglot import exp

MOST = 65_535
_NUMBER = re.compile(r"[1-9]\d{0,4}")


def count(text: str) -> int:
    """How many there are: the highest number; LanguageError for one that is none."""
    found = 0
    for name, where in named(text):
        if not _NUMBER.fullmatch(name) or int(name) > MOST:
            raise LanguageError(
                f"`${name}` is no parameter of a prepared statement.",
                hint=f"They are $1 to ${MOST}.",
                where=where,
            )
        found = max(found, int(name))
    return found


def inferred(text: str, columns: Mapping[str, DataType]) -> dict[int, types.Type]:
    """Those that a query tells: by a cast, by the column that it is compared with, by LIMIT. `columns` are in lower case."""
    from sqlglot import exp

    try:
        root = tree(text)
    except LanguageError:
        return {}
    out: dict[int, types.Type] = {}
    for node in root.find_all(exp.Placeholder):
        name = str(node.this)
        if _NUMBER.fullmatch(name) and (kind := _kind(node, columns)) is not None:
            out.setdefault(int(name), kind)
    return out


def _kind(node: exp.Expr, columns: Mapping[str, DataType]) -> types.Type | None:
    from sqlglot import exp

    parent, listed = node.parent, False
    while isinstance(parent, exp.Paren | exp.Neg | exp.Any):
        listed = listed or isinstance(parent, exp.Any)
        node, parent = parent, parent.parent
    found = _beside(node, parent, columns)
    return types.ARRAYS.get((found or types.TEXT).oid) if listed else found


def _beside(node: exp.Expr, parent: exp.Expr | None, columns: Mapping[str, DataType]) -> types.Type | None:
    """The type that what stands around a parameter asks for."""
    from sqlglot import exp

    if isinstance(parent, exp.Cast):
        return _cast(parent.to)
    if isinstance(parent, exp.Limit | exp.Offset):
        return types.INT8
    if isinstance(parent, exp.Like | exp.ILike | exp.RegexpLike):
        return types.TEXT
    if isinstance(parent, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE | exp.In | exp.Between | exp.Add | exp.Sub | exp.Mul | exp.Div):  # fmt: skip
        others = [v for v in parent.iter_expressions() if v is not node]
        return next((k for other in others if (k := _of(other, columns)) is not None), None)
    return None


def _of(node: exp.Expr, columns: Mapping[str, DataType]) -> types.Type | None:
    """The type of what a parameter stands beside."""
    from sqlglot import exp

    if isinstance(node, exp.Column):
        kind = columns.get(node.name.lower())
        return None if kind is None else types.OF[kind]
    if isinstance(node, exp.Cast):
        return _cast(node.to)
    if isinstance(node, exp.Literal):
        return types.TEXT if node.is_string else types.INT8 if node.name.isdigit() else types.FLOAT8
    if isinstance(node, exp.Paren | exp.Neg | exp.Lower | exp.Upper):
        return _of(node.this, columns)
    if isinstance(node, exp.Count | exp.Length):
        return types.INT8
    return None


_CASTS = {
    "INT": types.INT4, "BIGINT": types.INT8, "SMALLINT": types.INT2, "TINYINT": types.INT2, "DOUBLE": types.FLOAT8, "FLOAT": types.FLOAT4,
    "DECIMAL": types.NUMERIC, "TEXT": types.TEXT, "VARCHAR": types.TEXT, "CHAR": types.TEXT, "BOOLEAN": types.BOOL, "DATE": types.DATE, "TIME": types.TIME,
    "TIMESTAMP": types.TIMESTAMP, "TIMESTAMPTZ": types.TIMESTAMPTZ, "UUID": types.UUID, "JSON": types.JSON, "VARBINARY": types.BYTEA,
    "INTERVAL": types.INTERVAL,
}  # fmt: skip


def _cast(kind: exp.DataType) -> types.Type | None:
    return _CASTS.get(str(getattr(kind.this, "name", kind.this)).upper())
