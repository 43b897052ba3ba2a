"""Rows written as Parquet parts, and the parts of a manifest read back.

A part is written once and hashed on the way: its content digest, its event times and whether its rows came in
order. What goes into a snapshot is decided in `collect`; where files are kept is the blobs' port.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DamagedError
from tilth.core.schema import DataType, Schema
from tilth.ml.data.content import ContentDigest
from tilth.ml.data.exact import Place, plain_array, unkept
from tilth.ml.data.identity import row_ids
from tilth.ports.arrow import arrow_type, data_type, plain_type
from tilth.ports.blobs import Blobs
from tilth.ports.engine import SQL_TYPE, Relation
from tilth.ports.snapshots import Manifest, Part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

PART_ROWS = 2_000_000  # a part is closed after so many rows
SMALL_ROWS = 32_768  # a last part below this is joined with what comes next
GROUP_ROWS = 131_072
LEAST_GROUP_ROWS = 65_536  # but for the last group of a file
FEW_ROWS = 1_000_000  # up to so many, Arrow reads a query's input
ARROWS_OWN = frozenset(
    {"__filename", "__fragment_index", "__batch_index", "__last_in_fragment"}
)  # in a scan of a dataset


@dataclass(frozen=True, slots=True)
class Written:
    """A finished Parquet file that is not yet a blob."""

    path: str
    content: str
    rows: int
    event_min: str | None = None
    event_max: str | None = None
    ids: str | None = None  # the file with the ids of its rows

    def put(self, blobs: Blobs) -> Part:
        """The files as blobs, and the part that names them."""
        size = os.path.getsize(self.path)
        blob = blobs.put_file(self.path)
        ids = blobs.put_file(self.ids) if self.ids else None
        return Part(blob, self.content, self.rows, size, self.event_min, self.event_max, ids)


@dataclass(frozen=True, slots=True)
class Marks:
    """What is noted of rows while they are written: the span of a column of times, and ids made from columns."""

    event_time: str | None = None
    identity: tuple[str, ...] = ()


class PartWriter:
    """Writes one Parquet file (zstd, statistics) from batches of one schema."""

    def __init__(self, path: str, schema: pa.Schema, marks: Marks) -> None:
        self._path = path
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._event = schema.get_field_index(marks.event_time) if marks.event_time else -1
        self._identity = marks.identity
        self._ids: list[bytes] = []
        self._low: Any = None
        self._high: Any = None
        self._file: Any = None  # opened with the first rows: they show how to store each column
        self._waiting: list[pa.RecordBatch] = []  # a group of rows each, however small the batches are
        self._waiting_rows = 0

    @property
    def rows(self) -> int:
        return self._digest.rows

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._digest.update(batch)
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= LEAST_GROUP_ROWS:
            self._flush()
        if self._identity:
            self._ids.append(row_ids(batch, self._identity).astype("<u8").tobytes())
        if self._event >= 0 and batch.num_rows:
            low, high = _span(batch.column(self._event))
            self._low = low if self._low is None else min(self._low, low or self._low)
            self._high = high if self._high is None else max(self._high, high or self._high)

    def _flush(self) -> None:
        """Write what waits as one group of rows (of GROUP_ROWS at most)."""
        import pyarrow as pa

        table = pa.Table.from_batches(self._waiting, self._schema)
        if self._file is None:
            self._file = _opened(self._path, self._schema, table)
        if table.num_rows:
            self._file.write_table(table, row_group_size=GROUP_ROWS)
        self._waiting, self._waiting_rows = [], 0

    def finish(self) -> Written:
        """Close the file."""
        if self._waiting or self._file is None:
            self._flush()
        self._file.close()
        low, high = event_text(self._low), event_text(self._high)
        return Written(self._path, self._digest.hexdigest(), self._digest.rows, low, high, self._kept_ids())

    def _kept_ids(self) -> str | None:
        if not self._identity:
            return None
        path = f"{self._path}.ids"
        with open(path, "wb") as file:
            file.writelines(self._ids)
        return path


def _span(times: pa.Array) -> tuple[Any, Any]:
    """The least and the greatest; none when one is in no calendar, a row of which is on its way into quarantine."""
    import pyarrow.compute as pc

    try:
        ends = pc.min_max(times).as_py()
    except (OverflowError, ValueError):
        return None, None
    return ends["min"], ends["max"]


def _opened(path: str, schema: pa.Schema, first: pa.Table) -> Any:
    """The Parquet file. Texts and numbers that repeat get a dictionary, which doubles time and size for others.

    Whole numbers and times that do not repeat in the first rows are stored as differences, a fraction of their size.
    """
    import pyarrow.parquet as pq

    coded = [f.name for f in schema if data_type(f.type) is not DataType.FLOAT]
    distinct = {
        f.name: "DELTA_BINARY_PACKED"
        for f in schema
        if data_type(f.type) in _COUNTED and first.num_rows and _mostly_distinct(first, f.name)
    }
    coded = [name for name in coded if name not in distinct]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=coded or False,
        column_encoding=distinct or None,
    )


_COUNTED = frozenset({DataType.INTEGER, DataType.TIMESTAMP, DataType.TIME, DataType.DATE})


def _mostly_distinct(rows: pa.Table, name: str) -> bool:
    import pyarrow.compute as pc

    looked = rows.column(name).slice(0, 4096)
    return int(pc.count_distinct(looked, "all").as_py()) * 2 > len(looked)


def event_text(value: date | datetime | None) -> str | None:
    """An event time as manifests keep it: ISO with microseconds and without offset, so that texts sort as times."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - data holds naive UTC times
    return value.replace(tzinfo=None).isoformat(timespec="microseconds")


def write_parts(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    folder: str,
    marks: Marks,
    stem: str = "part",
) -> list[Written]:
    """The rows as files of at most PART_ROWS rows each; the cut depends on the rows alone, not on the batches."""
    done: list[Written] = []
    writer: PartWriter | None = None
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            if writer is None:
                path = os.path.join(folder, f"{stem}-{len(done)}.parquet")
                writer = PartWriter(path, schema, marks)
            piece = batch.slice(start, PART_ROWS - writer.rows)
            writer.write(piece)
            start += piece.num_rows
            if writer.rows == PART_ROWS:
                done.append(writer.finish())
                writer = None
    if writer is not None:
        done.append(writer.finish())
    return done


def paths(manifest: Manifest, blobs: Blobs) -> list[str]:
    """Local Parquet files that hold the snapshot's rows, in order."""
    with damage_told(manifest):
        return [blobs.path(p.blob) for p in manifest.parts]


@contextmanager
def damage_told(manifest: Manifest) -> Iterator[None]:
    """In the block, a damaged file is told as one of this snapshot's dataset, with what mends it."""
    try:
        yield
    except DamagedError as error:
        raise DamagedError(
            f"A file of dataset `{manifest.dataset}` is not what was stored. {error.message}",
            hint=f'Run: tilth sql "REFRESH DATASET {manifest.dataset}"   '
            "It is collected again where its sources still hold the rows; else: tilth restore FILE",
        ) from error


def relation(manifest: Manifest, blobs: Blobs) -> Sequence[str] | pa.Table:
    """The snapshot as an input of the query engine (a table without rows when it has no part)."""
    return paths(manifest, blobs) or empty(manifest.schema)


def opened(files: Sequence[str], rows: int) -> Relation:
    """Files of one schema as an input of one query. Few rows go through Arrow: that saves a database of the engine's own,
    which takes longer to make than they take to read.
    """
    import pyarrow.dataset as ds

    if rows > FEW_ROWS:
        return list(files)
    found = ds.dataset(list(files), format="parquet")
    return list(files) if ARROWS_OWN.intersection(found.schema.names) else found


def read(manifest: Manifest, blobs: Blobs, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
    """The snapshot's rows as a stream."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = paths(manifest, blobs)
    if not files:
        table = empty(manifest.schema)
        return (table.select(list(columns)) if columns is not None else table).to_reader()
    schema = pq.read_schema(files[0])
    if columns is not None:
        schema = pa.schema([schema.field(c) for c in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for path in files:
            for batch in file_batches(path, columns):
                yield batch.select(schema.names).cast(schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def file_batches(path: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of one Parquet file. Row groups are asked for one by one: pyarrow keeps what it has read of each until the last."""
    import pyarrow.parquet as pq

    wanted = list(columns) if columns is not None else None
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from file.iter_batches(65_536, row_groups=[group], columns=wanted)


def file_rows(path: str, columns: Sequence[str] | None = None, *, mapped: bool = False) -> pa.Table:
    """The rows of one Parquet file at once, with these columns in this order; `mapped` leaves the bytes to the disk's cache.

    Not `pq.read_table`: that loads pandas where it is installed, and makes columns of folders called `a=b`.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=mapped) as file:
        table = file.read(columns=list(columns) if columns is not None else None)
    return table if columns is None else table.select(list(columns))


def part_ids(part: Part, blobs: Blobs, columns: Sequence[str]) -> npt.NDArray[np.uint64]:
    """The ids of one part's rows: those written with it, or made now of `columns`, which they are or would be made of."""
    return file_ids(blobs.path(part.blob), blobs.path(part.ids) if part.ids else None, columns)


def file_ids(rows: str, ids: str | None, columns: Sequence[str]) -> npt.NDArray[np.uint64]:
    """The ids of a Parquet file's rows, from the file that keeps them or made now."""
    import numpy as np
    import pyarrow.parquet as pq

    if ids is None:
        made = [row_ids(batch, columns) for batch in file_batches(rows, columns)]
        return np.concatenate([np.empty(0, np.uint64), *made])
    found = np.fromfile(ids, dtype="<u8").astype(np.uint64)
    if len(found) != (count := pq.read_metadata(rows).num_rows):
        raise DamagedError(
            f"The ids of {count:,} rows were kept, and {len(found):,} are there: a blob is damaged.",
            hint="Restore the blobs from a backup, or refresh the dataset.",
            detail=(ids,),
        )
    return found


# --- types -------------------------------------------------------------------------------------------------


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema as snapshots keep it: naive UTC microseconds, plain text, no extension, nothing but values.

    Lists and structs become JSON text, intervals seconds, whole numbers 64 bits: Parquet readers and models agree on
    these. A type whose values would not stay what they are is a DataError.
    """
    import pyarrow as pa

    return pa.schema([pa.field(f.name, _kept(f)) for f in schema])


def _kept(field: pa.Field) -> pa.DataType:
    import pyarrow as pa

    noted = (field.metadata or {}).get(SQL_TYPE, b"").decode()
    if noted in ("HUGEINT", "UHUGEINT"):  # SUM of whole numbers, for one
        return pa.int64()
    if noted:
        raise unkept(field.name, noted)
    if pa.types.is_decimal(field.type) and field.type.precision > 38:
        raise unkept(field.name, f"DECIMAL({field.type.precision},{field.type.scale})")
    return plain_type(field.type)


def plain_batches(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The reader's batches with columns in the types of `schema` (one of `plain_schema`)."""
    import pyarrow as pa

    unsigned = [(f.metadata or {}).get(SQL_TYPE) == b"UHUGEINT" for f in reader.schema]
    rows = 0
    for batch in reader:
        columns = [
            plain_array(c, f.type, Place(f.name, rows, u))
            for c, f, u in zip(batch.columns, schema, unsigned, strict=True)
        ]
        rows += batch.num_rows
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def empty(schema: Schema) -> pa.Table:
    """A table of that schema without rows."""
    import pyarrow as pa

    return pa.schema([pa.field(f.name, arrow_type(f.type)) for f in schema]).empty_table()
