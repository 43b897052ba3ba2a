"""When a job is due: its calendar, and what of it went by. Pure; what is done about it is `runtime.keeping`'s."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tilth.core.time import Instant

LATE = timedelta(minutes=1)  # a run that begins later than this was missed, where EVERY is not less


@dataclass(frozen=True, slots=True)
class Calendar:
    """The times of a job. `since` is when it was declared: before that it was not there, and nothing is missed.

    They go on from `start` in steps of `every` until `end`; without `start` from `since`, without `every` there is one.
    """

    since: Instant
    start: Instant | None = None
    end: Instant | None = None
    every: timedelta | None = None

    @property
    def first(self) -> Instant:
        """The first time: of one alone `start`, even when that had gone by."""
        begin = self.since if self.start is None else self.start
        if self.every is None or begin >= self.since:
            return begin
        return begin + -((begin - self.since) // self.every) * self.every

    @property
    def late(self) -> timedelta:
        """How late a run may begin that was not missed."""
        return LATE if self.every is None else min(LATE, self.every)


@dataclass(frozen=True, slots=True)
class Due:
    """The newest time that has come, and how many before it went by unused."""

    at: Instant
    missed: int
    late: bool


def due(calendar: Calendar, last: Instant | None, now: Instant) -> Due | None:
    """What is due after the time that was dealt with last; None while nothing is.

    >>> from datetime import UTC, datetime
    >>> noon, hour = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(hours=1)
    >>> found = due(Calendar(noon, every=hour), noon, noon + 3.5 * hour)
    >>> (found.at.hour, found.missed, found.late)
    (15, 2, True)
    """
    until = now if calendar.end is None else min(now, calendar.end)
    first = after(calendar, last)
    if first is None or first > until:
        return None
    steps = 0 if calendar.every is None else (until - first) // calendar.every
    at = first if calendar.every is None else first + steps * calendar.every
    return Due(at, steps, now - at > calendar.late)


def after(calendar: Calendar, last: Instant | None) -> Instant | None:
    """The first time after the one that was dealt with last; None when there is none any more."""
    first = calendar.first
    if last is None or last < first:
        found = first
    elif calendar.every is None:
        return None
    else:
        found = first + ((last - first) // calendar.every + 1) * calendar.every
    return None if calendar.end is not None and found > calendar.end else found


def pause(failures: int, every: timedelta | None) -> timedelta:
    """How long a job that failed so often is left alone: a minute, twice as long each time, at most a day; and at most EVERY.

    >>> [str(pause(n, None)) for n in (1, 2, 12)]
    ['0:01:00', '0:02:00', '1 day, 0:00:00']
    """
    longest = timedelta(days=1)
    found = min(timedelta(minutes=2 ** min(failures - 1, 11)), longest)
    return found if every is None else min(found, every)
