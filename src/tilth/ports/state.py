"""What tilth remembers: named reads, and changes that carry their audit row in the same transaction.

The texts of the queries are `.sql` beside the adapter, so that an operator can read them; callers use their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from tilth.core.principals import Principal
from tilth.ports.locks import Locks
from tilth.ports.signing import Keys

Cell: TypeAlias = "None | int | float | str | bytes"
Row: TypeAlias = Mapping[str, Cell]


class Reader(Protocol):
    """What can be asked: a state, a moment of it, or an open change."""

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        """The rows of a named query."""
        ...


class Change(Protocol):
    """An open transaction. It commits when its block ends, if at least one audit row was written."""

    @property
    def by(self) -> Principal:
        """Who makes it."""
        ...

    def write(self, query: str, **parameters: Cell) -> int:
        """Run a named write; the number of rows changed."""
        ...

    def insert(self, query: str, **parameters: Cell) -> int:
        """Run a named write that gives an id; that id."""
        ...

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        """A named read, seeing what this transaction wrote."""
        ...

    def audit(self, verb: str, subject: str, detail: Mapping[str, object]) -> None:
        """Append to the hash chain: who did what to which thing. Never holds secrets or rows of data."""
        ...


class State(Protocol):
    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        """The rows of a named query, as of now."""
        ...

    def reading(self) -> AbstractContextManager[Reader]:
        """A moment: all reads of the block see what was committed when it began, whatever is committed meanwhile.

        It does not see what a change of the same thread has not yet committed.
        """
        ...

    def change(self, by: Principal, at: str, *, keyless: bool = False) -> AbstractContextManager[Change]:
        """A serialised transaction; on an exception nothing of it remains.

        Its end is signed. Where the key is lost it is refused, unless it is `keyless`: what a server notes of itself.
        """
        ...

    def note(self, query: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        """Run a named write for each row, all in one transaction that the audit chain does not hear of.

        For what is only looked at, never decided by: nothing that a change writes may be written so.
        """
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

    def flaws(self, *, quick: bool = False) -> tuple[str, ...]:
        """What is wrong with the pages that hold the state; nothing when they are whole."""
        ...

    def verify_head(self) -> int:
        """How many rows the chain is longer than its signed head says; an error when it is shorter, or another."""
        ...

    def new_head(self) -> int:
        """Sign how the chain ends now, whatever was signed before; its length. What it holds must have been verified."""
        ...

    def verify_audit(self) -> int:
        """Walk the hash chain; its length. TamperError at the first row that does not follow."""
        ...

    def close(self) -> None:
        """Let go of what is open; it may be asked again, and then opens anew."""
        ...


class StateAdapter(Protocol):
    """What an entry point of `tilth.state` stands for; its name in `tilth.toml` is `state`, an address may follow it."""

    @staticmethod
    def begun(address: str, home: str) -> bool:
        """Whether there is a state; StateChangedError when there was one that is gone."""
        ...

    @staticmethod
    def opened(address: str, home: str, keys_of: Callable[[], Keys], *, trusted: bool = False) -> State:
        """The state, made when there is none. `trusted`: it is opened whatever its signed head says."""
        ...

    @staticmethod
    def locks(address: str, home: str) -> Locks:
        """Locks among all who share the state."""
        ...
