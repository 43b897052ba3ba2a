"""When rows are expected next, and when they are late, by when they came before."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tilth.plan.arrivals import FEWEST, Pattern, Refreshed, lateness, pattern, together

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def hourly(days: int, at: int = 6, skipped: frozenset[int] = frozenset()) -> list[Refreshed]:
    """A refresh each hour of so many days; new rows come at that hour, but on days that are skipped."""
    out, snapshot = [], "0"
    for n in range(days * 24):
        now = START.replace(hour=0) + n * HOUR
        if now.hour == at and n // 24 not in skipped:
            snapshot = str(n)
        out.append(Refreshed(now, snapshot))
    return out


def test_a_daily_arrival_is_found_under_hourly_refreshes() -> None:
    found = pattern(hourly(10))
    assert found.period == DAY
    assert found.last == START + 9 * DAY
    assert found.expected == START + 10 * DAY
    assert found.slack == HOUR  # as finely as refreshes know


def test_weekends_without_rows_are_slack() -> None:
    weekend = frozenset(d for d in range(35) if (START + d * DAY).weekday() > 4)
    found = pattern(hourly(35, skipped=weekend))
    assert (found.period, found.slack) == (DAY, 2 * DAY)


@pytest.mark.parametrize("arrivals", range(FEWEST))
def test_too_few_arrivals_tell_nothing(arrivals: int) -> None:
    found = pattern([Refreshed(START + n * DAY, str(n)) for n in range(arrivals)])
    assert (found.arrivals, found.period, found.expected, found.late_at) == (arrivals, None, None, None)


def test_refreshes_that_found_nothing_new_are_no_arrivals() -> None:
    assert pattern([Refreshed(START + n * DAY, "same") for n in range(20)]).arrivals == 1


def test_a_source_has_the_arrivals_of_all_its_datasets_once_each() -> None:
    one, two = hourly(8), [Refreshed(r.at + timedelta(minutes=5), f"b{r.snapshot}") for r in hourly(8)]
    found = together([one, two])
    assert (found.period, found.arrivals) == (DAY, pattern(one).arrivals)


NEWEST = START
KNOWN = Pattern(9, START, DAY, HOUR)


@pytest.mark.parametrize(
    ("found", "within", "now", "words"),
    [
        (KNOWN, 3 * DAY, START + DAY + HOUR, None),
        (KNOWN, 3 * DAY, START + DAY + 2 * HOUR, "expected at 2026-03-02 06:00:00; without them FRESH WITHIN '3 days' is missed from 2026-03-04"),
        (KNOWN, 3 * DAY, START + 4 * DAY, "FRESH WITHIN '3 days' is missed since 2026-03-04 06:00:00"),
        (KNOWN, None, START + 9 * DAY, None),
        (Pattern(2, START), 3 * DAY, START + 2 * DAY, None),
        (Pattern(2, START), 3 * DAY, START + 4 * DAY, "is missed since"),
    ],
)  # fmt: skip
def test_rows_are_late_before_the_objective_is_missed(
    found: Pattern, within: timedelta | None, now: datetime, words: str | None
) -> None:
    said = lateness(found, NEWEST, within, now)
    assert (said is None) == (words is None)
    assert words is None or words in (said or "")


def test_what_is_late_stays_late() -> None:
    said = [lateness(KNOWN, NEWEST, 3 * DAY, START + n * HOUR) is not None for n in range(200)]
    assert all(b or not a for a, b in pairwise(said))
