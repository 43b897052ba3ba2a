"""A DuckDB that can read some files and nothing else, and the errors of reading in our words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.errors import SourceError, TilthError
from tilth.core.names import literal
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 32_768


def connected(paths: Sequence[str], settings: Sequence[str] = ()) -> Any:
    """A connection that may read these files, with more settings."""
    import duckdb

    connection: Any = duckdb.connect(":memory:")
    for setting in (
        f"allowed_paths = {listed(paths)}",
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "python_enable_replacements = false",
        "TimeZone = 'UTC'",
        "threads = 2",
        *settings,
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def listed(paths: Sequence[str]) -> str:
    """The paths as a DuckDB list."""
    return f"[{', '.join(map(literal, paths))}]"


def stream(connection: Any, sql: str) -> pa.RecordBatchReader:
    """The query's rows; the connection is closed with them."""
    try:
        reader = connection.sql(sql).to_arrow_reader(BATCH)
    except Exception as error:
        connection.close()
        raise refused(error) from error
    return closing(reader, connection.close, refused)


def rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a small result."""
    cursor = connection.cursor()
    try:
        return fetched(cursor, sql)
    finally:
        cursor.close()


def fetched(cursor: Any, sql: str) -> list[tuple[Any, ...]]:
    """The same on this very connection, which alone sees its temporary tables."""
    try:
        return list(cursor.execute(sql).fetchall())
    except Exception as error:
        raise refused(error) from error


def failures() -> tuple[type[Exception], ...]:
    """What reading a file can end with, beside errors in our words."""
    import zlib

    import duckdb
    import pyarrow as pa

    return OSError, EOFError, zlib.error, duckdb.Error, pa.ArrowException


def refused(error: Exception) -> TilthError:
    """What is told of an error of the system's or DuckDB's, without what a row holds."""
    if isinstance(error, TilthError):
        return error
    said = error.strerror if isinstance(error, OSError) and error.strerror else None
    if said is None and (isinstance(error, EOFError | OSError) or type(error).__module__ == "zlib"):
        said = "unpacking"  # gzip's and zlib's texts are no kinds
    kind = said or str(error).partition(" Error")[0].partition("\n")[0][:40]
    return SourceError(
        f"The files could not be read ({kind} error).",
        hint="Check that they are complete, of the kind their names say, and readable by this user.",
    )
