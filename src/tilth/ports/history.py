"""What a collection knows of those before it, and what it leaves for those after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tilth.core.time import Instant


@dataclass(frozen=True, slots=True)
class Past:
    """A refresh that was published: when, the rows that its snapshot had, and the newest event time (ISO, naive)."""

    at: Instant
    rows: int
    watermark: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """`refreshes` from the oldest on; `states` are what was counted of rows before, by key, and may be added to.

    A state is the outcome of reading rows, never more than that: without it the rows are read again.
    """

    refreshes: tuple[Past, ...] = ()
    states: Mapping[str, bytes] = field(default_factory=dict)


class States(dict[str, bytes]):
    """States of before, and in `new` those that were added."""

    def __init__(self, known: Mapping[str, bytes] | None = None) -> None:
        super().__init__(known or {})
        self.new: dict[str, bytes] = {}

    def __setitem__(self, key: str, value: bytes) -> None:
        super().__setitem__(key, value)
        self.new[key] = value
