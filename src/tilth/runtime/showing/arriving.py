"""When rows of datasets and sources come, by the record of refreshes: the last time, the next, and what is late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from tilth.core.time import Instant, parse_instant, show_instant
from tilth.plan import arrivals
from tilth.plan.arrivals import Pattern, Refreshed
from tilth.plan.snapshot import Pointer
from tilth.runtime.record import declarations, refreshes, snapshots, waits
from tilth.runtime.record.rows import Reader
from tilth.sql.language.statements import CheckKind, CreateDataset, Kind
from tilth.sql.queries import reads

COLUMNS: Mapping[str, str] = {
    "last_arrival_at": "time", "arrivals": "int", "period_seconds": "float", "expected_at": "time", "slack_seconds": "float",
    "late_from_at": "time",
}  # fmt: skip
"""What of a pattern is a column of `tilth.sources` and `tilth.datasets`, and its type."""
RECENT = 400  # refreshes of a dataset that are looked at


def refreshed(reader: Reader, pointers: Iterable[Pointer]) -> Mapping[str, tuple[Refreshed, ...]]:
    """By recipe, the newest refreshes of these datasets."""
    return refreshes.published(reader, (p.recipe for p in pointers if p.kind is Kind.DATASET), RECENT)


def facts(found: Pattern) -> dict[str, Any]:
    """A pattern as cells of a row."""
    return {
        "last_arrival_at": _shown(found.last),
        "arrivals": found.arrivals,
        "period_seconds": None if found.period is None else found.period.total_seconds(),
        "expected_at": _shown(found.expected),
        "slack_seconds": None if found.slack is None else found.slack.total_seconds(),
        "late_from_at": _shown(found.late_at),
    }


def _shown(at: Instant | None) -> str | None:
    return None if at is None else show_instant(at)


def late(reader: Reader, environment: str, pointers: Iterable[Pointer], now: Instant) -> dict[str, str]:
    """By dataset, why it is late: by its READY WHEN, or by its FRESH WITHIN, before that is missed where a pattern is known."""
    mine = [p for p in pointers if p.kind is Kind.DATASET]
    waiting, current = waits.all_of(reader), snapshots.current(reader, environment)
    known = refreshed(reader, [p for p in mine if _promises(p)])
    out: dict[str, str] = {}
    for p in mine:
        wait = waiting.get(p.recipe)
        if wait is not None and wait.late(now):
            out[p.name] = wait.words(now)
            continue
        declared = declarations.declared(p.text)
        assert isinstance(declared, CreateDataset)
        within = fresh_within(declared)
        one = current.get(p.name)
        if within is None or one is None or one.watermark is None:
            continue
        found = arrivals.pattern(known.get(p.recipe, ()))
        words = arrivals.lateness(found, parse_instant(one.watermark), within, now)
        if words is not None:
            out[p.name] = words
    return out


def _promises(pointer: Pointer) -> bool:
    """Whether the dataset promises an age; of others nobody asks for a pattern."""
    declared = declarations.declared(pointer.text)
    return isinstance(declared, CreateDataset) and fresh_within(declared) is not None


def fresh_within(declared: CreateDataset) -> timedelta | None:
    """The tightest FRESH WITHIN of a dataset."""
    return min((e.within for e in declared.expect if e.kind is CheckKind.FRESH and e.within), default=None)


def of_sources(reader: Reader, pointers: Iterable[Pointer]) -> dict[str, Pattern]:
    """By source, when rows of the datasets that read it came."""
    mine = [p for p in pointers if p.kind is Kind.DATASET]
    known = refreshed(reader, mine)
    by: dict[str, list[tuple[Refreshed, ...]]] = {}
    for p in mine:
        declared = declarations.declared(p.text)
        assert isinstance(declared, CreateDataset)
        for source in {u.schema.lower() for u in reads.tables(declared.query.sql) if u.schema}:
            by.setdefault(source, []).append(known.get(p.recipe, ()))
    return {source: arrivals.together(found) for source, found in by.items()}
