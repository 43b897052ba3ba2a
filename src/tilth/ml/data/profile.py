"""What the rows of a snapshot look like, small enough to keep with a model and to compare with later.

Numeric columns: edges of equal shares of the rows, how many rows fall between them, and moments. Texts, booleans and
integers of few values: the most frequent values and how many rows have another. Moments in time and bytes have no
profile. The same rows always give the same profile, bit for bit: quantiles are exact (of 200,000 rows picked by
their place, when there are more), and moments are rounded to what does not depend on the order of summing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.core.names import quoted
from tilth.core.schema import NUMERIC, DataType, Field, Schema
from tilth.ml.data.checks import one_row
from tilth.ml.data.snapshots import plain_schema
from tilth.ports.arrow import schema_of
from tilth.ports.engine import QueryEngine, Relation

BINS = 20
TOP = 50
SAMPLED = 200_000
ROWS = "profiled"


@dataclass(frozen=True, slots=True)
class Numeric:
    """`counts[i]` rows lie in (edges[i-1], edges[i]]; the first bin is open below, the last open above."""

    column: str
    rows: int
    nulls: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True)
class Categorical:
    """The most frequent values (as text) with their counts, and how many rows have any other value."""

    column: str
    rows: int
    nulls: int
    values: tuple[str, ...]
    counts: tuple[int, ...]
    other: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """Profiles of columns, in the order of the rows' columns."""

    rows: int
    columns: tuple[Numeric | Categorical, ...]

    def find(self, column: str) -> Numeric | Categorical | None:
        return next((c for c in self.columns if c.column == column), None)

    def and_(self, other: Profile) -> Profile:
        """With the columns of another one that it has not."""
        own = frozenset(c.column for c in self.columns)
        more = tuple(c for c in other.columns if c.column not in own)
        return Profile(max(self.rows, other.rows), (*self.columns, *more))

    def plain(self) -> dict[str, Any]:
        """The profile as JSON-able values; `from_plain` reads it back."""
        return {"rows": self.rows, "columns": [_plain(c) for c in self.columns]}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Profile:
        return cls(int(data["rows"]), tuple(_column(c) for c in data["columns"]))


def _plain(column: Numeric | Categorical) -> dict[str, Any]:
    out: dict[str, Any] = {"column": column.column, "rows": column.rows, "nulls": column.nulls}
    out["counts"] = list(column.counts)
    if isinstance(column, Categorical):
        return out | {"kind": "categorical", "values": list(column.values), "other": column.other}
    moments = {n: getattr(column, n) for n in ("minimum", "maximum", "mean", "sd")}
    return out | {"kind": "numeric", "edges": list(column.edges), **moments}


def _column(data: Mapping[str, Any]) -> Numeric | Categorical:
    common = (str(data["column"]), int(data["rows"]), int(data["nulls"]))
    counts = tuple(int(n) for n in data["counts"])
    if data["kind"] == "categorical":
        return Categorical(*common, tuple(data["values"]), counts, int(data["other"]))
    edges = tuple(float(e) for e in data["edges"])
    return Numeric(*common, edges, counts, data["minimum"], data["maximum"], data["mean"], data["sd"])


# --- computing ---------------------------------------------------------------------------------------------


def profile(
    rows: Relation,
    engine: QueryEngine,
    columns: Sequence[str] | None = None,
    categorical: Iterable[str] = (),
    bins: int = BINS,
) -> Profile:
    """The profile of these columns (all that can have one) of a table or of Parquet files.

    `categorical` names numeric columns that are codes, to be compared by value.
    """
    schema = _schema(rows)
    chosen = schema.fields if columns is None else tuple(schema.field(c) for c in columns)
    numbers = [f for f in chosen if _is_number(f) and f.name not in set(categorical)]
    texts = [f for f in chosen if f not in numbers and _is_category(f, categorical)]
    total = _count(rows)
    found: dict[str, Numeric | Categorical] = {}
    found |= {c.column: c for c in measure(rows, _edges(rows, numbers, total, engine, bins), engine)}
    found |= {c.column: c for c in (_top(rows, f.name, total, engine) for f in texts)}
    return Profile(total, tuple(found[f.name] for f in chosen if f.name in found))


def _is_number(field: Field) -> bool:
    return field.type in NUMERIC and field.type is not DataType.BOOLEAN


def _is_category(field: Field, categorical: Iterable[str]) -> bool:
    return field.type in {DataType.STRING, DataType.BOOLEAN} or field.name in set(categorical)


def _schema(rows: Relation) -> Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(rows, pa.Table | pa.RecordBatchReader):
        return schema_of(plain_schema(rows.schema))
    return schema_of(plain_schema(pq.read_schema(rows[0])))


def _finite(name: str) -> str:
    """The column as a number, NULL where it is none (NaN, infinity)."""
    number = f"{quoted(name)}::DOUBLE"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _count(rows: Relation) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(rows, pa.Table):
        return int(rows.num_rows)
    assert not isinstance(rows, pa.RecordBatchReader), "a profile takes more than one pass"
    return sum(pq.read_metadata(path).num_rows for path in rows)


def _edges(
    rows: Relation, fields: Sequence[Field], total: int, engine: QueryEngine, bins: int
) -> dict[str, tuple[float, ...]]:
    """For each column the edges that cut its values into about equal shares."""
    if not fields:
        return {}
    shares = ", ".join(f"{i / bins:.6f}" for i in range(1, bins))
    listed = ", ".join(f"quantile_disc({_finite(f.name)}, [{shares}])" for f in fields)
    every = math.ceil(total / SAMPLED)
    picked = (
        f"(SELECT *, row_number() OVER () AS tilth_place FROM {ROWS}) WHERE hash(tilth_place) % {every} = 0"
    )
    sql = f"SELECT {listed} FROM {picked if every > 1 else ROWS}"
    found = one_row(engine, sql, {ROWS: rows})
    return {f.name: _distinct(q) for f, q in zip(fields, found, strict=True)}


def _distinct(quantiles: Sequence[float | None] | None) -> tuple[float, ...]:
    return tuple(sorted({float(q) for q in quantiles or () if q is not None}))


def _rounded(value: float | None) -> float | None:
    """Nine significant digits: sums of floats differ in the last ones with the order of the rows' threads."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.9g}")


def measure(rows: Relation, edges: Mapping[str, Sequence[float]], engine: QueryEngine) -> tuple[Numeric, ...]:
    """Numeric profiles at given edges, in one pass."""
    if not edges:
        return ()
    listed = ["count(*)"]
    for name, cuts in edges.items():
        x = _finite(name)
        listed += [f"count({x})", f"min({x})", f"max({x})", f"avg({x})", f"stddev_pop({x})"]
        listed.append(f"histogram({x}, {[float(c) for c in cuts] or [0.0]}::DOUBLE[])")
    found = one_row(engine, f"SELECT {', '.join(listed)} FROM {ROWS}", {ROWS: rows})
    out = []
    for place, (name, cuts) in enumerate(edges.items()):
        count, low, high, mean, sd, bins = found[1 + 6 * place : 7 + 6 * place]
        at = tuple(cuts) or (0.0,)
        nulls = int(found[0]) - int(count)
        counts = _counts(dict(bins or ()), at)
        out.append(Numeric(name, int(found[0]), nulls, at, counts, low, high, _rounded(mean), _rounded(sd)))
    return tuple(out)


def _counts(bins: Mapping[float, int], cuts: Sequence[float]) -> tuple[int, ...]:
    """Counts by upper edge; what lies above the last edge is under infinity."""
    upper = [*(float(c) for c in cuts), math.inf]
    return tuple(int(bins.get(u, 0)) for u in upper)


def _top(rows: Relation, name: str, total: int, engine: QueryEngine) -> Categorical:
    """The most frequent values of one column, ties by value."""
    sql = (
        f"SELECT {quoted(name)}::VARCHAR AS v, count(*) AS n FROM {ROWS} WHERE {quoted(name)} IS NOT NULL"
        f" GROUP BY 1 ORDER BY n DESC, v LIMIT {TOP}"
    )
    table = engine.stream(
        f"SELECT v, n, (SELECT count({quoted(name)}) FROM {ROWS}) FROM ({sql})", {ROWS: rows}
    ).read_all()
    values, counts = table.column(0).to_pylist(), table.column(1).to_pylist()
    known = table.column(2)[0].as_py() if table.num_rows else 0
    return Categorical(name, total, total - known, tuple(values), tuple(counts), known - sum(counts))


def count_values(
    rows: Relation, known: Mapping[str, Sequence[str]], engine: QueryEngine
) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """For each column: rows that have each known value, rows with another, rows with none. One pass."""
    if not known:
        return {}
    listed = ["count(*)"]
    for name, values in known.items():
        text = f"{quoted(name)}::VARCHAR"
        shown = ", ".join("'" + v.replace("'", "''") + "'" for v in values)
        known_only = f"CASE WHEN {text} IN ({shown}) THEN {text} END" if values else "NULL::VARCHAR"
        listed += [f"histogram({known_only})", f"count({quoted(name)})"]
    found = one_row(engine, f"SELECT {', '.join(listed)} FROM {ROWS}", {ROWS: rows})
    out = {}
    for place, (name, values) in enumerate(known.items()):
        bins, count = dict(found[1 + 2 * place] or ()), int(found[2 + 2 * place])
        counts = tuple(int(bins.get(v, 0)) for v in values)
        out[name] = (counts, count - sum(counts), int(found[0]) - count)
    return out
