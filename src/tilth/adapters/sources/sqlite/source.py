"""SQLite databases, opened read-only, as Arrow by ADBC; declared TIMESTAMP, DATE and BOOLEAN become real types.

SQLite types values and not columns: rows with a cell that is not of its column's type are left out of a scan and given
by `broken`, or such cells become NULL where `misfits = 'null'` says so. How cells are read is in `sqlite_cells`, the
queries are in `sqlite_query`, and what numbers of a time count is in `sqlite_times`.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tilth.adapters.sources import table_options, writing
from tilth.adapters.sources.native import reading
from tilth.adapters.sources.processes import Processes
from tilth.adapters.sources.sqlite import times
from tilth.adapters.sources.sqlite.cells import DECLARED, TIMES, TYPES, Cell
from tilth.adapters.sources.sqlite.query import Queries
from tilth.adapters.sources.table_options import TableOptions, Tables
from tilth.core.errors import DataError, ProjectError, SourceError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, quoted
from tilth.core.scan import Scan
from tilth.core.schema import DataType, Field, Schema
from tilth.ports import places, registry
from tilth.ports.engine import QueryEngine
from tilth.ports.source import Notice, Write, Written
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

_OPTIONS = ("path", "tables", "misfits", writing.OPTION)
_LINES = 500  # rows that do not fit, fetched at once
_TEXTS = ("CHAR", "CLOB", "TEXT", "JSON", "UUID", "TIME", "INTERVAL", "POINT")
_NUMBERS = ("REAL", "FLOA", "DOUB", "NUM", "DEC", "MONEY", "CURRENCY", "FIXED")
_SIZED = re.compile(r"(?:NUMERIC|DECIMAL|DEC|NUMBER)\s*\(\s*\d+\s*(?:,\s*0\s*)?\)")


class SqliteSource:
    local = True

    def __init__(self, path: str, tables: Tables | None = None, *, new: bool = False) -> None:
        """`new`: a database that is not there yet has no tables, and is made by what writes."""
        self._path, self._new = path, new
        self._told = tables or Tables()
        self._units: dict[tuple[str, str | None], dict[str, tuple[str | None, Notice | None]]] = {}
        self._dates: dict[tuple[str, str | None], dict[str, bool]] = {}
        self._processes = Processes(
            "tilth.adapters.sources.sqlite.child",
            _said,
            "SQLite database",
            "Have the query or view read less, or try again.",
        )
        self._asked: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._whole: set[tuple[Scan, str | None]] = (
            set()
        )  # scans that were read to their end and left no row out

    @classmethod
    def from_options(cls, options: Mapping[str, object], root: str) -> SqliteSource:
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise UnknownNameError(
                f"A sqlite source has no option `{unknown[0]}`.",
                hint=did_you_mean(unknown[0], _OPTIONS, "options"),
            )
        path = options.get("path")
        if not isinstance(path, str) or not path:
            raise ProjectError("A sqlite source needs a path.", hint="Write WITH (path = 'ops.db').")
        full = os.path.join(root, path)
        if os.path.lexists(full):
            places.regular(full, places.bound(path, root), shown=path)
        told = table_options.read(options, ("types", "times", "misfits"), TYPES)
        return cls(full, told, new=writing.allowed(options))

    def tables(self) -> tuple[str, ...]:
        if self._absent():
            return ()
        sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        return tuple(sorted(str(row[0]) for row in self._rows(sql)))

    def describe(self, table: str) -> Schema:
        names = self.tables()
        self._told.check(names)
        if table not in names:
            raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
        rows = self._rows(
            f'SELECT name, type, "notnull", pk FROM pragma_table_xinfo({_text(table)}) WHERE hidden <> 1'
        )
        told = self._told.of(table)
        told.check(str(row[0]) for row in rows)
        return Schema(
            tuple(
                Field(str(name), self._type(table, str(name), str(kind), told), not (required or key))
                for name, kind, required, key in rows
            )
        )

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        queries, token = self._queries(scan), self.change_token(scan.table)
        if queries.flagged:
            sent = _flagged(self._read(scan.table, queries.flags()), lambda: self._whole.add((scan, token)))
        else:
            sent = _without_first(self._read(scan.table, queries.sent()))
        return _engine().stream(queries.made(), {"rows": _texts_checked(sent, queries)})

    def broken(self, scan: Scan) -> pa.Table:
        """Rows that the scan leaves out since a cell is not of its column's type; `text` is the row as JSON."""
        import pyarrow as pa

        queries = self._queries(scan)
        kept = pa.schema({"line": pa.int64(), "text": pa.string(), "reason": pa.string()})
        if not queries.cells or queries.cells[0].null or (scan, self.change_token(scan.table)) in self._whole:
            return kept.empty_table()
        line = self._line(scan.table)
        found = self._looked(queries, queries.found(), line)
        lines = found["line"].to_pylist()
        texts = self._texts(queries, line, lines)
        return pa.table([lines, [texts[n] for n in lines], found["reason"]], schema=kept).sort_by("line")

    def notices(self, table: str) -> tuple[Notice, ...]:
        """What the numbers of its times were taken for, and how many cells became NULL."""
        schema = self.describe(table)
        guessed = tuple(n for _, n in self._found_units(table, schema).values() if n is not None)
        if self._told.of(table).misfits != "null":
            return guessed
        queries = self._queries(Scan(table))
        counts = self._looked(queries, queries.counted(), "0").to_pylist()[0].values()
        return guessed + tuple(
            Notice("left_out", table, f"{count:,} cell{'s' * (count > 1)} of `{cell.name}` did not fit and became NULL",
                   cell.name)
            for cell, count in zip(queries.cells, counts, strict=True)
            if count
        )  # fmt: skip

    def _queries(self, scan: Scan) -> Queries:
        schema = self.describe(scan.table)
        wanted = [schema.field(c) for c in (schema.names if scan.columns is None else scan.columns)]
        tests = [(schema.field(w.column), w) for w in scan.where]
        fields = [*wanted, *dict.fromkeys(f for f, _ in tests if f not in wanted)]
        units = self._found_units(scan.table, schema, {f.name for f in fields})
        told, plain = self._told.of(scan.table), self._plain(scan.table)
        dated = self._dated(scan.table, [f.name for f, _ in tests if f.type in TIMES])
        cells = tuple(
            Cell(scan.table, f.name, f.type, units.get(f.name, (None, None))[0], told.misfits == "null",
                 f.name in plain and told.type_of(f.name) is None, f.name in dated)
            for f in fields
        )  # fmt: skip
        return Queries(scan.table, cells, len(wanted), tuple((fields.index(f), w) for f, w in tests))

    def _plain(self, table: str) -> set[str]:
        """Columns that SQLite compares by the affinity of what they are read as."""
        rows = self._rows(f"SELECT name, type FROM pragma_table_xinfo({_text(table)})")
        view = self._rows(f"SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = {_text(table)}")
        return set() if view else {str(n) for n, kind in rows if _declared(str(kind).upper()) is not None}

    def _found_units(
        self, table: str, schema: Schema, names: set[str] | None = None
    ) -> dict[str, tuple[str | None, Notice | None]]:
        """The units of the table's times (of these: `names`), looked up once for each state of the database."""
        told = self._told.of(table)
        found = self._units.setdefault((table, self.change_token(table)), {})
        asked = [f.name for f in schema if f.type in TIMES and (names is None or f.name in names)]
        found |= {n: (u, None) for n in asked if (u := told.unit_of(n)) is not None}
        new = [n for n in asked if n not in found]
        others = [n for n in new if n not in self._dated(table, new)]
        if new and not (others and self._has_numbers(table, others)):
            found |= dict.fromkeys(new, (None, None))
            new = []
        if new:
            counted = self._rows(
                f"SELECT {', '.join(c for n in new for c in times.counts(n))} FROM {quoted(table)}"
            )
            numbers = [int(str(v)) for v in counted[0]]
            size = times.width()
            for i, name in enumerate(new):
                found[name] = times.unit(table, name, numbers[i * size : (i + 1) * size])
        return found

    def _dated(self, table: str, columns: Sequence[str]) -> set[str]:
        """Of the columns those that an index shows to hold nothing but texts that begin with a year and a dash."""
        known = self._dates.setdefault((table, self.change_token(table)), {})
        new = [c for c in columns if c not in known]
        indexed = {str(row[0]) for row in self._rows(times.INDEXED.format(_text(table)))} if new else set()
        known |= {c: c in indexed and not self._rows(times.undated(table, c)) for c in new}
        return {c for c in columns if known[c]}

    def _has_numbers(self, table: str, columns: Sequence[str]) -> bool:
        """Whether a time is kept as a number in any of the columns."""
        # Numbers, and nothing else, sort before every text: where all columns have an index, it answers at once.
        some = " OR ".join(f"{quoted(c)} COLLATE BINARY < ''" for c in columns)
        return bool(self._rows(f"SELECT 1 FROM {quoted(table)} WHERE {some} LIMIT 1"))

    def _looked(self, queries: Queries, made: str, line: str) -> pa.Table:
        reader = _without_first(self._read(queries.table, queries.looked(line)))
        return _engine().stream(made, {"rows": reader}).read_all()

    def _line(self, table: str) -> str:
        """What numbers the rows: SQLite's rowid, or their order where there is none."""
        columns = {
            str(r[0]).lower() for r in self._rows(f"SELECT name FROM pragma_table_xinfo({_text(table)})")
        }
        with_ids = self._rows(
            f"SELECT 1 FROM pragma_table_list WHERE name = {_text(table)} AND type = 'table' AND wr = 0"
        )
        name = next((n for n in ("rowid", "_rowid_", "oid") if n not in columns), None)
        return name if name and with_ids else "row_number() OVER ()"

    def _texts(self, queries: Queries, line: str, lines: list[int]) -> dict[int, str]:
        """Rows as JSON, by their lines."""
        names = list(dict.fromkeys(c.name for c in queries.cells))
        listed = ", ".join(quoted(n) for n in names)
        out: dict[int, str] = {}
        for at in range(0, len(lines), _LINES):
            some = ", ".join(map(str, lines[at : at + _LINES]))
            rows = self._rows(
                f"SELECT tilth_line, {listed} FROM (SELECT {line} AS tilth_line, * FROM {quoted(queries.table)})"
                f" WHERE tilth_line IN ({some})"
            )
            for number, *values in rows:
                out[int(str(number))] = json.dumps(dict(zip(names, map(_shown, values), strict=True)))
        return out

    def native(self, sql: str) -> pa.RecordBatchReader:
        return self._apart(reading(sql, "sqlite"))

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """All of the rows in one transaction, or none of them."""
        from tilth.adapters.sources.sqlite.writing import write as written

        def numbered(table: str, schema: Schema) -> Mapping[str, str]:
            return {n: u for n, (u, _) in self._found_units(table, schema).items() if u is not None}

        return written(self._uri("rwc" if self._absent() else "rw"), write, rows, self.describe, numbered)

    def change_token(self, table: str) -> str | None:
        if table not in self.tables():
            raise UnknownNameError(
                f"There is no table `{table}`.", hint=did_you_mean(table, self.tables(), "tables")
            )
        stats = [os.stat(p) for p in (self._path, f"{self._path}-wal") if os.path.exists(p)]
        return ";".join(f"{s.st_ino}:{s.st_size}:{s.st_mtime_ns}" for s in stats)

    def stop(self) -> None:
        """End what is being read apart, or looked up, from another thread."""
        self._processes.stop()
        with self._lock:
            for connection in self._asked:
                connection.interrupt()

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _absent(self) -> bool:
        """Whether it is a database that is to be made, in a folder that is there."""
        return (
            self._new
            and not os.path.lexists(self._path)
            and os.path.isdir(os.path.dirname(self._path) or ".")
        )

    def _uri(self, mode: str = "ro") -> str:
        if mode != "rwc" and not os.path.isfile(self._path):
            raise SourceError(f"There is no database at {self._path}.", hint="Correct the source's path.")
        return f"file:{quote(self._path)}?mode={mode}"

    def _rows(self, sql: str) -> list[tuple[object, ...]]:
        try:
            connection = sqlite3.connect(self._uri(), uri=True)
            connection.text_factory = _decoded
            with self._lock:
                self._asked.append(connection)
            try:
                return connection.execute(sql).fetchall()
            finally:
                with self._lock:
                    self._asked.remove(connection)
                connection.close()
        except sqlite3.Error as error:
            raise _refused(error) from error

    def _type(self, table: str, column: str, declared: str, told: TableOptions) -> DataType:
        if (kind := told.type_of(column)) is not None:
            return DECLARED[kind]
        found = _declared(declared.upper())
        if told.unit_of(column) is not None:
            return found if found in TIMES else DataType.TIMESTAMP
        return found or self._held(table, column)

    def _held(self, table: str, column: str) -> DataType:
        """The type of a column that declares none, or one that SQLite does not know, by the values there are."""
        name = quoted(column)
        sql = f"SELECT DISTINCT typeof({name}) FROM {quoted(table)} WHERE {name} IS NOT NULL"
        kinds = {str(row[0]) for row in self._rows(sql)}
        if kinds == {"integer"}:
            return DataType.INTEGER
        if kinds == {"blob"}:
            return DataType.BINARY
        return DataType.FLOAT if kinds and kinds <= {"integer", "real"} else DataType.STRING

    def _read(self, table: str, sql: str) -> pa.RecordBatchReader:
        """The rows of a query over the table: apart where it is a view, which may work for ever."""
        kinds = self._rows(f"SELECT type FROM sqlite_schema WHERE name = {_text(table)}")
        return self._apart(sql) if ("view",) in kinds else self._arrow(sql)

    def _apart(self, sql: str) -> pa.RecordBatchReader:
        return self._processes.read({"uri": self._uri(), "sql": sql})

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

        return closing(reader, close, _broke_off)


def _broke_off(error: Exception) -> TilthError:
    if isinstance(error, TilthError):
        return error
    return DataError(
        f"The SQLite query returns values of several types in one column ({type(error).__name__}).",
        hint="CAST the column in the query: CAST(x AS TEXT), CAST(x AS REAL) or CAST(x AS INTEGER).",
    )


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")


def _shown(value: Any) -> Any:
    return {"blob": value.hex()} if isinstance(value, bytes) else value


@cache
def _engine() -> QueryEngine:
    """What makes times real, for all SQLite sources of the process."""
    found: QueryEngine = registry.load(registry.PARTS, "engine")()
    return found


def _without_first(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        leading = True
        for batch in reader:
            yield batch.slice(1) if leading and batch.num_rows else batch
            leading = leading and not batch.num_rows

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _flagged(reader: pa.RecordBatchReader, whole: Callable[[], object]) -> pa.RecordBatchReader:
    """The rows that fit, without their flag; `whole` is called when all were read and each fits for sure."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = pa.schema(list(reader.schema)[1:])

    def batches() -> Iterator[pa.RecordBatch]:
        leading, sure = True, True
        for batch in reader:
            found = batch.slice(1) if leading and batch.num_rows else batch
            leading = leading and not batch.num_rows
            odd = found.column(0)
            if most := pc.max(odd).as_py():
                sure = False
                found = found.filter(pc.less(odd, 2)) if most == 2 else found
            yield pa.RecordBatch.from_arrays(found.columns[1:], schema=schema)
        if sure:
            whole()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _texts_checked(reader: pa.RecordBatchReader, queries: Queries) -> pa.RecordBatchReader:
    """The same batches; DataError for a text that is not UTF-8, which SQLite does not look for."""
    import pyarrow as pa

    texts = [i for i, c in enumerate(queries.cells) if c.type is DataType.STRING]

    def batches() -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in reader:
            for i in texts:
                try:
                    batch.column(i).validate(full=True)
                except pa.ArrowInvalid:
                    raise _not_utf8(queries, i, batch.column(i), rows) from None
            rows += batch.num_rows
            yield batch

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _not_utf8(queries: Queries, i: int, array: pa.Array, rows: int) -> DataError:
    import pyarrow as pa

    for at, value in enumerate(array.cast(pa.binary())):
        try:
            (value.as_py() or b"").decode()
        except UnicodeDecodeError:
            rows += at + 1
            break
    name = queries.cells[i].name
    hint = table_options.option(queries.table, "types", name, "BLOB")
    return DataError(
        f"Column `{name}` of table `{queries.table}` holds a text that is not UTF-8 in row {rows:,} of those read.",
        hint=f"Correct it, or have its bytes read: WITH (..., {hint}).",
    )


def _declared(kind: str) -> DataType | None:
    """SQLite's own affinity rules, after the types that it has no word for; None where they know no better than numbers."""
    if "BOOL" in kind:
        return DataType.BOOLEAN
    if "TIMESTAMP" in kind or "DATETIME" in kind:
        return DataType.TIMESTAMP
    if kind == "DATE":
        return DataType.DATE
    if kind.startswith(("INTERVAL", "POINT")):
        return DataType.STRING
    if "INT" in kind or _SIZED.fullmatch(kind):
        return DataType.INTEGER
    if any(word in kind for word in _TEXTS):
        return DataType.STRING
    if "BLOB" in kind:
        return DataType.BINARY
    return DataType.FLOAT if any(word in kind for word in _NUMBERS) else None


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _refused(error: Exception) -> SourceError:
    return _said({"said": str(error)})


def _said(error: Mapping[str, str]) -> SourceError:
    """Our error of one that SQLite said."""
    said = error["said"]
    if "locked" in said or "busy" in said:
        return SourceError("The SQLite database is locked.", hint="Try again when its writer has finished.")
    if "interrupted" in said:
        return SourceError(
            "SQLite ended the query: it was stopped.", hint="Run it again, or have it read less."
        )
    if "not a database" in said:
        return SourceError("The file is not a SQLite database.", hint="Correct the source's path.")
    return SourceError(
        "SQLite could not run the query.",
        hint="Check its tables, columns and syntax; the source is read-only.",
    )
