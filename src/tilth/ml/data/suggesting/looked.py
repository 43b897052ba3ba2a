"""What a dataset's rows are like, in five blocks of time, so that what the newest would break can be left out.

The blocks are fifths of the rows by event time, or by their order where there is none. The last is never learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tilth.core.names import quoted
from tilth.core.schema import DataType, Schema
from tilth.ports.engine import QueryEngine, Relation

ROWS = "rows"
BLOCKS = 5
SETS = 30  # values of a column that an IN may list
SHAPES = 20
NUMBERS = frozenset({DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL})
TIMES = frozenset({DataType.TIMESTAMP, DataType.DATE})
PIECE = 60  # columns of one query
UNITS = {"day": 1, "week": 7, "month": 30}  # days of periods that rows lie in, and
PERIODS = 120  # how many of them there are at most
DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Column:
    """[blocks] each: rows with a value, and the least and greatest of a number."""

    name: str
    type: DataType
    there: tuple[int, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """The rows of each block, and the columns."""

    rows: tuple[int, ...]
    columns: tuple[Column, ...]

    @property
    def total(self) -> int:
        return sum(self.rows)

    @property
    def held_out(self) -> int:
        return self.rows[-1]


@dataclass(frozen=True, slots=True)
class Periods:
    """Days, weeks or months of a column of times, the shortest of which there are not too many."""

    event: str
    unit: str  # as DuckDB's date_trunc takes it

    @property
    def sql(self) -> str:
        """The first day of the period that a row lies in."""
        return f"date_trunc('{self.unit}', {quoted(self.event)}::TIMESTAMP)::DATE"

    def called(self, first: date) -> str:
        """A period in words."""
        if self.unit == "month":
            return f"{first:%Y-%m}"
        return f"week of {first}" if self.unit == "week" else str(first)


@dataclass(frozen=True, slots=True)
class Rows:
    """A snapshot's rows and how they are cut: `source` is SQL that gives them with their block as `tilth_block`.

    `periods` are those of their event times; None without one.
    """

    relation: Relation
    source: str
    engine: QueryEngine
    periods: Periods | None = None

    def ask(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query over `blocks`."""
        text = f"WITH blocks AS ({self.source}) {sql}"
        found: list[dict[str, Any]] = self.engine.stream(text, {ROWS: self.relation}).read_all().to_pylist()
        return found


def cut(relation: Relation, event: str | None, total: int, engine: QueryEngine) -> Rows:
    """The rows in blocks."""
    if event is None:
        place = f"(row_number() OVER () - 1) * {BLOCKS} // {max(total, 1)}"
        return Rows(relation, f"SELECT *, least({BLOCKS - 1}, {place}) AS tilth_block FROM {ROWS}", engine)
    moment = f"epoch_us({quoted(event)}::TIMESTAMP)"
    parts = [n / BLOCKS for n in range(1, BLOCKS)]
    asked = (
        f"SELECT approx_quantile({moment}, {parts}) AS q, min({moment}) AS a, max({moment}) AS b FROM {ROWS}"
    )
    (found,) = engine.stream(asked, {ROWS: relation}).read_all().to_pylist()
    edges = found["q"] or []
    block = " + ".join(f"({moment} > {int(e)})::INTEGER" for e in edges) or "0"
    days = 0 if found["a"] is None else (found["b"] - found["a"]) // DAY + 1
    unit = next((u for u, length in UNITS.items() if days <= PERIODS * length), "year")
    return Rows(relation, f"SELECT *, {block} AS tilth_block FROM {ROWS}", engine, Periods(event, unit))


def look(rows: Rows, schema: Schema, names: Sequence[str]) -> Looked:
    """What the named columns hold, block by block."""
    counts = {
        r["b"]: r["n"] for r in rows.ask("SELECT tilth_block AS b, count(*) AS n FROM blocks GROUP BY 1")
    }
    columns: list[Column] = []
    for first in range(0, len(names), PIECE):
        piece = [schema.field(n) for n in names[first : first + PIECE]]
        asked = ["tilth_block AS b"]
        for i, f in enumerate(piece):
            own, number = quoted(f.name), f"{quoted(f.name)}::DOUBLE"
            sound = f" AND NOT isnan({own})" if f.type is DataType.FLOAT else ""
            asked.append(f"count(*) FILTER (WHERE {own} IS NOT NULL{sound}) AS t{i}")
            if f.type in NUMBERS:
                asked += [
                    f"{w}({number}) FILTER (WHERE isfinite({number})) AS {w}{i}" for w in ("min", "max")
                ]
        found = {r["b"]: r for r in rows.ask(f"SELECT {', '.join(asked)} FROM blocks GROUP BY 1")}
        for i, f in enumerate(piece):
            blocks = [found.get(b, {}) for b in range(BLOCKS)]
            there = tuple(int(r.get(f"t{i}") or 0) for r in blocks)
            ends = [tuple(r.get(f"{w}{i}") for r in blocks) for w in ("min", "max")]
            columns.append(
                Column(f.name, f.type, there, *ends) if f.type in NUMBERS else Column(f.name, f.type, there)
            )
    return Looked(tuple(int(counts.get(b, 0)) for b in range(BLOCKS)), tuple(columns))


def values_of(rows: Rows, column: str) -> list[tuple[Any, int, int]] | None:
    """Each value of a column, the block that had it first, and its rows; None where they are too many for a list."""
    own = quoted(column)
    found = rows.ask(
        f"SELECT {own} AS v, min(tilth_block) AS first, count(*) AS n FROM blocks WHERE {own} IS NOT NULL GROUP BY 1"
        f" ORDER BY 3 DESC, 1 LIMIT {SETS + 1}"
    )
    return None if len(found) > SETS else [(r["v"], r["first"], r["n"]) for r in found]


def shapes_of(rows: Rows, column: str) -> list[str] | None:
    """The shapes of a column of texts, with 9, A and a for digits and letters; None where they are many."""
    own = quoted(column)
    shape = f"regexp_replace(regexp_replace(regexp_replace({own}, '[0-9]', '9', 'g'), '[A-Z]', 'A', 'g'), '[a-z]', 'a', 'g')"
    asked = f"SELECT DISTINCT {shape} AS s FROM (SELECT DISTINCT {own} FROM blocks WHERE {own} IS NOT NULL) LIMIT {SHAPES + 1}"
    found = [r["s"] for r in rows.ask(asked)]
    return None if len(found) > SHAPES else found


def distinct(rows: Rows, column: str) -> int:
    """How many values a column has."""
    return int(rows.ask(f"SELECT count(DISTINCT {quoted(column)}) AS n FROM blocks")[0]["n"])


def lacking(rows: Rows, columns: Sequence[Column]) -> dict[str, tuple[int, int]]:
    """In how many periods a value of each column is missing, and of how many; nothing without periods."""
    if rows.periods is None or not columns:
        return {}
    listed = [f"count(*) > count({_sound(c)}) AS l{i}" for i, c in enumerate(columns)]
    found = rows.ask(f"SELECT {rows.periods.sql} AS p, {', '.join(listed)} FROM blocks GROUP BY 1")
    return {c.name: (sum(r[f"l{i}"] for r in found), len(found)) for i, c in enumerate(columns)}


def _sound(column: Column) -> str:
    """SQL of the column's value, with NaN as NULL."""
    own = quoted(column.name)
    return f"CASE WHEN NOT isnan({own}) THEN {own} END" if column.type is DataType.FLOAT else own


def broken(rows: Rows, tests: Sequence[str]) -> list[tuple[int, int]]:
    """Of each test, how many rows fail it: of all, and of the newest block."""
    if not tests:
        return []
    fails = [f"NOT coalesce(({t}), false)" for t in tests]
    asked = [
        f"count(*) FILTER (WHERE {f}) AS a{i}, count(*) FILTER (WHERE {f} AND tilth_block = {BLOCKS - 1}) AS n{i}"
        for i, f in enumerate(fails)
    ]
    (found,) = rows.ask(f"SELECT {', '.join(asked)} FROM blocks")
    return [(int(found[f"a{i}"]), int(found[f"n{i}"])) for i in range(len(tests))]
