"""How long work reports itself and learns that it should stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        """Say where the work is: `done` is a share of 0..1 or unknown. Raises KeyboardInterrupt when cancelled."""
        ...


class Keeps(Protocol):
    """What a progress also offers whose owner keeps what work finds on its way, whatever becomes of the work."""

    def found(self, what: Mapping[str, object]) -> None:
        """Keep it: a JSON-able mapping, said by a worker and so data that may lie."""
        ...


class Silent:
    """Reports nothing."""

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        pass
