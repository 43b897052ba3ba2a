"""What long work says on its way, as notices; and how it learns that it is to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

from tilth.interfaces.pgwire.said import Report

EVERY = 1.0  # seconds between notices of one step


class Told:
    """Implements `ports.progress.Progress`. `cancelled` may be set from any thread."""

    def __init__(self, say: Callable[[Report], None]) -> None:
        self._say = say
        self._last, self._what = 0.0, ""
        self.cancelled = False

    def check(self) -> None:
        """KeyboardInterrupt when the client wants no more of it."""
        if self.cancelled:
            raise KeyboardInterrupt

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        self.check()
        now = time.monotonic()
        if what == self._what and now - self._last < EVERY:
            return
        if what == self._what and done is None and not note:
            return
        self._what, self._last = what, now
        share = "" if done is None else f" {done:.0%}"
        self._say(Report("INFO", "00000", f"{what}{share}{f' ({note})' if note else ''}"))
