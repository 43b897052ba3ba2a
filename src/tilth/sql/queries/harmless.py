"""Whether a text of SQL can do no more than read rows one by one: columns, comparisons and sums of one table, and no function else.

Such a text takes time and memory by its rows alone, so it needs no process of its own. What is not known here is not harmless.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError
from tilth.sql.language.trees import tree

if TYPE_CHECKING:
    from sqlglot import exp


@lru_cache(maxsize=256)  # a dataset is asked about at every refresh
def query(sql: str) -> bool:
    """Of a query: `SELECT items FROM one table [WHERE condition]`.

    >>> query("SELECT a, b + 1 AS c FROM s.t WHERE a > 3"), query("SELECT repeat('x', 9) FROM s.t"), query("SELECT * FROM s.t, s.u")
    (True, False, False)
    """
    from sqlglot import exp

    root = _read(sql)
    if not isinstance(root, exp.Select) or any(
        v for k, v in root.args.items() if k not in ("expressions", "from_", "where", "kind")
    ):
        return False
    from_ = root.args.get("from_")
    return from_ is not None and isinstance(from_.this, exp.Table) and _all(root)


@lru_cache(maxsize=1024)
def expression(sql: str) -> bool:
    """Of an expression over the rows of one table, or over all of them.

    >>> expression("AVG(a) BETWEEN 0 AND 9"), expression("a IN (1, 2) OR b IS NULL"), expression("regexp_matches(a, '(x+)+')")
    (True, True, False)
    """
    from sqlglot import exp

    root = _read(f"SELECT {sql}")
    return isinstance(root, exp.Select) and not any(
        v for k, v in root.args.items() if k not in ("expressions", "kind")
    ) and _all(root)  # fmt: skip


def _read(sql: str) -> exp.Expr | None:
    try:
        return tree(sql)
    except LanguageError:
        return None  # what is wrong with it is said when it is bound


def _all(root: exp.Expr) -> bool:
    from sqlglot import exp

    known = _known()
    return all(
        type(node) in known and not (isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier))
        for node in root.walk()
    ) and sum(isinstance(node, exp.Select) for node in root.walk()) == 1  # fmt: skip


@cache
def _known() -> frozenset[type]:
    """Nodes of sqlglot's trees that do no more."""
    from sqlglot import exp

    names = (
        "Select", "Star", "Column", "Identifier", "Table", "TableAlias", "From", "Where", "Alias", "Paren", "Tuple", "Literal", "Boolean", "Null", "Neg",
        "And", "Or", "Not", "EQ", "NEQ", "GT", "GTE", "LT", "LTE", "Between", "In", "Is", "NullSafeEQ", "NullSafeNEQ", "Distinct",
        "Add", "Sub", "Mul", "Div", "Mod", "Cast", "DataType", "DataTypeParam", "Case", "If", "Coalesce", "Nullif",
        "Count", "Sum", "Avg", "Min", "Max", "Stddev", "StddevSamp", "StddevPop", "Variance", "ApproxDistinct", "CountIf", "Filter",
    )  # fmt: skip
    return frozenset(getattr(exp, name) for name in names if hasattr(exp, name))
