"""Set checks by states that can be put together: a file of a snapshot is read once, and what was found of it is kept.

A state is one row of partial aggregates (counts, sums, least and greatest, moments by Chan, Golub and LeVeque 1979), and the
distinct values of what has few. A check whose aggregates have none (a median, many distinct values, a subquery) is asked of
all rows as ever.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.core.canonical import canonical, digest
from tilth.core.errors import LanguageError
from tilth.ml.data import footers
from tilth.ml.data.checks import Checks
from tilth.ml.data.comparison import split_comparison
from tilth.ports.engine import QueryEngine, Relation
from tilth.sql.language.statements import CheckKind
from tilth.sql.language.trees import tree

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

ROWS = "rows"
STATES = "states"
FEW = 5_000  # distinct values of a file that are kept
LOOKED = 20_000  # rows that show whether they are more


@dataclass(slots=True)
class Partials:
    """Partial aggregates under way: SQL over rows, each a column `p0`, `p1` ... of a state; and what has tables `d0` of values."""

    columns: list[str] = field(default_factory=list)
    distinct: list[str] = field(default_factory=list)

    def values(self, sql: str) -> str:
        """The table that holds the distinct values of it, as `v`."""
        if sql not in self.distinct:
            self.distinct.append(sql)
        return f"d{self.distinct.index(sql)}"

    def column(self, sql: str) -> str:
        """The column of a state that holds it."""
        if sql not in self.columns:
            self.columns.append(sql)
        return f"p{self.columns.index(sql)}"

    @property
    def recipe(self) -> str:
        return digest(canonical([1, self.columns]))[:16]


def split(expression: str, partials: Partials) -> str | None:
    """The expression over states, whose partial aggregates are added; None where it has none that can be put together."""
    from sqlglot import exp

    try:
        root = tree(expression).copy()
    except LanguageError:
        return None
    if not footers.plain(root):
        return None
    made, several = list(partials.columns), list(partials.distinct)
    for node in [n for n in root.walk() if isinstance(n, exp.AggFunc)]:
        outer = node.parent if isinstance(node.parent, exp.Filter) else node
        merged = _merged(node, outer, partials)
        if merged is None:
            partials.columns[:], partials.distinct[:] = made, several
            return None
        fresh = tree(merged).copy()
        if outer is root:
            root = fresh
        else:
            outer.replace(fresh)
    return root.sql(dialect="duckdb")


def _merged(node: exp.Expr, outer: exp.Expr, partials: Partials) -> str | None:
    """SQL over states for one aggregate; None where it is of two arguments or inside another."""
    from sqlglot import exp

    if node.expressions or node.args.get("expression") or node.find_ancestor(exp.AggFunc):
        return None
    where = "" if outer is node else f" {outer.args['expression'].sql(dialect='duckdb')}"
    only = f" FILTER ({where.strip()})" if where else ""
    if isinstance(node, exp.ApproxDistinct) or isinstance(node.this, exp.Distinct):
        return _distinct(node, only, partials)
    of = node.this.sql(dialect="duckdb")

    def part(sql: str) -> str:
        return partials.column(sql)

    if isinstance(node, exp.Count | exp.CountIf):
        name = "count" if isinstance(node, exp.Count) else "count_if"
        return f"CAST(sum({part(f'{name}({of}){only}')}) AS BIGINT)"
    if isinstance(node, exp.Min | exp.Max):
        name = "min" if isinstance(node, exp.Min) else "max"
        return f"{name}({part(f'{name}({of}){only}')})"
    if isinstance(node, exp.Sum):
        return f"sum({part(f'sum({of}){only}')})"
    if isinstance(node, exp.Avg):
        total, count = part(f"sum({of}){only}"), part(f"count({of}){only}")
        return f"(CAST(sum({total}) AS DOUBLE) / nullif(sum({count}), 0))"
    return _spread(node, of, only, partials)


def _distinct(node: exp.Expr, only: str, partials: Partials) -> str | None:
    from sqlglot import exp

    exact = isinstance(node.this, exp.Distinct)
    if (
        only
        or not isinstance(node, exp.Count | exp.ApproxDistinct)
        or (exact and len(node.this.expressions) != 1)
    ):
        return None
    of = node.this.expressions[0] if exact else node.this
    table = partials.values(of.sql(dialect="duckdb"))
    return f"(SELECT {'count' if exact else 'approx_count_distinct'}(v) FROM {table})"


def _spread(node: exp.Expr, of: str, only: str, partials: Partials) -> str:
    from sqlglot import exp

    count, mean = partials.column(f"count({of}){only}"), partials.column(f"avg({of}){only}")
    square = partials.column(f"(var_pop({of}){only} * count({of}){only})")
    middle = f"(SELECT sum({mean} * {count}) / nullif(sum({count}), 0) FROM {STATES})"
    total = f"(sum({square}) + sum({count} * ({mean} - {middle}) * ({mean} - {middle})))"
    whole = isinstance(node, exp.StddevPop | exp.VariancePop)
    spread = f"({total} / nullif(sum({count}){'' if whole else ' - 1'}, 0))"
    return f"sqrt({spread})" if isinstance(node, exp.Stddev | exp.StddevSamp | exp.StddevPop) else spread


def answered(
    checks: Checks, files: Sequence[tuple[str, Relation]], states: MutableMapping[str, bytes], engine: QueryEngine
) -> dict[int, tuple[object, object]]:  # fmt: skip
    """By the place of its item, whether a set check holds and what stands left of its comparison: those that states can say."""
    partials, asked = Partials(), dict[int, tuple[str, str]]()
    for i, item in enumerate(checks.items):
        if item.kind is not CheckKind.SET:
            continue
        whole = split(checks.expressions[i], partials)
        left = split(split_comparison(checks.expressions[i])[0], partials) if whole else None
        if whole and left:
            asked[i] = (f"({whole})::BOOLEAN", f"({left})")
    many = _many(partials, files, states, engine)
    asked = {i: pair for i, pair in asked.items() if not any(f" {d})" in pair[0] for d in many)}
    if not asked:
        return {}
    found = ask([sql for pair in asked.values() for sql in pair], partials, files, states, engine)
    return {i: (found[2 * n], found[2 * n + 1]) for n, i in enumerate(asked)}


def ask(
    asked: Sequence[str], partials: Partials, files: Sequence[tuple[str, Relation]],
    states: MutableMapping[str, bytes], engine: QueryEngine,
) -> list[Any]:  # fmt: skip
    """What the expressions over states come to, of all files, each with its content; a file that is known is not read."""
    import pyarrow as pa

    known = []
    for content, rows in files:
        key = f"set:{partials.recipe}:{content}"
        if key not in states:
            states[key] = _packed(_state(partials, rows, states, engine))
        known.append(_read(states[key]))
    inputs: dict[str, Relation] = {STATES: pa.concat_tables(known)}
    for n, sql in enumerate(partials.distinct):
        parts = [_read(states[_values(sql, content)]) for content, _ in files]
        if all(p.num_columns for p in parts):
            inputs[f"d{n}"] = pa.concat_tables(parts).group_by("v").aggregate([])
    table = engine.stream(f"SELECT {', '.join(asked)} FROM {STATES}", inputs).read_all()
    return [column[0].as_py() for column in table.columns]


def _many(
    partials: Partials,
    files: Sequence[tuple[str, Relation]],
    states: MutableMapping[str, bytes],
    engine: QueryEngine,
) -> list[str]:
    """The tables of values that are too many in a file, and are not kept."""
    found = []
    for n, sql in enumerate(partials.distinct):
        for content, rows in files:
            key = _values(sql, content)
            if key not in states:
                states[key] = _packed(_distinct_values(sql, rows, engine))
            if _read(states[key]).num_columns == 0:
                found.append(f"d{n}")
                break
    return found


def _distinct_values(sql: str, rows: Relation, engine: QueryEngine) -> pa.Table:
    """As column `v`; no column where they are more than FEW."""
    import pyarrow as pa

    asked = f"SELECT approx_count_distinct({sql}) FROM (SELECT * FROM {ROWS} LIMIT {LOOKED})"
    if engine.stream(asked, {ROWS: rows}).read_all().columns[0][0].as_py() > FEW:
        return pa.table({})
    asked = f"SELECT DISTINCT ({sql}) AS v FROM {ROWS} LIMIT {FEW + 1}"
    made = engine.stream(asked, {ROWS: rows}).read_all().replace_schema_metadata()
    return made if made.num_rows <= FEW else pa.table({})


def _values(sql: str, content: str) -> str:
    return f"values:{digest(sql.encode())[:16]}:{content}"


def _state(
    partials: Partials, rows: Relation, states: MutableMapping[str, bytes], engine: QueryEngine
) -> pa.Table:
    """One row of partial aggregates. Sums of whole numbers, which have no type in Arrow, are decimals."""
    key = f"set:{partials.recipe}:huge"
    if key not in states:
        listed = [f"typeof({sql})" if sql.startswith("sum(") else "NULL" for sql in partials.columns]
        asked = f"SELECT {', '.join(['count(*)', *listed])} FROM (SELECT * FROM {ROWS} LIMIT 0)"
        found = engine.stream(asked, {ROWS: rows}).read_all()
        states[key] = bytes(column[0].as_py() == "HUGEINT" for column in found.columns[1:])
    listed = [
        f"CAST({sql} AS DECIMAL(38, 0)) AS p{i}" if huge else f"{sql} AS p{i}"
        for i, (sql, huge) in enumerate(zip(partials.columns, states[key], strict=True))
    ]
    asked = f"SELECT {', '.join(['count(*) AS n', *listed])} FROM {ROWS}"
    return engine.stream(asked, {ROWS: rows}).read_all().replace_schema_metadata()


def _read(state: bytes) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(state).read_all()


def _packed(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return bytes(sink.getvalue())
