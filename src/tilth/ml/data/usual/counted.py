"""What is counted of a dataset by period: its rows, values that are there, and how values lie.

A column of numbers is counted below its quantiles, one of few values by the most frequent of them; which these are is
learned once and kept. What is counted of a file of a snapshot is kept, by the file's content, so that a refresh counts
new rows alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tilth.core.canonical import canonical, digest
from tilth.core.names import literal, quoted
from tilth.core.schema import DataType, Schema
from tilth.ml.data.usual.calendar import GRAINS, Grain
from tilth.ports.engine import QueryEngine, Relation

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

ROWS = "rows"
GAPPED, SPREAD = 500, 100  # columns whose gaps, and whose values, are watched at most
FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.9)
VALUES = 8  # of a column of few values that are watched
FEW = 200  # values: with more, a column of texts is not one of few values
PIECE = 400  # counts of one query
NUMBERS = frozenset({DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL})
CHOICES = frozenset({DataType.STRING, DataType.BOOLEAN})


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is watched: `edges` of a number's, `values` of few values', as SQL literals; none: its gaps alone."""

    name: str
    floats: bool = False
    edges: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    def tests(self) -> tuple[str, ...]:
        """SQL of what is counted of its values."""
        own = quoted(self.name)
        sound = f" AND NOT isnan({own})" if self.floats else ""
        return (*(f"{own} <= {e}{sound}" for e in self.edges), *(f"{own} = {v}" for v in self.values))

    def told(self) -> tuple[str, ...]:
        """The same in words."""
        return (*(f"at most {float(e):.4g}" for e in self.edges), *(v for v in self.values))


@dataclass(frozen=True, slots=True)
class Watched:
    """What is counted: by which period, and of which columns."""

    event: str | None
    grain: str
    columns: tuple[Column, ...]
    left_out: tuple[str, ...] = ()  # columns whose values are not watched, and

    @property
    def period(self) -> Grain:
        return GRAINS[self.grain]

    @property
    def recipe(self) -> str:
        """Of what is counted; states of another are no use."""
        return digest(canonical([1, asdict(self)]))[:16]

    def plain(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_plain(cls, text: bytes) -> Watched:
        found = json.loads(text)
        columns = [
            Column(c["name"], c["floats"], tuple(c["edges"]), tuple(c["values"])) for c in found["columns"]
        ]
        return cls(found["event"], found["grain"], tuple(columns), tuple(found["left_out"]))

    def counts(self) -> tuple[str, ...]:
        """SQL of all that is counted beside the rows."""
        tests = [(_there(c), *c.tests()) for c in self.columns]
        return tuple(t for own in tests for t in own)


def _there(column: Column) -> str:
    own = quoted(column.name)
    return f"{own} IS NOT NULL" + (f" AND NOT isnan({own})" if column.floats else "")


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of periods, ascending, and [periods, 1 + counts]: rows, then what `Watched.counts` lists."""

    periods: tuple[int, ...]
    table: Floats


def learn(
    rows: Relation,
    schema: Schema,
    event: str | None,
    key: Sequence[str],
    tagged: Sequence[str],
    grain: Grain,
    engine: QueryEngine,
    *,
    values: bool,
) -> Watched:
    """Which columns are watched, and where their values are cut. Values of tagged columns are not looked at."""
    named = [f for f in schema if f.name not in {event, *key}]
    columns = tuple(Column(f.name, f.type is DataType.FLOAT) for f in named[:GAPPED])
    watched = Watched(event, grain.name, columns, tuple(f.name for f in named[GAPPED:]))
    if not values:
        return watched
    kinds = {f.name: f.type for f in named}
    may = [c for c in columns if c.name not in tagged and kinds[c.name] in NUMBERS | CHOICES]
    cut = {c.name: c for c in _cut(may[:SPREAD], kinds, rows, engine)}
    left = tuple(f.name for f in named if f.name not in cut)
    return replace(watched, columns=tuple(cut.get(c.name, c) for c in columns), left_out=left)


def _cut(
    columns: Sequence[Column], kinds: Mapping[str, DataType], rows: Relation, engine: QueryEngine
) -> Iterable[Column]:
    """The columns with their cuts; those without any (all values alike, or too many) are left out."""
    if not columns:
        return
    numbers = [c for c in columns if kinds[c.name] in NUMBERS]
    choices = [c for c in columns if kinds[c.name] in CHOICES]
    fractions = ", ".join(map(str, FRACTIONS))
    asked = [
        f"approx_quantile(CASE WHEN isfinite(v{i}) THEN v{i} END, [{fractions}])" for i in range(len(numbers))
    ]
    asked += [f"approx_count_distinct({quoted(c.name)})" for c in choices]
    asked += [f"approx_top_k({quoted(c.name)}::VARCHAR, {VALUES})" for c in choices]
    doubles = [f"{quoted(c.name)}::DOUBLE AS v{i}" for i, c in enumerate(numbers)]
    inner = ", ".join([*doubles, *(quoted(c.name) for c in choices)])
    table = engine.stream(
        f"SELECT {', '.join(asked)} FROM (SELECT {inner} FROM {ROWS})", {ROWS: rows}
    ).read_all()
    found = [c[0].as_py() for c in table.columns]
    for column, cuts in zip(numbers, found, strict=False):
        edges = tuple(dict.fromkeys(f"{float(e):.12g}" for e in cuts or () if e is not None))
        if edges:
            yield replace(column, edges=edges)
    distinct = found[len(numbers) : len(numbers) + len(choices)]
    for column, many, top in zip(choices, distinct, found[len(numbers) + len(choices) :], strict=True):
        if many <= FEW and top:
            values = tuple(_value(v, kinds[column.name]) for v in sorted(top))
            yield replace(column, values=values)


def _value(value: str, kind: DataType) -> str:
    return value if kind is DataType.BOOLEAN else literal(value)


def counts_of(
    files: Sequence[tuple[str, Relation]],
    watched: Watched,
    states: MutableMapping[str, bytes],
    engine: QueryEngine,
) -> Counts:
    """The counts of all files, each with its content; those in `states` are not read, the others are added to it."""
    parts = []
    for content, rows in files:
        key = f"usual:{watched.recipe}:{content}"
        if key not in states:
            states[key] = packed(_count(rows, watched, engine))
        parts.append(unpacked(states[key]))
    return _together(parts, 1 + len(watched.counts()))


def _count(rows: Relation, watched: Watched, engine: QueryEngine) -> Counts:
    import numpy as np

    tests, grain = watched.counts(), watched.period
    period = (
        "NULL::TIMESTAMP"
        if watched.event is None
        else f"date_trunc('{grain.name}', {quoted(watched.event)})::TIMESTAMP"
    )
    pieces: list[Floats] = []
    for first in range(0, max(len(tests), 1), PIECE):
        listed = [f"count(*) FILTER (WHERE {t})" for t in tests[first : first + PIECE]]
        asked = ", ".join([f"{period} AS p", "count(*)", *listed])
        table = engine.stream(f"SELECT {asked} FROM {ROWS} GROUP BY 1 ORDER BY 1", {ROWS: rows}).read_all()
        own = np.stack([np.asarray(c, dtype=np.float64) for c in table.columns[1:]], 1)
        pieces.append(own if not pieces else own[:, 1:])
    begin = [0 if m is None else grain.index(m) for m in table.column(0).to_pylist()]
    return Counts(tuple(begin), np.hstack(pieces))


def packed(counts: Counts) -> bytes:
    import zlib

    import numpy as np

    head = np.array([len(counts.periods), counts.table.shape[1]], "<i8").tobytes()
    body = np.array(counts.periods, "<i8").tobytes() + counts.table.T.astype("<i8").tobytes()
    return head + zlib.compress(body, 6)


def unpacked(state: bytes) -> Counts:
    import zlib

    import numpy as np

    periods, width = np.frombuffer(state[:16], "<i8")
    body = np.frombuffer(zlib.decompress(state[16:]), "<i8")
    table = body[periods:].reshape(width, periods).T.astype(np.float64)
    return Counts(tuple(int(p) for p in body[:periods]), table)


def _together(parts: Sequence[Counts], width: int) -> Counts:
    import numpy as np

    periods = sorted({p for part in parts for p in part.periods})
    place = {p: i for i, p in enumerate(periods)}
    total = np.zeros((len(periods), width))
    for part in parts:
        np.add.at(total, [place[p] for p in part.periods], part.table)
    return Counts(tuple(periods), total)


def through(counts: Counts, first: int, last: int) -> Floats:
    """[periods first to last, counts]; a period without rows has zeros."""
    import numpy as np

    found = np.zeros((max(last - first + 1, 0), counts.table.shape[1]))
    for i, period in enumerate(counts.periods):
        if first <= period <= last:
            found[period - first] = counts.table[i]
    return found


def cell(value: Any) -> datetime | None:
    """An ISO text of an event time as a time."""
    return None if value is None else datetime.fromisoformat(str(value))
