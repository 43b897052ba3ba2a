"""Whether something moved since the last step: the state, the clock, or enough time on the wall."""

from __future__ import annotations

import time

from tilth.core.time import Instant
from tilth.runtime.workspace import Workspace

POLL = 0.05  # seconds between looks at the clock and at the state's counter
IDLE = 10.0  # seconds on the wall after which a step is made although nothing has moved


class Pulse:
    """Of one thread. In a replay every move of the clock counts, else only a jump."""

    def __init__(self, work: Workspace, *, replay: bool) -> None:
        self._work, self._replay = work, replay
        self._counter = -1
        self._now: Instant | None = None
        self._wall = 0.0
        self._until = 0.0

    def woken(self) -> bool:
        """Whether a step should be made now; counts as made."""
        wall, now = time.monotonic(), self._work.clock.now()
        counter = self._work.state.version_counter()
        if counter == self._counter and wall < self._until and not self._jumped(now, wall):
            return False
        self._counter, self._now, self._wall = counter, now, wall
        self._until = wall + IDLE
        return True

    def sleep_until(self, wall: float | None) -> None:
        """Wake again at that time at the latest."""
        if wall is not None:
            self._until = min(self._until, wall)

    def _jumped(self, now: Instant, wall: float) -> bool:
        if self._now is None or self._replay:
            return now != self._now
        return (now - self._now).total_seconds() > wall - self._wall + 1.0
