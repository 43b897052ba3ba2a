"""Checks proposed from what rows are like: few, each with its evidence, ordered by what they are worth.

A check is learned from the oldest four fifths of the rows and must hold for the newest. Bounds are wider than what was
seen; what moves from block to block has none. Of a column the one check that says most is proposed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tilth.core.figures import figure
from tilth.core.names import in_query, literal
from tilth.core.schema import DataType
from tilth.ml.data.suggesting import looked
from tilth.ml.data.suggesting.looked import NUMBERS, TIMES, Column, Looked, Rows

LEAST = 100  # rows, below which nothing is proposed
WIDER = 0.25  # of the range that was seen, to either side
MOST = 12  # proposals
CODES = 5  # whole numbers of a column that are listed, not bounded
NAMED = 3  # periods that failed and are named
SELDOM = 0.1  # of the periods, in which gaps are a failure and no habit
PAIRS = 6  # columns of times that are compared with one another
UNIQUE_ROWS = 5_000_000  # up to so many rows, columns are tried for being unique


@dataclass(frozen=True, slots=True)
class Failed:
    """A period or refresh of which `rows` of `of` would have failed, `missing` of them for want of a value."""

    at: str
    rows: int
    missing: int
    of: int

    @property
    def words(self) -> str:
        """The period, with the share of its rows in parentheses; what there is no share of has none."""
        if not self.of:
            return self.at
        share = f"{figure(100 * self.rows / self.of, 2)} %"
        return f"{self.at} ({share}{' NULL' if self.missing == self.rows else ''})"


@dataclass(frozen=True, slots=True)
class Tried:
    """A check asked of the past: of how many `unit` (days, refreshes), which would have failed, how many came since the last of those."""

    unit: str
    asked: int
    failed: tuple[Failed, ...] = ()
    since: int = 0

    @property
    def words(self) -> str:
        """As `2 of 31 days: 2026-03-04 (12 % NULL), 2026-03-05 (3 % NULL); 0 of the last 20`."""
        head = f"{len(self.failed):,} of {self.asked:,} {self.unit}"
        if not self.failed:
            return head
        named = ", ".join(f.words for f in self.failed[:NAMED])
        more = f" and {len(self.failed) - NAMED:,} more" if len(self.failed) > NAMED else ""
        since = f"0 of the last {self.since:,}" if self.since else "the newest among them"
        return f"{head}: {named}{more}; {since}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An EXPECT item without ON FAIL, why it is proposed, and its worth: more is better."""

    kind: str
    check: str
    on_fail: str
    evidence: str
    worth: float
    columns: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()  # what it would have caught
    lacking: int = (
        0  # rows that fail it since they lack the value, all of them in few periods that are long over
    )

    @property
    def item(self) -> str:
        return f"{self.check} ON FAIL {self.on_fail}"

    @property
    def caught(self) -> str:
        """What it would have caught, in words; nothing where there is no past to ask."""
        if not self.tried:
            return ""
        kept = "; these rows are still there: ON FAIL QUARANTINE would hold them back" if self.lacking else ""
        return f"would have failed {', and '.join(t.words for t in self.tried)}{kept}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What looked like a check, and why it is not proposed."""

    column: str
    why: str


def propose(
    rows: Rows, found: Looked, key: Sequence[str], taken: Iterable[str]
) -> tuple[list[Proposal], list[Refusal]]:
    """Of columns that no check names yet (`taken`), the best first; and what was left out, with the reason."""
    if found.total < LEAST:
        return [], [Refusal("", f"{found.total:,} rows are too few to learn from: {LEAST} are the least")]
    named = {n.lower() for n in taken}
    free = [c for c in found.columns if c.name.lower() not in named]
    refused: list[Refusal] = []
    lost = _lost(rows, found, free)
    made = [p for c in free if (p := _of_column(rows, found, c, refused, lost.get(c.name, 0))) is not None]
    if not key:
        made += _unique(rows, found, free)
    made += _ordered(rows, found, free)
    return _tried(rows, found, made, refused), refused


def _tried(rows: Rows, found: Looked, made: list[Proposal], refused: list[Refusal]) -> list[Proposal]:
    """Those that hold for every row, the newest too, but for rows that should not lack a value."""
    of_rows = [p for p in made if p.kind != "unique"]
    out = [p for p in made if p.kind == "unique"]
    for one, (failed, newest) in zip(of_rows, looked.broken(rows, [p.check for p in of_rows]), strict=True):
        if failed > one.lacking or newest:
            where = f"{newest:,} of the newest {found.held_out:,}" if newest else f"{failed:,}"
            refused.append(Refusal(one.columns[0], f"{one.check} would fail for {where} rows"))
        else:
            out.append(one)
    return sorted(out, key=lambda p: (-p.worth, p.check))


def _lost(rows: Rows, found: Looked, columns: Sequence[Column]) -> dict[str, int]:
    """Rows that lack a value, of columns that lack one in few periods only, none of them in the newest two fifths of the rows."""
    may = [c for c in columns if 0 < sum(c.there) < found.total and c.there[-2:] == found.rows[-2:]]
    seldom = {n for n, (lack, of) in looked.lacking(rows, may).items() if lack <= SELDOM * of}
    return {c.name: found.total - sum(c.there) for c in may if c.name in seldom}


def _of_column(
    rows: Rows, found: Looked, column: Column, refused: list[Refusal], lost: int
) -> Proposal | None:
    """The check that says most of one column; `lost` rows lack a value and should not have."""
    made = _kind_of(rows, found, column, refused, found.total - sum(column.there) - lost)
    return replace(made, lacking=lost) if made is not None and lost else made


def _kind_of(rows: Rows, found: Looked, column: Column, refused: list[Refusal], gaps: int) -> Proposal | None:
    there = sum(column.there)
    if there == 0:
        refused.append(Refusal(column.name, "it has no value"))
        return None
    if column.type in (DataType.STRING, DataType.BOOLEAN):
        made = _set(rows, found, column, gaps, refused) or _format(rows, column, gaps, there)
        if made is not None:
            return made
    if column.type in NUMBERS:
        made = _codes(rows, found, column, gaps) or _range(found, column, gaps, refused)
        if made is not None:
            return made
    if gaps == 0:
        lacks = f"{found.total - there:,} of {found.total:,} rows lack it" if there < found.total else ""
        evidence = lacks or f"none of {found.total:,} rows lacks it"
        return Proposal(
            "not null", f"{in_query(column.name)} IS NOT NULL", "WARN", evidence, 0.3, (column.name,)
        )
    return None


def _or_missing(name: str, test: str, gaps: int) -> str:
    """The test; with values missing, of those that are there."""
    return f"{in_query(name)} IS NULL OR {test}" if gaps else test


def _missing(gaps: int, total: int) -> str:
    return f"; {gaps:,} of {total:,} rows lack it" if gaps else ""


def _codes(rows: Rows, found: Looked, column: Column, gaps: int) -> Proposal | None:
    """Whole numbers that are codes (0 and 1, stars): as few as texts of a set would be, all of them seen from the start."""
    if column.type is not DataType.INTEGER:
        return None
    values = looked.values_of(rows, column.name)
    return None if values is None or len(values) > CODES else _set(rows, found, column, gaps, [])


def _set(rows: Rows, found: Looked, column: Column, gaps: int, refused: list[Refusal]) -> Proposal | None:
    values = looked.values_of(rows, column.name)
    if values is None or not 1 < len(values) <= max(2, sum(column.there) // 20):
        return None
    newest = [v for v, first, _ in values if first == looked.BLOCKS - 1]
    late = [v for v, first, _ in values if first >= looked.BLOCKS // 2]
    if newest or late:
        refused.append(
            Refusal(
                column.name,
                f"{len(late)} of its {len(values)} values came in the newer half of the rows: there will be more",
            )
        )
        return None
    listed = ", ".join(
        literal(v) if isinstance(v, str) else str(v).upper() for v in sorted(v for v, _, _ in values)
    )
    evidence = f"{len(values)} values, all of them in the oldest half of {found.total:,} rows, the rarest {min(n for _, _, n in values):,} times"
    test = f"{in_query(column.name)} IN ({listed})"
    return Proposal(
        "set",
        _or_missing(column.name, test, gaps),
        "WARN",
        evidence + _missing(gaps, found.total),
        0.8,
        (column.name,),
    )


def _format(rows: Rows, column: Column, gaps: int, there: int) -> Proposal | None:
    if column.type is not DataType.STRING:
        return None
    shapes = looked.shapes_of(rows, column.name)
    if (
        shapes is None
        or len(shapes) != 1
        or not 2 <= len(shapes[0]) <= 60
        or not re.search("[9Aa]", shapes[0])
    ):
        return None
    test = f"regexp_full_match({in_query(column.name)}, {literal(_pattern(shapes[0]))})"
    evidence = f"all of {there:,} values have this one form"
    return Proposal(
        "format",
        _or_missing(column.name, test, gaps),
        "WARN",
        evidence + _missing(gaps, there + gaps),
        0.7,
        (column.name,),
    )


def _pattern(shape: str) -> str:
    """A regular expression for the shape.

    >>> _pattern("A99-a")
    '[A-Z][0-9]{2}-[a-z]'
    """
    classes = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}
    runs = [(m[0][0], len(m[0])) for m in re.finditer(r"(.)\1*", shape, re.DOTALL)]
    return "".join(classes.get(c, re.escape(c)) + (f"{{{n}}}" if n > 1 else "") for c, n in runs)


def _range(found: Looked, column: Column, gaps: int, refused: list[Refusal]) -> Proposal | None:
    lows, highs = ([v for v in ends if v is not None] for ends in (column.low, column.high))
    if len(lows) < looked.BLOCKS or len(highs) < looked.BLOCKS:
        return None
    learned = min(lows[:-1]), max(highs[:-1])
    span = learned[1] - learned[0]
    if span <= 0:
        return None
    for ends, way in ((highs, 1), (lows, -1)):
        steps = [way * (b - a) for a, b in pairwise(ends)]
        if all(s > 0 for s in steps) and sum(steps) > WIDER / 2 * span:
            refused.append(Refusal(column.name, "it grows with time, so any bound would be reached"))
            return None
    if max(highs) - min(highs) > span / 2 or max(lows) - min(lows) > span / 2:
        refused.append(
            Refusal(column.name, "its extremes differ much from one fifth of the rows to the next")
        )
        return None
    margin = WIDER * span
    unit = 10.0 ** math.floor(math.log10(margin))
    low = math.floor((min(lows) - margin) / unit) * unit
    high = math.ceil((max(highs) + margin) / unit) * unit
    if min(lows) >= 0:
        low = max(low, 0.0)
    if min(lows) >= 0 and max(highs) <= 1 and column.type is DataType.FLOAT:
        high = 1.0
    test = f"{in_query(column.name)} BETWEEN {_shown(low)} AND {_shown(high)}"
    evidence = (
        f"{_shown(min(lows))} to {_shown(max(highs))} in {sum(column.there):,} values, alike in each fifth"
    )
    return Proposal(
        "range",
        _or_missing(column.name, test, gaps),
        "WARN",
        evidence + _missing(gaps, found.total),
        0.6,
        (column.name,),
    )


def _shown(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def _unique(rows: Rows, found: Looked, columns: Sequence[Column]) -> Iterator[Proposal]:
    """Columns that could be the KEY: the first that is."""
    if found.total > UNIQUE_ROWS:
        return
    may = [
        c
        for c in columns
        if sum(c.there) == found.total and c.type in (DataType.INTEGER, DataType.STRING, DataType.UUID)
    ]
    for column in may:
        if looked.distinct(rows, column.name) == found.total:
            check = f"COUNT(DISTINCT {in_query(column.name)}) = COUNT(*)"
            yield Proposal(
                "unique",
                check,
                "STOP",
                f"{found.total:,} rows, each with another; KEY ({in_query(column.name)}) would say it too",
                0.9,
                (column.name,),
            )
            return


def _ordered(rows: Rows, found: Looked, columns: Sequence[Column]) -> Iterator[Proposal]:
    """Times that are never before others."""
    times = [c for c in columns if c.type in TIMES][:PAIRS]
    pairs = [(a, b) for a in times for b in times if a is not b]
    names = [(in_query(a.name), in_query(b.name)) for a, b in pairs]
    tests = [f"{a} IS NULL OR {b} IS NULL OR {a} <= {b}" for a, b in names]
    same = [f"{a} IS NOT DISTINCT FROM {b}" for a, b in names]
    fails = looked.broken(rows, [*tests, *same])
    for n, (a, b) in enumerate(pairs):
        if fails[n][0] == 0 and fails[len(pairs) + n][0] > found.total // 100:
            yield Proposal(
                "order",
                tests[n],
                "WARN",
                f"{a.name} is not after {b.name} in any of {found.total:,} rows",
                0.5,
                (a.name, b.name),
            )
