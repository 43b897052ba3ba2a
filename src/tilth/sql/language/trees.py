"""Queries as sqlglot trees: parsed once and shared, never changed; and the few questions asked of them everywhere.

`reads` and `pushdown` ask what a query reads, `rewrite` and `predictions` make other texts of it. A text that
sqlglot cannot read becomes a LanguageError here, with its place. sqlglot accepts more than DuckDB does, so that a
query that passes here can still be refused by the engine.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tilth.core.errors import LanguageError, Position
from tilth.core.names import nearest
from tilth.sql.language.tokens import place

if TYPE_CHECKING:
    from sqlglot import exp

_KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "JOIN", "LEFT", "RIGHT", "INNER",
    "OUTER", "CROSS", "ASOF", "BETWEEN", "LIKE", "DISTINCT", "UNION", "QUALIFY", "EXCEPT", "INTERSECT", "USING",
    "WHEN", "THEN", "ELSE",
)  # fmt: skip

AGGREGATES = frozenset(
    [
        "any_value",
        "approx_count_distinct",
        "approx_quantile",
        "approx_top_k",
        "arg_max",
        "arg_min",
        "arg_max_null",
        "arg_min_null",
        "array_agg",
        "avg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bitstring_agg",
        "bool_and",
        "bool_or",
        "corr",
        "count",
        "count_if",
        "count_star",
        "countif",
        "covar_pop",
        "covar_samp",
        "entropy",
        "favg",
        "first",
        "fsum",
        "geomean",
        "geometric_mean",
        "group_concat",
        "histogram",
        "histogram_exact",
        "kahan_sum",
        "kurtosis",
        "kurtosis_pop",
        "last",
        "list",
        "listagg",
        "mad",
        "max",
        "max_by",
        "mean",
        "median",
        "min",
        "min_by",
        "mode",
        "product",
        "quantile",
        "quantile_cont",
        "quantile_disc",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "reservoir_quantile",
        "sem",
        "skewness",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "string_agg",
        "sum",
        "sumkahan",
        "sum_no_overflow",
        "var_pop",
        "var_samp",
        "variance",
        "weighted_avg",
    ]
)
"""DuckDB's aggregate functions, for those that sqlglot reads as functions it does not know."""


@lru_cache(maxsize=4096)
def tree(sql: str) -> exp.Expr:
    """The query's tree. It is shared: copy it before changing it."""
    from sqlglot import parse_one
    from sqlglot.errors import ParseError, TokenError

    _make_room()
    try:
        return parse_one(sql, dialect="duckdb")
    except (ParseError, TokenError) as problem:
        raise _unreadable(sql, problem) from problem
    except RecursionError:
        raise LanguageError("This query is nested too deeply.", hint="Split it with WITH.") from None


_FIRST = re.compile(r"\bpredict\s*\(\s*[\w\"`]+", re.IGNORECASE)
_FRAMES = 5_000  # sqlglot takes up to 35 calls for a bracket within another, of which the cursor allows 100


def _make_room() -> None:
    """Lets calls go as deep as what may be nested needs, for the whole process and from then on.

    Without it, what is "too deep" would depend on who asks: a prompt, a server's thread, sqlglot's compiled build.
    Calls of Python within Python take no room on the stack of C (3.11 and later).
    """
    if sys.getrecursionlimit() < _FRAMES:
        sys.setrecursionlimit(_FRAMES)


def _unreadable(sql: str, problem: Any) -> LanguageError:
    found = (getattr(problem, "errors", None) or [{}])[0]
    line, column, word = found.get("line") or 1, found.get("col") or 1, found.get("highlight") or ""
    start = _offset(sql, line) + max(0, column - max(1, len(word)))
    where = place(sql, min(start, len(sql)), min(start, len(sql)) + max(1, len(word)))
    before = sql[:start].split()
    guess = next(
        (
            f"Did you mean `{near}` instead of `{said}`? "
            for said in [word, *before[-1:]]
            if said.isalpha() and said.upper() not in _KEYWORDS and (near := nearest(said, _KEYWORDS))
        ),
        "",
    )
    what = f"`{word}` was not expected here" if word else "it ends too early"
    quote = f' If it is a column, write "{word}" in double quotes.' if word.upper() in _KEYWORDS else ""
    hint = f"{guess}Queries are DuckDB SQL.{quote}"
    if _FIRST.search(sql):
        hint = "PREDICT (...) stands in FROM or JOIN of a SELECT that is asked; what is declared names a model, which CREATE MODEL or `tilth adopt NAME` declares."
    return LanguageError(f"The query cannot be read: {what}.", hint=hint, where=where)


def _offset(text: str, line: int) -> int:
    at = 0
    for _ in range(line - 1):
        at = text.find("\n", at) + 1
    return at


def shifted(where: Position | None, base: Position | None) -> Position | None:
    """A place in a query as a place in the file whose `base` is where the query begins."""
    if where is None or base is None:
        return where
    first = where.line == 1
    return Position(
        where.line + base.line - 1,
        where.column + base.column - 1 if first else where.column,
        where.length,
        base.file,
        base.text if first else where.text,
    )


def span_of(*nodes: exp.Expr | None) -> tuple[int, int] | None:
    """From where to where (exclusive) these identifiers, or those of these columns and tables, stand in the text."""
    from sqlglot import exp

    metas = [
        i.meta
        for n in nodes
        if n is not None
        for i in n.find_all(exp.Identifier, exp.Star)
        if "start" in i.meta
    ]
    return (min(m["start"] for m in metas), max(m["end"] for m in metas) + 1) if metas else None


def position_of(sql: str, *nodes: exp.Expr | None) -> Position | None:
    """Where these identifiers, or those of these columns, stand in the text."""
    span = span_of(*nodes)
    return place(sql, *span) if span else None


@dataclass(frozen=True, slots=True)
class Named:
    """A table in FROM or JOIN: the node with its schema (or None), name and alias, as written."""

    node: exp.Table
    schema: str | None
    name: str
    alias: str

    @property
    def identifiers(self) -> tuple[exp.Expr, ...]:
        """The identifiers of its name, without the alias."""
        found = (self.node.args.get(k) for k in ("catalog", "db", "this"))
        return tuple(i for i in found if i is not None)

    @property
    def key(self) -> str:
        """`schema.table` or `table`, in lower case."""
        return f"{self.schema}.{self.name}".lower() if self.schema else self.name.lower()


def named_tables(root: exp.Expr) -> Iterator[Named]:
    """The tables of a query in the order written; not CTEs, not table functions."""
    from sqlglot import exp

    found = [n for n in root.find_all(exp.Table) if isinstance(n.this, exp.Identifier)]
    for node in sorted(found, key=lambda n: int(n.this.meta.get("start", 0))):
        schema, name = node.db or None, node.name
        if node.catalog:
            schema, name = node.catalog, f"{node.db}.{node.name}"
        if schema is None and _is_cte(node, name.lower()):
            continue
        yield Named(node, schema, name, node.alias or node.name)


def _is_cte(node: exp.Expr, name: str) -> bool:
    """Whether an enclosing WITH defines the name before it is used here."""
    from sqlglot import exp

    inside: exp.Expr = node
    at = node.parent
    while at is not None:
        if isinstance(at, exp.With):
            if _defined_before(at, name, inside):
                return True
        elif (
            (with_ := at.args.get("with_")) is not None
            and with_ is not inside
            and any(c.alias.lower() == name for c in with_.expressions)
        ):
            return True
        inside, at = at, at.parent
    return False


def _defined_before(with_: exp.Expr, name: str, cte: exp.Expr) -> bool:
    """Whether the name is that of an earlier CTE of this WITH, or of this one when it is recursive."""
    for other in with_.expressions:
        if other is cte:
            return bool(with_.args.get("recursive")) and other.alias.lower() == name
        if other.alias.lower() == name:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Relation:
    """One thing in FROM or JOIN of a SELECT; `join` is None for the first."""

    node: exp.Expr
    alias: str
    join: exp.Join | None

    @property
    def side(self) -> str:
        return str(self.join.side).upper() if self.join is not None else ""

    @property
    def kind(self) -> str:
        return str(self.join.kind).upper() if self.join is not None else ""

    @property
    def method(self) -> str:
        return str(self.join.method).upper() if self.join is not None else ""


def relations(select: exp.Expr) -> list[Relation]:
    """What a SELECT reads, in the order written."""
    first = select.args.get("from_")
    out = [Relation(first.this, first.this.alias_or_name, None)] if first is not None else []
    out += [Relation(j.this, j.this.alias_or_name, j) for j in select.args.get("joins") or ()]
    return out


def conjuncts(condition: exp.Expr | None) -> list[exp.Expr]:
    """The parts that are joined by AND at the top, parentheses looked through."""
    from sqlglot import exp

    if condition is None:
        return []
    stack, out = [condition], []
    while stack:
        part = stack.pop()
        if isinstance(part, exp.And):
            stack += [part.expression, part.this]
        elif isinstance(part, exp.Paren):
            stack.append(part.this)
        else:
            out.append(part)
    return out


def parts_of(column: exp.Expr) -> tuple[str, ...]:
    """The parts of a column's name, first the outermost qualifier."""
    names = [column.args.get(k) for k in ("catalog", "db", "table", "this")]
    return tuple(n.name for n in names if n is not None)


def selects_of(root: exp.Expr) -> exp.Expr | None:
    """The SELECT that a query is, through parentheses that hold nothing else; None for anything else."""
    from sqlglot import exp

    while isinstance(root, exp.Subquery) and not (
        root.alias or any(v for k, v in root.args.items() if k != "this")
    ):
        root = root.this
    return root if isinstance(root, exp.Select) else None


def holds_aggregate(node: exp.Expr) -> bool:
    """Whether an aggregate function stands in the expression, outside windows and subqueries."""
    from sqlglot import exp

    for part in node.walk(prune=lambda n: isinstance(n, exp.Query | exp.Window)):
        if isinstance(part, exp.AggFunc):
            return True
        if isinstance(part, exp.Anonymous) and part.name.lower() in AGGREGATES:
            return True
    return False
