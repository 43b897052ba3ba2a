"""Rows into files: written aside and renamed, so that a table is what it was or what it is to be.

A new table is one file in the source's folder. Rows for a table that is one file make that file anew; for one that is a folder
they are another file in it. Whoever writes holds a lock on the folder meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Protocol

from tilth.adapters.sources import writing
from tilth.adapters.sources.files.found import Found, find, kind_of, stem
from tilth.adapters.sources.files.options import Format, paste_type
from tilth.core.errors import (
    BusyError,
    DataError,
    ProjectError,
    StorageError,
    UnsupportedError,
)
from tilth.core.names import quoted
from tilth.core.scan import Scan
from tilth.core.schema import DataType, Schema
from tilth.ports.arrow import data_type, duckdb_name
from tilth.ports.engine import QueryEngine
from tilth.ports.places import within
from tilth.ports.source import JSON, Mode, Notice, Write, Written

if TYPE_CHECKING:
    import pyarrow as pa

OPTION = "writes"
KINDS = ("parquet", "csv", "jsonl")
WAIT = 10.0  # seconds, for another writer
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,99}")
_CAST = frozenset({DataType.STRING, DataType.TIMESTAMP, DataType.DATE, DataType.TIME})
_SPOOL = ".tilth-rows-"
_READ_BACK = {
    DataType.STRING: "VARCHAR",
    DataType.INTEGER: "BIGINT",
    DataType.FLOAT: "DOUBLE",
    DataType.BOOLEAN: "BOOLEAN",
    DataType.DATE: "DATE",
    DataType.TIMESTAMP: "TIMESTAMP",
    DataType.TIME: "TIME",
}


class Readable(Protocol):
    """What is needed of the source that the files are of."""

    def describe(self, table: str) -> Schema: ...

    def scan(self, scan: Scan) -> pa.RecordBatchReader: ...

    def broken(self, scan: Scan) -> pa.Table: ...


def kind(options: Any) -> str:
    """What new files are: the option `writes`."""
    said = options.get(OPTION, KINDS[0])
    if not isinstance(said, str) or said.lower() not in KINDS:
        raise ProjectError(
            f"`{OPTION}` is one of {', '.join(KINDS)}.", hint=f"Write WITH (..., {OPTION} = 'csv')."
        )
    return said.lower()


def absent(path: str) -> bool:
    """Whether it is the path of a folder that is not there yet, in one that is."""
    return (
        not os.path.lexists(path)
        and not os.path.splitext(path)[1]
        and not glob.has_magic(path)
        and os.path.isdir(os.path.dirname(path))
    )


class Files:
    """One folder of files that is written to."""

    def __init__(self, path: str, bound: str, source: Readable, engine: QueryEngine) -> None:
        self._path, self._bound, self._source, self._engine = path, bound, source, engine

    def write(self, write: Write, rows: pa.RecordBatchReader, kind: str, form: Format) -> Written:
        """All of the rows in one step, or none."""
        key = writing.keyed(rows.schema, write.key)
        with _told():
            if absent(self._path):
                os.mkdir(self._path)
        if not os.path.isdir(self._path):
            raise UnsupportedError(
                f"The source's path is no folder ({os.path.basename(self._path)}), and files are written into one.",
                hint="Declare the source with the folder as its path.",
            )
        folder = within(self._path, self._bound)
        with _alone(folder), _told():
            found = find(self._path)
            if write.mode is Mode.INSERT:
                return self._inserted(write, rows, key, found, form)
            return self._created(write, rows, key, found, kind, folder, form)

    def _created(
        self,
        write: Write,
        rows: pa.RecordBatchReader,
        key: Sequence[str],
        found: Found,
        kind: str,
        folder: str,
        form: Format,
    ) -> Written:
        name = f"{write.table}.{kind}"
        if not _NAME.fullmatch(write.table) or stem(name) != write.table or kind_of(name) != kind:
            raise ProjectError(
                f"`{write.table}` cannot be the name of a file.",
                hint="Write letters, digits, `_`, `-`, `.` and blanks, a letter or digit first.",
            )
        there = next((t for t in found.tables if t.lower() == write.table.lower()), None)
        target = os.path.join(folder, name)
        if there is not None and write.mode is Mode.CREATE:
            raise ProjectError(
                f"`{write.table}` is there already.",
                hint="INSERT INTO adds rows to it; CREATE TABLE IF NOT EXISTS lets it be.",
            )
        if there is not None:
            target = self._one(found, there)
        elif os.path.lexists(target):
            raise ProjectError(
                f"{name} is there, and is no table.", hint="Move it away, or choose another name."
            )
        _as_it_is_read(write.table, kind_of(target), form)
        if not key:
            count = _put(rows, rows.schema, target, kind_of(target))
        else:
            with _spooled(rows, folder) as (spool, count):
                self._check_key(spool, key)
                made = self._engine.stream("SELECT * FROM fresh", {"fresh": _dataset(spool)})
                _put(made, rows.schema, target, kind_of(target))
        return Written(count, 0, self._read_back(write.table, rows.schema, kind_of(target)))

    def _inserted(
        self, write: Write, rows: pa.RecordBatchReader, key: Sequence[str], found: Found, form: Format
    ) -> Written:
        paths = found.of(write.table)
        into = writing.matched(rows.schema, self._source.describe(write.table), write.table)
        if form.given and kind_of(paths[0]) != "parquet":
            raise UnsupportedError(
                f"`{write.table}` is read with {', '.join(form.given)}, and tilth writes {kind_of(paths[0])} in its own form.",
                hint="Create a table of your own for the rows.",
            )
        if os.path.dirname(os.path.abspath(paths[0])) != os.path.abspath(self._path):
            return self._another(write, rows, key, paths, into)
        target = self._one(found, write.table)
        if self._source.broken(Scan(write.table)).num_rows:
            raise DataError(
                f"{os.path.basename(target)} has lines that are not rows, and they would be lost.",
                hint="Correct them, or create a table of your own for the rows.",
            )
        with _spooled(rows, os.path.dirname(target)) as (spool, count):
            self._check_key(spool, key)
            changed = self._changed(write.table, spool, into, key)
            merged, schema = self._merged(write.table, target, spool, into, key)
            _put(merged, schema, target, kind_of(target))
        return Written(count, changed, self._read_back(write.table, rows.schema, kind_of(target)))

    def _another(
        self,
        write: Write,
        rows: pa.RecordBatchReader,
        key: Sequence[str],
        paths: Sequence[str],
        into: dict[str, str],
    ) -> Written:
        """One more file of a table that is a folder, with the table's columns in their order."""
        if key:
            raise UnsupportedError(
                f"`{write.table}` is a folder of {len(paths):,} file{'s' * (len(paths) > 1)}, whose rows cannot be changed in one step.",
                hint="Leave KEY out, which adds a file; or write into a table that is one file.",
            )
        folder, one = within(os.path.dirname(paths[0]), self._bound), paths[0]
        target = os.path.join(folder, f"rows-{time.time_ns()}.{kind_of(one)}")
        with _spooled(rows, folder) as (spool, count):
            schema = self._source.scan(Scan(write.table)).schema
            made, _ = self._fresh(schema, _dataset(spool), into)
            _put(made, schema, target, kind_of(target))
        return Written(count, 0, self._read_back(write.table, rows.schema, kind_of(target)))

    def _one(self, found: Found, table: str) -> str:
        """The one file that the table is, where it really lies; UnsupportedError for others."""
        paths = found.of(table)
        name = os.path.basename(paths[0])
        if len(paths) > 1 or os.path.dirname(os.path.abspath(paths[0])) != os.path.abspath(self._path):
            raise UnsupportedError(
                f"`{table}` is a folder of files, which cannot be replaced in one step.",
                hint="Choose another name.",
            )
        if name.lower().endswith((".gz", ".zst")):
            raise UnsupportedError(
                f"{name} is compressed, and is not written to.", hint="Choose another name."
            )
        return within(paths[0], self._bound, shown=name)

    def _check_key(self, spool: str, key: Sequence[str]) -> None:
        if key:
            writing.check_key(lambda sql: self._count(sql, {"fresh": _dataset(spool)}), "fresh", key)

    def _count(self, sql: str, inputs: Any) -> int:
        return int(self._engine.stream(sql, inputs).read_all().column(0)[0].as_py())

    def _changed(self, table: str, spool: str, into: dict[str, str], key: Sequence[str]) -> int:
        if not key:
            return 0
        match = {into[k]: f"r.{quoted(k)}" for k in key}
        pairs, changed = (
            self._count(sql, {"fresh": _dataset(spool), "kept": self._source.scan(Scan(table, tuple(match)))})
            for sql in writing.there_sql("kept", "fresh", match)
        )
        if pairs > changed:
            raise writing.ambiguous(table, ", ".join(key))
        return changed

    def _merged(
        self, table: str, target: str, spool: str, into: dict[str, str], key: Sequence[str]
    ) -> tuple[pa.RecordBatchReader, pa.Schema]:
        """What the file is to hold: its rows in their order, changed where a row has their key, and then the others."""
        kept, schema, fresh = self._source.scan(Scan(table)), _schema_of(target), _dataset(spool)
        if schema is None and not self._count(
            "SELECT count(*) FROM kept", {"kept": self._source.scan(Scan(table))}
        ):
            return self._fresh(kept.schema, fresh, into)  # a text without rows says nothing of types
        described = self._source.describe(table)
        cells = dict.fromkeys(kept.schema.names, "")
        for column, name in into.items():
            kind = described.field(name).type
            writing.fit(column, data_type(fresh.schema.field(column).type), kind, table)
            new = (
                f"CAST(n.{quoted(column)} AS {duckdb_name(kind)})" if kind in _CAST else f"n.{quoted(column)}"
            )
            cells[name] = (
                f"CASE WHEN n.tilth_row IS NULL THEN o.{quoted(name)} ELSE {new} END AS {quoted(name)}"
            )
        listed = ", ".join(cell or f"o.{quoted(name)}" for name, cell in cells.items())
        match = " AND ".join(f"o.{quoted(into[k])} = n.{quoted(k)}" for k in key) or "false"
        sql = (
            f"SELECT {listed} FROM (SELECT row_number() OVER () AS tilth_row, * FROM kept) AS o"
            f" FULL JOIN (SELECT row_number() OVER () AS tilth_row, * FROM fresh) AS n ON {match}"
            " ORDER BY o.tilth_row NULLS LAST, n.tilth_row"
        )
        made = self._engine.stream(sql, {"kept": kept, "fresh": fresh})
        return made, schema or _marked(made.schema, fresh.schema, into)

    def _fresh(
        self, kept: pa.Schema, fresh: Any, into: dict[str, str]
    ) -> tuple[pa.RecordBatchReader, pa.Schema]:
        """The fresh rows with the table's columns in their order."""
        back = {t: c for c, t in into.items()}
        listed = ", ".join(f"{quoted(back[n]) if n in back else 'NULL'} AS {quoted(n)}" for n in kept.names)
        made = self._engine.stream(f"SELECT {listed} FROM fresh", {"fresh": fresh})
        return made, _marked(made.schema, fresh.schema, into)

    def _read_back(self, table: str, rows: pa.Schema, kind: str) -> tuple[Notice, ...]:
        """What a file of texts will not be read as again."""
        if kind == "parquet":
            return ()
        found = self._source.describe(table)
        return tuple(
            Notice(
                "guessed", table,
                f"`{f.name}` was written as {data_type(f.type).value} and is read as {found.field(f.name).type.value}",
                f.name, paste_type(table, f.name, _READ_BACK[data_type(f.type)]),
            )
            for f in rows
            if data_type(f.type) in _READ_BACK and found.field(f.name).type is not data_type(f.type)
        )  # fmt: skip


def _as_it_is_read(table: str, kind: str, form: Format) -> None:
    """UnsupportedError where the source would not read the file as it is written."""
    if unlike := form.unlike_written(kind):
        raise UnsupportedError(
            f"The source reads `{table}` with {', '.join(unlike)}, and tilth writes {kind} in its own form. Nothing was written.",
            hint=f"Declare a source for results: CREATE SOURCE results ENGINE files WITH (path = 'results', writable = true, writes = '{kind}').",
        )


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Hold the folder against other writers; BusyError when one does not end."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        ends = time.monotonic() + WAIT
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise BusyError(
                        f"Somebody else has been writing into {os.path.basename(folder)}/ for {WAIT:g} s.",
                        hint="Try again when that has ended.",
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The rows cannot be written ({error.strerror}). Nothing was changed.",
            hint="Give this user the right to write there, or free some space.",
        ) from error


@contextlib.contextmanager
def _spooled(rows: pa.RecordBatchReader, folder: str) -> Iterator[tuple[str, int]]:
    """The rows as a Parquet file that nobody takes for a table, and how many there are; it goes at the end."""
    import pyarrow.parquet as pq

    for left in glob.glob(os.path.join(glob.escape(folder), f"{_SPOOL}*")):
        os.unlink(left)  # by whoever was killed: nobody else writes now
    path, count = os.path.join(folder, f"{_SPOOL}{os.getpid()}.tmp"), 0
    try:
        with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
            for batch in rows:
                writer.write_batch(batch)
                count += batch.num_rows
        yield path, count
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _dataset(path: str) -> Any:
    import pyarrow.dataset as ds

    return ds.dataset(path, format="parquet")


def _schema_of(path: str) -> pa.Schema | None:
    import pyarrow.parquet as pq

    return pq.read_schema(path) if kind_of(path) == "parquet" else None


def _marked(schema: pa.Schema, rows: pa.Schema, into: dict[str, str]) -> pa.Schema:
    """The schema, with JSON marked where the rows say that a text is one."""
    import pyarrow as pa

    said = {name: rows.field(column).metadata for column, name in into.items()}
    return pa.schema([f.with_metadata(said.get(f.name)) for f in schema])


def _put(rows: pa.RecordBatchReader, schema: pa.Schema, target: str, kind: str) -> int:
    """A file with these rows in the place of the target, all at once; it outlives a loss of power. How many there are."""
    folder, name = os.path.split(target)
    aside = os.path.join(folder, f".{name}.tilth-new")
    try:
        with open(aside, "wb") as file:
            if os.path.exists(target):
                os.fchmod(file.fileno(), os.stat(target).st_mode & 0o777)
            count = _WRITERS[kind](rows, schema, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return count


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    try:
        return batch.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            f"The rows do not fit the file's columns: {error}. Nothing was written.",
            hint="CAST them in the query.",
        ) from error


def _parquet(rows: pa.RecordBatchReader, schema: pa.Schema, file: IO[bytes]) -> int:
    import pyarrow.parquet as pq

    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(_cast(batch, schema))
            count += batch.num_rows
    return count


def _csv(rows: pa.RecordBatchReader, schema: pa.Schema, file: IO[bytes]) -> int:
    """Comma, quotes around texts, a header, dates as in ISO 8601; NULL is empty and an empty text two quotes."""
    import pyarrow as pa
    import pyarrow.csv as pcsv
    import pyarrow.types as t

    plain = pa.schema([pa.field(f.name, pa.string() if t.is_binary(f.type) else f.type) for f in schema])
    if plain != pa.schema([f.remove_metadata() for f in schema]):
        raise DataError(
            "A CSV file holds no bytes.",
            hint="Leave the column out, write it as hex(column), or write Parquet.",
        )
    count = 0
    with pcsv.CSVWriter(file, plain) as writer:
        for batch in rows:
            writer.write_batch(_cast(batch, plain))
            count += batch.num_rows
    return count


def _jsonl(rows: pa.RecordBatchReader, schema: pa.Schema, file: IO[bytes]) -> int:
    """An object a line; NaN and the infinities, which JSON has no word for, are null."""
    texts, count = [JSON in (f.metadata or {}) for f in schema], 0
    for batch in rows:
        count += batch.num_rows
        for row in _cast(batch, schema).to_pylist():
            cells = {
                k: json.loads(v) if j and v is not None else _cell(v)
                for (k, v), j in zip(row.items(), texts, strict=True)
            }
            file.write(json.dumps(cells, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    if not count:
        raise DataError(
            "The query gives no rows, and a file of JSON lines without any has no columns. Nothing was written.",
            hint="Write Parquet or CSV.",
        )
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | clock):
        return value.isoformat()
    if isinstance(value, bytes):
        raise DataError(
            "A JSON file holds no bytes.",
            hint="Leave the column out, write it as hex(column), or write Parquet.",
        )
    return value


_WRITERS = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}
