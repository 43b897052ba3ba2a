"""How long a statement may work and how much memory it may use; what exceeds them ends as ResourceLimitError."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


def _nothing() -> None:
    """Let it go on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` counts the time that the engine works, not the time that its rows wait to be taken.

    `give_up` is called when a statement goes on for long after it was told to stop; what runs a program of its own may
    end it there.
    """

    seconds: float = 60.0
    memory: int = 2_000_000_000  # bytes
    give_up: Callable[[], None] = field(default=_nothing, compare=False)
