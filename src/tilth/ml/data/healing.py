"""Which days of an INCREMENTAL dataset are read again because their source holds something else by now.

Two signs say so. With HEAL, rows and a checksum of each day are compared with those of the refresh before: a source with a
language of its own counts them in one grouped scan (`ports.source.ByDay`) where the query reads one table row by row; else the
query's own days are read through the engine and compared with the snapshot. And a source whose rows name their transactions
(PostgreSQL) names the days of rows that were written since the mark of the refresh before, however old these days are.

What is asked of the source is asked before rows are read, so that what is written in between is seen twice, not never; and days
of which another number of rows came than was counted are compared with nothing the next time, but read. `patching` puts them in.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from datetime import time as clock
from typing import Any

from tilth.core.canonical import canonical, digest
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.ml.data.reading import Since, find_source
from tilth.ml.data.windows import EARLY, FIRST, Start
from tilth.ports.snapshots import Manifest
from tilth.ports.source import AskedDays, Days, Source
from tilth.sql.language.statements import CreateDataset
from tilth.sql.queries import origins, reads

MOST_SPANS = 8  # that are read one by one; more are joined where the least lies between them
DAY = timedelta(days=1)
SOURCE, ENGINE = "source", "engine"
RECIPE = 1  # of the checksums: raised when what goes into them changes
UNKNOWN = (-1, "")  # of a day that may not be what was counted


@dataclass(frozen=True, slots=True)
class Seen:
    """What a source held when a snapshot was collected: rows and checksum of each day in [since, until), and its mark."""

    about: str  # what was counted, as a digest: other columns are compared with nothing
    mark: str | None = None
    since: date = date.max
    until: date = date.max
    days: Mapping[date, tuple[int, str]] | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        listed = {str(d): list(of) for d, of in sorted((self.days or {}).items())}
        return {"about": self.about, "mark": self.mark, "since": str(self.since), "until": str(self.until), "days": listed}  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Seen:
        days = {date.fromisoformat(d): (int(of[0]), str(of[1])) for d, of in plain["days"].items()}
        return cls(
            plain["about"], plain["mark"], date.fromisoformat(plain["since"]), date.fromisoformat(plain["until"]), days
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days [first, last]; `open`: and all later ones."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        return midnight(self.first)

    @property
    def end(self) -> datetime:
        return midnight(self.last) + DAY


@dataclass(frozen=True, slots=True)
class Healed:
    """What was compared and what came of it, for people. `by`: source | engine, None where nothing was compared."""

    by: str | None = None
    checked: int = 0  # days
    healed: tuple[date, ...] = ()  # days whose rows had changed
    reread: int = 0  # days that were read again for nothing was known of them
    counted: int = 0  # rows that the source counted
    seconds: float = 0.0  # that it took
    unguarded: str = ""  # why rows of transactions that end late may be missed

    @property
    def words(self) -> str:
        """`3 days healed of 30 checked ...`; empty where nothing was compared or found."""
        some = "1 day" if len(self.healed) == 1 else f"{len(self.healed):,} days"
        if self.by is None:
            return f"{some} with late rows healed" if self.healed else ""
        how = (
            f"by one grouped scan of the source over {self.counted:,} rows in {self.seconds:.1f} s"
            if self.by == SOURCE
            else "by reading them"
        )
        again = f", {self.reread:,} compared for the first time" if self.reread else ""
        return f"{some} healed of {self.checked:,} checked {how}{again}"


@dataclass(frozen=True, slots=True)
class Asking:
    """How the days of one dataset are asked about. `scan`: what a source counts; None: the engine reads and compares."""

    about: str
    source: Source | None
    scan: Scan | None
    column: str
    counted: bool
    heal: timedelta | None

    def ask(self, since: datetime | None, before: datetime | None, mark: str | None) -> Days | None:
        """What the source says; None where it cannot."""
        if self.source is None or self.scan is None:
            return None
        by_day: Any = getattr(self.source, "by_day", None)
        asked = AskedDays(self.scan, self.column, since, before, self.counted, mark)
        found: Days | None = by_day(asked) if by_day is not None else None
        return found


def asking(
    spec: CreateDataset, schemas: Mapping[str, Schema], sources: Mapping[str, Source]
) -> Asking | None:
    """How days can be asked about; None where the dataset is not INCREMENTAL."""
    if not spec.refresh.incremental or spec.event_time is None:
        return None
    sql, heal = spec.query.sql, spec.refresh.heal
    nothing = Asking("", None, None, spec.event_time, False, heal)
    found = origins.origin(sql, spec.event_time, schemas)
    schema, table, column = found or (None, "", "")
    if schema is None:
        return nothing
    source = find_source(schema, sources)
    if getattr(source, "by_day", None) is None:
        return nothing
    uses = reads.tables(sql)
    whole = Scan(table)
    for one in reads.scans(sql, schemas):
        if one.schema and (one.schema.lower(), one.scan.table.lower()) == (schema.lower(), table.lower()):
            whole = one.scan
    columns = whole.columns if whole.columns is not None else schemas_of(schemas, schema, table).names
    wanted = Scan(table, tuple(dict.fromkeys((*columns, column))), whole.where)
    about = digest(canonical([RECIPE, schema.lower(), table, wanted.columns, repr(wanted.where), column]))[
        :16
    ]
    return Asking(about, source, wanted, column, heal is not None and len(uses) == 1, heal)


def schemas_of(schemas: Mapping[str, Schema], schema: str, table: str) -> Schema:
    """The schema of one table of a source."""
    low = f"{schema}.{table}".lower()
    return next(s for n, s in schemas.items() if n.lower() == low)


def first_day(parent: Manifest | None) -> date | None:
    """The first day that a snapshot has rows of."""
    first = min((p.event_min for p in parent.parts if p.event_min), default=None) if parent else None
    return None if first is None else datetime.fromisoformat(first).date()


# --- deciding ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Healing:
    """What is to be read again at this refresh: `spans` of days before the window, which begins at `low` (None: all is read)."""

    asking: Asking
    low: datetime | None = None
    since: datetime | None = None  # days from then on are compared
    spans: tuple[Span, ...] = ()
    late: frozenset[date] = frozenset()  # days before `since` with rows that came late
    answer: Days | None = None
    healed: Healed = Healed()
    everything: bool = False  # it cannot be told what changed, so all rows are read
    unsettled: tuple[Span, ...] = ()
    asked: Span | None = (
        None  # days that a person wants to be read again, and what is gone from the source there goes
    )
    window_moved: bool = False  # another number of rows came in the window than was counted

    @property
    def first(self) -> datetime | None:
        """From when on rows of the snapshot may change."""
        starts = [s.start for s in self.spans] + ([self.low] if self.low is not None else [])
        return min(starts, default=None)

    def again(self, span: Span) -> None:
        """Have these days read again, too."""
        self.asked = span
        if self.low is not None:
            self.spans = joined(self.spans, (d for d in days_of(span) if midnight(d) < midnight_of(self.low)))
            if span.first <= self.low.date() <= span.last:
                self.low = midnight_of(self.low)

    def handed(self, span: Since, rows: int) -> None:
        """So many rows came of a span. Where they are not those that were counted, its days are read again the next time."""
        if not self.asking.counted or self.answer is None:
            return
        first, end = span.start.date(), None if span.end is None else span.end.date()
        counts = self.answer.counts.items()
        if sum(n for d, (n, _) in counts if d >= first and (end is None or d < end)) == rows:
            return
        if end is None:
            self.window_moved = True
        else:
            self.unsettled = (*self.unsettled, Span(first, end - DAY))

    def seen(self, watermark: str | None) -> Seen | None:
        """What is to be remembered of the source with the snapshot that was made."""
        if self.answer is None:
            return None
        mark = self.answer.mark
        if not self.asking.counted or self.asking.heal is None:
            return Seen(self.asking.about, mark)
        since = self.since or _start(watermark, self.asking.heal)
        if since is None:
            return Seen(self.asking.about, mark)
        days = {d: of for d, of in self.answer.counts.items() if d >= since.date()}
        for span in self.unsettled:
            days |= {d: UNKNOWN for d in days_of(span) if d >= since.date()}
        until = self.low.date() if self.window_moved and self.low is not None else date.max
        return Seen(self.asking.about, mark, since.date(), until, days)


def begin(found: Asking, start: Start | None, seen: Seen | None, lowest: date | None) -> Healing:
    """What is to be read again, asked of the source now. `lowest`: the first day that the snapshot before has rows of."""
    if start is None:
        answer, seconds = _timed(found, None, None, None)
        return Healing(found, answer=answer, healed=_said(found, answer, seconds))
    low = start.low
    if found.heal is None or low <= EARLY:
        return _guarded(found, low, seen)
    low, since = midnight(low.date()), _start(start.mark, found.heal) or FIRST
    since = min(since, low)
    answer, seconds = _timed(found, since, low, seen.mark if seen else None)
    if answer is None or not found.counted:
        return _by_engine(found, low, since, answer, seen)
    said = _said(found, answer, seconds)
    if answer.late is None or (seen is not None and seen.about != found.about and answer.mark):
        return Healing(found, low, since, answer=answer, healed=said, everything=True)
    changed, unknown = _differing(answer, seen, found, since.date(), low.date(), lowest)
    late = frozenset(d for d in answer.late if d < since.date())
    spans = _spans({*changed, *unknown, *late})
    said = replace(
        said, by=SOURCE, checked=(low - since).days, healed=tuple(sorted({*changed, *late})), reread=len(unknown)
    )  # fmt: skip
    return Healing(found, low, since, spans, late, answer, said)


def _guarded(found: Asking, low: datetime, seen: Seen | None) -> Healing:
    """Without HEAL: the days of rows that came late, where the source can tell."""
    if low <= EARLY:
        return Healing(found, low)
    answer, seconds = _timed(replace(found, counted=False), None, low, seen.mark if seen else None)
    said = replace(_said(found, answer, seconds), by=None)
    if answer is None:
        return Healing(found, low, healed=said)
    unknown = answer.mark is not None and seen is not None and seen.about != found.about
    if answer.late is None or unknown:
        return Healing(found, low, answer=answer, healed=said, everything=True)
    said = replace(said, healed=tuple(sorted(answer.late)))
    if low.date() in answer.late:  # of the window's own day, which is then read whole
        low = midnight(low.date())
    late = frozenset(d for d in answer.late if d < low.date())
    return Healing(found, low, None, _spans(late), late, answer, said)


def _by_engine(
    found: Asking, low: datetime, since: datetime, answer: Days | None, seen: Seen | None
) -> Healing:
    """All days from `since` on are read, as one window; what came late before that is read again, where that can be told."""
    late: frozenset[date] = frozenset()
    if answer is not None:
        if answer.late is None:
            return Healing(found, since, since, answer=answer, everything=True)
        late = frozenset(d for d in answer.late if d < since.date())
    del seen
    why = answer.why if answer is not None else ""
    said = Healed(ENGINE, (low - since).days, tuple(sorted(late)), unguarded=why)
    return Healing(found, since, since, _spans(late), late, answer, said)


def _timed(found: Asking, since: datetime | None, before: datetime | None, mark: str | None) -> tuple[Days | None, float]:  # fmt: skip
    began = time.monotonic()
    answer = found.ask(since, before, mark)
    return answer, time.monotonic() - began


def _said(found: Asking, answer: Days | None, seconds: float) -> Healed:
    del found
    if answer is None:
        return Healed()
    counted = sum(rows for rows, _ in answer.counts.values())
    return Healed(None, counted=counted, seconds=seconds, unguarded=answer.why)


def _differing(
    answer: Days, seen: Seen | None, found: Asking, since: date, low: date, lowest: date | None
) -> tuple[set[date], set[date]]:
    """Days whose rows are others than they were, and days that nothing is known of; both in [since, low)."""
    known = seen if seen is not None and seen.about == found.about and seen.days is not None else None
    if known is None:
        begins = min([d for d in (lowest, min(answer.counts, default=None)) if d is not None], default=low)
        return set(), set(_range(max(since, begins), low))
    before = known.days or {}
    changed, unknown = set(), set()
    for day in {*before, *answer.counts}:
        if not since <= day < low:
            continue
        if not known.since <= day < known.until or before.get(day) == UNKNOWN:
            unknown.add(day)
        elif before.get(day) != answer.counts.get(day):
            changed.add(day)
    begins = lowest or since
    unknown |= set(_range(max(since, begins), min(known.since, low)))
    unknown |= set(_range(max(since, known.until), low))
    return changed, unknown


def _range(first: date, end: date) -> Iterable[date]:
    return (first + timedelta(days=n) for n in range(max((end - first).days, 0)))


def _start(watermark: str | None, heal: timedelta) -> datetime | None:
    """The first of the days that are compared: so far before the newest event time, as a midnight."""
    if watermark is None:
        return None
    try:
        found = datetime.fromisoformat(watermark) - heal
    except OverflowError:
        return FIRST
    return midnight(found.date()) if found > EARLY else FIRST


def midnight(day: date) -> datetime:
    return datetime.combine(day, clock())


def midnight_of(at: datetime) -> datetime:
    return midnight(at.date())


def days_of(span: Span) -> Iterable[date]:
    return _range(span.first, span.last + DAY)


def _spans(days: Collection[date]) -> tuple[Span, ...]:
    """The days as few spans: neighbours are one, and of more than MOST_SPANS those are joined that lie nearest."""
    spans: list[Span] = []
    for day in sorted(days):
        if spans and day - spans[-1].last <= DAY:
            spans[-1] = Span(spans[-1].first, day)
        else:
            spans.append(Span(day, day))
    while len(spans) > MOST_SPANS:
        at = min(range(len(spans) - 1), key=lambda i: spans[i + 1].first - spans[i].last)
        spans[at : at + 2] = [Span(spans[at].first, spans[at + 1].last)]
    return tuple(spans)


def joined(spans: Iterable[Span], days: Iterable[date]) -> tuple[Span, ...]:
    """The spans with more days."""
    return _spans({*(d for s in spans for d in days_of(s)), *days})


def bounds(event: str, spans: Iterable[Span], low: datetime) -> list[Since]:
    """What is read of the source: each span, and all from `low` on."""
    return [*(Since(event, s.start, s.end) for s in spans), Since(event, low)]
