"""MySQL and MariaDB as Arrow. What a table has is what the server says of `SELECT * FROM` it, which it reads and does not run.

A scan is one transaction that only reads, at one moment, in UTC. Predicates are part of the SQL where they mean the same there,
and are tested by DuckDB else. There is no change token: UPDATE_TIME is kept in memory, and forgotten by a restart.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import table_options, writing
from tilth.adapters.sources.mysql import connecting
from tilth.adapters.sources.mysql.connecting import Server, refused, rows
from tilth.adapters.sources.mysql.types import TYPES, Column, Place
from tilth.adapters.sources.mysql.wire import Prepared
from tilth.adapters.sources.native import reading
from tilth.adapters.sources.table_options import Tables
from tilth.core.errors import SourceError, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.scan import Predicate, Scan
from tilth.core.schema import Field, Schema
from tilth.ports import registry
from tilth.ports.engine import QueryEngine
from tilth.ports.predicates import condition
from tilth.ports.source import AskedDays, Days, Notice, Write, Written
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

OPTIONS = ("url", "password", "tables", writing.OPTION)
BESIDE = ("tilth_new_", "tilth_old_")
"""How a table is called while it is being made or dropped; it is none of the source's tables."""


class MySqlSource:
    def __init__(self, at: Server, tables: Tables | None = None) -> None:
        self._at = at
        self._told = tables or Tables()
        self._gone: dict[tuple[str, str], Counter[str]] = {}  # what became NULL, by table and column
        self._lock = threading.Lock()
        self._reads: dict[int, _Read] = {}

    @classmethod
    def from_options(cls, options: Mapping[str, object], root: str) -> MySqlSource:
        del root  # a server is not below the project
        if unknown := sorted(set(options) - set(OPTIONS)):
            raise UnknownNameError(
                f"A source of MySQL has no option `{unknown[0]}`.",
                hint=did_you_mean(unknown[0], OPTIONS, "options")
                + (" Its url names the database." if unknown[0] in {"schema", "database"} else ""),
            )
        tables = table_options.read(options, ("types",), TYPES)
        writing.allowed(options)
        return cls(connecting.server(options.get("url"), options.get("password")), tables)

    def tables(self) -> tuple[str, ...]:
        sql = (
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
            " AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED', 'SYSTEM VIEW')"
        )
        found = (str(name) for (name,) in self._asked(sql))
        return tuple(sorted(n for n in found if not n.startswith(BESIDE)))

    def elsewhere(self, *, table: str | None = None, column: str | None = None) -> tuple[str, ...]:
        """Tables of other databases, as `database.table`, that are called so or have a column that is called so; the first twenty."""
        same = f"lower(table_name) = lower({literal(table or '')})"
        has = f"lower(column_name) = lower({literal(column or '')})"
        sql = (
            "SELECT DISTINCT table_schema, table_name FROM information_schema.columns WHERE table_schema NOT IN"
            f" (DATABASE(), 'information_schema', 'mysql', 'performance_schema', 'sys') AND {has if table is None else same}"
            " ORDER BY 1, 2 LIMIT 20"
        )
        return tuple(f"{schema}.{name}" for schema, name in self._asked(sql))

    def describe(self, table: str) -> Schema:
        self._told.check(self.tables() if self._told.named else ())
        connection = self._session()
        try:
            return _schema(self._columns(connection, table))
        finally:
            connection.close()

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        connection = self._session()
        try:
            columns = self._columns(connection, scan.table)
            schema, by_name = _schema(columns), {c.name: c for c in columns}
            names = schema.names if scan.columns is None else scan.columns
            wanted = [by_name[schema.field(n).name] for n in names]
            tests = [(by_name[schema.field(w.column).name], w) for w in scan.where]
            sent = [t for c, w in tests if (t := c.test(w)) is not None]
            left = [(c, w) for c, w in tests if c.test(w) is None]
            read = list(dict.fromkeys([*wanted, *(c for c, _ in left)]))
            listed = ", ".join(f"{c.asked} AS {quoted(c.name)}" for c in read) or "1 AS tilth_none"
            where = f" WHERE {' AND '.join(sent)}" if sent else ""
            query = Prepared(connection, f"SELECT {listed} FROM {quoted(scan.table)}{where}")
        except BaseException:
            connection.close()
            raise
        reader = self._stream(connection, query, read, scan.table)
        return _tested(reader, wanted, left) if left or len(read) != len(wanted) else reader

    def comments(self, table: str) -> Mapping[str, str]:
        """The COMMENT of the table ('') and of its columns."""
        here = f"table_schema = DATABASE() AND table_name = {literal(table)}"
        sql = (
            f"SELECT '', table_comment FROM information_schema.tables WHERE {here} AND table_type = 'BASE TABLE'"
            f" UNION ALL SELECT column_name, column_comment FROM information_schema.columns WHERE {here}"
        )
        return {str(name): str(said) for name, said in self._asked(sql) if said}

    def native(self, sql: str) -> pa.RecordBatchReader:
        asked = reading(sql, "mysql")
        connection = self._session(ours=False)
        try:
            query = Prepared(connection, asked)
            columns = [Column(c) for c in query.columns]
            for column in columns:
                column.check()
        except BaseException:
            connection.close()
            raise
        return self._stream(connection, query, columns, None)

    def notices(self, table: str) -> tuple[Notice, ...]:
        """What became NULL in the scans of the table so far."""
        found = []
        for (name, column), gone in self._gone.items():
            if name == table and (count := gone["no date"]):
                text = f"{count:,} value{'s' * (count > 1)} of `{column}` {'are' if count > 1 else 'is'} no date (such as 0000-00-00), read as NULL"
                found.append(
                    Notice(
                        "left_out",
                        table,
                        text,
                        column,
                        table_options.option(table, "types", column, "VARCHAR"),
                    )
                )
        return tuple(found)

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """All of the rows in one step, or none of them."""
        from tilth.adapters.sources.mysql.writing import Writer

        return Writer(connecting.connect(self._at)).write(write, rows)

    def by_day(self, asked: AskedDays) -> Days | None:
        """Rows by day; None where the server cannot count them as they are read."""
        from tilth.adapters.sources.mysql.days import by_day

        table = asked.scan.table
        connection = self._session()
        try:
            columns = self._columns(connection, table)
        finally:
            connection.close()

        def ask(sql: str) -> pa.Table:
            session = self._session()
            try:
                query = Prepared(session, sql)
            except BaseException:
                session.close()
                raise
            return self._stream(session, query, [Column(c) for c in query.columns], None).read_all()

        return by_day(asked, columns, table, ask)

    def change_token(self, table: str) -> str | None:
        del table
        return None

    def stop(self) -> None:
        """End what is being read, from another thread."""
        with self._lock:
            found = list(self._reads.values())
        for read in found:
            read.stopped = True
            connecting.kill(self._at, read.thread)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _session(self, *, ours: bool = True) -> Any:
        connection = connecting.connect(self._at)
        try:
            connecting.reading(connection, ours=ours)
        except BaseException:
            connection.close()
            raise
        return connection

    def _asked(self, sql: str) -> list[tuple[Any, ...]]:
        connection = self._session()
        try:
            return rows(connection, sql)
        finally:
            connection.close()

    def _columns(self, connection: Any, table: str) -> list[Column]:
        """The table's columns, as the server tells of them without running anything."""
        try:
            sent = Prepared(connection, f"SELECT * FROM {quoted(table)}").columns
        except UnknownNameError:
            names = self.tables()
            if table in names:
                raise
            raise UnknownNameError(
                f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables")
            ) from None
        told = self._told.of(table)
        told.check(c.name for c in sent)
        columns = [Column(c, told.type_of(c.name)) for c in sent]
        for column in columns:
            column.check()
        return columns

    def _stream(
        self, connection: Any, query: Prepared, columns: Sequence[Column], table: str | None
    ) -> pa.RecordBatchReader:
        """The rows, as the columns say; the connection ends with the last of them, or with an error."""
        import pyarrow as pa

        schema = pa.schema([pa.field(c.name, c.arrow) for c in columns] or [pa.field("none", pa.string())])
        places = [Place(c, table) for c in columns]
        for place in places if table is not None else ():
            self._gone[table or "", place.column.name] = place.gone
        read = _Read(connection.thread_id())
        with self._lock:
            self._reads[read.thread] = read

        def batches() -> Iterator[pa.RecordBatch]:
            count = 0
            for vectors in query.batches():
                read.check()
                for place in places:
                    place.first = count
                size = len(vectors[0].null)
                arrays = [p.column.made(v, p) for v, p in zip(vectors, places, strict=False)]
                count += size
                yield pa.RecordBatch.from_arrays(arrays or [pa.nulls(size, pa.string())], schema=schema)
            read.check()

        def close() -> None:
            with self._lock:
                self._reads.pop(read.thread, None)
            connection.close()

        reader = pa.RecordBatchReader.from_batches(schema, batches())
        return closing(reader, close, refused)


class _Read:
    """What is being read, so that another thread can end it."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.stopped = False

    def check(self) -> None:
        if self.stopped:
            raise SourceError("The query was ended.", hint="Run it again when you want it after all.")


def _schema(columns: Sequence[Column]) -> Schema:
    return Schema(tuple(Field(c.name, c.type, c.nullable) for c in columns))


def _tested(
    reader: Any, wanted: Sequence[Column], left: Sequence[tuple[Column, Predicate]]
) -> pa.RecordBatchReader:
    """The rows for which the predicates hold that the server did not decide, with the columns that are wanted."""
    listed = ", ".join(quoted(c.name) for c in wanted) or "NULL AS none"
    tests = " AND ".join(condition(w, quoted(c.name)) for c, w in left) or "true"
    return _engine().stream(f"SELECT {listed} FROM rows WHERE {tests}", {"rows": reader})


@cache
def _engine() -> QueryEngine:
    """What tests such predicates, for all sources of MySQL in the process."""
    found: QueryEngine = registry.load(registry.PARTS, "engine")()
    return found
