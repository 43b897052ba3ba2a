"""The time that a training may take: wall seconds from its start, and CPU seconds of its process. The clock only cuts."""

from __future__ import annotations

import time

LONG = 0.5  # seconds after which it is known how busy the threads are
LEAST_BUSY = 0.25


class Clock:
    """Limits of a training; `cpu` None is no limit. Deadlines are on the monotonic clock."""

    def __init__(self, started: float, wall: float, cpu: float | None, threads: int) -> None:
        self._end, self._cpu, self._threads = started + wall, cpu, max(1, threads)
        self._began = time.monotonic(), time.process_time()

    @staticmethod
    def now() -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def left(self) -> float:
        """Seconds until the first limit is met, as if every thread were busy; 0 when one is."""
        wall = self._end - time.monotonic()
        if self._cpu is not None:
            wall = min(wall, (self._cpu - time.process_time()) / self._threads)
        return max(0.0, wall)

    def deadline(self, share: float = 1.0) -> float:
        """When a step must end that may take this share of what is left.

        Of a limit of CPU, a part is counted as the steps before it used the threads; all that is left, as if all were busy.
        """
        left = self.left()
        if self._cpu is not None and share < 1.0:
            wall = self._end - time.monotonic()
            left = max(0.0, min(wall, (self._cpu - time.process_time()) / self._busy()))
        return time.monotonic() + share * left

    def _busy(self) -> float:
        """How many threads have been at work, as a mean; on a machine that is shared a part of one."""
        wall, cpu = time.monotonic() - self._began[0], time.process_time() - self._began[1]
        return min(float(self._threads), max(LEAST_BUSY, cpu / wall)) if wall > LONG else float(self._threads)

    def grace(self, seconds: float = 1.5) -> Clock:
        """The same with so many seconds at least: a model that serves is not given up for a second."""
        if self.left() >= seconds:
            return self
        return Clock(time.monotonic(), seconds, None, self._threads)

    def later(self, seconds: float) -> Clock:
        """The same, ending so much later on the wall."""
        return Clock(self._end, seconds, self._cpu, self._threads)

    def part(self, wall: float, share: float) -> Clock:
        """A clock of its own for a step: so many seconds from now, and of a limit of CPU this share of what is left."""
        spent = time.process_time()
        cpu = None if self._cpu is None else spent + share * max(0.0, self._cpu - spent)
        return Clock(time.monotonic(), wall, cpu, self._threads)

    @property
    def over(self) -> bool:
        """Whether a limit is met."""
        return self.left() <= 0.0
