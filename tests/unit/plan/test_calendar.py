"""When a job is due, what went by, and how long one that fails is left alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.plan.calendar import Calendar, Due, after, due, pause

H = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def at(hour: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + hour * H


HOURLY = Calendar(at(0), every=H)
HALF_PAST = Calendar(at(0), start=at(-9.5), every=H)
ONCE, ONCE_AT, LONG_AGO = Calendar(at(0)), Calendar(at(0), at(5)), Calendar(at(0), at(-5))
ENDING = Calendar(at(0), end=at(3), every=2 * H)
TABLE = {
    "it begins when it is declared": (HOURLY, None, at(0), Due(at(0), 0, False)),
    "a minute is not late": (HOURLY, at(0), at(1) + timedelta(seconds=60), Due(at(1), 0, False)),
    "more is": (HOURLY, at(0), at(1) + timedelta(seconds=61), Due(at(1), 0, True)),
    "not yet": (HOURLY, at(1), at(1.9), None),
    "two went by": (HOURLY, at(1), at(4), Due(at(4), 2, False)),
    "a run by hand in between changes nothing": (HOURLY, at(1), at(2), Due(at(2), 0, False)),
    "steps go on from START": (HALF_PAST, None, at(0), None),
    "of before it was declared nothing is missed": (HALF_PAST, None, at(0.5), Due(at(0.5), 0, False)),
    "once": (ONCE, None, at(0), Due(at(0), 0, False)),
    "once and not again": (ONCE, at(0), at(99), None),
    "once, later": (ONCE_AT, None, at(4.9), None),
    "once, then": (ONCE_AT, None, at(5), Due(at(5), 0, False)),
    "once, long ago": (LONG_AGO, None, at(0), Due(at(-5), 0, True)),
    "up to the end": (ENDING, at(0), at(2), Due(at(2), 0, False)),
    "beyond the end what was before it": (ENDING, at(0), at(9), Due(at(2), 0, True)),
    "after the end nothing": (ENDING, at(2), at(9), None),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_time_is_due(name: str) -> None:
    calendar, last, now, expected = TABLE[name]
    assert due(calendar, last, now) == expected


@given(
    st.integers(-10_000, 10_000),
    st.integers(1, 5_000),
    st.lists(st.integers(0, 9_000), min_size=1, max_size=8),
)
def test_every_time_is_due_once_or_told_as_missed(start: int, every: int, looks: list[int]) -> None:
    calendar = Calendar(at(0), start=at(0) + start * SECOND, every=every * SECOND)
    last, seen = None, 0
    for moment in sorted(looks):
        found = due(calendar, last, at(0) + moment * SECOND)
        if found is not None:
            assert last is None or found.at > last
            coming = after(calendar, last)
            assert coming is not None
            assert (found.at - coming) == found.missed * every * SECOND
            seen += 1 + found.missed
            last = found.at
    until = max(looks)
    first = start if start >= 0 else start % every
    assert seen == (0 if until < first else (until - first) // every + 1)


@pytest.mark.parametrize(
    ("failures", "every", "expected"),
    [
        (1, None, "0:01:00"),
        (3, None, "0:04:00"),
        (99, None, "1 day, 0:00:00"),
        (1, 10 * SECOND, "0:00:10"),
        (9, H, "1:00:00"),
    ],
)
def test_what_fails_is_left_alone_for_longer_each_time_and_not_beyond_its_next_time(
    failures: int, every: timedelta | None, expected: str
) -> None:
    assert str(pause(failures, every)) == expected
