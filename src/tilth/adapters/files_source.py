"""Parquet, CSV and JSON Lines files as tables: `data/weather.csv`, or the files in a folder `data/weather/`.

Rows that do not parse are left out of scans and kept by `broken`. Times with a zone are given as naive UTC.
"""

from __future__ import annotations

import atexit
import glob
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.arrow_types import from_duckdb
from tilth.adapters.predicates import condition
from tilth.core.errors import ProjectError, SourceError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.schema import Field, Schema
from tilth.ports import places
from tilth.ports.source import Scan
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

HELD_BYTES = 8 << 20  # rows of a file that stay in memory as long as the file stays as it is
_KINDS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_LINES = (
    "columns = {'text': 'VARCHAR'}, delim = '', quote = '', escape = '', header = false, auto_detect = false"
)
_EMPTY = "len(list_filter(json_extract(text, '$.*'), lambda v: json_type(v) <> 'NULL')) = 0"

KEPT = 16  # tables whose files stay open in this process: making a database takes 15 ms, guessing at a CSV as long
_opened: dict[tuple[int, str, str], tuple[str | None, _Opened]] = {}
_lock = threading.Lock()
atexit.register(_opened.clear)


class FilesSource:
    """`within` is the folder that no link may lead out of; by default the one that holds the files."""

    def __init__(self, path: str, within: str | None = None) -> None:
        self._path = path
        self._within = within or (path if os.path.isdir(path) else os.path.dirname(path))

    @classmethod
    def from_options(cls, options: Mapping[str, object], root: str) -> FilesSource:
        if unknown := sorted(set(options) - {"path"}):
            raise UnknownNameError(
                f"A files source has no option `{unknown[0]}`.",
                hint=did_you_mean(unknown[0], ["path"], "options"),
            )
        path = options.get("path")
        if not isinstance(path, str) or not path:
            raise ProjectError("A files source needs a path.", hint="Write WITH (path = 'data').")
        if "\0" in path:
            raise ProjectError("A path has no NUL character.", hint="Correct the source's path.")
        return cls(os.path.join(root, path), places.bound(path, root))

    def tables(self) -> tuple[str, ...]:
        return tuple(sorted(self._files()))

    def describe(self, table: str) -> Schema:
        return Schema(tuple(Field(name, from_duckdb(kind)) for name, kind in self._open(table).columns))

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        opened = self._open(scan.table)
        select = _select(opened, scan)
        held = opened.held.get(select)
        if held is not None:
            return held.to_reader()
        cursor = opened.connection.cursor()
        try:
            if opened.kind == "csv":
                # A cell that does not parse makes its row broken, whether or not its column is asked for.
                whole = _stream(opened.connection.cursor(), f"SELECT * FROM {opened.origin}")
                cursor.register("whole", whole)
            return _holding(_stream(cursor, select), select, opened)
        except BaseException:
            cursor.close()
            raise

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise UnsupportedError(
            f"Files have no query language of their own ({len(sql)} characters given).",
            hint="Write the query as DuckDB SQL over the source's tables.",
        )

    def change_token(self, table: str) -> str | None:
        try:
            stats = [os.stat(p) for p in self._of(table)]
        except OSError as error:
            raise _refused(error) from error
        return ";".join(f"{s.st_ino}:{s.st_size}:{s.st_mtime_ns}" for s in stats)

    def broken(self, scan: Scan) -> pa.Table:
        """Rows that could not be read, with their line and the reason; looked for once for as long as the files stay."""
        opened = self._open(scan.table)
        if opened.broken is None:
            opened.broken = _broken(opened)
        return opened.broken

    def close(self) -> None:
        """Nothing of its own is open: see `_opened`."""

    def _files(self) -> dict[str, list[str]]:
        if not os.path.isdir(self._path):
            paths = sorted(glob.glob(self._path))
            if not paths:
                raise SourceError(f"There is nothing at {self._path}.", hint="Correct the source's path.")
            return {_stem(p): [p] for p in paths if _kind(p)}
        found: dict[str, list[str]] = {}
        for name in _names(self._path):
            path = os.path.join(self._path, name)
            if os.path.isdir(path):
                inner = [os.path.join(path, n) for n in _names(path) if _kind(n)]
                if inner:
                    found[name] = inner
            elif _kind(name):
                found.setdefault(_stem(name), []).append(path)
        return found

    def _of(self, table: str) -> list[str]:
        files = self._files()
        if table not in files:
            raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, files, "tables"))
        if len(self._kinds(table, files)) > 1:
            raise SourceError(
                f"Table `{table}` has files of several kinds.", hint="Keep one kind, or rename the others."
            )
        return [self._real(path) for path in files[table]]

    def _kinds(self, table: str, files: Mapping[str, Sequence[str]]) -> set[str]:
        return {_kind(p) for p in files.get(table, ())}

    def _real(self, path: str) -> str:
        """Where the file really lies; ProjectError when that is elsewhere, or it is no file."""
        return places.regular(path, self._within, shown=os.path.relpath(path, self._within))

    def _open(self, table: str) -> _Opened:
        """The table's files, opened once for as long as they stay as they are."""
        token = self.change_token(table)
        key = (os.getpid(), os.path.realpath(self._path), table)
        with _lock:
            kept = _opened.pop(key, None)
            if kept is None or kept[0] != token:
                kept = (token, _Opened(self._of(table), self._kinds(table, self._files()).pop()))
            _opened[key] = kept  # the last used is last
            while len(_opened) > KEPT:
                del _opened[next(iter(_opened))]
            return kept[1]


class _Opened:
    """The files of one table in a DuckDB that can read nothing else."""

    def __init__(self, paths: list[str], kind: str) -> None:
        import duckdb

        self.broken: pa.Table | None = None  # once they were looked for
        self.held: dict[str, pa.Table] = {}  # the last scan's rows, if they are few
        self.kind = kind
        self.listed = f"[{', '.join(map(literal, paths))}]"
        self.connection: Any = duckdb.connect(":memory:")
        self.origin = {
            "parquet": f"read_parquet({self.listed}, union_by_name = true)",
            "csv": f"read_csv({self.listed}, store_rejects = true)",
            "jsonl": f"read_json({self.listed}, format = 'newline_delimited', records = true,"
            " ignore_errors = true, union_by_name = true, sample_size = -1)",
        }[self.kind]
        try:
            for setting in (
                f"allowed_paths = {self.listed}",
                "enable_external_access = false",
                "autoinstall_known_extensions = false",
                "autoload_known_extensions = false",
                "python_enable_replacements = false",
                "TimeZone = 'UTC'",
                "threads = 2",
                "lock_configuration = true",
            ):
                self.connection.execute(f"SET {setting}")
            relation = self.connection.sql(f"SELECT * FROM {self.origin}")
        except Exception as error:
            self.connection.close()
            raise _refused(error) from error
        self.columns = [(n, str(t)) for n, t in zip(relation.columns, relation.types, strict=True)]


def _select(opened: _Opened, scan: Scan) -> str:
    schema = Schema(tuple(Field(name, from_duckdb(kind)) for name, kind in opened.columns))
    kinds = dict(opened.columns)
    wanted = [schema.field(c).name for c in (schema.names if scan.columns is None else scan.columns)]
    listed = ", ".join(f"{_expression(n, kinds[n])} AS {quoted(n)}" for n in wanted) or "NULL AS none"
    tests = []
    for where in scan.where:
        name = schema.field(where.column).name
        tests.append(condition(where, _expression(name, kinds[name])))
    if opened.kind == "jsonl":
        tests.append(f"NOT ({' AND '.join(f'{quoted(n)} IS NULL' for n in schema.names)})")
    origin = "whole" if opened.kind == "csv" else opened.origin
    return f"SELECT {listed} FROM {origin} WHERE {' AND '.join(tests) or 'true'}"


def _expression(name: str, kind: str) -> str:
    return f"({quoted(name)} AT TIME ZONE 'UTC')" if kind == "TIMESTAMP WITH TIME ZONE" else quoted(name)


def _broken(opened: _Opened) -> pa.Table:
    cursor = opened.connection.cursor()
    try:
        if opened.kind == "csv":
            for _ in cursor.sql(f"SELECT * FROM {opened.origin}").to_arrow_reader(65_536):
                pass
        return cursor.sql(_broken_sql(opened)).to_arrow_table()
    except Exception as error:
        raise _refused(error) from error
    finally:
        cursor.close()


def _broken_sql(opened: _Opened) -> str:
    if opened.kind == "csv":
        return (
            "SELECT line::BIGINT AS line, any_value(csv_line) AS text, string_agg(error_message, '; ') AS reason"
            " FROM reject_errors GROUP BY scan_id, file_id, line ORDER BY file_id, line"
        )
    if opened.kind == "jsonl":
        return (
            "SELECT line, text, CASE WHEN NOT json_valid(text) THEN 'not JSON'"
            " WHEN json_type(text) <> 'OBJECT' THEN 'not an object' ELSE 'no values' END AS reason"
            f" FROM (SELECT row_number() OVER () AS line, text FROM read_csv({opened.listed}, {_LINES}))"
            f" WHERE trim(text) <> '' AND CASE WHEN NOT json_valid(text) THEN true"
            f" WHEN json_type(text) <> 'OBJECT' THEN true ELSE {_EMPTY} END ORDER BY line"
        )
    return "SELECT 0::BIGINT AS line, '' AS text, '' AS reason WHERE false"


def _stream(connection: Any, sql: str) -> pa.RecordBatchReader:
    try:
        reader = connection.sql(sql).to_arrow_reader(65_536)
    except Exception as error:
        raise _refused(error) from error

    return closing(reader, connection.close, _refused)


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


def _refused(error: Exception) -> SourceError:
    said = error.strerror if isinstance(error, OSError) and error.strerror else None
    kind = said or str(error).partition(" Error")[0].partition("\n")[0][:40]
    return SourceError(
        f"The files could not be read ({kind} error).",
        hint="Check that they are complete, of the kind their names say, and readable by this user.",
    )


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise _refused(error) from error


def _kind(path: str) -> str:
    return _KINDS.get(os.path.splitext(path)[1].lower(), "")


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
