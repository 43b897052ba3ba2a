"""Rows into a table of PostgreSQL: copied into a temporary table by ADBC, then added or changed in the same transaction."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import writing
from tilth.core.errors import BusyError, DataError, ProjectError, SourceError, TilthError
from tilth.core.names import quoted
from tilth.core.schema import DataType, Schema
from tilth.ports.arrow import data_type
from tilth.ports.source import JSON, Mode, UnsureError, Write, Written
from tilth.ports.streams import remembering

if TYPE_CHECKING:
    import pyarrow as pa

WAIT = "10s"  # for whoever holds the table
_TYPES = {
    DataType.BOOLEAN: "boolean",
    DataType.INTEGER: "bigint",
    DataType.FLOAT: "double precision",
    DataType.STRING: "text",
    DataType.DATE: "date",
    DataType.TIME: "time",
    DataType.TIMESTAMP: "timestamp",
    DataType.BINARY: "bytea",
}
_CAST = frozenset(
    {"json", "jsonb", "uuid", "interval"}
)  # what PostgreSQL makes of a text only when it is told to
_WHOLE = frozenset({"int2", "int4", "int8"})


class Writer:
    """One write. `refused` makes our errors of PostgreSQL's, `columns` gives a table's names and base types."""

    def __init__(
        self,
        connection: Any,
        schema: str,
        refused: Callable[[Exception], TilthError],
        columns: Callable[[str], tuple[Schema, Mapping[str, str]]],
    ) -> None:
        self._connection, self._cursor = connection, connection.cursor()
        self._schema, self._refused, self._columns = schema, refused, columns
        self._rows = f"tilth_rows_{secrets.token_hex(4)}"

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """All of the rows in one transaction, or none."""
        target = f"{quoted(self._schema)}.{quoted(write.table)}"
        try:
            key = writing.keyed(rows.schema, write.key)
            self._run(f"SET LOCAL lock_timeout = '{WAIT}'")
            self._there(write)
            count = self._copied(rows)
            if key:
                writing.check_key(self._count, quoted(self._rows), key)
            changed = (
                self._merged(write.table, target, rows.schema, key)
                if write.mode is Mode.INSERT
                else self._created(write, target, rows.schema, key)
            )
        except BaseException as error:
            self._back()
            if isinstance(error, TilthError) or not isinstance(error, Exception):
                raise
            raise self._told(error) from None
        self._keep(write.table)
        return Written(count, changed)

    def _there(self, write: Write) -> None:
        """ProjectError when a table that is to be made is there already."""
        found = self._count(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = {_text(self._schema)} AND c.relname = {_text(write.table)}"
        )
        if found and write.mode is Mode.CREATE:
            raise ProjectError(
                f"`{write.table}` is there already.",
                hint="INSERT INTO adds rows to it; CREATE TABLE IF NOT EXISTS lets it be.",
            )

    def _copied(self, rows: pa.RecordBatchReader) -> int:
        failed: list[Exception] = []
        try:
            count = self._cursor.adbc_ingest(
                self._rows, remembering(rows, failed), mode="create", temporary=True
            )
        except Exception:
            if failed:
                raise failed[0] from None
            raise
        return (
            int(count)
            if count is not None and count >= 0
            else self._count(f"SELECT count(*) FROM {quoted(self._rows)}")
        )

    def _created(self, write: Write, target: str, rows: pa.Schema, key: Sequence[str]) -> int:
        if write.mode is Mode.REPLACE:
            self._run(f"DROP TABLE IF EXISTS {target}")
        kinds = [f"{quoted(f.name)} {_kind(f)}" for f in rows]
        primary = [f"PRIMARY KEY ({', '.join(map(quoted, key))})"] if key else []
        self._run(f"CREATE TABLE {target} ({', '.join([*kinds, *primary])})")
        values = {f.name: f"r.{quoted(f.name)}{'::jsonb' if _is_json(f) else ''}" for f in rows}
        self._run(writing.add_sql(target, quoted(self._rows), {}, values))
        return 0

    def _merged(self, table: str, target: str, rows: pa.Schema, key: Sequence[str]) -> int:
        schema, bases = self._columns(table)
        columns = writing.matched(rows, schema, table)
        for column, found in columns.items():
            if bases[found] in _WHOLE and data_type(rows.field(column).type) in {
                DataType.FLOAT,
                DataType.DECIMAL,
            }:
                name = quoted(column)
                if self._count(
                    f"SELECT count(*) FROM {quoted(self._rows)} WHERE {name} <> trunc({name}::numeric)"
                ):
                    raise writing.narrowed(column, table)
        values = {
            t: f"r.{quoted(c)}{f'::{bases[t]}' if bases[t] in _CAST else ''}" for c, t in columns.items()
        }
        match = {t: values[t] for c, t in columns.items() if c in key}
        changed = 0
        if match:
            self._run(f"LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE")
            pairs, changed = map(self._count, writing.there_sql(target, quoted(self._rows), match))
            if pairs > changed:
                raise writing.ambiguous(table, ", ".join(key))
            change = writing.change_sql(
                target, quoted(self._rows), match, {t: v for t, v in values.items() if t not in match}
            )
            if change:
                self._run(change)
        self._run(writing.add_sql(target, quoted(self._rows), match, values))
        return changed

    def _run(self, sql: str) -> None:
        self._cursor.execute(sql)
        self._cursor.close()
        self._cursor = self._connection.cursor()

    def _count(self, sql: str) -> int:
        self._cursor.execute(sql)
        found = self._cursor.fetchone()
        return int(found[0])

    def _keep(self, table: str) -> None:
        """Commit; UnsureError when the answer to that did not come."""
        try:
            self._connection.commit()
        except Exception as error:
            self._back()
            if str(getattr(error, "sqlstate", None) or "").startswith(_UNDONE):
                raise self._told(error) from None  # a constraint that is looked at last: nothing was kept
            raise UnsureError(
                f"PostgreSQL went away while it kept the rows for `{table}`: they are there, or none of them is.",
                hint="Look before you write them again; with a KEY writing them again does no harm.",
            ) from None
        self._close()

    def _back(self) -> None:
        """Undo, as far as there still is a connection: without one the server undoes it."""
        with contextlib.suppress(Exception):  # the first error is the one that is told
            self._connection.rollback()
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self._cursor.close()
            self._connection.close()

    def _told(self, error: Exception) -> TilthError:
        state = str(getattr(error, "sqlstate", None) or "")
        said = str(error).partition("ERROR:")[2].partition("\n")[0].strip()
        if state == "55P03":
            return BusyError(f"Somebody else holds the table for more than {WAIT}.", hint="Try again later.")
        if state == "42501":
            return SourceError(
                f"PostgreSQL says: {said}.",
                hint="GRANT INSERT, UPDATE on it (or CREATE on the schema) to the source's user.",
            )
        if state == "2BP01":
            return SourceError(
                "Other objects depend on the table, so it cannot be replaced.",
                hint="Drop them first, or INSERT INTO it.",
            )
        if state.startswith(("23", "22")):
            why = _WHY.get(state, f"SQLSTATE {state}") + _named(error)
            return DataError(
                f"PostgreSQL did not take the rows ({why}). Nothing was written.",
                hint="Have the query give rows that the table's columns and constraints allow.",
            )
        if state in _TYPES_DIFFER:
            return DataError(
                f"A column of the query, or of the KEY, is of another type than the table's: {said}. Nothing was written.",
                hint="CAST it to the table's type in the query.",
            )
        if state.startswith(("57P", "08")) or (not state and any(word in str(error) for word in _GONE)):
            return SourceError(
                "PostgreSQL ended the connection while the rows were on their way. Nothing was written.",
                hint="Run it again when the server is there.",
            )
        return self._refused(error)


def _named(error: Exception) -> str:
    """The column or constraint that the server names; never the row."""
    said = {bytes(k): bytes(v).decode(errors="replace") for k, v in getattr(error, "details", None) or ()}
    name = said.get(b"PG_DIAG_COLUMN_NAME") or said.get(b"PG_DIAG_CONSTRAINT_NAME")
    return f": `{name}`" if name else ""


_UNDONE = ("22", "23", "40")  # classes of errors with which a commit fails
_TYPES_DIFFER = frozenset({"42804", "42883"})
_GONE = ("server closed the connection", "no connection to the server")
_WHY = {
    "23502": "a column may not be NULL",
    "23503": "a foreign key names a row that is not there",
    "23505": "a row with the same unique value is there",
    "23514": "a CHECK of the table does not hold",
    "22001": "a text is longer than its column",
    "22003": "a number is too large for its column",
    "22P02": "a text is not of its column's type",
    "22021": "a text holds a NUL character",
}


def _kind(field: pa.Field) -> str:
    import pyarrow.types as t

    if _is_json(field):
        return "jsonb"
    if t.is_decimal(field.type):
        return f"numeric({field.type.precision}, {field.type.scale})"
    if t.is_timestamp(field.type) and field.type.tz is not None:
        return "timestamptz"
    return _TYPES[data_type(field.type)]


def _is_json(field: pa.Field) -> bool:
    return JSON in (field.metadata or {})


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
