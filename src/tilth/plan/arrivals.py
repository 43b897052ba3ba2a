"""When new rows of a dataset or source usually come, learned from when they came; and whether they are late. Pure.

What is known of an arrival is the refresh that found it, so times are as fine as refreshes are. The period is the median of the
spans between arrivals; the slack is what nine of ten spans were longer than that at most, and at least what lay between two refreshes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from tilth.core.time import Instant, show_duration, show_instant

FEWEST = 4  # arrivals of which a pattern is learned
MOST = 60  # of them that are looked at, the newest
SHARE = 0.9  # of spans within the slack


@dataclass(frozen=True, slots=True)
class Refreshed:
    """One refresh that was published: when, and of which snapshot."""

    at: Instant
    snapshot: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """When rows came, and when they are expected next; without `period` too few came to tell."""

    arrivals: int
    last: Instant | None
    period: timedelta | None = None
    slack: timedelta | None = None

    @property
    def expected(self) -> Instant | None:
        """When the next rows are expected."""
        return None if self.last is None or self.period is None else self.last + self.period

    @property
    def late_at(self) -> Instant | None:
        """From then on they are late."""
        return None if self.expected is None or self.slack is None else self.expected + self.slack


def pattern(refreshed: Sequence[Refreshed]) -> Pattern:
    """What is learned of a dataset's refreshes, oldest first.

    >>> from datetime import UTC, datetime
    >>> days = [Refreshed(datetime(2026, 1, n, 6, tzinfo=UTC), str(n)) for n in range(1, 8)]
    >>> found = pattern(days)
    >>> found.arrivals, str(found.period), found.expected.day
    (7, '1 day, 0:00:00', 8)
    """
    came = [
        one.at for before, one in pairwise([None, *refreshed]) if one and (before is None or before.snapshot != one.snapshot)
    ][-MOST:]  # fmt: skip
    between = sorted(b.at - a.at for a, b in pairwise(refreshed))
    return of_times(came, between[len(between) // 2] if between else timedelta())


def of_times(came: Sequence[Instant], grain: timedelta = timedelta()) -> Pattern:
    """What is learned of times at which rows came; `grain` is how finely they are known."""
    last = came[-1] if came else None
    if len(came) < FEWEST:
        return Pattern(len(came), last)
    spans = sorted(b - a for a, b in pairwise(came))
    period = spans[len(spans) // 2]
    far = spans[min(int(len(spans) * SHARE), len(spans) - 1)] - period
    return Pattern(len(came), last, period, max(far, grain, timedelta()))


def together(patterns: Iterable[Sequence[Refreshed]]) -> Pattern:
    """What is learned of a source: rows of any of its datasets are an arrival of it."""
    times: set[Instant] = set()
    grain = timedelta()
    for refreshed in patterns:
        found = [
            o.at for b, o in pairwise([None, *refreshed]) if o and (b is None or b.snapshot != o.snapshot)
        ]
        between = sorted(b.at - a.at for a, b in pairwise(refreshed))
        grain = max(grain, between[len(between) // 2] if between else grain)
        times |= set(found)
    return of_times(_apart(sorted(times), grain / 2)[-MOST:], grain)


def _apart(times: Sequence[Instant], least: timedelta) -> list[Instant]:
    """The times without those that follow one within `least`: several datasets see one arrival."""
    out: list[Instant] = []
    for at in times:
        if not out or at - out[-1] > least:
            out.append(at)
    return out


def lateness(found: Pattern, newest: Instant | None, within: timedelta | None, now: Instant) -> str | None:
    """Why a dataset whose newest row may be `within` old is late, in words; None where it is not, or has no such objective.

    It is late before the objective is missed: once the next rows should have come and did not.
    """
    if within is None or newest is None:
        return None
    missed = newest + within
    if now > missed:
        age = show_duration(_rounded(now - newest))
        return f"its newest row is {age} old, and FRESH WITHIN '{show_duration(within)}' is missed since {_shown(missed)}"
    if found.late_at is None or found.expected is None or found.period is None or now <= found.late_at:
        return None
    usual = show_duration(_rounded(found.period))
    return (
        f"rows come every {usual} or so and were expected at {_shown(found.expected)}; without them"
        f" FRESH WITHIN '{show_duration(within)}' is missed from {_shown(missed)} on"
    )


def _rounded(span: timedelta) -> timedelta:
    size = next(
        (s for s in (timedelta(hours=1), timedelta(minutes=1)) if span >= 3 * s), timedelta(seconds=1)
    )
    return max(span // size * size, size)


def _shown(at: Instant) -> str:
    return show_instant(at)[:19].replace("T", " ")
