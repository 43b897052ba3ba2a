"""Which files a slice of the scrub takes: everything within 30 days, what is damaged every time, what is young never."""

from datetime import UTC, datetime, timedelta

import pytest

from tilth.runtime.keeping.scrubbing import EVERY, due
from tilth.runtime.record.scrubs import Scrub
from tilth.runtime.showing.verifying import BLOB, Item

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def items(count: int, age: float, size: int = 100) -> dict[str, Item]:
    since = NOW - timedelta(days=age)
    return {f"{n:064x}": Item(BLOB, f"{n:064x}", "dataset d", "", size, since) for n in range(count)}


@pytest.mark.parametrize(
    ("count", "age", "passed", "taken"),
    [
        (0, 40, EVERY, 0),
        (5, 1, EVERY, 0),
        (5, 19.9, EVERY, 0),
        (5, 20.1, EVERY, 1),
        (1920, 40, EVERY, 10),
        (1920, 40, timedelta(days=8), 1920),
    ],
)
def test_a_slice_takes_its_share_of_what_is_due(
    count: int, age: float, passed: timedelta, taken: int
) -> None:
    assert len(due(items(count, age), {}, NOW, passed)) == taken


def test_what_was_looked_at_lately_waits_and_what_is_damaged_comes_first() -> None:
    found = items(3, 40)
    young, damaged, old = found
    seen = {
        young: Scrub(young, BLOB, "dataset d", None, NOW - timedelta(days=2)),
        damaged: Scrub(damaged, BLOB, "dataset d", "it is damaged", NOW - timedelta(hours=1)),
    }
    assert [i.digest for i in due(found, seen, NOW)] == [damaged, old]


@pytest.mark.parametrize("count", [1, 7, 500, 5000])
def test_every_file_is_looked_at_within_thirty_days_for_ever(count: int) -> None:
    step = EVERY if count < 100 else timedelta(days=1)
    found, now = items(count, 0, size=1 << 20), NOW
    last = dict.fromkeys(found, NOW)
    for _ in range(timedelta(days=90) // step):
        now += step
        seen = {d: Scrub(d, BLOB, "dataset d", None, t) for d, t in last.items()}
        for item in due(found, seen, now, step):
            last[item.digest] = now
        assert now - min(last.values()) < timedelta(days=30)
