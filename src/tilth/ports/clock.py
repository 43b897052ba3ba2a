"""What time it is, so that months can be replayed in seconds."""

from __future__ import annotations

from typing import Protocol

from tilth.core.time import Instant


class Clock(Protocol):
    def now(self) -> Instant:
        """The present, in UTC."""
        ...


class ManualClock:
    """The in-memory clock: it stands until it is set. For tests and replays."""

    def __init__(self, at: Instant) -> None:
        self._at = at

    def now(self) -> Instant:
        return self._at

    def set(self, at: Instant) -> None:
        """Move the present; it may not go back."""
        if at < self._at:
            raise ValueError("a clock does not go back")
        self._at = at
