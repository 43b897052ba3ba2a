"""Rows into a table of SQLite: kept in a temporary table first, then added or changed in one transaction.

SQLite has no type for times, decimals and truth: times are written as texts in UTC, truth as 0 and 1, decimals as whole numbers
or as REAL. A column that keeps its times as numbers is not written to.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import writing
from tilth.core.errors import BusyError, DataError, ProjectError, SourceError, TilthError
from tilth.core.names import quoted
from tilth.core.schema import DataType, Schema
from tilth.ports.arrow import data_type
from tilth.ports.source import JSON, Mode, Notice, Write, Written

if TYPE_CHECKING:
    import pyarrow as pa

WAIT = 10.0  # seconds, for another writer
ROWS = "temp.tilth_rows"
_TYPES = {
    DataType.BOOLEAN: "BOOLEAN",
    DataType.INTEGER: "INTEGER",
    DataType.FLOAT: "REAL",
    DataType.STRING: "TEXT",
    DataType.DATE: "DATE",
    DataType.TIME: "TEXT",
    DataType.TIMESTAMP: "TIMESTAMP",
    DataType.BINARY: "BLOB",
}


def write(
    uri: str,
    write: Write,
    rows: pa.RecordBatchReader,
    described: Callable[[str], Schema],
    numbered: Callable[[str, Schema], Mapping[str, str]],
) -> Written:
    """All of the rows in one transaction, or none. `numbered` names columns whose times are kept as numbers, and their unit."""
    key = writing.keyed(rows.schema, write.key)
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=WAIT, isolation_level=None)
    except sqlite3.Error as error:
        raise _told(error) from error
    try:
        return _write(connection, write, rows, key, described, numbered)
    except sqlite3.Error as error:
        raise _told(error) from error
    finally:
        connection.close()  # what was begun and not committed is undone


def _write(
    db: sqlite3.Connection,
    write: Write,
    rows: pa.RecordBatchReader,
    key: Sequence[str],
    described: Callable[[str], Schema],
    numbered: Callable[[str, Schema], Mapping[str, str]],
) -> Written:
    into: dict[str, str] = {}
    if write.mode is Mode.INSERT:
        schema = described(write.table)
        into = writing.matched(rows.schema, schema, write.table)
        _fits(rows.schema, into, schema, numbered(write.table, schema), write.table)
    else:
        _absent(db, write)
    rows_kept, lost = _kept(db, rows)
    if key:
        writing.check_key(lambda sql: _count(db, sql), ROWS, key)
    db.execute("BEGIN IMMEDIATE")  # nobody else writes from here to the end
    changed = (
        _merged(db, write, into, key) if write.mode is Mode.INSERT else _created(db, write, rows.schema, key)
    )
    db.execute("COMMIT")
    notices = [Notice("guessed", write.table, f"{count:,} x {what}") for what, count in lost.items()]
    return Written(rows_kept, changed, tuple(notices))


def _absent(db: sqlite3.Connection, write: Write) -> None:
    if write.mode is Mode.CREATE and _there(db, write.table):
        raise ProjectError(
            f"`{write.table}` is there already.",
            hint="INSERT INTO adds rows to it; CREATE TABLE IF NOT EXISTS lets it be.",
        )


def _there(db: sqlite3.Connection, table: str) -> bool:
    return bool(db.execute("SELECT 1 FROM sqlite_schema WHERE lower(name) = lower(?)", (table,)).fetchone())


def _fits(
    rows: pa.Schema, into: Mapping[str, str], schema: Schema, units: Mapping[str, str], table: str
) -> None:
    """DataError for a column that would hold two kinds of values: SQLite would take them."""
    for column, found in into.items():
        if found in units:
            raise DataError(
                f"`{found}` of `{table}` keeps its times as numbers ({units[found]}), and a text would be written there.",
                hint=f"Give the number in the query: epoch_ms({column}) AS {column}, say.",
            )
        writing.fit(column, data_type(rows.field(column).type), schema.field(found).type, table)


def _kept(db: sqlite3.Connection, rows: pa.RecordBatchReader) -> tuple[int, Counter[str]]:
    """The rows in a table of this connection; how many there are, and how often what of them was lost."""
    names = ", ".join(map(quoted, rows.schema.names))
    db.execute(f"CREATE TEMP TABLE tilth_rows ({names})")
    marks = ", ".join("?" * len(rows.schema.names))
    count, lost = 0, Counter[str]()
    db.execute("BEGIN")
    for batch in rows:
        columns = [list(_values(f, a, lost)) for f, a in zip(rows.schema, batch.columns, strict=True)]
        db.executemany(f"INSERT INTO {ROWS} VALUES ({marks})", zip(*columns, strict=True))
        count += batch.num_rows
    db.execute("COMMIT")
    return count, lost


def _values(field: pa.Field, array: pa.Array, lost: Counter[str]) -> Iterator[Any]:
    """The cells as SQLite keeps them."""
    for value in array.to_pylist():
        if isinstance(value, Decimal):
            yield _decimal(field.name, value, lost)
        elif isinstance(value, datetime):
            utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            yield utc.isoformat(" ")
        elif isinstance(value, date | time):
            yield value.isoformat()
        elif isinstance(value, float) and math.isnan(value):
            lost[f"NaN of `{field.name}`, which became NULL"] += 1  # as SQLite itself has it
            yield None
        else:
            yield value


def _decimal(column: str, value: Decimal, lost: Counter[str]) -> int | float:
    if value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    found = float(value)
    if Decimal(repr(found)) != value:
        lost[f"a decimal of `{column}`, kept as REAL, lost digits"] += 1
    return found


def _created(db: sqlite3.Connection, write: Write, rows: pa.Schema, key: Sequence[str]) -> int:
    table = quoted(write.table)
    if write.mode is Mode.REPLACE:
        db.execute(f"DROP TABLE IF EXISTS main.{table}")
    kinds = [f"{quoted(f.name)} {_kind(f)}{' NOT NULL' * (f.name in key)}" for f in rows]
    primary = [f"PRIMARY KEY ({', '.join(map(quoted, key))})"] if key else []
    db.execute(f"CREATE TABLE main.{table} ({', '.join([*kinds, *primary])})")
    db.execute(writing.add_sql(f"main.{table}", ROWS, {}, {f.name: f"r.{quoted(f.name)}" for f in rows}))
    return 0


def _merged(db: sqlite3.Connection, write: Write, into: Mapping[str, str], key: Sequence[str]) -> int:
    table = f"main.{quoted(write.table)}"
    values = {t: f"r.{quoted(c)}" for c, t in into.items()}
    match = {t: values[t] for c, t in into.items() if c in key}
    changed = 0
    if match:
        pairs, changed = (_count(db, sql) for sql in writing.there_sql(table, ROWS, match))
        if pairs > changed:
            raise writing.ambiguous(write.table, ", ".join(key))
        change = writing.change_sql(table, ROWS, match, {t: v for t, v in values.items() if t not in match})
        if change:
            db.execute(change)
    db.execute(writing.add_sql(table, ROWS, match, values))
    return changed


def _count(db: sqlite3.Connection, sql: str) -> int:
    return int(db.execute(sql).fetchone()[0])


def _kind(field: pa.Field) -> str:
    import pyarrow.types as t

    if JSON in (field.metadata or {}):
        return "TEXT"
    if t.is_decimal(field.type):
        return f"DECIMAL({field.type.precision}, {field.type.scale})"
    return _TYPES[data_type(field.type)]


def _told(error: sqlite3.Error) -> TilthError:
    said = str(error)
    if "locked" in said or "busy" in said:
        return BusyError(
            f"Somebody else has been writing into the SQLite database for {WAIT:g} s.",
            hint="Try again when that has ended.",
        )
    if isinstance(error, sqlite3.IntegrityError):
        return DataError(
            f"SQLite did not take the rows ({said}). Nothing was written.",
            hint="Have the query give rows that the table's columns and constraints allow.",
        )
    if isinstance(error, OverflowError) or "overflow" in said:
        return DataError("A number is too large for SQLite, which keeps 64 bits.", hint="CAST it to DOUBLE.")
    if "readonly" in said or "unable to open" in said:
        return SourceError(
            "The SQLite database cannot be written to.",
            hint="Give this user the right to write the file and its folder.",
        )
    if "full" in said:
        return SourceError("There is no room for the rows. Nothing was written.", hint="Free some space.")
    return SourceError(
        f"SQLite could not write the rows ({said}). Nothing was written.",
        hint="Check the table and the query.",
    )
