"""Parquet, CSV and JSON Lines files as tables: `data/weather.csv`, or the files in a folder `data/weather/`.

Rows that do not parse are left out of scans and kept by `broken`; what was guessed or left out is in `notices`. Times
with a zone are given as naive UTC. How files are read is in the modules beside this one.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.adapters.sources import writing as allowing
from tilth.adapters.sources.files import duck, options, writing
from tilth.adapters.sources.files.found import Found, find, passed_over
from tilth.adapters.sources.files.opening import Table, open_table, schema_of
from tilth.core.errors import ProjectError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean, quoted
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.ports import places, registry
from tilth.ports.predicates import condition
from tilth.ports.source import Notice, Write, Written

if TYPE_CHECKING:
    import pyarrow as pa

HELD_BYTES = 8 << 20  # rows of a file that stay in memory as long as the file stays as it is
KEPT = 16  # tables whose files stay open in this process: making a database takes 15 ms, looking at all lines much more
_Key = tuple[int, str, str, options.Format]
_opened: dict[_Key, tuple[str | None, _Opened]] = {}
_opening: dict[_Key, threading.Lock] = {}
_lock = threading.Lock()
atexit.register(_opened.clear)


@dataclass(slots=True)
class _Opened:
    """A table's files, and what was read of them."""

    files: Table
    broken: pa.Table | None = None  # once they were looked for
    held: dict[str, pa.Table] = field(default_factory=dict)  # the last scan's rows, if they are few


class FilesSource:
    """`within` is the folder that no link may lead out of; by default the one that holds the files."""

    local = True
    speaks = False

    def __init__(
        self,
        path: str,
        within: str | None = None,
        formats: options.Formats | None = None,
        writes: str = writing.KINDS[0],
        *,
        new: bool = False,
    ) -> None:
        """`writes`: what new files are; `new`: a folder that is not there yet has no tables, and is made by what writes."""
        self._writes, self._new = writes, new
        self._path = path
        self._within = within or (path if os.path.isdir(path) else os.path.dirname(path))
        self._formats = formats or options.Formats()

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> FilesSource:
        known = ("path", "format", "tables", allowing.OPTION, writing.OPTION)
        if unknown := sorted(set(given) - set(known)):
            raise UnknownNameError(
                f"A files source has no option `{unknown[0]}`.",
                hint=did_you_mean(unknown[0], known, "options"),
            )
        path = given.get("path")
        if not isinstance(path, str) or not path:
            raise ProjectError("A files source needs a path.", hint="Write WITH (path = 'data').")
        if "\0" in path:
            raise ProjectError("A path has no NUL character.", hint="Correct the source's path.")
        return cls(
            os.path.join(root, path),
            places.bound(path, root),
            options.parse(given),
            writing.kind(given),
            new=allowing.allowed(given),
        )

    def tables(self) -> tuple[str, ...]:
        return tuple(sorted(self._found().tables))

    def describe(self, table: str) -> Schema:
        return schema_of(self._open(table).files)

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        opened = self._open(scan.table)
        select = _select(opened, scan)
        held = opened.held.get(select)
        if held is not None:
            return held.to_reader()
        return _holding(duck.stream(opened.files.connection.cursor(), select), select, opened)

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise UnsupportedError(
            f"Files have no query language of their own ({len(sql)} characters given).",
            hint="Write the query as DuckDB SQL over the source's tables.",
        )

    def change_token(self, table: str) -> str | None:
        try:
            stats = [os.stat(p) for p in self._of(table)]
        except OSError as error:
            raise duck.refused(error) from error
        return ";".join(f"{s.st_ino}:{s.st_size}:{s.st_mtime_ns}" for s in stats)

    def broken(self, scan: Scan) -> pa.Table:
        """Rows that could not be read, with their line and the reason; looked for once for as long as the files stay."""
        opened = self._open(scan.table)
        if opened.broken is None:
            try:
                opened.broken = opened.files.broken()
            except duck.failures() as error:
                raise duck.refused(error) from error
        return opened.broken

    def notices(self, table: str) -> tuple[Notice, ...]:
        """What was guessed of the table, what was left out of it, and the files beside it that are passed over."""
        return (*self._open(table).files.notices, *passed_over(self._found(), table))

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """All of the rows in one step, or none of them."""
        engine = registry.load(registry.PARTS, "engine")()
        files = writing.Files(self._path, self._within, self, engine)
        return files.write(write, rows, self._writes, self._formats.of(write.table))

    def close(self) -> None:
        """Nothing of its own is open: see `_opened`."""

    def _found(self) -> Found:
        found = Found({}, {}, {}) if self._new and writing.absent(self._path) else find(self._path)
        self._formats.check_tables(tuple(found.tables))
        return found

    def _of(self, table: str) -> list[str]:
        return [self._real(path) for path in self._found().of(table)]

    def _real(self, path: str) -> str:
        """Where the file really lies; ProjectError when that is elsewhere, or it is no file."""
        return places.regular(path, self._within, shown=os.path.relpath(path, self._within))

    def _open(self, table: str) -> _Opened:
        """The table's files, opened once for as long as they stay as they are."""
        token = self.change_token(table)
        key = (os.getpid(), os.path.realpath(self._path), table, self._formats.of(table))
        with _lock:
            alone = _opening.setdefault(key, threading.Lock())
        with alone:  # opening reads all lines: others wait for this table only
            with _lock:
                kept = _opened.pop(key, None)
            if kept is None or kept[0] != token:
                kept = (token, _Opened(self._read(table, key[3])))
            with _lock:
                _opened[key] = kept  # the last used is last
                while len(_opened) > KEPT:
                    oldest = next(iter(_opened))
                    del _opened[oldest]
                    _opening.pop(oldest, None)
        return kept[1]

    def _read(self, table: str, form: options.Format) -> Table:
        found = self._found().of(table)
        paths = [self._real(path) for path in found]
        base = self._path if os.path.isdir(self._path) else os.path.dirname(self._path)
        shown = [os.path.relpath(path, base) for path in found]
        return open_table(table, paths, shown, form)


def _select(opened: _Opened, scan: Scan) -> str:
    schema = schema_of(opened.files)
    wanted = tuple(schema.field(c).name for c in (schema.names if scan.columns is None else scan.columns))
    tests = [condition(where, quoted(schema.field(where.column).name)) for where in scan.where]
    return opened.files.scan_sql(wanted, " AND ".join(tests) or "true")


def _holding(reader: pa.RecordBatchReader, select: str, opened: _Opened) -> pa.RecordBatchReader:
    """The reader; what it gave is kept with the files when it was little, since refreshes ask for the same again."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        kept: list[pa.RecordBatch] | None = []
        size = 0
        for batch in reader:
            size += batch.nbytes
            kept = None if kept is None or size > HELD_BYTES else [*kept, batch]
            yield batch
        if kept is not None:
            opened.held = {select: pa.Table.from_batches(kept, reader.schema)}

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
