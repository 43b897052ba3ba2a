"""Rows into a table of MySQL: all of them or none.

A new table is made beside and takes its name in one step (RENAME TABLE), since MySQL keeps each CREATE TABLE at once. Rows for a
table that is there are added in one transaction; with a KEY they come into a temporary table first, and nobody else writes the
table while they are added and changed. A table of an engine without transactions (MyISAM, Aria, MEMORY) is not written to.
`fitting` looks at what a column of the table would change without a word.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import writing
from tilth.adapters.sources.mysql import literals
from tilth.adapters.sources.mysql.connecting import STRICT, code_of, refused, went_away
from tilth.adapters.sources.mysql.fitting import Kept, described, fitting
from tilth.core.errors import BusyError, DataError, ProjectError, SourceError, TilthError
from tilth.core.names import literal, quoted
from tilth.core.schema import DataType, Field, Schema
from tilth.ports.arrow import data_type
from tilth.ports.source import JSON, Mode, Notice, UnsureError, Write, Written

if TYPE_CHECKING:
    import pyarrow as pa

WAIT = 10  # seconds, for whoever holds the table
BESIDE = "tilth_new_"  # how a table is called while it is being made
GONE = "tilth_old_"  # how one is called while another takes its place
ALIAS = "tilth_there"  # a locked table may be read under each of its names once
KEYED = 255  # characters, or bytes, of a text that is part of a KEY
_TYPES = {
    DataType.BOOLEAN: "TINYINT(1)",
    DataType.INTEGER: "BIGINT",
    DataType.FLOAT: "DOUBLE",
    DataType.STRING: "LONGTEXT",
    DataType.DATE: "DATE",
    DataType.TIME: "TIME(6)",
    DataType.TIMESTAMP: "DATETIME(6)",
    DataType.BINARY: "LONGBLOB",
}
_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb4_bin")
"""How texts are compared in tables that are made here: byte by byte, with the blanks at their ends where the server can."""


class Writer:
    """One write over one connection, which ends with it."""

    def __init__(self, connection: Any) -> None:
        self._link = connection
        self._lost: Counter[str] = Counter()
        self._beside: str | None = None

    def write(self, write: Write, rows: pa.RecordBatchReader) -> Written:
        """All of the rows, or none."""
        try:
            key = writing.keyed(rows.schema, write.key)
            mode = literal(",".join(STRICT))
            wait = f"lock_wait_timeout = {WAIT}, innodb_lock_wait_timeout = {WAIT}"
            self._run(f"SET SESSION sql_mode = {mode}, {wait}, autocommit = 0")
            self._most = self._count("SELECT @@SESSION.max_allowed_packet")
            if write.mode is Mode.INSERT:
                count, changed = self._inserted(write.table, rows, key)
            else:
                count, changed = self._made(write, rows, key), 0
        except BaseException as error:
            self._back()
            if isinstance(error, TilthError) or not isinstance(error, Exception):
                raise
            raise told(error) from None
        self._close()
        notices = [Notice("guessed", write.table, f"{n:,} x {what}") for what, n in self._lost.items()]
        return Written(count, changed, tuple(notices))

    # --- a table that is made ------------------------------------------------------------------------------

    def _made(self, write: Write, rows: pa.RecordBatchReader, key: Sequence[str]) -> int:
        there = self._there(write)
        beside = BESIDE + hashlib.sha256(write.table.encode()).hexdigest()[:16]
        if not self._count(f"SELECT GET_LOCK(LEFT(CONCAT(DATABASE(), '.{beside}'), 64), {WAIT})"):
            raise BusyError(
                f"Somebody else is making `{write.table}`.", hint="Try again when that has ended."
            )
        self._run(f"DROP TABLE IF EXISTS {quoted(beside)}")  # of one that was killed
        self._beside = beside
        kinds = ", ".join(f"{quoted(f.name)} {_kind(f, key)}" for f in rows.schema)
        self._run(
            f"CREATE TABLE {quoted(beside)} ({kinds}) ENGINE = InnoDB DEFAULT CHARSET utf8mb4 COLLATE {self._collation()}"
        )
        count = self._loaded(quoted(beside), rows, rows.schema.names)
        self._run("COMMIT")
        if key:
            writing.check_key(self._count, quoted(beside), key)
            self._run(f"ALTER TABLE {quoted(beside)} ADD PRIMARY KEY ({', '.join(map(quoted, key))})")
        self._named(write.table, beside, there)
        return count

    def _there(self, write: Write) -> bool:
        """Whether there is such a table; ProjectError or SourceError where it is not to be made or replaced."""
        kind = self._row(
            "SELECT table_type FROM information_schema.tables"
            f" WHERE table_schema = DATABASE() AND table_name = {literal(write.table)}"
        )
        if kind is None:
            return False
        if write.mode is Mode.CREATE:
            raise ProjectError(
                f"`{write.table}` is there already.",
                hint="INSERT INTO adds rows to it; CREATE TABLE IF NOT EXISTS lets it be.",
            )
        if str(kind[0]) == "VIEW":
            raise ProjectError(f"`{write.table}` is a view, which is not replaced.", hint="Name a table.")
        self._alone(write.table)
        return True

    def _alone(self, table: str) -> None:
        """SourceError when another table's foreign key leads here: it would lead to the table that is dropped."""
        if self._count(
            "SELECT count(*) FROM information_schema.referential_constraints"
            f" WHERE unique_constraint_schema = DATABASE() AND referenced_table_name = {literal(table)}"
            f" AND table_name <> {literal(table)}"
        ):
            raise SourceError(
                "Other objects depend on the table, so it cannot be replaced.",
                hint="Drop their foreign keys first, or INSERT INTO it.",
            )

    def _named(self, table: str, beside: str, there: bool) -> None:
        """Give the table its name; the one that has it goes in the same step."""
        old = GONE + secrets.token_hex(8)
        away = f"{quoted(table)} TO {quoted(old)}, " if there else ""
        self._sure(f"RENAME TABLE {away}{quoted(beside)} TO {quoted(table)}", table)
        self._beside = None
        if there:
            try:
                self._run(f"DROP TABLE {quoted(old)}")
            except Exception:
                self._lost[f"the old table, which could not be dropped and is now `{old}`"] += 1

    def _collation(self) -> str:
        listed = ", ".join(map(literal, _COLLATIONS))
        with self._link.cursor() as cursor:
            cursor.execute(
                f"SELECT collation_name FROM information_schema.collations WHERE collation_name IN ({listed})"
            )
            known = {str(name) for (name,) in cursor.fetchall()}
        return next(c for c in _COLLATIONS if c in known)

    # --- a table that is there -----------------------------------------------------------------------------

    def _inserted(self, table: str, rows: pa.RecordBatchReader, key: Sequence[str]) -> tuple[int, int]:
        columns = described(self._link, table)
        into = writing.matched(rows.schema, _schema(columns), table)
        by_name = {c.name: c for c in columns}
        fits = fitting(rows, {c: by_name[t] for c, t in into.items()}, table, self._lost)
        listed = list(into.values())
        if not key:
            self._run("START TRANSACTION")
            count, changed = self._loaded(quoted(table), fits, listed), 0
        else:
            count, changed = self._merged(table, fits, [by_name[t] for t in listed], [into[k] for k in key])
        self._sure("COMMIT", table)
        return count, changed

    def _merged(
        self, table: str, rows: pa.RecordBatchReader, columns: Sequence[Kept], key: Sequence[str]
    ) -> tuple[int, int]:
        """Change what is there and add what is not, while nobody else writes the table."""
        name, held = quoted(table), f"tilth_rows_{secrets.token_hex(4)}"
        kinds = ", ".join(f"{quoted(c.name)} {c.declaration}" for c in columns)
        indexed = ", ".join(next(c for c in columns if c.name == k).indexed for k in key)
        self._run(f"CREATE TEMPORARY TABLE {held} ({kinds}, INDEX ({indexed})) ENGINE = InnoDB")
        count = self._loaded(held, rows, [c.name for c in columns])
        self._run("COMMIT", f"ANALYZE TABLE {held}")
        writing.check_key(self._count, held, key)
        self._run(f"LOCK TABLES {name} WRITE, {name} AS {ALIAS} WRITE")
        match = {k: f"r.{quoted(k)}" for k in key}
        pairs, changed = map(self._count, writing.there_sql(name, held, match, ALIAS))
        if pairs > changed:
            raise writing.ambiguous(table, ", ".join(key))
        others = [c.name for c in columns if c.name not in match]
        if others and changed:
            on = " AND ".join(f"{ALIAS}.{quoted(k)} = {value}" for k, value in match.items())
            sets = ", ".join(f"{ALIAS}.{quoted(c)} = r.{quoted(c)}" for c in others)
            self._run(f"UPDATE {name} AS {ALIAS} JOIN {held} AS r ON {on} SET {sets}")
        self._run(writing.add_sql(name, held, match, {c.name: f"r.{quoted(c.name)}" for c in columns}, ALIAS))
        return count, changed

    # --- speaking ------------------------------------------------------------------------------------------

    def _loaded(self, into: str, rows: pa.RecordBatchReader, columns: Sequence[str]) -> int:
        """Add the rows; how many there are."""
        head = f"INSERT INTO {into} ({', '.join(map(quoted, columns))})"
        count = 0
        for batch in rows:
            for statement in literals.inserts(head, batch, self._most, self._lost, count):
                self._run(statement)
            count += batch.num_rows
        return count

    def _run(self, *statements: str) -> None:
        for statement in statements:
            self._link.query(statement)

    def _row(self, sql: str) -> tuple[Any, ...] | None:
        with self._link.cursor() as cursor:
            cursor.execute(sql)
            found = cursor.fetchone()
        return None if found is None else tuple(found)

    def _count(self, sql: str) -> int:
        found = self._row(sql)
        return int(found[0] or 0) if found else 0

    def _sure(self, statement: str, table: str) -> None:
        """What keeps the rows; UnsureError when the answer to it did not come."""
        try:
            self._run(statement)
        except Exception as error:
            if not went_away(error):
                raise
            self._beside = None
            raise UnsureError(
                f"The server went away while it kept the rows for `{table}`: they are there, or none of them is.",
                hint="Look before you write them again; with a KEY writing them again does no harm.",
            ) from None

    def _back(self) -> None:
        """Undo, as far as there still is a connection: without one the server undoes it."""
        with contextlib.suppress(Exception):  # the first error is the one that is told
            self._run("ROLLBACK", "UNLOCK TABLES")
            if self._beside is not None:
                self._run(f"DROP TABLE IF EXISTS {quoted(self._beside)}")
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self._link.close()


def _kind(field: pa.Field, key: Sequence[str]) -> str:
    import pyarrow.types as t

    if JSON in (field.metadata or {}):
        return "JSON"
    if t.is_decimal(field.type):
        return f"DECIMAL({field.type.precision}, {field.type.scale})"
    kind = data_type(field.type)
    if field.name in key and kind in {DataType.STRING, DataType.BINARY}:
        return f"{'VARCHAR' if kind is DataType.STRING else 'VARBINARY'}({KEYED})"
    return _TYPES[kind]


def _schema(columns: Sequence[Kept]) -> Schema:
    return Schema(tuple(Field(c.name, c.column.type) for c in columns))


# --- errors ------------------------------------------------------------------------------------------------

_WHY: Mapping[int, str] = {
    1048: "a column may not be NULL",
    1062: "a row with the same unique value is there",
    1216: "a foreign key names a row that is not there",
    1264: "a number is too large for its column",
    1265: "a value is none of its column's",
    1292: "a value is not of its column's type",
    1364: "a column has no default, and the query does not give it",
    1366: "a value is not of its column's type, or of its character set",
    1406: "a text is longer than its column",
    1425: "a DECIMAL has more digits after its point than the server keeps",
    1451: "another table's foreign key needs the row",
    1452: "a foreign key names a row that is not there",
    1690: "a number is too large for its column",
    1906: "a column is generated, and takes no value",
    3105: "a column is generated, and takes no value",
    3140: "a text is no JSON",
    3819: "a CHECK of the table does not hold",
    4025: "a CHECK of the table does not hold",
}
_NAMED = re.compile(r"(?:[Cc]olumn|for key|[Cc]onstraint|CONSTRAINT|Field) ((?:[`'][^`']+[`']\.?)+)")


_QUOTES = "`'"


def told(error: Exception) -> TilthError:
    """What is told of an error while rows were written; never a value."""
    code = code_of(error)
    said = str(error.args[1]) if len(error.args) > 1 else ""
    if code in _WHY:
        found = _NAMED.findall(said)
        name = f": `{found[-1].rpartition('.')[2].strip(_QUOTES)}`" if found else ""
        return DataError(
            f"The server did not take the rows ({_WHY[code]}{name}). Nothing was written.",
            hint="Have the query give rows that the table's columns and constraints allow.",
        )
    if code in {1205, 3572}:
        return BusyError(f"Somebody else holds the table for more than {WAIT} s.", hint="Try again later.")
    if code == 1213:
        return BusyError("Somebody else changed the same rows at the same time.", hint="Try again.")
    if code in {1142, 1044, 1227, 1143, 1370}:
        return SourceError(
            f"The server says: {said[:300]}.",
            hint="GRANT INSERT, UPDATE on it (CREATE, ALTER and DROP to make tables; CREATE TEMPORARY TABLES and LOCK TABLES"
            " for a KEY) to the source's user.",
        )
    if code in {1050, 1146}:
        return BusyError(
            "Somebody else made or dropped the table at the same time.", hint="Look, and try again."
        )
    if code in {1153, 2020}:
        return DataError(
            "A row is larger than the server takes at once. Nothing was written.",
            hint="Raise its max_allowed_packet.",
        )
    if code in {1114, 1021, 1030}:
        return SourceError(
            "The server has no room for the rows. Nothing was written.", hint="Free some space."
        )
    if went_away(error):
        return SourceError(
            "The server ended the connection while the rows were on their way. Nothing was written.",
            hint="Run it again when the server is there.",
        )
    return refused(error)
