"""Results of prepared statements as vectors: many rows at once, from the bytes that the server sends.

In this form of MySQL's protocol a FLOAT comes as its four bytes, where its text would have six digits, and what a query
returns is known before it runs. The connection and its packets are PyMySQL's; rows are taken apart here, column by column with
numpy, since a Python object for each cell takes ten times as long. What a column's values become is `types`' business.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources.mysql.connecting import refused
from tilth.core.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROWS, BYTES = 65_536, 8 << 20  # a batch ends with either
_PREPARE, _EXECUTE = 0x16, 0x17
_LONG = 0xFFFFFF  # the size of a packet that goes on in the next
_FIXED = {
    1: 1,
    2: 2,
    13: 2,
    3: 4,
    9: 4,
    8: 8,
    4: 4,
    5: 8,
}  # bytes by type: whole numbers, year, float, double
_KINDS = {1: "i1", 2: "i2", 13: "i2", 3: "i4", 9: "i4", 8: "i8", 4: "f4", 5: "f8"}
DATES, TIMES, NULLS = frozenset({7, 10, 12, 14}), frozenset({11}), 6
_PAD = bytes(16)  # what may be looked at behind the last row


@dataclass(frozen=True, slots=True)
class Sent:
    """A column of a result as the server describes it."""

    name: str
    kind: int  # the protocol's number of its type
    flags: int
    charset: int
    length: int
    decimals: int

    @property
    def unsigned(self) -> bool:
        return bool(self.flags & 32)

    @property
    def required(self) -> bool:
        return bool(self.flags & 1)


@dataclass(frozen=True, slots=True)
class Moments:
    """Dates and times by their parts; those of durations count days and have a sign."""

    parts: np.ndarray[
        Any, Any
    ]  # year, month, day or days, hour, minute, second, microsecond: one column each
    negative: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Vector:
    """The values of a column in one batch: numbers, the parts of moments, or bytes; `null` says where there is none."""

    null: np.ndarray[Any, Any]
    numbers: np.ndarray[Any, Any] | None = None
    moments: Moments | None = None
    bytes: pa.Array | None = None


class Prepared:
    """A query that the server has read and not run; `columns` are what it returns."""

    def __init__(self, connection: Any, sql: str) -> None:
        self._connection = connection
        try:
            connection._execute_command(_PREPARE, sql)  # noqa: SLF001 - PyMySQL has no prepared statements of its own
            head = connection._read_packet().get_all_data()  # noqa: SLF001
            _, self._number, columns, parameters = struct.unpack("<BIHH", head[:9])
            for _ in range(parameters + bool(parameters)):
                connection._read_packet()  # noqa: SLF001
            self.columns = self._described(columns) if columns else ()
        except Exception as error:
            raise refused(error) from None
        if parameters:
            raise SourceError(
                "The native query has a `?`, and there is nothing to put there.", hint="Write the value."
            )

    def _described(self, count: int) -> tuple[Sent, ...]:
        from pymysql.protocol import FieldDescriptorPacket

        found = [self._connection._read_packet(FieldDescriptorPacket) for _ in range(count)]  # noqa: SLF001
        self._connection._read_packet()  # noqa: SLF001
        return tuple(Sent(f.name, f.type_code, f.flags, f.charsetnr, f.length, f.scale) for f in found)

    def batches(self) -> Iterator[list[Vector]]:
        """Run it, and give its rows as they come."""
        link = self._connection
        link._execute_command(_EXECUTE, struct.pack("<IBI", self._number, 0, 1))  # noqa: SLF001
        head = link._read_packet().get_all_data()  # noqa: SLF001
        if head[:1] in {b"\x00", b"\xfb"}:
            raise SourceError("The query returns no rows and no columns.", hint="Send a query that reads.")
        count = int(head[0]) if head[0] < 251 else int.from_bytes(head[1:3], "little")
        sent = self._described(count)
        if [c.kind for c in sent] != [c.kind for c in self.columns]:
            raise SourceError("The table's columns changed while it was read.", hint="Run it again.")
        return _Rows(link._rfile, sent).batches()  # noqa: SLF001


class _Rows:
    """The packets of rows, as they are in the connection's buffer."""

    def __init__(self, file: Any, columns: Sequence[Sent]) -> None:
        self._file, self._columns = file, columns
        self._data = bytearray()
        self._ended = False

    def batches(self) -> Iterator[list[Vector]]:
        while not self._ended:
            starts, ends, used = self._some()
            if starts:
                yield self._vectors(starts, ends)
            del self._data[:used]

    def _some(self) -> tuple[list[int], list[int], int]:
        """Where the rows of the next batch begin and end, and how many bytes they take."""
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        while len(starts) < ROWS and at < BYTES:
            self._have(at + 5)
            data, have = self._data, len(self._data)
            while at + 5 <= have and len(starts) < ROWS:
                size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
                end = at + 4 + size
                if size == _LONG or end > have or data[at + 4]:
                    break
                starts.append(at + 4)
                ends.append(end)
                at = end
            if len(starts) == ROWS or at + 5 > have:
                continue
            end = self._whole(at)
            if self._data[at + 4]:
                self._last(bytes(self._data[at + 4 : end]))
                break
            starts.append(at + 4)
            ends.append(end)
            at = end
        return starts, ends, at

    def _whole(self, at: int) -> int:
        """The end of the packet there, once all of it is there; one that goes on in others is joined with them."""
        size = int.from_bytes(self._data[at : at + 3], "little")
        end = at + 4 + size
        self._have(end)
        while size == _LONG:
            self._have(end + 4)
            size = int.from_bytes(self._data[end : end + 3], "little")
            del self._data[end : end + 4]
            end += size
            self._have(end)
        return end

    def _have(self, size: int) -> None:
        """Receive until there are so many bytes."""
        while len(self._data) < size:
            more = self._file.read1(1 << 20)
            if not more:
                raise EOFError("the connection ended")
            self._data += more

    def _last(self, packet: bytes) -> None:
        """The end of the rows, or the error that ended them."""
        from pymysql.err import raise_mysql_exception

        if packet[0] == 0xFF:
            raise_mysql_exception(packet)
        if packet[0] != 0xFE or len(packet) >= 9:
            raise SourceError("The server sent what is no row.", hint="Run it again.")
        self._ended = True

    def _vectors(self, starts: list[int], ends: list[int]) -> list[Vector]:
        import numpy as np

        data = np.frombuffer(bytes(self._data[: ends[-1]]) + _PAD, np.uint8)
        first, last = np.array(starts, np.int64), np.array(ends, np.int64)
        at = first + 1 + (len(self._columns) + 9) // 8
        out = []
        for i, column in enumerate(self._columns):
            place, bit = divmod(i + 2, 8)
            null = (data[first + 1 + place] >> bit & 1).astype(bool)
            if (at > last).any():
                break
            vector, at = _vector(data, at, null, column, last)
            out.append(vector)
        if len(out) < len(self._columns) or (at != last).any():
            raise SourceError("The server sent a row that does not fit its columns.", hint="Run it again.")
        return out


def _vector(data: Any, at: Any, null: Any, column: Sent, last: Any) -> tuple[Vector, Any]:
    """The column's values and where the next column's are."""
    import numpy as np

    kind = column.kind
    if kind == NULLS:
        return Vector(null), at
    if kind in _FIXED:
        form = _KINDS[kind]
        form = form.replace("i", "u") if column.unsigned or kind == 13 else form
        size = _FIXED[kind]
        return Vector(null, numbers=_numbers(data, at, f"<{form}")), at + np.where(null, 0, size)
    if kind in DATES or kind in TIMES:
        taken = np.where(null, 0, data[at]).astype(np.int64)
        moments = _durations(data, at + 1, taken) if kind in TIMES else _moments(data, at + 1, taken)
        return Vector(null, moments=moments), at + np.where(null, 0, taken + 1)
    start, length = _sized(data, at, null)
    if (start + length > last).any():
        raise SourceError("The server sent a row that does not fit its columns.", hint="Run it again.")
    return Vector(null, bytes=_bytes(data, start, length, null)), start + length


def _numbers(data: Any, at: Any, form: str) -> Any:
    """The numbers that begin at these bytes, wherever those are."""
    import numpy as np

    size = np.dtype(form).itemsize
    view: Any = np.ndarray((len(data) - size + 1,), form, data, strides=(1,))
    return view[np.minimum(at, len(view) - 1)]


def _sized(data: Any, at: Any, null: Any) -> tuple[Any, Any]:
    """Where texts begin and how long they are."""
    import numpy as np

    first = data[at].astype(np.int64)
    length, head = np.where(null, 0, first), np.where(null, 0, 1)
    for mark, bits, size in ((252, 0xFFFF, 3), (253, 0xFFFFFF, 4), (254, 0x7FFFFFFFFFFFFFFF, 9)):
        found = (first == mark) & ~null
        if found.any():
            wide = _numbers(data, at + 1, "<i8") & bits
            length, head = np.where(found, wide, length), np.where(found, size, head)
    return at + head, length


def _bytes(data: Any, start: Any, length: Any, null: Any) -> Any:
    """The bytes as an Arrow array."""
    import numpy as np
    import pyarrow as pa

    total = int(length.sum())
    offsets = np.zeros(len(start) + 1, np.int64)
    np.cumsum(length, out=offsets[1:])
    if total > 256 * len(start):
        kept = b"".join(
            data[a : a + n].tobytes() for a, n in zip(start.tolist(), length.tolist(), strict=True)
        )
    else:
        kept = data[np.repeat(start - offsets[:-1], length) + np.arange(total)].tobytes()
    valid = pa.array(~null).buffers()[1] if null.any() else None
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(kept)]
    return pa.Array.from_buffers(pa.large_binary(), len(start), buffers, int(null.sum()))


def _moments(data: Any, at: Any, size: Any) -> Moments:
    import numpy as np

    parts = np.zeros((7, len(at)), np.int64)
    parts[0] = np.where(size >= 4, _numbers(data, at, "<u2"), 0)
    for row, place, least in ((1, 2, 4), (2, 3, 4), (3, 4, 7), (4, 5, 7), (5, 6, 7)):
        parts[row] = np.where(size >= least, _numbers(data, at + place, "u1"), 0)
    parts[6] = np.where(size >= 11, _numbers(data, at + 7, "<u4"), 0)
    return Moments(parts, np.zeros(len(at), bool))


def _durations(data: Any, at: Any, size: Any) -> Moments:
    import numpy as np

    parts = np.zeros((7, len(at)), np.int64)
    parts[2] = np.where(size >= 8, _numbers(data, at + 1, "<u4"), 0)
    for row, place in ((3, 5), (4, 6), (5, 7)):
        parts[row] = np.where(size >= 8, _numbers(data, at + place, "u1"), 0)
    parts[6] = np.where(size >= 12, _numbers(data, at + 8, "<u4"), 0)
    return Moments(parts, (size >= 8) & (_numbers(data, at, "u1") == 1))
