"""DuckDB's errors over a file in our words: never a row, and of SQL only what names a thing of the file."""

from __future__ import annotations

from collections.abc import Mapping

from tilth.core.errors import BusyError, DataError, SourceError, TilthError, UnknownNameError
from tilth.core.names import quoted

BEYOND = "tilth_beyond:"
"""What stands before the name of a column, in an error that our own query makes."""


def refused(said: Mapping[str, str]) -> TilthError:
    """What is told of DuckDB's own error, without what a row holds."""
    text, kind = str(said.get("said")), str(said.get("kind"))
    low = text.lower()
    if BEYOND in text:
        name = text.partition(BEYOND)[2].partition("\n")[0]
        return DataError(
            f"Column `{name}` of the DuckDB file is of type HUGEINT and holds a number of more than 38 digits.",
            hint=f"Make a view in the file: SELECT CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}.",
        )
    if kind == "ResourceInUseException" or (
        "lock" in low and ("conflicting" in low or "could not set" in low)
    ):
        return BusyError(
            "Another process has the DuckDB file open for writing.",
            hint="Try again when it has closed it: DuckDB lets one process write, or many read.",
        )
    if "not a valid duckdb" in low or "magic bytes" in low or "sqlite" in low:
        return SourceError("The file is not a DuckDB database.", hint="Correct the source's path.")
    if "version number" in low or "storage version" in low or "newer" in low:
        return SourceError(
            "The DuckDB file is of another storage version than this DuckDB reads.",
            hint="pip install --upgrade duckdb; or write it anew with the version that made it: EXPORT DATABASE.",
        )
    if "encrypt" in low:
        return SourceError(
            "The DuckDB file is encrypted, which is not read.", hint="Write it anew without a key."
        )
    if kind == "PermissionException" or "disabled by configuration" in low or "cannot access" in low:
        return SourceError(
            "A view of the DuckDB file reads what lies outside of it, which it may not.",
            hint="Make a table of it there: CREATE TABLE ... AS SELECT * FROM the_view.",
        )
    if kind in {"CatalogException", "BinderException"}:
        return UnknownNameError(
            f"DuckDB says: {text.partition(chr(10))[0][:200]}",
            hint="Correct the view in the file, or the query.",
        )
    if kind in {"ConversionException", "InvalidInputException", "OutOfRangeException"}:
        return DataError(
            f"DuckDB could not make a value that a view or predicate asks for ({kind}).",
            hint="CAST the column where the view is made.",
        )
    return SourceError(
        f"DuckDB could not read the file ({kind}).",
        hint="Open it with DuckDB's own client to see why; a damaged file is restored from a copy.",
    )
