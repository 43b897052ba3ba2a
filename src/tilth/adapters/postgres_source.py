"""PostgreSQL as Arrow by ADBC; every cast and every predicate is part of the SQL that is sent.

Numerics become floats, what Arrow has no type for (uuid, json, inet, arrays, enums) becomes text, a timestamptz
becomes naive UTC and an infinite time becomes NULL. Sessions are read-only by default; what the role may read is
the wall. There is no change token: PostgreSQL's counters lag behind its commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from tilth.adapters.native import reading
from tilth.adapters.predicates import condition
from tilth.core.errors import ProjectError, SourceError, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.schema import DataType, Field, Schema
from tilth.ports.source import Scan
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

_OPTIONS = ("url", "password", "schema")
_FINITE = "CASE WHEN isfinite({0}) THEN {1} END"
_TYPES: dict[str, tuple[DataType, str]] = {
    "bool": (DataType.BOOLEAN, "{0}"),
    **dict.fromkeys(("int2", "int4", "int8"), (DataType.INTEGER, "{0}")),
    "oid": (DataType.INTEGER, "{0}::int8"),
    **dict.fromkeys(("float4", "float8"), (DataType.FLOAT, "{0}")),
    "numeric": (DataType.FLOAT, "{0}::float8"),
    "date": (DataType.DATE, _FINITE.format("{0}", "{0}")),
    "time": (DataType.TIME, "{0}"),
    "interval": (DataType.INTERVAL, "{0}"),
    "timestamp": (DataType.TIMESTAMP, _FINITE.format("{0}", "{0}")),
    "timestamptz": (DataType.TIMESTAMP, _FINITE.format("{0}", "({0} AT TIME ZONE 'UTC')")),
    "bytea": (DataType.BINARY, "{0}"),
}
_TEXT = (DataType.STRING, "{0}::text")


class PostgresSource:
    def __init__(self, url: str, schema: str = "public", password: str | None = None) -> None:
        self._url = url
        self._schema = schema
        self._password = password

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
        return cls(url, str(options.get("schema", "public")), None if password is None else str(password))

    def tables(self) -> tuple[str, ...]:
        sql = (
            "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {literal(self._schema)} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND has_table_privilege(c.oid, 'SELECT')"
        )
        return tuple(sorted(self._arrow(sql).read_all()["name"].to_pylist()))

    def describe(self, table: str) -> Schema:
        return Schema(
            tuple(
                Field(str(c["name"]), _TYPES.get(str(c["kind"]), _TEXT)[0], not c["required"])
                for c in self._columns(table)
            )
        )

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        connection = self._session()
        try:
            sql = self._select(scan, self._columns(scan.table, connection))
        except BaseException:
            connection.close()
            raise
        return _stream(connection, sql)

    def _select(self, scan: Scan, columns: list[dict[str, object]]) -> str:
        kinds = {str(c["name"]): str(c["kind"]) for c in columns}
        schema = Schema(tuple(Field(n, _TYPES.get(k, _TEXT)[0]) for n, k in kinds.items()))
        wanted = [schema.field(c).name for c in (schema.names if scan.columns is None else scan.columns)]
        listed = ", ".join(f"{_sent(n, kinds[n])} AS {quoted(n)}" for n in wanted)
        tests = []
        for where in scan.where:
            name = schema.field(where.column).name
            tests.append(condition(where, _compared(name, kinds[name])))
        return (
            f"SELECT {listed or 'NULL AS none'} FROM {quoted(self._schema)}.{quoted(scan.table)}"
            f" WHERE {' AND '.join(tests) or 'true'}"
        )

    def native(self, sql: str) -> pa.RecordBatchReader:
        return self._arrow(reading(sql, "postgres"))

    def change_token(self, table: str) -> str | None:
        del table
        return None

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def _columns(self, table: str, connection: Any = None) -> list[dict[str, object]]:
        sql = (
            "SELECT a.attname::text AS name, coalesce(b.typname, t.typname)::text AS kind, a.attnotnull AS required"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid"
            " LEFT JOIN pg_type b ON b.oid = t.typbasetype"
            f" WHERE n.nspname = {literal(self._schema)} AND c.relname = {literal(table)}"
            " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )
        reader = self._arrow(sql) if connection is None else _stream(connection, sql, keep=True)
        rows: list[dict[str, object]] = reader.read_all().to_pylist()
        if not rows:
            names = self.tables()
            raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
        return rows

    def _connect(self) -> Any:
        from adbc_driver_postgresql import dbapi

        extra = [] if "connect_timeout" in self._url else ["connect_timeout=10"]
        if self._password is not None:
            extra.append(f"password={quote(self._password, safe='')}")
        url = self._url + "".join(("&" if "?" in self._url or i else "?") + e for i, e in enumerate(extra))
        try:
            return dbapi.connect(url, autocommit=True)
        except Exception as error:
            # The driver's text can repeat the URL: it is neither shown nor chained.
            raise _unreachable(str(error), self._url) from None

    def _arrow(self, sql: str) -> pa.RecordBatchReader:
        return _stream(self._session(), sql)

    def _session(self) -> Any:
        """A connection that only reads, with times in UTC."""
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                for setting in (
                    "default_transaction_read_only = on",
                    "standard_conforming_strings = on",  # as `native` reads texts
                    "timezone = 'UTC'",
                ):
                    cursor.execute(f"SET {setting}")
                cursor.execute(f"SET search_path = {quoted(self._schema)}")
        except Exception as error:
            connection.close()
            raise _refused(error) from None
        return connection


def _stream(connection: Any, sql: str, *, keep: bool = False) -> pa.RecordBatchReader:
    """The result; the connection ends with its last batch, or with an error, unless it is to be kept."""
    cursor = connection.cursor()

    def close() -> None:
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
        reader.close()
        close()

    return closing(reader, end, _refused)


def _sent(name: str, kind: str) -> str:
    return _TYPES.get(kind, _TEXT)[1].format(quoted(name))


def _compared(name: str, kind: str) -> str:
    """The column as predicates see it: bare where an index can help, text in the order of its bytes."""
    return quoted(name) if kind in _TYPES else f'{quoted(name)}::text COLLATE "C"'


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
    if "percent-encoded" in said or "invalid" in said:
        return SourceError(
            "The source's url cannot be read.", hint="Percent-encode special characters in it."
        )
    return SourceError(
        f"PostgreSQL at {server} cannot be reached.", hint="Check that it runs and that the url is right."
    )


def _refused(error: Exception) -> SourceError | UnknownNameError:
    """Only errors of SQL itself are repeated: those of values would show data."""
    state = str(getattr(error, "sqlstate", None) or "")
    said = str(error).partition("ERROR:")[2].partition("\n")[0].strip()
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
