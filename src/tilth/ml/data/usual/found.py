"""What USUAL said of a collection."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilth.ports.snapshots import CheckResult
from tilth.ports.source import Notice


@dataclass(slots=True)
class Found:
    """Results, and what is to be told."""

    results: list[CheckResult] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
