"""Clocks: the system's, and one that reads the present from a file so that a replay can move several processes."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from tilth.core.errors import LanguageError, StorageError
from tilth.core.time import Instant, parse_instant, show_instant


class SystemClock:
    def now(self) -> Instant:
        return datetime.now(UTC)


class ClockError(StorageError):
    """Nobody knows what time it is: not the fault of who asked."""

    http_status = 503


class FileClock:
    """The instant written in a file; whoever replays history moves it with `set`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, Instant] | None = None

    def now(self) -> Instant:
        try:
            stamp = os.stat(self._path).st_mtime_ns
            if self._seen is None or self._seen[0] != stamp:
                with open(self._path, encoding="utf-8") as file:
                    self._seen = (stamp, parse_instant(file.read()))
        except (OSError, ValueError, LanguageError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds no instant"
            raise ClockError(
                f"The clock file {self._path} cannot be read ({why}).",
                hint="Write an instant such as 2013-05-01T00:00:00Z into it.",
            ) from error
        return self._seen[1]

    def set(self, at: Instant) -> None:
        """Move the present of every process that reads this file; atomic."""
        with open(f"{self._path}.new", "w", encoding="utf-8") as file:
            file.write(show_instant(at))
        os.replace(f"{self._path}.new", self._path)
