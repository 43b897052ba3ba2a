"""DuckDB files as Arrow, each query in a process of its own (`child`), so that a damaged or crafted file ends only that.

Tables and views of the schema `main`, or of the one that the option names. The file is open only while it is read: whoever else
writes it waits no longer than that. A native query is DuckDB's own SQL over the tables, and goes through the engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import writing
from tilth.adapters.sources.duckdb.refusing import BEYOND, refused
from tilth.adapters.sources.predicates import condition
from tilth.core.errors import (
    BusyError,
    DataError,
    ProjectError,
    SourceError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.scan import Scan
from tilth.core.schema import DataType, Field, Schema
from tilth.ports.arrow import data_type
from tilth.ports.engine import SQL_TYPE
from tilth.ports.source import Write, Written
from tilth.ports.streams import closing

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
    speaks = False

    def __init__(self, path: str, schema: str = "main", *, new: bool = False) -> None:
        self._path, self._schema, self._new = path, schema, new
        self._described: dict[str, tuple[str | None, Schema, dict[str, str]]] = {}
        self._tables: tuple[str | None, tuple[str, ...]] | None = None
        self._lock = threading.Lock()
        self._reads: list[subprocess.Popen[bytes]] = []

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
        with self._lock:
            found = list(self._reads)
        for process in found:
            process.kill()

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
        import pyarrow as pa

        process = subprocess.Popen(
            [sys.executable, "-m", "tilth.adapters.sources.duckdb.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(),
        )  # fmt: skip
        assert process.stdin is not None
        spec = {
            "path": os.path.realpath(self._path), "sql": sql, "memory": MEMORY, "threads": THREADS, "seconds": SECONDS,
            "parent": os.getpid(),
        }  # fmt: skip
        with self._lock:
            self._reads.append(process)
        close = self._closer(process)
        try:
            process.stdin.write(json.dumps(spec).encode())
            process.stdin.close()
            reader = pa.ipc.open_stream(process.stdout)
        except Exception as error:
            told = _told(process, error)
            close()
            raise told from None
        except BaseException:
            close()
            raise

        def whole() -> Any:
            yield from reader
            if (said := _said(process)) is not None:
                raise refused(said)

        rows = pa.RecordBatchReader.from_batches(reader.schema, whole())
        return closing(rows, close, lambda error: _told(process, error))

    def _closer(self, process: subprocess.Popen[bytes]) -> Callable[[], None]:
        def close() -> None:
            with self._lock:
                self._reads = [p for p in self._reads if p is not process]
            process.kill()
            for end in (process.stdin, process.stdout, process.stderr):
                if end is not None and not end.closed:
                    end.close()
            process.wait()

        return close


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


def _environment() -> dict[str, str]:
    """What the process is given: nothing of ours that could hold a secret."""
    return {
        k: v
        for k, v in os.environ.items()
        if k in {"PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    }


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


def _said(process: subprocess.Popen[bytes]) -> Mapping[str, str] | None:
    """The error that the process said before it ended."""
    assert process.stderr is not None
    try:
        text = process.stderr.read()
        found = json.loads(text[text.rindex(b'{"kind"') :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _told(process: subprocess.Popen[bytes], error: Exception) -> TilthError:
    """What is told of an answer that broke off: what the process said, or how it ended."""
    if isinstance(error, TilthError):
        return error
    if (said := _said(process)) is not None:
        return refused(said)
    status = process.wait()
    return SourceError(
        f"The process that read the DuckDB file was ended{f' by signal {-status}' if status < 0 else ''}; nothing else was harmed.",
        hint="Try again. If it happens again the file is damaged: open it with DuckDB's own client, and EXPORT DATABASE.",
    )
