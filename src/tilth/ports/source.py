"""A place outside that holds tables. One conformance suite (`tests/contract/test_sources.py`) runs on every adapter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tilth.core.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

Literal: TypeAlias = "None | bool | int | float | str | date | datetime"


@dataclass(frozen=True, slots=True)
class Predicate:
    """`column op value`, with the meaning DuckDB gives it. `op`: = <> < <= > >= in is_null is_not_null.

    For `in`, `value` is a tuple of literals; for the null tests it is None.
    """

    column: str
    op: str
    value: Literal | tuple[Literal, ...] = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read of one table: these columns (None: all), rows for which all predicates are true."""

    table: str
    columns: tuple[str, ...] | None = None
    where: tuple[Predicate, ...] = ()


class Source(Protocol):
    """Reads tables as Arrow. Made by `from_options(options, root)`; errors are SourceError without secrets or rows."""

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


class BrokenRows(Protocol):
    """What a source also offers when its files can hold rows that do not parse (CSV, JSON Lines)."""

    def broken(self, table: str) -> pa.Table:
        """Rows that could not be read: columns `line` (int64), `text` (string), `reason` (string)."""
        ...
