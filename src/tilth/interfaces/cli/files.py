"""Rows into a file: CSV, JSON, JSON Lines, Parquet or Markdown, by its suffix. It is written aside and put in place whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from tilth.core.errors import InputError, StorageError
from tilth.core.figures import sql_text
from tilth.interfaces.cli import show

if TYPE_CHECKING:
    import pyarrow as pa


def checked(path: str, *, force: bool) -> str:
    """The suffix of a file that may be written; an error before anything is asked."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in FORMS:
        raise click.BadParameter(
            f"{path!r} has no suffix that says a format: {', '.join(FORMS)}.", param_hint="--output"
        )
    free(path, force=force)
    return suffix


def free(path: str, *, force: bool) -> None:
    """Return when a file may be put there."""
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path) or "."):
        raise click.BadParameter(f"There is no place for a file at {path!r}.", param_hint="--output")
    if os.path.exists(path) and not force:
        raise InputError(
            f"There is a file at {path} already.", hint="Name another, or write --force to replace it."
        )


def write(reader: pa.RecordBatchReader, path: str, suffix: str, *, force: bool) -> int:
    """Write all rows; how many. What stood there stays until the new file is whole."""
    counted = _Counted(reader)
    _put(lambda aside: FORMS[suffix](counted.reader(), aside), path, force=force)
    return counted.rows


def write_text(text: str, path: str, *, force: bool) -> None:
    """Write a text in the same way."""
    free(path, force=force)
    _put(lambda aside: Path(aside).write_text(text, encoding="utf-8"), path, force=force)


def write_bytes(content: bytes, path: str, *, force: bool) -> None:
    """Write bytes in the same way."""
    free(path, force=force)
    _put(lambda aside: Path(aside).write_bytes(content), path, force=force)


def _put(fill: Callable[[str], object], path: str, *, force: bool) -> None:
    """Have a file filled aside, and put it in place whole."""
    aside = f"{path}.part.{os.getpid()}"
    try:
        fill(aside)
        free(path, force=force)
        os.replace(aside, path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}).",
            hint="Free some space, or name a place that you may write to.",
        ) from error
    finally:
        if os.path.exists(aside):
            os.remove(aside)


class _Counted:
    """Counts the rows that pass."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader = reader
        self.rows = 0

    def reader(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        def batches() -> pa.RecordBatch:
            for batch in self._reader:
                self.rows += len(batch)
                yield batch

        return pa.RecordBatchReader.from_batches(self._reader.schema, batches())


def _text(
    fill: Callable[[pa.RecordBatchReader, TextIO], None],
) -> Callable[[pa.RecordBatchReader, str], None]:
    def made(reader: pa.RecordBatchReader, path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="") as out:
            fill(reader, out)

    return made


def _jsonl(reader: pa.RecordBatchReader, out: TextIO) -> None:
    out.writelines(f"{show.json_text(row)}\n" for row in show.mappings(reader))


def _md(reader: pa.RecordBatchReader, out: TextIO) -> None:
    names = [_md_cell(n) for n in reader.schema.names]
    out.write(f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n")
    for batch in reader:
        out.writelines(f"| {' | '.join(map(_md_cell, row))} |\n" for row in show.tuples(batch))


def _md_cell(value: object) -> str:
    text = show.clean(" ".join(sql_text(value).split()))
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _parquet(reader: pa.RecordBatchReader, path: str) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, reader.schema) as out:
        for batch in reader:
            out.write_batch(batch)


FORMS: Mapping[str, Callable[[pa.RecordBatchReader, str], None]] = {
    ".csv": _text(show.csv_rows),
    ".json": _text(show.json_rows),
    ".jsonl": _text(_jsonl),
    ".parquet": _parquet,
    ".md": _text(_md),
}
