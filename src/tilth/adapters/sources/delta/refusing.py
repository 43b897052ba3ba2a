"""deltalake's and DuckDB's errors over a Delta table in our words: never a row, never a key."""

from __future__ import annotations

from collections.abc import Mapping

from tilth.adapters.sources.lakes import BROKE_OFF, alike
from tilth.core.errors import DataError, SourceError, TilthError, UnsupportedError


def refused(said: Mapping[str, str]) -> TilthError:
    """What is told of an error of the process, without what a row holds."""
    text, kind = str(said.get("said")), str(said.get("kind"))
    low = text.lower()
    if kind == "AlikeNames":
        return alike("Delta table", text)
    if kind == "TableNotFoundError" or "not a delta table" in low or "no files in log" in low:
        return SourceError("There is no Delta table there.", hint="Correct the source's path or url.")
    if (
        "invalid table version" in low
        or "logsegment" in low
        or ("version" in low and ("not found" in low or "does not exist" in low))
    ):
        return SourceError(
            "The Delta table has no such version, or its log no longer reaches back to it.",
            hint="Correct the source's option `version`, or leave it out.",
        )
    if any(
        w in low
        for w in (
            "unsupported reader",
            "unsupported minimum reader",
            "reader feature",
            "not supported",
            "unsupported table feature",
        )
    ):
        return UnsupportedError(
            "The Delta table uses a feature that deltalake cannot read.",
            hint="pip install --upgrade deltalake; or read it through a program that can, and write it as Parquet.",
        )
    if "permission denied" in low or "os error 13" in low:
        return SourceError(
            "A file of the Delta table lies outside of its folder, or may not be read by this user.",
            hint="Check who owns its files; a shallow clone is made a table of its own first.",
        )
    if "not found" in low or "no such file" in low:
        return SourceError(
            "A file of this version of the Delta table is gone.",
            hint="It may have been vacuumed just now: try again. If it stays so the table is damaged.",
        )
    if any(w in low for w in ("403", "accessdenied", "invalidaccesskey", "signature", "credential")):
        return SourceError(
            "The store does not let this key read the Delta table.",
            hint="Check `key` and `secret`, and that the key may list the bucket and get its objects.",
        )
    if any(w in low for w in ("timed out", "connect", "dns", "sending request")):
        return SourceError(
            "The store of the Delta table does not answer.",
            hint="Check `endpoint` and `region`, then try again.",
        )
    return _unread(kind, low)


def _unread(kind: str, low: str) -> TilthError:
    """Of rows that broke off, or values that could not be made."""
    if "parquet error" in low or BROKE_OFF in low:
        return SourceError(
            "A file of this version of the Delta table is damaged.",
            hint="Open it with another program to see why; a damaged table is restored from a copy.",
        )
    if kind in ("ConversionException", "InvalidInputException", "OutOfRangeException"):
        return DataError(
            f"DuckDB could not make a value that a predicate asks for ({kind}).",
            hint="CAST the column in the query.",
        )
    return SourceError(
        f"The Delta table could not be read ({kind}).",
        hint="Open it with another program to see why; a damaged table is restored from a copy.",
    )
