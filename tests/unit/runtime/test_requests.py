"""Requests by the minute: what a node counts is noted once, can be added up again, and is forgotten when it is old."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from memories import NOW, workspace

from tilth.core.errors import StorageError
from tilth.core.latency import BOUNDS, BUCKETS, added, quantile
from tilth.interfaces.http.metrics import Metrics
from tilth.interfaces.http.minutes import Minutes
from tilth.runtime.record import requests

MINUTE = timedelta(minutes=1)


@dataclass
class Moving:
    """A clock that is set."""

    at: datetime

    def now(self) -> datetime:
        return self.at


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ({}, 0.5, None),
        ({0: 1}, 0.5, BOUNDS[0] / 2),
        ({0: 10}, 1.0, BOUNDS[0]),
        ({2: 100}, 0.5, (BOUNDS[1] + BOUNDS[2]) / 2),
        ({0: 50, 3: 50}, 0.5, BOUNDS[0]),
        ({0: 50, 3: 50}, 0.75, (BOUNDS[2] + BOUNDS[3]) / 2),
        ({len(BOUNDS): 3}, 0.5, BOUNDS[-1]),
        ({0: 1, len(BOUNDS): 99}, 0.99, BOUNDS[-1]),
    ],
)
def test_a_share_of_requests_was_answered_within(
    counts: dict[int, int], share: float, seconds: float | None
) -> None:
    found = quantile([counts.get(n, 0) for n in range(BUCKETS)], share)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_it_is_as_near_as_the_buckets_are_wide(share: float) -> None:
    took = np.random.default_rng(7).lognormal(-6, 1, 5_000)
    places = np.searchsorted(BOUNDS, took)
    found, true = quantile(np.bincount(places, minlength=BUCKETS).tolist(), share), np.quantile(took, share)
    ends = (0.0, *BOUNDS)
    place = int(np.searchsorted(BOUNDS, true))
    assert found is not None
    assert ends[place] <= found <= ends[place + 1]


def counting(*asked: tuple[str, int, int, float]) -> Metrics:
    counts = Metrics()
    for endpoint, version, status, seconds in asked:
        counts.add(endpoint, version, status, seconds, 1)
    return counts


def test_each_minute_is_noted_once_and_adds_up() -> None:
    work = workspace()
    counts = counting(("late", 1, 200, 0.0004), ("late", 1, 200, 0.004), ("late", 0, 422, 0.0001))
    clock = Moving(NOW)
    minutes = Minutes(replace(work, clock=clock), "prod", "n1", counts, print)
    minutes.note()  # the clock stands
    assert requests.of(work.state, "prod", "late", NOW - timedelta(days=1)) == ()
    for more in ((), ((0.03, 5),), ()):
        clock.at += MINUTE
        for seconds, rows in more:
            counts.add("late", 1, 200, seconds, rows)
        minutes.note()
    found = requests.of(work.state, "prod", "late", NOW - timedelta(days=1))
    assert [(c.version, c.status, c.requests, c.rows) for c in found] == [(0, 422, 1, 1), (1, 200, 2, 2), (1, 200, 1, 5)]  # fmt: skip
    assert sum(added(c.buckets for c in found)) == 4
    assert found[1].seconds == pytest.approx(0.0044)
    assert requests.of(work.state, "dev", "late", NOW - timedelta(days=1)) == ()
    assert requests.of(work.state, "prod", "other", NOW - timedelta(days=1)) == ()


def test_what_cannot_be_noted_is_told_and_noted_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    work, said, clock = workspace(), list[str](), Moving(NOW)
    minutes = Minutes(replace(work, clock=clock), "prod", "n1", counting(("late", 1, 200, 0.01)), said.append)

    def full(*_given: object) -> None:
        raise StorageError("The disk is full.", hint="Make room.")

    clock.at += MINUTE
    with monkeypatch.context() as patched:
        patched.setattr(requests, "note", full)
        minutes.note()
    assert "not in tilth.requests yet: The disk is full." in said[0]
    minutes.note()
    assert [c.requests for c in requests.of(work.state, "prod", "late", NOW - timedelta(days=1))] == [1]


def test_old_minutes_are_forgotten_by_the_setting() -> None:
    work, clock = workspace(), Moving(NOW)
    work = replace(work, clock=clock)
    minutes = Minutes(work, "prod", "n1", counting(("late", 1, 200, 0.01)), print)
    for later, left in (
        (MINUTE, 1),
        (work.keep.requests - MINUTE, 1),
        (2 * MINUTE, 1),
        (timedelta(hours=2), 0),
    ):
        clock.at += later
        minutes.note()
        assert len(requests.of(work.state, "prod", "late", NOW - timedelta(days=400))) == left
