"""Rows into a DuckDB file: kept in memory or beside it first, so that the file is held only while they are written, in one transaction.

Reading is done in a jailed process; writing is not, since it is our own doing. A file that is declared writable is trusted as
far as that.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import writing
from tilth.adapters.sources.answering import settle
from tilth.adapters.sources.duckdb.child import CATALOG
from tilth.adapters.sources.duckdb.refusing import refused
from tilth.core.errors import BusyError, DataError, ProjectError, SourceError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.schema import DataType, Field, Schema
from tilth.ports.arrow import data_type, from_duckdb
from tilth.ports.source import JSON, Mode, Write, Written
from tilth.ports.streams import remembering

if TYPE_CHECKING:
    import pyarrow as pa

WAIT = 10.0  # seconds, for another process that has the file
MEMORY = 1_000_000_000
ROWS = "memory.main.tilth_rows"


def write(path: str, schema: str, write: Write, rows: pa.RecordBatchReader, *, new: bool) -> Written:
    """All of the rows, or none."""
    import duckdb

    key = writing.keyed(rows.schema, write.key)
    if not (
        os.path.isfile(path)
        or (new and not os.path.lexists(path) and os.path.isdir(os.path.dirname(path) or "."))
    ):
        raise SourceError(f"There is no DuckDB file at {path}.", hint="Correct the source's path.")
    with tempfile.TemporaryDirectory(prefix="tilth-spill-") as spill:
        connection: Any = duckdb.connect(":memory:", config={"threads": 2, "temp_directory": spill})
        try:
            count = _kept(connection, rows)
            if key:
                writing.check_key(lambda sql: _count(connection, sql), ROWS, key)
            real = os.path.realpath(path)
            settle(
                connection, MEMORY, [real, f"{real}.wal", f"{real}.wal.checkpoint", f"{real}.wal.recovery"]
            )
            changed = _written(connection, real, schema, write, rows.schema, key)
        except duckdb.Error as error:
            raise _told(error) from None
        finally:
            connection.close()
    return Written(count, changed)


def _kept(connection: Any, rows: pa.RecordBatchReader) -> int:
    """The rows in a table of this connection, before the file is opened; what the rows raise is raised."""
    import duckdb

    failed: list[Exception] = []
    connection.register("tilth_given", remembering(rows, failed))
    try:
        connection.execute("CREATE TABLE tilth_rows AS SELECT * FROM tilth_given")
    except duckdb.Error:
        if failed:
            raise failed[0] from None
        raise
    finally:
        with contextlib.suppress(duckdb.Error):
            connection.unregister("tilth_given")
    return _count(connection, f"SELECT count(*) FROM {ROWS}")


def _written(
    connection: Any, path: str, schema: str, write: Write, rows: pa.Schema, key: Sequence[str]
) -> int:
    _attached(connection, path)
    target = f"{CATALOG}.{quoted(schema)}.{quoted(write.table)}"
    connection.execute("BEGIN")
    try:
        there = _there(connection, schema, write)
        if write.mode is Mode.INSERT:
            changed = _merged(connection, write, target, rows, key, _columns(connection, schema, write.table))
        else:
            changed = _created(connection, target, rows, key, there)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    connection.execute("USE memory")
    connection.execute(f"DETACH {CATALOG}")
    return changed


def _attached(connection: Any, path: str) -> None:
    """Open the file for writing; BusyError once another process has had it for too long."""
    late = time.monotonic() + WAIT
    while True:
        try:
            connection.execute(f"ATTACH {literal(path)} AS {CATALOG}")
        except Exception as error:
            told = _told(error)
            if not isinstance(told, BusyError) or time.monotonic() > late:
                raise told from None
            time.sleep(0.05)
        else:
            return


def _there(connection: Any, schema: str, write: Write) -> str | None:
    """Whether the table is there, and as what; ProjectError when it is to be made and is there."""
    kinds = connection.execute(
        "SELECT table_type FROM information_schema.tables WHERE table_catalog = $1 AND table_schema = $2 AND lower(table_name) = lower($3)",
        [CATALOG, schema, write.table],
    ).fetchall()
    if kinds and write.mode is Mode.CREATE:
        raise ProjectError(
            f"`{write.table}` is there already.",
            hint="INSERT INTO adds rows to it; CREATE TABLE IF NOT EXISTS lets it be.",
        )
    if kinds and kinds[0][0] == "VIEW":
        raise ProjectError(f"`{write.table}` is a view, which is not written to.", hint="Name a table.")
    return str(kinds[0][0]) if kinds else None


def _columns(connection: Any, schema: str, table: str) -> dict[str, str]:
    """The table's columns and their types."""
    found = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = $1 AND schema_name = $2"
        " AND lower(table_name) = lower($3) ORDER BY column_index",
        [CATALOG, schema, table],
    ).fetchall()
    if not found:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2",
            [CATALOG, schema],
        ).fetchall()
        raise UnknownNameError(
            f"There is no table `{table}`.", hint=did_you_mean(table, [str(n) for (n,) in names], "tables")
        )
    return {str(name): str(kind) for name, kind in found}


def _created(connection: Any, target: str, rows: pa.Schema, key: Sequence[str], there: str | None) -> int:
    if there is not None:
        connection.execute(f"DROP TABLE {target}")
    kinds = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'tilth_rows'"
    ).fetchall()
    json = {f.name for f in rows if JSON in (f.metadata or {})}
    columns = [f"{quoted(n)} {'JSON' if n in json else k}" for n, k in kinds]
    primary = [f"PRIMARY KEY ({', '.join(map(quoted, key))})"] if key else []
    connection.execute(f"CREATE TABLE {target} ({', '.join([*columns, *primary])})")
    connection.execute(writing.add_sql(target, ROWS, {}, {f.name: f"r.{quoted(f.name)}" for f in rows}))
    return 0


def _merged(
    connection: Any, write: Write, target: str, rows: pa.Schema, key: Sequence[str], kinds: Mapping[str, str]
) -> int:
    table = Schema(tuple(Field(n, from_duckdb(k)) for n, k in kinds.items()))
    into = writing.matched(rows, table, write.table)
    for column, found in into.items():
        _fits(connection, column, data_type(rows.field(column).type), found, kinds[found], write.table)
    values = {t: f"r.{quoted(c)}" for c, t in into.items()}
    match = {t: values[t] for c, t in into.items() if c in key}
    changed = 0
    if match:
        pairs, changed = (_count(connection, sql) for sql in writing.there_sql(target, ROWS, match))
        if pairs > changed:
            raise writing.ambiguous(write.table, ", ".join(key))
        change = writing.change_sql(target, ROWS, match, {t: v for t, v in values.items() if t not in match})
        if change:
            connection.execute(change)
    connection.execute(writing.add_sql(target, ROWS, match, values))
    return changed


def _fits(connection: Any, column: str, given: DataType, name: str, kind: str, table: str) -> None:
    """DataError for values that the column would change: DuckDB rounds numbers and drops parts of a second."""
    writing.fit(column, given, from_duckdb(kind), table)
    exact = given is DataType.FLOAT and kind == "DOUBLE"
    if exact or given not in {DataType.FLOAT, DataType.DECIMAL, DataType.TIMESTAMP, DataType.INTEGER}:
        return
    value = quoted(column)
    if _count(
        connection, f"SELECT count(*) FROM {ROWS} WHERE TRY_CAST({value} AS {kind}) IS DISTINCT FROM {value}"
    ):
        raise DataError(
            f"`{column}` holds values that the column `{name}` of `{table}`, {kind}, would change. Nothing was written.",
            hint=f"CAST it in the query, if that is meant: CAST({column} AS {kind}) AS {column}.",
        )


def _count(connection: Any, sql: str) -> int:
    return int(connection.execute(sql).fetchall()[0][0])


def _told(error: Exception) -> TilthError:
    """What is told of an error of DuckDB's while rows were written; never a value."""
    if isinstance(error, TilthError):
        return error
    kind, low = type(error).__name__, str(error).lower()
    if kind in {"ConstraintException", "ConversionException", "OutOfRangeException"}:
        why = "a column may not be NULL" if "not null" in low else "a constraint, or a type, of the table"
        return DataError(
            f"DuckDB did not take the rows ({why}). Nothing was written.",
            hint="Have the query give rows that the table's columns and constraints allow.",
        )
    if kind == "DependencyException":
        return SourceError(
            "Other objects depend on the table, so it cannot be replaced.",
            hint="Drop them first, or INSERT INTO it.",
        )
    if "read-only" in low or "permission denied" in low or "cannot open file" in low:
        return SourceError(
            "The DuckDB file cannot be written to.",
            hint="Give this user the right to write the file and its folder.",
        )
    return refused({"kind": kind, "said": str(error)})
