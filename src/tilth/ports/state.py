"""What tilth remembers: named reads, and changes that carry their audit row in the same transaction.

The texts of the queries are `.sql` beside the adapter, so that an operator can read them; callers use their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

Cell: TypeAlias = "None | int | float | str | bytes"
Row: TypeAlias = Mapping[str, Cell]


class Change(Protocol):
    """An open transaction. It commits when its block ends, if at least one audit row was written."""

    def write(self, query: str, **parameters: Cell) -> int:
        """Run a named write; the number of rows changed."""
        ...

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        """A named read, seeing what this transaction wrote."""
        ...

    def audit(self, verb: str, subject: str, detail: Mapping[str, object]) -> None:
        """Append to the hash chain: who did what to which thing. Never holds secrets or rows of data."""
        ...


class State(Protocol):
    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        """The rows of a named query."""
        ...

    def change(self, actor: str, at: str) -> AbstractContextManager[Change]:
        """A serialised transaction; on an exception nothing of it remains."""
        ...

    def table(self, name: str) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
        """Columns and rows of one table of the `tilth` schema; UnknownNameError with the nearest."""
        ...

    def tables(self) -> tuple[str, ...]:
        """Names of the tables of the `tilth` schema that the state holds."""
        ...

    def column_types(self, name: str) -> Mapping[str, str]:
        """The columns of such a table in order, each TEXT, INTEGER, REAL or BLOB."""
        ...

    def version_counter(self) -> int:
        """A number that changes when another connection has committed; cheap enough to poll."""
        ...

    def backup(self, path: str) -> None:
        """Write all that is remembered at one instant into a new file, while others go on reading and writing."""
        ...

    def verify_audit(self) -> int:
        """Walk the hash chain; its length. TamperError at the first row that does not follow."""
        ...
