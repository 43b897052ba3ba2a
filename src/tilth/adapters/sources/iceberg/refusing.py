"""pyiceberg's and DuckDB's errors over an Iceberg table in our words: never a row, never a key."""

from __future__ import annotations

from collections.abc import Mapping

from tilth.adapters.sources.lakes import alike
from tilth.core.errors import DataError, SourceError, TilthError, UnsupportedError


def refused(said: Mapping[str, str]) -> TilthError:
    """What is told of an error of the process, without what a row holds."""
    text, kind = str(said.get("said")), str(said.get("kind"))
    low = text.lower()
    if kind == "AlikeNames":
        return alike("Iceberg table", text)
    if kind == "ValidationError" and "format-version" in low and "tag" in low:
        return UnsupportedError(
            "The Iceberg table is of a format version that pyiceberg cannot read.",
            hint="pip install --upgrade pyiceberg; or have its writer keep to version 2.",
        )
    if any(w in low for w in ("magic bytes", "corrupt", "deserialize thrift")):
        return SourceError(
            "A file of this snapshot of the Iceberg table is damaged.",
            hint="Open it with another program to see why; a damaged table is restored from a copy.",
        )
    if kind == "NoMetadata":
        return SourceError("There is no Iceberg table there.", hint="Correct the source's path or url.")
    if "snapshot not found" in low or kind == "NoSnapshot":
        return SourceError(
            "The Iceberg table has no such snapshot, or it has expired.",
            hint="Correct the source's option `snapshot`, or leave it out.",
        )
    if (
        "equality delete" in low
        or "not yet support" in low
        or "not supported" in low
        or kind == "NotImplementedError"
    ):
        return UnsupportedError(
            "The Iceberg table uses a feature that pyiceberg cannot read; equality deletes are one.",
            hint="Let its writer compact it, or read it through an engine that can, and write it as Parquet.",
        )  # fmt: skip
    if "permission denied" in low or "errno 13" in low:
        return SourceError(
            "A file of the Iceberg table lies outside of its folder, or may not be read by this user.",
            hint="Iceberg keeps whole paths: a table that was moved or copied has to be registered anew where it lies now.",
        )
    if kind == "FileNotFoundError" or "no such file" in low or "not found" in low:
        return SourceError(
            "A file of this snapshot of the Iceberg table is gone.",
            hint="It may have been expired just now: try again. A table that was moved keeps the paths that it had.",
        )
    if any(
        w in low
        for w in ("access denied", "accessdenied", "403", "signature", "invalidaccesskey", "credential")
    ):
        return SourceError(
            "The store does not let this key read the Iceberg table.",
            hint="Check `key` and `secret`, and that the key may list the bucket and get its objects.",
        )  # fmt: skip
    if any(w in low for w in ("timed out", "timeout", "curlcode", "couldn't connect", "network")):
        return SourceError(
            "The store of the Iceberg table does not answer.", hint="Check `endpoint` and `region`, then try again."
        )  # fmt: skip
    return _unread(kind)


def _unread(kind: str) -> TilthError:
    """Of values that could not be made, and of what nobody foresaw."""
    if kind in ("ConversionException", "InvalidInputException", "OutOfRangeException"):
        return DataError(
            f"DuckDB could not make a value that a predicate asks for ({kind}).",
            hint="CAST the column in the query.",
        )
    return SourceError(
        f"The Iceberg table could not be read ({kind}).",
        hint="Open it with another program to see why; a damaged table is restored from a copy.",
    )
