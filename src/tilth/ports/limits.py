"""How long a statement may work and how much memory and disk it may use; what exceeds them ends as ResourceLimitError."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilth.core.errors import ResourceLimitError
from tilth.ports.turns import Turn


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` counts the time that the engine works or waits to, not the time that its rows wait to be taken.

    `turn` is the statement: when it may begin, and whether it was cancelled.
    """

    seconds: float = 60.0
    memory: int = 2_000_000_000  # bytes
    disk: int = 20_000_000_000  # bytes, for what does not fit into the memory
    turn: Turn = field(default_factory=Turn, compare=False)


def over_time(limits: Limits) -> ResourceLimitError:
    """The error of a statement that took too long."""
    return ResourceLimitError(
        f"The statement worked for {limits.seconds:g} seconds, which is all it may.",
        hint="Raise it with `tilth sql --timeout 600` or, for good, statement_timeout under [limits] in tilth.toml;"
        " or have the statement read less.",
    )
