"""How long requests took, counted in buckets that can be added up: over versions, statuses, minutes and nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

BOUNDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper ends of the buckets in seconds; one more bucket holds what took longer."""
BUCKETS = len(BOUNDS) + 1


def added(many: Iterable[Sequence[int]]) -> list[int]:
    """The sum of several counts, bucket by bucket."""
    total = [0] * BUCKETS
    for counts in many:
        for place, count in enumerate(counts):
            total[place] += count
    return total


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The seconds within which that share (0 to 1) of the requests were answered; None where there are none.

    Inside a bucket they are taken to lie evenly, as Prometheus' `histogram_quantile` does; what is beyond the last bound is given as
    that bound, which is then a lower limit.
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted, before = share * total, 0
    for place, count in enumerate(counts[:-1]):
        if count and before + count >= wanted:
            low = BOUNDS[place - 1] if place else 0.0
            return low + (BOUNDS[place] - low) * (wanted - before) / count
        before += count
    return BOUNDS[-1]
