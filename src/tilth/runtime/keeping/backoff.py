"""What failed is left alone for a while: by the clock and by the time on the wall, twice as long each time.

Both must have passed. A replay moves the clock by days in a second, and a clock that stands still must not stop
everything from ever being tried again sooner than it moves.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta

from tilth.core.time import Instant

CLOCK, CLOCK_MOST = timedelta(minutes=1), timedelta(days=1)
WALL, WALL_MOST = 0.2, 60.0


@dataclass(frozen=True, slots=True)
class _Rest:
    failures: int
    clock: Instant
    wall: float


class Backoff:
    """Remembers failures by key, in memory: a restarted process may try again at once."""

    def __init__(self) -> None:
        self._resting: dict[Hashable, _Rest] = {}

    def failed(self, key: Hashable, now: Instant, wall: float) -> None:
        """Leave it alone for longer than the last time."""
        before = self._resting.get(key)
        count = before.failures + 1 if before else 1
        factor = 2 ** min(count - 1, 20)
        self._resting[key] = _Rest(
            count, now + min(CLOCK * factor, CLOCK_MOST), wall + min(WALL * factor, WALL_MOST)
        )

    def waits(self, key: Hashable, now: Instant, wall: float) -> None:
        """Nothing is wrong with it: ask again in a while that does not grow."""
        self._resting[key] = _Rest(0, now + CLOCK, wall)

    def worked(self, key: Hashable) -> None:
        self._resting.pop(key, None)

    def ready(self, key: Hashable, now: Instant, wall: float) -> bool:
        """Whether it may be tried (again)."""
        rest = self._resting.get(key)
        return rest is None or (now >= rest.clock and wall >= rest.wall)

    def next_wall(self, now: Instant) -> float | None:
        """When on the wall the first of those may be tried whose time by the clock has come; None when there is none."""
        return min((r.wall for r in self._resting.values() if now >= r.clock), default=None)

    def forget_all_but(self, keys: set[Hashable]) -> None:
        """Drop what is not planned any more."""
        self._resting = {k: r for k, r in self._resting.items() if k in keys}
