"""SQLite databases, opened read-only, as Arrow by ADBC; declared TIMESTAMP, DATE and BOOLEAN become real types.

SQLite types values and not columns, so a first row of known types leads every scan and is dropped again, and
times are kept as text until DuckDB makes them real. Predicates on such columns are tested after that.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from tilth.adapters.duckdb_engine import DuckDBEngine
from tilth.adapters.native import reading
from tilth.adapters.predicates import condition
from tilth.core.errors import DataError, ProjectError, SourceError, UnknownNameError
from tilth.core.names import did_you_mean, quoted
from tilth.core.schema import DataType, Field, Schema
from tilth.ports import places
from tilth.ports.source import Predicate, Scan
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

_REAL = {
    DataType.BOOLEAN: "BOOLEAN",
    DataType.DATE: "DATE",
    DataType.TIMESTAMP: "TIMESTAMP",
    DataType.FLOAT: "DOUBLE",
}
_FIRST = {DataType.INTEGER: "0", DataType.FLOAT: "0.5", DataType.BINARY: "x'00'"}
_DATED = "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9]*[0-9zZ]'"  # not `0044-03-15 (BC)`, and no number
_SIMPLE = {DataType.INTEGER, DataType.FLOAT, DataType.STRING}


class SqliteSource:
    def __init__(self, path: str) -> None:
        self._path = path

    @classmethod
    def from_options(cls, options: Mapping[str, object], root: str) -> SqliteSource:
        if unknown := sorted(set(options) - {"path"}):
            raise UnknownNameError(
                f"A sqlite source has no option `{unknown[0]}`.",
                hint=did_you_mean(unknown[0], ["path"], "options"),
            )
        path = options.get("path")
        if not isinstance(path, str) or not path:
            raise ProjectError("A sqlite source needs a path.", hint="Write WITH (path = 'ops.db').")
        full = os.path.join(root, path)
        if os.path.lexists(full):
            places.regular(full, places.bound(path, root), shown=path)
        return cls(full)

    def tables(self) -> tuple[str, ...]:
        sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        return tuple(sorted(str(row[0]) for row in self._rows(sql)))

    def describe(self, table: str) -> Schema:
        names = self.tables()
        if table not in names:
            raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
        rows = self._rows(f'SELECT name, type, "notnull", pk FROM pragma_table_info({_text(table)})')
        return Schema(
            tuple(
                Field(str(name), self._type(table, str(name), str(kind)), not (required or key))
                for name, kind, required, key in rows
            )
        )

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        schema = self.describe(scan.table)
        wanted = [schema.field(c) for c in (schema.names if scan.columns is None else scan.columns)]
        tests = [(schema.field(w.column), w) for w in scan.where]
        read = list(dict.fromkeys([*wanted, *(f for f, _ in tests if f.type not in _SIMPLE)]))
        # A string is what DuckDB casts to a number, SQLite would not: such tests wait, too.
        first = [condition(w, _compared(f)) for f, w in tests if _pushed(f, w.value)]
        later = [condition(w, _real(f)) for f, w in tests if not _pushed(f, w.value)]
        read += [f for f, w in tests if not _pushed(f, w.value) and f not in read]
        sql = (
            f"SELECT {', '.join(f'{_leading(f)} AS {quoted(f.name)}' for f in read) or '0 AS none'} UNION ALL"
            f" SELECT {', '.join(_fetched(f) for f in read) or '0'} FROM {quoted(scan.table)}"
            f" WHERE {' AND '.join([*first, *_likely(tests)]) or '1 = 1'}"
        )
        listed = ", ".join(f"{_real(f)} AS {quoted(f.name)}" for f in wanted) or "none"
        query = f"SELECT {listed} FROM rows WHERE {' AND '.join(later) or 'true'}"
        return _engine().stream(query, {"rows": _without_first(self._arrow(sql))})

    def native(self, sql: str) -> pa.RecordBatchReader:
        return self._arrow(reading(sql, "sqlite"))

    def change_token(self, table: str) -> str | None:
        if table not in self.tables():
            raise UnknownNameError(
                f"There is no table `{table}`.", hint=did_you_mean(table, self.tables(), "tables")
            )
        stats = [os.stat(p) for p in (self._path, f"{self._path}-wal") if os.path.exists(p)]
        return ";".join(f"{s.st_ino}:{s.st_size}:{s.st_mtime_ns}" for s in stats)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _uri(self) -> str:
        if not os.path.isfile(self._path):
            raise SourceError(f"There is no database at {self._path}.", hint="Correct the source's path.")
        return f"file:{quote(self._path)}?mode=ro"

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        try:
            connection = sqlite3.connect(self._uri(), uri=True)
            try:
                return connection.execute(sql).fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise _refused(error) from error

    def _type(self, table: str, column: str, declared: str) -> DataType:
        if declared:
            return _declared(declared.upper())
        name = quoted(column)
        sql = f"SELECT DISTINCT typeof({name}) FROM {quoted(table)} WHERE {name} IS NOT NULL"
        kinds = {str(row[0]) for row in self._rows(sql)}
        if kinds == {"integer"}:
            return DataType.INTEGER
        if kinds == {"blob"}:
            return DataType.BINARY
        return DataType.FLOAT if kinds and kinds <= {"integer", "real"} else DataType.STRING

    def _arrow(self, sql: str) -> pa.RecordBatchReader:
        from adbc_driver_sqlite import dbapi

        try:
            connection = dbapi.connect(self._uri())
        except dbapi.Error as error:
            raise _refused(error) from error
        cursor = connection.cursor()
        try:
            cursor.execute(sql)
            reader = cursor.fetch_record_batch()
        except Exception as error:
            cursor.close()
            connection.close()
            raise _refused(error) from error

        def close() -> None:
            reader.close()
            cursor.close()
            connection.close()

        return closing(reader, close, _mistyped)


def _mistyped(error: Exception) -> DataError:
    return DataError(
        f"A column of the SQLite table holds values of another type than it declares ({type(error).__name__}).",
        hint="Declare it as TEXT, or correct the values.",
    )


@cache
def _engine() -> DuckDBEngine:
    """What makes times real, for all SQLite sources of the process."""
    return DuckDBEngine()


def _without_first(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        leading = True
        for batch in reader:
            yield batch.slice(1) if leading and batch.num_rows else batch
            leading = leading and not batch.num_rows

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _declared(kind: str) -> DataType:
    """SQLite's own affinity rules, after the types that it has no word for."""
    if "BOOL" in kind:
        return DataType.BOOLEAN
    if "TIMESTAMP" in kind or "DATETIME" in kind:
        return DataType.TIMESTAMP
    if kind == "DATE":
        return DataType.DATE
    if "INT" in kind:
        return DataType.INTEGER
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT", "JSON", "UUID", "TIME")):
        return DataType.STRING
    return DataType.BINARY if "BLOB" in kind else DataType.FLOAT


def _leading(field: Field) -> str:
    return _FIRST.get(field.type, "''")


def _fetched(field: Field) -> str:
    """The column as SQLite sends it: numbers that stand for a moment are seconds or Julian days."""
    name = quoted(field.name)
    if field.type in {DataType.DATE, DataType.TIMESTAMP}:
        form = "'%Y-%m-%d'" if field.type is DataType.DATE else "'%Y-%m-%d %H:%M:%f'"
        return (
            f"CASE typeof({name}) WHEN 'integer' THEN strftime({form}, {name}, 'unixepoch')"
            f" WHEN 'real' THEN strftime({form}, {name}) ELSE {name} END"
        )
    if field.type is DataType.FLOAT:
        return f"CASE typeof({name}) WHEN 'integer' THEN CAST({name} AS REAL) ELSE {name} END"
    return f"CAST({name} AS TEXT)" if field.type in {DataType.STRING, DataType.BOOLEAN} else name


def _real(field: Field) -> str:
    """The column as DuckDB makes it real; a moment with a zone becomes naive UTC."""
    name = quoted(field.name)
    if field.type is DataType.TIMESTAMP:
        zoned = rf"regexp_matches({name}, ':.*([zZ]|[+-]\d\d(:?\d\d)?)$')"
        return (
            f"CASE WHEN {zoned} THEN CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
            f" ELSE CAST({name} AS TIMESTAMP) END"
        )
    if field.type is DataType.INTEGER:
        whole = f"CAST({name} AS BIGINT)"
        wrong = "error('An INTEGER column of the SQLite table holds a fraction: declare it as REAL')"
        return f"CASE WHEN {whole} = CAST({name} AS DOUBLE) THEN {whole} WHEN {name} IS NOT NULL THEN {wrong} END"
    return f"CAST({name} AS {_REAL[field.type]})" if field.type in _REAL else name


def _compared(field: Field) -> str:
    return f"{quoted(field.name)} COLLATE BINARY" if field.type is DataType.STRING else quoted(field.name)


def _pushed(field: Field, value: object) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    if field.type is DataType.STRING:
        return all(v is None or isinstance(v, str) for v in values)
    numbers = all(v is None or (isinstance(v, int | float) and abs(v) < 1e300) for v in values)
    return field.type in {DataType.INTEGER, DataType.FLOAT} and numbers


def _likely(tests: list[tuple[Field, Predicate]]) -> list[str]:
    """What SQLite can rule out of comparisons that wait: texts that begin with a date which is a day too early or late.

    Whatever else stands in such a column passes, and is compared when it is real; a zone moves a day by one at most.
    """
    found = []
    for field, where in tests:
        if field.type not in {DataType.DATE, DataType.TIMESTAMP} or not isinstance(where.value, date):
            continue
        slack = timedelta(days=2 if where.op in {">", ">="} else -2)
        try:
            edge = _text((where.value - slack).isoformat()[:10])
        except OverflowError:
            continue
        if where.op in {">", ">=", "<", "<="}:
            name = quoted(field.name)
            # Of texts with a four-digit year, what sorts below an early edge is early, however it goes on.
            other = f"substr({name}, 5, 1) <> '-'" if where.op[0] == ">" else f"{name} NOT GLOB {_DATED}"
            found.append(f"({name} {where.op[0]}= {edge} OR {other})")
    return found


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _refused(error: Exception) -> SourceError:
    said = str(error)
    if "locked" in said or "busy" in said:
        return SourceError("The SQLite database is locked.", hint="Try again when its writer has finished.")
    if "not a database" in said:
        return SourceError("The file is not a SQLite database.", hint="Correct the source's path.")
    return SourceError(
        "SQLite could not run the query.",
        hint="Check its tables, columns and syntax; the source is read-only.",
    )
