"""PostgreSQL as Arrow by ADBC; every cast and every predicate is part of the SQL that is sent.

What each type becomes, and what of it is refused, is in `postgres_types`. An infinite time and the NaN of a whole or
fixed number become NULL, which a notice counts. Sessions are read-only by default; what the role may read is the wall.
There is no change token: PostgreSQL's counters lag behind its commits.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from tilth.adapters.sources import table_options, writing
from tilth.adapters.sources.native import reading
from tilth.adapters.sources.postgres.types import TYPES, Column, Place
from tilth.adapters.sources.reads import Reads
from tilth.adapters.sources.table_options import Tables
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.scan import Scan
from tilth.core.schema import Field, Schema
from tilth.ports.source import AskedDays, Days, Notice, Write, Written
from tilth.ports.streams import Told, closing

if TYPE_CHECKING:
    import pyarrow as pa

_LONG = re.compile(r"at row (\d+): .*Interval with time value")
_ENDED = re.compile(r"canceling statement due to ([a-z ]+)")
_OPTIONS = ("url", "password", "schema", "tables", writing.OPTION)


class PostgresSource:
    schemas = True  # the option `schema` says which

    def __init__(
        self, url: str, schema: str = "public", password: str | None = None, tables: Tables | None = None
    ) -> None:
        self._url = url
        self._schema = schema
        self._password = password
        self._told = tables or Tables()
        self._gone: dict[tuple[str, str], Counter[str]] = {}  # what became NULL, by table and column
        self._reads = Reads()

    @classmethod
    def from_options(cls, options: Mapping[str, object], root: str) -> PostgresSource:
        del root  # a server is not below the project
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise UnknownNameError(
                f"A postgres source has no option `{unknown[0]}`.",
                hint=did_you_mean(unknown[0], _OPTIONS, "options"),
            )
        url, password = options.get("url"), options.get("password")
        if not isinstance(url, str) or not url.startswith(("postgresql://", "postgres://")):
            raise ProjectError(
                "A postgres source needs a url.",
                hint="Write WITH (url = 'postgresql://reader@host/database').",
            )
        tables = table_options.read(options, ("types",), TYPES)
        schema = str(options.get("schema", "public"))
        writing.allowed(options)
        return cls(url, schema, None if password is None else str(password), tables)

    def tables(self) -> tuple[str, ...]:
        sql = (
            "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {literal(self._schema)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND has_table_privilege(c.oid, 'SELECT')"
        )
        return tuple(sorted(self._arrow(sql).read_all()["name"].to_pylist()))

    def elsewhere(self, *, table: str | None = None, column: str | None = None) -> tuple[str, ...]:
        """Tables of other schemas, as `schema.table`, that are called so or have a column that is called so; the first twenty."""
        same = f"lower(table_name) = lower({literal(table or '')})"
        has = f"lower(column_name) = lower({literal(column or '')})"
        sql = (
            "SELECT DISTINCT table_schema || '.' || table_name AS place FROM information_schema.columns"
            f" WHERE table_schema NOT IN ({literal(self._schema)}, 'pg_catalog', 'information_schema')"
            f" AND {has if table is None else same} ORDER BY place LIMIT 20"
        )
        return tuple(self._arrow(sql).read_all()["place"].to_pylist())

    def describe(self, table: str) -> Schema:
        self._told.check(self.tables() if self._told.named else ())
        return _schema(self._columns(table))

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        connection = self._session()
        try:
            columns = self._columns(scan.table, connection)
            wanted, sql = self._select(scan, columns)
        except BaseException:
            connection.close()
            raise
        return self._exact(
            self._stream(connection, sql, told=_unread(wanted, scan.table)), wanted, scan.table
        )

    def _select(self, scan: Scan, columns: Sequence[Column]) -> tuple[list[Column], str]:
        """The columns wanted, and the query that reads them."""
        schema, by_name = _schema(columns), {c.name: c for c in columns}
        names = schema.names if scan.columns is None else scan.columns
        wanted = [by_name[schema.field(n).name] for n in names]
        listed = ", ".join(f"{c.sent()} AS {quoted(c.name)}" for c in wanted)
        tests = [by_name[schema.field(w.column).name].test(w) for w in scan.where]
        return wanted, (
            f"SELECT {listed or 'NULL AS none'} FROM {quoted(self._schema)}.{quoted(scan.table)}"
            f" WHERE {' AND '.join(tests) or 'true'}"
        )

    def comments(self, table: str) -> Mapping[str, str]:
        """What COMMENT ON says of the table ('') and of its columns."""
        sql = (
            "SELECT coalesce(a.attname, '')::text AS name, d.description AS said FROM pg_description d"
            " JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0"
            f" WHERE d.classoid = 'pg_class'::regclass AND n.nspname = {literal(self._schema)} AND c.relname = {literal(table)}"
        )
        return {r["name"]: r["said"] for r in self._arrow(sql).read_all().to_pylist()}

    def native(self, sql: str) -> pa.RecordBatchReader:
        asked = reading(sql, "postgres")
        connection = self._session()
        try:
            columns = _result_columns(connection, asked)
        except BaseException:
            connection.close()
            raise
        if all(c.sent("c") == "c" for c in columns):
            return self._exact(self._stream(connection, asked, told=_unread(columns, None)), columns, None)
        inner = [quoted(f"c{i}") for i in range(len(columns))]
        listed = ", ".join(f"{c.sent(i)} AS {quoted(c.name)}" for c, i in zip(columns, inner, strict=True))
        query = f"SELECT {listed} FROM (\n{asked}\n) AS q({', '.join(inner)})"
        return self._exact(self._stream(connection, query, told=_unread(columns, None)), columns, None)

    def notices(self, table: str) -> tuple[Notice, ...]:
        """What became NULL in the scans of the table so far."""
        found = []
        for (name, column), gone in self._gone.items():
            found += [
                Notice("left_out", table, f"{count:,} value{'s' * (count > 1)} of `{column}` {'are' if count > 1 else 'is'} {what}, read as NULL", column,
                       table_options.option(table, "types", column, "VARCHAR"))
                for what, count in gone.items()
                if name == table and count
            ]  # fmt: skip
        return tuple(found)

    def _exact(
        self, reader: pa.RecordBatchReader, columns: Sequence[Column], table: str | None
    ) -> pa.RecordBatchReader:
        """The batches with each column as what its type says."""
        import pyarrow as pa

        decodes = [c.decode() for c in columns]
        if not columns or not any(decodes):
            return reader
        names = reader.schema.names
        fields = [
            f.remove_metadata() if d is None else pa.field(n, d.arrow)
            for f, n, d in zip(reader.schema, names, decodes, strict=True)
        ]
        schema = pa.schema(fields)
        places = [Place(c, table, 0) for c in columns]
        for place in places if table is not None else ():
            self._gone[table or "", place.column.name] = place.gone

        def batches() -> Iterator[pa.RecordBatch]:
            rows = 0
            for batch in reader:
                arrays = []
                for array, decode, place in zip(batch.columns, decodes, places, strict=True):
                    place.first = rows
                    arrays.append(array if decode is None else decode.convert(array, place))
                rows += batch.num_rows
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return closing(pa.RecordBatchReader.from_batches(schema, batches()), reader.close)

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """All of the rows in one transaction, or none of them."""
        from tilth.adapters.sources.postgres.writing import Writer

        def columns(table: str) -> tuple[Schema, Mapping[str, str]]:
            found = self._columns(table)
            return _schema(found), {c.name: c.kind for c in found}

        return Writer(self._connect(autocommit=False), self._schema, _refused, columns).write(write, rows)

    def by_day(self, asked: AskedDays) -> Days | None:
        """Rows by day; days of rows that were written since a mark, where the table is one and no view."""
        from tilth.adapters.sources.postgres.days import by_day

        connection = self._session()
        try:
            columns = self._columns(asked.scan.table, connection)
            return by_day(
                asked, columns, self._schema, lambda sql: self._stream(connection, sql, keep=True).read_all()
            )
        finally:
            connection.close()

    def change_token(self, table: str) -> str | None:
        del table
        return None

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _columns(self, table: str, connection: Any = None) -> list[Column]:
        """The table's columns with the base types of their domains, however deep."""
        sql = (
            "WITH RECURSIVE base(num, oid, typmod) AS ("
            "SELECT a.attnum, a.atttypid, a.atttypmod FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {literal(self._schema)} AND c.relname = {literal(table)}"
            " AND a.attnum > 0 AND NOT a.attisdropped"
            " UNION ALL SELECT b.num, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.typmod END"
            " FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typbasetype <> 0)"
            " SELECT a.attname::text AS name, t.typname::text AS kind, b.typmod, a.attnotnull AS required"
            " FROM base b JOIN pg_type t ON t.oid = b.oid AND t.typbasetype = 0"
            " JOIN pg_class c ON true JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = b.num"
            f" WHERE n.nspname = {literal(self._schema)} AND c.relname = {literal(table)} ORDER BY a.attnum"
        )
        reader = self._arrow(sql) if connection is None else self._stream(connection, sql, keep=True)
        rows = reader.read_all().to_pylist()
        if not rows:
            names = self.tables()
            if table in names:
                raise SourceError(f"Table `{table}` has no columns.", hint="Leave it out of the query.")
            raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
        told = self._told.of(table)
        told.check(r["name"] for r in rows)
        columns = [
            Column(r["name"], r["kind"], r["typmod"], r["required"], told.type_of(r["name"])) for r in rows
        ]
        for column in columns:
            column.check()
        return columns

    def _connect(self, *, autocommit: bool = True) -> Any:
        from adbc_driver_postgresql import dbapi

        extra = [] if "connect_timeout" in self._url else ["connect_timeout=10"]
        if self._password is not None:
            extra.append(f"password={quote(self._password, safe='')}")
        url = self._url + "".join(("&" if "?" in self._url or i else "?") + e for i, e in enumerate(extra))
        try:
            return dbapi.connect(url, autocommit=autocommit)
        except Exception as error:
            # The driver's text can repeat the URL: it is neither shown nor chained.
            raise _unreachable(str(error), self._url) from None

    def _arrow(self, sql: str) -> pa.RecordBatchReader:
        return self._stream(self._session(), sql)

    def _stream(
        self, connection: Any, sql: str, *, keep: bool = False, told: Told | None = None
    ) -> pa.RecordBatchReader:
        """The result; the connection ends with its last batch, or with an error, unless it is to be kept."""
        cursor = connection.cursor()
        self._reads.begin(cursor)

        def close() -> None:
            self._reads.end(cursor)
            cursor.close()
            if not keep:
                connection.close()

        try:
            cursor.execute(sql)
            reader = cursor.fetch_record_batch()
        except Exception as error:
            close()
            raise _refused(error) from None

        def end() -> None:
            self._reads.end(cursor)
            reader.close()
            close()

        return closing(reader, end, told or _refused)

    def stop(self) -> None:
        """End what is being read, from another thread."""
        self._reads.stop()

    def _session(self) -> Any:
        """A connection that only reads, with times in UTC and texts as PostgreSQL writes them by default."""
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                for setting in (
                    "default_transaction_read_only = on",
                    "standard_conforming_strings = on",  # as `native` reads texts
                    "timezone = 'UTC'",
                    # what is read as text, such as an array or a range, is written one way whatever a database or role sets
                    "datestyle = 'ISO, YMD'",
                    "intervalstyle = 'postgres'",
                    "extra_float_digits = 1",
                    "bytea_output = 'hex'",
                ):
                    cursor.execute(f"SET {setting}")
                cursor.execute(f"SET search_path = {quoted(self._schema)}")
        except Exception as error:
            connection.close()
            raise _refused(error) from None
        return connection


def _schema(columns: Sequence[Column]) -> Schema:
    return Schema(tuple(Field(c.name, c.type, c.nullable) for c in columns))


def _result_columns(connection: Any, sql: str) -> list[Column]:
    """The columns that a query returns, by what the driver notes of their types."""
    try:
        with connection.cursor() as cursor:
            schema = cursor.adbc_execute_schema(sql)
    except Exception as error:
        raise _refused(error) from None
    columns = []
    for found in schema:
        noted = found.metadata or {}
        kind = noted.get(b"POSTGRESQL:type", b"").decode()
        columns.append(Column(found.name, kind, int(noted.get(b"POSTGRESQL:typmod", b"-1"))))
    return columns


def _unread(columns: Sequence[Column], table: str | None) -> Told:
    """What makes our errors of those that come while rows arrive: an interval that Arrow cannot hold is named."""

    def told(error: Exception) -> BaseException:
        found = _LONG.search(str(error))
        if found is None:
            return _refused(error)
        names = [c.name for c in columns if c.kind == "interval" and c.declared is None]
        others = f" (or of {', '.join(f'`{n}`' for n in names[1:])})" if names[1:] else ""
        column = next((c for c in columns if c.name in names[:1]), Column("?", "interval"))
        place = Place(column, table, 0)
        return place.refused(int(found[1]), f"an interval{others} longer than 292 years in its hours")

    return told


def _unreachable(said: str, url: str) -> SourceError:
    try:
        parts = urlsplit(url)
        server = f"{parts.hostname or 'the local server'}:{parts.port or 5432}"
    except ValueError:
        server = "the server"
    if any(word in said for word in ("authentication failed", "no password supplied", "role ", "pg_hba")):
        return SourceError(
            f"PostgreSQL at {server} did not accept the user or password.",
            hint="Correct the url's user, or the SECRET that `password` names.",
        )
    if "database " in said and "does not exist" in said:
        return SourceError(f"PostgreSQL at {server} has no such database.", hint="Correct the source's url.")
    why = said.partition("Failed to connect: ")[2] or said  # what libpq says of the url itself begins with it
    if 'URI query parameter: "schema"' in why:
        return SourceError(
            "The source's url names a schema, which a url of PostgreSQL cannot.",
            hint="Leave it out, and write WITH (..., schema = 'NAME'); for `tilth init` --table NAME.TABLE.",
        )
    if why.startswith(("invalid", "unexpected")) or "percent-encoded" in why:
        return SourceError(
            "The source's url cannot be read.",
            hint="Correct its port and what follows the `?`, and percent-encode special characters in it.",
        )
    if "could not translate host name" in why:
        return SourceError(
            f"The host of {server} is not known: its name has no address.",
            hint="Correct the url; a special character of a password in it is percent-encoded.",
        )
    if "server does not support SSL" in why:
        return SourceError(
            f"PostgreSQL at {server} has no TLS, which the url's sslmode asks for.",
            hint="Set it up there; or have the url say sslmode=prefer, where the way to it is trusted.",
        )
    return SourceError(
        f"PostgreSQL at {server} cannot be reached.", hint="Check that it runs and that the url is right."
    )


def _refused(error: Exception) -> TilthError:
    """Only errors of SQL itself are repeated: those of values would show data. KeyboardInterrupt for Ctrl-C, which the driver
    takes for itself and makes a request to cancel of.
    """
    state = str(getattr(error, "sqlstate", None) or "")
    said = str(error).partition("ERROR:")[2].partition("\n")[0].strip()
    if (ended := _ENDED.search(str(error))) is not None:
        if ended[1] == "user request" and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return SourceError(
            f"PostgreSQL ended the query: {ended[0]}.",
            hint="Run it again; or raise the role's statement_timeout, or have it read less.",
        )
    if state in {"42703", "42P01", "3F000", "42883"}:
        return UnknownNameError(f"PostgreSQL says: {said}.", hint="Correct the name in the query.")
    if state == "25006":
        return SourceError("A source is read-only.", hint="Send a query that only reads.")
    if state == "42501":
        return SourceError(f"PostgreSQL says: {said}.", hint="GRANT SELECT on it to the source's user.")
    if state.startswith("42"):
        return SourceError(f"PostgreSQL says: {said}.", hint="Correct the query.")
    return SourceError(
        f"PostgreSQL could not finish the query (SQLSTATE {state or 'unknown'}).",
        hint="Run it in psql to see the values concerned, or try again if the server went away.",
    )
