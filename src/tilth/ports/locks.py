"""One at a time: a lock by name that a dead process cannot hold."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Locks(Protocol):
    def hold(self, name: str, wait: float = 0.0, *, shared: bool = False) -> AbstractContextManager[None]:
        """Hold the named lock for the block; BusyError when another still holds it after `wait` seconds.

        Several may hold it `shared`, and meanwhile nobody alone.
        """
        ...
