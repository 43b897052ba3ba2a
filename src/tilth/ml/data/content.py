"""The digest of rows as values: what a snapshot's identity rests on.

Each column is hashed as three streams (which rows have a value, lengths of texts, the values' bytes), so the cut
into batches, dictionary encoding and the width of integers make no difference; the order of rows does. How the
bytes of a file came about is no part of it; a file's own sha256 is the blob's name.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from tilth.core.canonical import canonical, digest

if TYPE_CHECKING:
    import pyarrow as pa


class ContentDigest:
    """A digest that rows are fed to, batch by batch."""

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = [_Column(f.name) for f in schema]
        self.rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the batch's rows."""
        self.rows += batch.num_rows
        for column, array in zip(self._columns, batch.columns, strict=True):
            column.update(array)

    def hexdigest(self) -> str:
        """sha256, in hex, of everything so far."""
        return digest(canonical([self.rows, [c.plain() for c in self._columns]]))


def content_of(table: pa.Table) -> str:
    """The digest of a table's rows.

    >>> import pyarrow as pa
    >>> content_of(pa.table({"a": ["x"]})) == content_of(pa.table({"a": pa.array(["x"]).dictionary_encode()}))
    True
    """
    hashed = ContentDigest(table.schema)
    for batch in table.to_batches():
        hashed.update(batch)
    return hashed.hexdigest()


class _Column:
    """The three streams of one column. Its kind is settled by the first batch (an empty column has none)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._kind = ""
        self._valid = hashlib.sha256()
        self._lengths = hashlib.sha256()
        self._values = hashlib.sha256()

    def plain(self) -> list[str]:
        streams = (self._valid, self._lengths, self._values)
        return [self._name, self._kind, *(s.hexdigest() for s in streams)]

    def update(self, array: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.types as t

        if len(array) == 0:
            return
        array = _decoded(array)
        self._valid.update(_bytes(pc.is_valid(array).cast(pa.uint8())))
        kind = array.type
        if t.is_string(kind) or t.is_binary(kind):
            self._text(array, "text" if t.is_string(kind) else "binary")
        elif t.is_decimal128(kind):
            self._fixed(array, f"decimal{kind.scale}")
        elif (number := _as_number(array)) is not None:
            self._fixed(number[1], number[0])
        else:
            values = [
                None if v is None else json.dumps(v, default=str, sort_keys=True) for v in array.to_pylist()
            ]
            self._text(pa.array(values, pa.string()), "nested")

    def _fixed(self, array: pa.Array, kind: str) -> None:
        self._kind = kind
        self._values.update(_bytes(_filled(array, 0)))

    def _text(self, array: pa.Array, kind: str) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._kind = kind
        filled = _filled(array, "" if kind != "binary" else b"")
        self._lengths.update(_bytes(pc.binary_length(filled).cast(pa.int32())))
        _, offsets, data = filled.buffers()
        if data is None:
            return
        ends = memoryview(offsets).cast("B").cast("i")
        first, last = ends[filled.offset], ends[filled.offset + len(filled)]
        self._values.update(memoryview(data)[first:last])


def _decoded(array: pa.Array) -> pa.Array:
    """Plain arrays: no extension, dictionary, view or large offsets."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(array.type, pa.BaseExtensionType):
        return _decoded(array.storage)
    if t.is_dictionary(array.type):
        return _decoded(array.dictionary_decode())
    if t.is_large_string(array.type) or t.is_string_view(array.type) or t.is_null(array.type):
        return array.cast(pa.string())
    if t.is_large_binary(array.type) or t.is_binary_view(array.type) or t.is_fixed_size_binary(array.type):
        return array.cast(pa.binary())
    return array


def _as_number(array: pa.Array) -> tuple[str, pa.Array] | None:
    """A name for the kind, and the values as 64-bit (or 8-bit) numbers; None for nested types."""
    import pyarrow as pa
    import pyarrow.types as t

    kind = array.type
    if t.is_boolean(kind):
        return "boolean", array.cast(pa.uint8())
    if t.is_integer(kind):
        return ("integer", array) if t.is_uint64(kind) else ("integer", array.cast(pa.int64()))
    if t.is_floating(kind):
        return "float", array.cast(pa.float64())
    if t.is_timestamp(kind):
        return "timestamp", array.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64())
    if t.is_date(kind):
        return "date", array.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    if t.is_time(kind):
        return "time", array.cast(pa.time64("us"), safe=False).cast(pa.int64())
    if t.is_duration(kind):
        return "interval", array.cast(pa.duration("us"), safe=False).cast(pa.int64())
    return None


def _filled(array: pa.Array, value: Any) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return array if array.null_count == 0 else pc.fill_null(array, pa.scalar(value, array.type))


def _bytes(array: pa.Array) -> memoryview:
    """The bytes of a fixed-width array without nulls."""
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    if data is None:
        return memoryview(b"")
    return memoryview(data)[array.offset * width : (array.offset + len(array)) * width]
