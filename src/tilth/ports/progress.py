"""How long work reports itself and learns that it should stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        """Say where the work is: `done` is a share of 0..1 or unknown. Raises KeyboardInterrupt when cancelled."""
        ...


class Silent:
    """Reports nothing."""

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        pass
