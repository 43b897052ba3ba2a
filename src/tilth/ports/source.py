"""A place outside that holds tables. One conformance suite (`tests/contract/test_sources.py`) runs on every adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from tilth.core.errors import SourceError
from tilth.core.scan import Scan
from tilth.core.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Notice:
    """A guess that could be wrong, or something that was left out. `kind`: guessed | left_out | added | changed.

    `text` says it with its numbers (48 of 48 values read day first fit month first as well) and shows no value of a
    row; `option` is what to write to settle it, ready to paste.
    """

    kind: str
    table: str
    text: str
    column: str | None = None
    option: str | None = None


class Source(Protocol):
    """Reads tables as Arrow. Made by `from_options(options, root)`; errors are SourceError without secrets or rows.

    A class whose attribute `local` is True reads what lies on this machine and asks no server, so a plan asks it what it
    guesses. One whose attribute `speaks` is False has no language of its own: a native query is DuckDB's, over its tables.
    """

    def tables(self) -> tuple[str, ...]:
        """Names of the tables, sorted."""
        ...

    def describe(self, table: str) -> Schema:
        """Columns of a table; UnknownNameError with the nearest name when there is none such."""
        ...

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        """The rows as a stream of Arrow batches; projection and predicates are done by the source."""
        ...

    def native(self, sql: str) -> pa.RecordBatchReader:
        """The result of a query in the source's own language; UnsupportedError where it has none."""
        ...

    def change_token(self, table: str) -> str | None:
        """Some text that differs when the table's content does, got without reading it; None if the source has none."""
        ...

    def close(self) -> None: ...


class Stoppable(Protocol):
    """What a source also offers when what it reads can be ended from another thread."""

    def stop(self) -> None:
        """End what is being read: whoever reads it gets SourceError."""
        ...


class BrokenRows(Protocol):
    """What a source also offers when its rows can fail to be what their table says (files, SQLite)."""

    def broken(self, scan: Scan) -> pa.Table:
        """Rows that the scan leaves out since they cannot be read: columns `line` (int64), `text`, `reason` (strings)."""
        ...


class Guessed(Protocol):
    """What a source also offers when it has to guess how a table is to be read, or passes something over."""

    def notices(self, table: str) -> tuple[Notice, ...]:
        """What people should know of how the table is read; empty when nothing was guessed or left out."""
        ...


@dataclass(frozen=True, slots=True)
class AskedDays:
    """What is to be known of the rows of a scan by the day (in UTC) of one of its columns of times.

    `counted`: how many rows each day from `since` on has (all days: None), and a checksum of them. `mark`: what an earlier
    answer gave; days before `before` that hold rows written since are to be named.
    """

    scan: Scan
    column: str
    since: datetime | None = None
    before: datetime | None = None
    counted: bool = True
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Days:
    """Rows and checksum by day, and the days of rows that were written since the mark: None when that cannot be told.

    `mark` stands for the transactions that had ended when this was answered; None with `why` where a source has no such thing.
    """

    counts: Mapping[date, tuple[int, str]]
    late: frozenset[date] | None = frozenset()
    mark: str | None = None
    why: str = ""


class ByDay(Protocol):
    """What a source also offers when it counts rows itself, in one grouped scan."""

    def by_day(self, asked: AskedDays) -> Days | None:
        """The days; None where the column is none of times there, or what is asked for cannot be done by the source."""
        ...


@dataclass(frozen=True, slots=True)
class Offered:
    """An item of EXPECT that is proposed, what it was elsewhere, and, where `item` is empty, why there is none."""

    item: str
    was: str
    why: str = ""


class Commented(Protocol):
    """What a source also offers when people wrote down what its tables and columns mean."""

    def comments(self, table: str) -> Mapping[str, str]:
        """What is said of the columns by name, and of the table under ''."""
        ...


class Offering(Protocol):
    """What a source also offers when it knows of checks that hold elsewhere."""

    def offered(self, table: str, name: str) -> tuple[Offered, ...]:
        """Items of EXPECT for a dataset that returns the table's columns under their names; `name` is the source's."""
        ...


# --- writing -----------------------------------------------------------------------------------------------

JSON = b"tilth.json"
"""Metadata of a text column to be written that holds JSON."""


class Mode(Enum):
    """What becomes of a table that rows are written into."""

    CREATE = auto()  # there is none yet
    REPLACE = auto()  # what there is goes, in the same step
    INSERT = auto()  # there is one, and its rows stay


@dataclass(frozen=True, slots=True)
class Write:
    """Rows for one table. With a `key` (columns of the rows) a row that is there already is changed and not added."""

    table: str
    mode: Mode
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows came, how many of them changed a row that was there, and what people should know."""

    rows: int
    changed: int = 0
    notices: tuple[Notice, ...] = ()


class UnsureError(SourceError):
    """The source went away while it was asked to keep what was written: it did, or it did not."""

    retry = False


class Writable(Protocol):
    """What a source also offers when it can be written to, and its option `writable` is true."""

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """Write all of the rows in one step, or none of them.

        Columns bind by name. They are BOOL, INT64, DOUBLE, DECIMAL, STRING (with JSON in its metadata: a JSON text), DATE, TIME,
        TIMESTAMP in microseconds with a zone or without, and BINARY. DataError for two rows of one key, or a key that is
        NULL; UnsureError when nobody knows whether they were written; whatever the rows raise is raised.
        """
        ...
