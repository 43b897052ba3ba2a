"""Where a node keeps the rows that complete requests: a read-only store for each snapshot, found by key in microseconds.

A store is a copy of what a snapshot has and is made again where it is lost. Keys and rows are bytes; what is in them is
`runtime.serving.looking_up`'s. Times are whole microseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol


class Kept(NamedTuple):
    """One row of a key: which is the newest goes by `at`, then `known`; before `seen` it is not there."""

    key: bytes
    at: int
    known: int
    seen: int
    row: bytes


class Rows(Protocol):
    """An open store. What is read of it stays readable when its file is removed."""

    @property
    def damaged(self) -> bool:
        """Whether something was read that is not as it was written."""
        ...

    def __len__(self) -> int:
        """How many rows it holds."""
        ...

    def find(self, key: bytes, now: int) -> bytes | None:
        """The newest row of the key that is seen by now; None where there is none. DamagedError where it cannot be read."""
        ...


class Lookups(Protocol):
    """The stores of one project, by name. A name says all that a store is made of."""

    @property
    def home(self) -> str | None:
        """What another process opens them with; None where they live in this one alone."""
        ...

    def opened(self, name: str) -> Rows | None:
        """The finished store of that name; None where there is none."""
        ...

    def made(self, name: str, rows: Iterable[Kept]) -> Rows:
        """A store of these rows, whole or not at all; StorageError where the disk does not take it."""
        ...

    def keep(self, names: Collection[str]) -> int:
        """Remove all stores but these; how many. Those that are open go on being readable."""
        ...


class MemoryRows:
    """A store in memory."""

    damaged = False

    def __init__(self, rows: Iterable[Kept]) -> None:
        self._rows: dict[bytes, list[Kept]] = {}
        for one in rows:
            self._rows.setdefault(one.key, []).append(one)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def find(self, key: bytes, now: int) -> bytes | None:
        known = [one for one in self._rows.get(key, ()) if one.seen <= now]
        return max(known, key=lambda one: (one.at, one.known)).row if known else None


class MemoryLookups:
    """The in-memory stores, for tests without a disk."""

    home = None

    def __init__(self) -> None:
        self._stores: dict[str, MemoryRows] = {}

    def opened(self, name: str) -> Rows | None:
        return self._stores.get(name)

    def made(self, name: str, rows: Iterable[Kept]) -> Rows:
        found = self._stores[name] = MemoryRows(rows)
        return found

    def keep(self, names: Collection[str]) -> int:
        gone = [name for name in self._stores if name not in names]
        for name in gone:
            del self._stores[name]
        return len(gone)
