"""Proposed checks asked of the past: of each refresh whose snapshot is kept, and of each period of the newest one's rows.

A file that several snapshots share is read once. What a snapshot has no column for is not asked of it. What is usual, and
how fresh rows are, is replayed where it is judged; here are checks of rows and the one of what is unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tilth.core.names import quoted
from tilth.core.schema import DataType, Schema
from tilth.ml.data import snapshots
from tilth.ml.data.suggesting.looked import ROWS, Periods
from tilth.ml.data.suggesting.proposing import Failed, Proposal, Tried
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.snapshots import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 50_000_000  # that are read again, the newest snapshots first
UNIQUE_ROWS = 10_000_000  # of which it is asked whether a column repeats
REFRESHES = "refreshes"


@dataclass(frozen=True, slots=True)
class Kept:
    """A refresh that published a snapshot which is still kept."""

    at: datetime
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Test:
    """A proposal with SQL that is true for a row that fails it, and the table that the SQL names, if it names one."""

    proposal: Proposal
    fails: str
    others: Mapping[str, pa.Table] = field(default_factory=dict)


def failing(check: str, columns: Sequence[str], schema: Schema) -> str:
    """SQL that is true for a row that fails a proposed check; NaN is NULL in it."""
    floats = [quoted(c) for c in columns if schema.field(c).type is DataType.FLOAT]
    test = f"NOT coalesce(({check}), false)"
    lax = check.startswith(tuple(f"{c} IS NULL OR " for c in columns))
    nan = " OR ".join(f"coalesce(isnan({c}), false)" for c in floats)
    return test if not floats or lax else f"({test} OR {nan})"


@dataclass(slots=True)
class _Counts:
    """Of one test: by refresh, and by period of the newest rows, what failed."""

    asked: list[Failed] = field(default_factory=list)
    periods: dict[date, list[int]] = field(default_factory=dict)


def tried(
    tests: Sequence[Test], kept: Sequence[Kept], periods: Periods | None, blobs: Blobs, engine: QueryEngine
) -> tuple[list[Proposal], int]:
    """The proposals with what they would have caught; and how many refreshes, the oldest, were not asked.

    `kept` goes from the oldest to the newest, whose snapshot is the one that the proposals were made of.
    """
    counts = [_Counts() for _ in tests]
    parts: dict[str, list[list[tuple[Any, int, int, int]]]] = {}
    read, left = 0, 0
    for one in reversed(kept):
        newest = one is kept[-1]
        fresh = sum(p.rows for p in one.manifest.parts if p.blob not in parts)
        if left or (read + fresh > MOST_ROWS and not newest):
            left += 1
            continue
        read += fresh
        able = [_able(t.proposal, one.manifest.schema, kept[-1].manifest.schema) for t in tests]
        for path, part in zip(snapshots.paths(one.manifest, blobs), one.manifest.parts, strict=True):
            if part.blob not in parts:
                parts[part.blob] = _part([path], tests, able, periods if newest else None, engine)
        _added(counts, one, able, [parts[p.blob] for p in one.manifest.parts], newest=newest)
    _of_unique(tests, counts, kept[left:], blobs, engine)
    return [
        replace(t.proposal, tried=tuple(_summed(c, periods))) for t, c in zip(tests, counts, strict=True)
    ], left


def _able(proposal: Proposal, then: Schema, now: Schema) -> bool:
    """Whether that snapshot has the columns, of the types of now."""
    found = [(then.find(c), now.field(c)) for c in proposal.columns]
    return all(old is not None and old.name == new.name and old.type is new.type for old, new in found)


def _part(
    files: Relation, tests: Sequence[Test], able: Sequence[bool], periods: Periods | None, engine: QueryEngine
) -> list[list[tuple[Any, int, int, int]]]:
    """For each test (period, rows, rows that fail, those of them that lack a value); nothing for one that is not asked."""
    asked = [i for i, t in enumerate(tests) if able[i] and t.proposal.kind != "unique"]
    listed = [periods.sql if periods else "NULL::DATE", "count(*)"]
    inputs: dict[str, Relation] = {ROWS: files}
    for i in asked:
        one = tests[i]
        gap = " OR ".join(f"{quoted(c)} IS NULL" for c in one.proposal.columns)
        listed += [f"count(*) FILTER (WHERE {one.fails})", f"count(*) FILTER (WHERE {one.fails} AND ({gap}))"]
        inputs |= one.others
    sql = f"SELECT {', '.join(f'{what} AS c{n}' for n, what in enumerate(listed))} FROM {ROWS} GROUP BY 1"
    table = engine.stream(sql, inputs).read_all()
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    found: list[list[tuple[Any, int, int, int]]] = [[] for _ in tests]
    for n, i in enumerate(asked):
        found[i] = [(r[0], int(r[1]), int(r[2 + 2 * n]), int(r[3 + 2 * n])) for r in rows]
    return found


def _added(
    counts: Sequence[_Counts], one: Kept, able: Sequence[bool], parts: Sequence[Any], *, newest: bool
) -> None:
    """What a refresh's files say, before what older ones said."""
    for i, own in enumerate(counts):
        if not able[i]:
            continue
        rows = [r for part in parts for r in part[i]]
        total, failed, lacking = (sum(r[n] for r in rows) for n in (1, 2, 3))
        if rows or not parts:
            own.asked.insert(0, Failed(f"{one.at:%Y-%m-%d %H:%M}", failed, lacking, total))
        for period, n, bad, gap in rows if newest else ():
            if period is not None:
                before = own.periods.setdefault(period, [0, 0, 0])
                own.periods[period] = [a + b for a, b in zip(before, (bad, gap, n), strict=True)]


def _of_unique(
    tests: Sequence[Test], counts: Sequence[_Counts], kept: Sequence[Kept], blobs: Blobs, engine: QueryEngine
) -> None:
    """Whether what is unique now was so at each refresh, of the newest that have so many rows together."""
    for test, own in zip(tests, counts, strict=True):
        if test.proposal.kind != "unique":
            continue
        (column,) = test.proposal.columns
        read = 0
        for one in reversed(kept):
            read += one.manifest.rows
            if read > UNIQUE_ROWS or not _able(test.proposal, one.manifest.schema, kept[-1].manifest.schema):
                break
            asked = f"SELECT count(*) - count(DISTINCT {quoted(column)}) AS n FROM {ROWS}"
            (found,) = engine.stream(asked, {ROWS: snapshots.relation(one.manifest, blobs)}).read_all()["n"]
            own.asked.insert(0, Failed(f"{one.at:%Y-%m-%d %H:%M}", int(found.as_py()), 0, one.manifest.rows))


def _summed(counts: _Counts, periods: Periods | None) -> list[Tried]:
    """Of refreshes where there are several, and of periods where there are any."""
    found = []
    if len(counts.asked) > 1:
        found.append(told(REFRESHES, counts.asked))
    if counts.periods and periods is not None:
        by = [Failed(periods.called(p), *counts.periods[p]) for p in sorted(counts.periods)]
        found.append(told(f"{periods.unit}s", by))
    return found


def told(unit: str, asked: Sequence[Failed]) -> Tried:
    """What was asked of each, the oldest first, as one value."""
    failed = [n for n, one in enumerate(asked) if one.rows]
    since = len(asked) - 1 - failed[-1] if failed else len(asked)
    return Tried(unit, len(asked), tuple(asked[n] for n in failed), since)
