"""Where served predictions are written down, so that what was acknowledged can be replayed and judged later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class PredictionLog(Protocol):
    """Append-only. A record is one line of JSON without line breaks, made by the server."""

    def append(self, record: bytes) -> None:
        """Hand the record to the system before returning: it outlives the death of this process."""
        ...

    def flush(self) -> None:
        """Make everything appended so far outlive a loss of power too."""
        ...

    def segments(self) -> tuple[str, ...]:
        """Paths of the segment files, oldest first; the last one may still grow."""
        ...

    def records(self) -> Iterator[bytes]:
        """All whole records, oldest first; a torn last line (a crash in the middle of a write) is left out."""
        ...


class MemoryLog:
    """The in-memory log, for tests without a disk."""

    def __init__(self) -> None:
        self._records: list[bytes] = []

    def append(self, record: bytes) -> None:
        self._records.append(record)

    def flush(self) -> None:
        pass

    def segments(self) -> tuple[str, ...]:
        return ()

    def records(self) -> Iterator[bytes]:
        yield from self._records
