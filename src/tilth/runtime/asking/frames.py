"""Frames of a Python program as tables of a query: `FROM $frame`. Anything that gives Arrow is one; no variable is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.ml.data.snapshots import plain_schema
from tilth.ports.arrow import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

WHAT = "Give a pandas or polars frame, an Arrow table or reader, or what has __arrow_c_stream__."


class Frames:
    """Implements `ports.source.Source` over frames by name. A reader is read once, by the query that names it."""

    def __init__(self, frames: Mapping[str, Any]) -> None:
        self._frames = {name.lower(): arrow_of(name, frame) for name, frame in frames.items()}
        self._read: set[str] = set()

    def tables(self) -> tuple[str, ...]:
        return tuple(sorted(self._frames))

    def describe(self, table: str) -> Schema:
        return schema_of(plain_schema(self._get(table).schema))

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        """The frame's columns in their order; filters are left to the engine, which has the whole query."""
        import pyarrow as pa

        found = self._get(scan.table)
        if isinstance(found, pa.RecordBatchReader):
            if scan.table.lower() in self._read:
                raise UnsupportedError(
                    f"`${scan.table}` is a reader, which can be read once, and this query reads it twice.",
                    hint="Give a table: reader.read_all().",
                )
            self._read.add(scan.table.lower())
            return found if scan.columns is None else _selected(found, scan.columns)
        return (found if scan.columns is None else found.select(list(scan.columns))).to_reader()

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise UnsupportedError(f"A frame has no native language: {sql[:40]!r}.", hint="Write SELECT.")

    def change_token(self, table: str) -> str | None:
        del table
        return None

    def close(self) -> None: ...

    def _get(self, table: str) -> pa.Table | pa.RecordBatchReader:
        found = self._frames.get(table.lower())
        if found is None:
            raise UnknownNameError(
                f"No frame `${table}` is given.", hint=did_you_mean(table, self._frames, "frames")
            )
        return found


def arrow_of(name: str, frame: Any) -> pa.Table | pa.RecordBatchReader:
    """The frame as Arrow, a reader as it is; InputError for what is none, or holds what Arrow has no type for."""
    import pyarrow as pa

    if isinstance(frame, pa.RecordBatchReader):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if type(frame).__module__.partition(".")[0] == "polars" and hasattr(frame, "collect"):
        frame = frame.collect()
    try:
        if isinstance(frame, pa.Table):
            found = frame
        elif hasattr(frame, "__arrow_c_stream__"):
            found = pa.table(frame)
        elif hasattr(frame, "to_parquet"):  # pandas of before it gave Arrow itself
            found = pa.Table.from_pandas(frame)
        else:
            raise InputError(f"`{name}` is a {type(frame).__name__}, which is no frame.", hint=WHAT)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(
            f"`{name}` cannot be read as a table: {str(error.args[-1])[:200] if error.args else error}.",
            hint="Give each column one type.",
        ) from error
    return _without_index(name, found)


def _without_index(name: str, table: pa.Table) -> pa.Table:
    """Without the row numbers that pandas adds; InputError for columns of one name."""
    table = table.select([i for i, n in enumerate(table.column_names) if not n.startswith("__index_level_")])
    lowered = [n.lower() for n in table.column_names]
    if twice := next((n for n in table.column_names if lowered.count(n.lower()) > 1), None):
        raise InputError(f"`{name}` has two columns `{twice}`.", hint="Rename one of them.")
    return table


def _selected(reader: pa.RecordBatchReader, columns: Sequence[str]) -> pa.RecordBatchReader:
    import pyarrow as pa

    schema = pa.schema([reader.schema.field(c) for c in columns])
    return pa.RecordBatchReader.from_batches(schema, (b.select(list(columns)) for b in reader))
