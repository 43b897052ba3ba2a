"""A schema whose tables are made when they are scanned, of what the system knows: what `tilth` and `mindsdb` have in common.

It implements `ports.source.Source`; who has one says which tables there are (`tables`) and makes one whole (`read`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.errors import UnsupportedError
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.ml.data.snapshots import plain_schema
from tilth.ports.arrow import schema_of

if TYPE_CHECKING:
    import pyarrow as pa


class MadeTables:
    """The part of a source that is the same whatever the tables hold."""

    __slots__ = ()
    schema: str

    def tables(self) -> tuple[str, ...]:
        """The names of the tables there are."""
        raise NotImplementedError

    def read(self, table: str) -> pa.Table:
        """The table, whole; UnknownNameError for one that there is not."""
        raise NotImplementedError

    def describe(self, table: str) -> Schema:
        """The table's columns and their types."""
        return schema_of(plain_schema(self.read(table).schema))

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        """The table's columns; filters are left to the engine, which has the whole query."""
        found = self.read(scan.table)
        if scan.columns is not None:
            found = found.select(list(scan.columns))
        return found.to_reader()

    def native(self, sql: str) -> pa.RecordBatchReader:
        """There is no other language; UnsupportedError."""
        raise UnsupportedError(
            f"The schema {self.schema} has no native language: {sql[:40]!r}.", hint="Write SELECT."
        )

    def change_token(self, table: str) -> str | None:
        """None: what the system knows may always have changed."""
        del table
        return None

    def close(self) -> None:
        """Nothing is held open."""
