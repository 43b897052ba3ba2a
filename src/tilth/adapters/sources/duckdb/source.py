"""DuckDB files as Arrow, each query in a process of its own (`child`), so that a damaged or crafted file ends only that.

Tables and views of the schema `main`, or of the one that the option names. The file is open only while it is read: whoever else
writes it waits no longer than that. A native query is DuckDB's own SQL over the tables, and goes through the engine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import writing
from tilth.adapters.sources.duckdb.refusing import BEYOND, refused
from tilth.adapters.sources.processes import Processes
from tilth.core.errors import (
    BusyError,
    DataError,
    ProjectError,
    SourceError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.scan import Scan
from tilth.core.schema import DataType, Field, Schema
from tilth.ports.arrow import data_type
from tilth.ports.engine import SQL_TYPE
from tilth.ports.predicates import condition
from tilth.ports.source import AskedDays, Days, Write, Written

if TYPE_CHECKING:
    import pyarrow as pa

OPTIONS = ("path", "schema", writing.OPTION)
PATIENCE = 3.0  # seconds, for whoever writes the file
MEMORY, THREADS, SECONDS = 2_000_000_000, 2, 86_400
MOST = 10**38 - 1  # the greatest number of 38 digits
_TYPES = {"HUGEINT": DataType.DECIMAL}
_UNREAD = frozenset({"UHUGEINT", "BIGNUM", "BIT", "TIME WITH TIME ZONE"})


class DuckDBSource:
    local = True
    schemas = True  # the option `schema` says which
    speaks = False

    def __init__(self, path: str, schema: str = "main", *, new: bool = False) -> None:
        self._path, self._schema, self._new = path, schema, new
        self._described: dict[str, tuple[str | None, Schema, dict[str, str]]] = {}
        self._tables: tuple[str | None, tuple[str, ...]] | None = None
        self._processes = Processes(
            "tilth.adapters.sources.duckdb.child", refused, "DuckDB file",
            "Try again. If it happens again the file is damaged: open it with DuckDB's own client, and EXPORT DATABASE.",
        )  # fmt: skip

    @classmethod
    def from_options(cls, options: Mapping[str, object], root: str) -> DuckDBSource:
        if unknown := sorted(set(options) - set(OPTIONS)):
            raise UnknownNameError(
                f"A duckdb source has no option `{unknown[0]}`.",
                hint=did_you_mean(unknown[0], OPTIONS, "options"),
            )
        path = options.get("path")
        if not isinstance(path, str) or not path:
            raise ProjectError("A duckdb source needs a path.", hint="Write WITH (path = 'shop.duckdb').")
        new = writing.allowed(options)
        return cls(os.path.join(root, path), str(options.get("schema", "main")), new=new)

    def tables(self) -> tuple[str, ...]:
        if self._new and not os.path.lexists(self._path):
            return ()
        state = self._state()
        if self._tables is None or self._tables[0] != state:
            sql = (
                "SELECT table_name AS name FROM information_schema.tables WHERE table_catalog = current_database()"
                f" AND table_schema = {literal(self._schema)} ORDER BY 1"
            )
            self._tables = state, tuple(self._read(sql).read_all()["name"].to_pylist())
        return self._tables[1]

    def describe(self, table: str) -> Schema:
        return self._known(table)[0]

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        schema, kinds = self._known(scan.table)
        names = schema.names if scan.columns is None else tuple(schema.field(c).name for c in scan.columns)
        tests = [condition(w, quoted(schema.field(w.column).name)) for w in scan.where]
        listed = (
            ", ".join(f"{_sent(n, kinds.get(n, ''), scan.table)} AS {quoted(n)}" for n in names)
            or "NULL AS none"
        )
        return self._read(
            f"SELECT {listed} FROM {self._target(self._named(scan.table))} WHERE {' AND '.join(tests) or 'true'}"
        )

    def by_day(self, asked: AskedDays) -> Days | None:
        """Rows by day, with the sum of DuckDB's hashes of them; None where the column is none of times, or nothing is to be counted."""
        schema, kinds = self._known(asked.scan.table)
        event = next((f for f in schema if f.name.lower() == asked.column.lower()), None)
        if not asked.counted or event is None or event.type not in (DataType.DATE, DataType.TIMESTAMP):
            return None
        scan, time = asked.scan, quoted(event.name)
        names = schema.names if scan.columns is None else tuple(schema.field(c).name for c in scan.columns)
        for name in names:
            _sent(name, kinds.get(name, ""), scan.table)  # refuses what is not read
        tests = [
            f"isfinite({time})",
            *(condition(w, quoted(schema.field(w.column).name)) for w in scan.where),
        ]
        if asked.since is not None:
            tests.append(f"{time} >= TIMESTAMP {literal(str(asked.since))}")
        rows = self._read(
            f"SELECT {time}::DATE AS day, count(*) AS n, sum(hash({', '.join(map(quoted, names))}))::VARCHAR AS content"
            f" FROM {self._target(self._named(scan.table))} WHERE {' AND '.join(tests)} GROUP BY 1"
        ).read_all()
        return Days({r["day"]: (int(r["n"]), r["content"]) for r in rows.to_pylist()})

    def _known(self, table: str) -> tuple[Schema, dict[str, str]]:
        """The table's columns, and DuckDB's types of those that Arrow has no type of its own for."""
        state, name = self._state(), self._named(table)
        known = self._described.get(name)
        if known is None or known[0] != state:
            reader = self._read(f"SELECT * FROM {self._target(name)} LIMIT 0")
            kinds = {f.name: _kind(f) for f in reader.schema}
            known = self._described[name] = state, _schema(reader.schema), kinds
            reader.read_all()
        return known[1], known[2]

    def comments(self, table: str) -> Mapping[str, str]:
        """What COMMENT ON says of the table or view ('') and of its columns."""
        name = self._named(table)
        here = f"database_name = current_database() AND schema_name = {literal(self._schema)}"
        sql = " UNION ALL ".join(
            (
                f"SELECT '' AS name, comment FROM duckdb_tables() WHERE {here} AND table_name = {literal(name)}",
                f"SELECT '', comment FROM duckdb_views() WHERE {here} AND view_name = {literal(name)}",
                f"SELECT column_name, comment FROM duckdb_columns() WHERE {here} AND table_name = {literal(name)}",
            )
        )
        rows = self._read(f"SELECT * FROM ({sql}) WHERE comment IS NOT NULL").read_all().to_pylist()
        return {r["name"]: r["comment"] for r in rows}

    def native(self, sql: str) -> pa.RecordBatchReader:
        del sql
        raise UnsupportedError(
            "A DuckDB file has no language of its own: its tables are queried in tilth's, which is DuckDB's.",
            hint="Write SELECT ... FROM source.table.",
        )

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """All of the rows in one transaction, or none of them."""
        from tilth.adapters.sources.duckdb.writing import write as written

        return written(self._path, self._schema, write, rows, new=self._new)

    def change_token(self, table: str) -> str | None:
        self._named(table)
        return self._state()

    def stop(self) -> None:
        """End what is being read, from another thread."""
        self._processes.stop()

    def close(self) -> None:
        """Nothing is kept open between calls."""

    # --- within --------------------------------------------------------------------------------------------

    def _named(self, table: str) -> str:
        """The table as the file calls it: DuckDB tells names apart without regard to case."""
        names = self.tables()
        found = next((n for n in names if n.lower() == table.lower()), None)
        if found is None:
            raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
        return found

    def _target(self, table: str) -> str:
        return f"{quoted(self._schema)}.{quoted(table)}"

    def _state(self) -> str:
        """Some text that differs when the file does."""
        stats = [os.stat(p) for p in (self._path, f"{self._path}.wal") if os.path.exists(p)]
        return ";".join(f"{s.st_ino}:{s.st_size}:{s.st_mtime_ns}" for s in stats)

    def _read(self, sql: str) -> pa.RecordBatchReader:
        """The query's rows; a file that is being written is tried again for a while."""
        if not os.path.isfile(self._path):
            raise SourceError(f"There is no DuckDB file at {self._path}.", hint="Correct the source's path.")
        late = time.monotonic() + PATIENCE
        while True:
            try:
                return self._once(sql)
            except BusyError:
                if time.monotonic() > late:
                    raise
                time.sleep(0.1)

    def _once(self, sql: str) -> pa.RecordBatchReader:
        path = os.path.realpath(self._path)
        spec = {"path": path, "sql": sql, "memory": MEMORY, "threads": THREADS, "seconds": SECONDS}
        return self._processes.read(spec)


def _sent(column: str, kind: str, table: str) -> str:
    """The expression that is read for a column; DataError for a type that is not kept."""
    name = quoted(column)
    if kind in _UNREAD:
        raise DataError(
            f"Column `{column}` of table `{table}` is of type {kind}, which is not read.",
            hint=f"Leave it out of the query, or make a view in the file: SELECT CAST({name} AS VARCHAR) AS {name}.",
        )
    if kind != "HUGEINT":
        return name
    beyond = f"CAST(error({literal(BEYOND + column)}) AS DECIMAL(38, 0))"
    return f"CASE WHEN {name} NOT BETWEEN -{MOST} AND {MOST} THEN {beyond} ELSE CAST({name} AS DECIMAL(38, 0)) END"


def _schema(schema: Any) -> Schema:
    return Schema(
        tuple(
            Field(
                f.name, DataType.OTHER if _kind(f) in _UNREAD else _TYPES.get(_kind(f)) or data_type(f.type)
            )
            for f in schema
        )
    )


def _kind(field: Any) -> str:
    return bytes((field.metadata or {}).get(SQL_TYPE, b"")).decode()
