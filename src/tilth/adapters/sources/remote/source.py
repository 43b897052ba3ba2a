"""Files that lie elsewhere as tables, by the rules of `ENGINE files`: copied whole (`copies`), then read in a jail (`reading`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tilth.adapters.sources.files import options
from tilth.adapters.sources.files.found import passed_over
from tilth.adapters.sources.remote.copies import Copy, copy
from tilth.adapters.sources.remote.place import Place, token
from tilth.adapters.sources.remote.reading import Looked, Readers
from tilth.core.errors import UnsupportedError
from tilth.core.names import quoted
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.ports.predicates import condition
from tilth.ports.source import Notice

if TYPE_CHECKING:
    import pyarrow as pa


class RemoteSource:
    """The files of a place. `address` tells it from others; `home` is where a project keeps its things, if it has one."""

    local = False
    speaks = False
    copies = True  # to describe a table is to copy its files

    def __init__(self, place: Place, address: str, formats: options.Formats, most: int, root: str) -> None:
        self._place, self._address, self._formats, self._most = place, address, formats, most
        self._home = os.path.join(root, ".tilth") if root else None
        self._readers = Readers(place.what)
        self._pinned: dict[str, Copy] = {}

    def tables(self) -> tuple[str, ...]:
        found = tuple(sorted(self._place.found().tables))
        self._formats.check_tables(found)
        return found

    def describe(self, table: str) -> Schema:
        return self._look(table)[1].schema

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        copied, looked = self._look(scan.table)
        schema = looked.schema
        wanted = [schema.field(c).name for c in (schema.names if scan.columns is None else scan.columns)]
        tests = [condition(w, quoted(schema.field(w.column).name)) for w in scan.where]
        form = self._formats.of(scan.table)
        return self._readers.rows(scan.table, copied, form, wanted, " AND ".join(tests) or "true")

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise UnsupportedError(
            f"Files have no query language of their own ({len(sql)} characters given).",
            hint="Write the query as DuckDB SQL over the source's tables.",
        )

    def change_token(self, table: str) -> str | None:
        now = token(self._place.items(table))
        pinned = self._pinned.get(table)
        if pinned is not None and pinned.tag != now:
            del self._pinned[table]
        return now

    def broken(self, scan: Scan) -> pa.Table:
        """Rows that could not be read, with their line and the reason."""
        return self._look(scan.table)[1].broken

    def notices(self, table: str) -> tuple[Notice, ...]:
        """What was guessed, what is passed over, and what could not be known of the bodies that came."""
        copied, looked = self._look(table)
        return (*looked.notices, *passed_over(self._place.found(), table), *_bodies(table, copied))

    def stop(self) -> None:
        """End what is being read, from another thread."""
        self._place.stop()
        self._readers.stop()

    def close(self) -> None:
        """Nothing of its own is open: copies stay for the next piece of work, and are removed with the process."""

    def _look(self, table: str) -> tuple[Copy, Looked]:
        """The copy that this piece of work reads: one state of the files for all that is asked of the table."""
        copied = self._pinned.get(table)
        if copied is None:
            copied = self._pinned[table] = copy(self._place, self._address, table, self._home, self._most)
        return copied, self._readers.look(table, copied, self._formats.of(table))


def _bodies(table: str, copied: Copy) -> Iterator[Notice]:
    if copied.again:
        yield Notice(
            "guessed",
            table,
            f"{copied.again} bod{'ies' if copied.again > 1 else 'y'} arrived cut off and had to be asked for again.",
        )
    if copied.unsure:
        yield Notice(
            "guessed",
            table,
            f"The server did not say how long {', '.join(copied.unsure[:3])} is: one that was cut off would not be noticed.",
        )
