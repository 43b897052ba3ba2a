"""How often things happened and what they took, counted over all that is recorded: for those who watch from outside."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.runtime.record.rows import Reader, real_or_none, text, whole


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something came out so."""

    name: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class Used:
    """What the runs of a thing took."""

    kind: str
    name: str
    seconds: float
    memory: int  # the most that one took, in bytes


def of_refreshes(reader: Reader) -> tuple[Tally, ...]:
    """Refreshes of each dataset by what became of them."""
    return tuple(
        Tally(text(r, "name"), text(r, "outcome"), whole(r, "count")) for r in reader.read("refresh_tally")
    )


def of_gates(reader: Reader, environment: str) -> tuple[Tally, ...]:
    """Gates of each model by what they said."""
    found = reader.read("gate_tally", environment=environment)
    return tuple(Tally(text(r, "name"), text(r, "outcome"), whole(r, "count")) for r in found)


def of_runs(reader: Reader, environment: str) -> tuple[Used, ...]:
    """What collecting and training took."""
    found = reader.read("run_tally", environment=environment)
    return tuple(
        Used(text(r, "kind"), text(r, "name"), real_or_none(r, "seconds") or 0.0, whole(r, "memory"))
        for r in found
    )
