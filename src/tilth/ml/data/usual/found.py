"""What USUAL said of a collection, and what it leaves for the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilth.ports.snapshots import CheckResult
from tilth.ports.source import Notice


@dataclass(slots=True)
class Found:
    """Results, what is to be told, and the states that are new."""

    results: list[CheckResult] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)
