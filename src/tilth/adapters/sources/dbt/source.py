"""What a dbt project makes, as tables: its manifest says where they lie, and another source of ours reads them.

A source of dbt's is the table `source__name`. What is read is the warehouse; dbt is neither run nor imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tilth.adapters.sources.dbt import expects, manifest
from tilth.adapters.sources.dbt.manifest import Manifest, Relation
from tilth.adapters.sources.remote import given as asked
from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.ports import places
from tilth.ports.source import Notice, Offered, Source

if TYPE_CHECKING:
    import pyarrow as pa

OPTIONS = ("manifest", "connection")


class DbtSource:
    """Relations of a manifest over a connection, of which there is one source a schema."""

    over = "connection"  # this option names another source, and becomes what opens it
    local = False
    speaks = True

    def __init__(self, path: str, within: str, opens: Callable[[str | None], Source]) -> None:
        self._path, self._within, self._opens = path, within, opens
        self._read: tuple[tuple[int, int, int], Manifest] | None = None
        self._open: dict[str | None, Source] = {}

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> DbtSource:
        asked.check(given, OPTIONS, "dbt")
        path, opens = asked.text(given, "manifest"), given.get("connection")
        if not path or not callable(opens):
            raise ProjectError(
                "A dbt source needs a manifest and a connection, which is another source.",
                hint="Write WITH (manifest = 'target/manifest.json', connection = ops).",
            )
        return cls(os.path.join(root, path), places.bound(path, root), opens)

    def tables(self) -> tuple[str, ...]:
        return tuple(sorted(self._manifest().relations))

    def describe(self, table: str) -> Schema:
        source, found = self._at(table)
        return source.describe(found.identifier)

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        source, found = self._at(scan.table)
        return source.scan(Scan(found.identifier, scan.columns, scan.where))

    def native(self, sql: str) -> pa.RecordBatchReader:
        """The result of a query in the language of the connection."""
        return self._source(None).native(sql)

    def change_token(self, table: str) -> str | None:
        source, found = self._at(table)
        return source.change_token(found.identifier)

    def broken(self, scan: Scan) -> pa.Table:
        """Rows of the connection's table that cannot be read; none where the connection knows of none."""
        source, found = self._at(scan.table)
        if not hasattr(source, "broken"):
            import pyarrow as pa

            kinds = [("line", pa.int64()), ("text", pa.string()), ("reason", pa.string())]
            return pa.schema(kinds).empty_table()
        rows: pa.Table = source.broken(Scan(found.identifier, scan.columns, scan.where))
        return rows

    def notices(self, table: str) -> tuple[Notice, ...]:
        """What the connection guesses, and how the manifest was read."""
        source, found = self._at(table)
        read = self._manifest()
        below = source.notices(found.identifier) if hasattr(source, "notices") else ()
        return (*below, *(Notice("guessed", table, text) for text in read.told))

    def comments(self, table: str) -> Mapping[str, str]:
        """What dbt says of the table ('') and of its columns."""
        _, found = self._at(table)
        said = {"": found.description, **found.columns}
        return {name: text for name, text in said.items() if text}

    def offered(self, table: str, name: str) -> tuple[Offered, ...]:
        """What dbt tests of the table, as items of EXPECT; `name` is what this source is called."""
        return expects.offered(self._named(table), self._manifest(), name)

    def reference(self, table: str) -> str:
        """How a dbt project refers to it: ref('orders'), or source('raw', 'events')."""
        return self._named(table).reference

    def stop(self) -> None:
        """End what is being read, from another thread."""
        for source in list(self._open.values()):
            if hasattr(source, "stop"):
                source.stop()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    # --- within --------------------------------------------------------------------------------------------

    def _manifest(self) -> Manifest:
        try:
            found = os.stat(self._path)
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
        except OSError:
            state = (0, 0, 0)  # reading says what is wrong
        if self._read is None or self._read[0] != state:
            self._read = state, manifest.read(self._path, self._within)
        return self._read[1]

    def _named(self, table: str) -> Relation:
        read = self._manifest()
        low = {name.lower(): relation for name, relation in read.relations.items()}
        if table.lower() in low:
            return low[table.lower()]
        why = next(
            (f" {entry}." for entry in read.left if entry.partition(" ")[0].rpartition(".")[2] == table), ""
        )
        raise UnknownNameError(
            f"There is no table `{table}` in the manifest.{why}",
            hint=did_you_mean(table, read.relations, "tables"),
        )

    def _at(self, table: str) -> tuple[Source, Relation]:
        found = self._named(table)
        return self._source(found.schema), found

    def _source(self, schema: str | None) -> Source:
        if schema not in self._open:
            self._open[schema] = self._opens(schema)
        return self._open[schema]
