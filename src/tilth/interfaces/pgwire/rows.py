r"""Arrow batches as DataRow messages, in text or binary (PostgreSQL 18, 54.7 and the send functions of its types).

Columns are written as a whole, and rows are put together of them by position, so that a million cells take no million
steps of Python. Where PostgreSQL has a form of its own for a value, that is sent: `Infinity`, `t`, `\x00ff`, `1 mon 2 days`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tilth.interfaces.pgwire import arrays, types

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Bytes = npt.NDArray[np.uint8]
    Counts = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

TEXT, BINARY = 0, 1
DAYS, MICROS = 10_957, 946_684_800_000_000  # from 1970 to 2000, when PostgreSQL's time begins
INFINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
MONTHS = 12


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of a column one after another, those that are NULL left out: `lengths` [rows], -1 for NULL, and their bytes."""

    lengths: Counts
    data: Bytes


HEAD = 5  # bytes of a message before what it holds


def rows(
    batch: pa.RecordBatch, kinds: Sequence[types.Type], formats: Sequence[int], letter: bytes = b"D"
) -> bytes:
    """The messages of a batch, one a row; with the letter `d` they are those of a binary COPY."""
    import numpy as np

    count, wide = batch.num_rows, batch.num_columns
    if not count:
        return b""
    found = [cells(c, k, f) for c, k, f in zip(batch.columns, kinds, formats, strict=True)]
    size = np.full(count, HEAD + 2 + 4 * wide, dtype=np.int64)
    for one in found:
        size += np.maximum(one.lengths, 0)
    ends = np.cumsum(size)
    starts = ends - size
    out = np.empty(int(ends[-1]), dtype=np.uint8)
    out[starts] = ord(letter)
    _put(out, starts + 1, size - 1, 4)
    _put(out, starts + HEAD, np.full(count, wide), 2)
    at = starts + HEAD + 2
    for one in found:
        _put(out, at, one.lengths, 4)
        at += 4
        _spread(out, at, one)
        at += np.maximum(one.lengths, 0)
    return out.tobytes()


def joined(held: pa.LargeStringArray) -> bytes:
    """All texts one after another."""
    return _of_texts(held).data.tobytes()


def messages(letter: bytes, held: pa.LargeStringArray) -> bytes:
    """A message for each text."""
    import numpy as np

    found = _of_texts(held)
    size = found.lengths + HEAD
    ends = np.cumsum(size)
    out = np.empty(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    starts = ends - size
    out[starts] = ord(letter)
    _put(out, starts + 1, size - 1, 4)
    _spread(out, starts + HEAD, found)
    return out.tobytes()


def _put(out: Bytes, at: Counts, values: Counts, width: int) -> None:
    """Whole numbers of 2 or 4 bytes, the highest first."""
    sent = values.astype(f">i{width}").view("uint8").reshape(-1, width)
    for place in range(width):
        out[at + place] = sent[:, place]


def _spread(out: Bytes, at: Counts, found: Cells) -> None:
    """Each value at its row's place."""
    import numpy as np

    there = found.lengths > 0
    lengths, places = found.lengths[there], at[there]
    if not len(lengths):
        return
    if (width := int(lengths[0])) <= 16 and (lengths == width).all():
        table = found.data.reshape(-1, width)
        for place in range(width):
            out[places + place] = table[:, place]
        return
    before = np.cumsum(lengths) - lengths
    out[np.repeat(places - before, lengths) + np.arange(int(lengths.sum()))] = found.data


def cells(values: pa.Array, kind: types.Type, form: int) -> Cells:
    """One column as the type has it."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if (element := types.ELEMENTS.get(kind.oid)) is not None:
        return _array(values, element, form)
    made = (_BINARY if form == BINARY else _TEXT).get(kind.oid)
    return made(values) if made is not None else _of_texts(_plain_text(values))


def _array(values: pa.Array, element: int, form: int) -> Cells:
    """Lists: their elements as cells, put together list by list."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    held = cells(pc.list_flatten(values), types.BY_OID[element], form)
    ends = np.cumsum(np.maximum(held.lengths, 0))
    data = held.data.tobytes()
    each = (
        None if size < 0 else data[end - size : end]
        for end, size in zip(ends.tolist(), held.lengths.tolist(), strict=True)
    )
    counts = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    made = arrays.binaries(counts, each, element) if form == BINARY else arrays.texts(counts, each)
    valid = values.is_valid().to_pylist()
    return _of_texts(pa.array([m if there else None for m, there in zip(made, valid, strict=True)], pa.binary()))  # fmt: skip


# --- text --------------------------------------------------------------------------------------------------


def _of_texts(values: pa.Array) -> Cells:
    """Of a column of strings or bytes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    held = pc.cast(values, pa.large_binary())
    _, ends, data = held.buffers()
    offsets = np.frombuffer(ends, np.int64, len(held) + 1, held.offset * 8)
    lengths = np.diff(offsets)
    flat = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    flat = flat[offsets[0] : offsets[-1]] if len(held) else flat[:0]
    if held.null_count:
        valid = _valid(held)
        if (lengths[~valid] > 0).any():  # bytes of what is NULL, which are not sent
            flat = flat[np.repeat(valid, lengths)]
        lengths = np.where(valid, lengths, -1)
    return Cells(lengths, flat)


def _plain_text(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_nested(values.type):
        return _mapped(values, lambda v: json.dumps(v, default=str))
    if pa.types.is_date(values.type):
        return _endless(pc.cast(values, pa.date32()), pa.int32(), 2**31 - 1)
    return pc.cast(values, pa.string())


def _endless(values: pa.Array, whole: pa.DataType, most: int) -> pa.Array:
    """Days or moments as texts; the greatest and the least are infinity."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.cast(values, whole)
    texts = pc.cast(values, pa.string())
    for number, word in ((most, "infinity"), (-most, "-infinity")):
        if pc.any(pc.equal(numbers, number)).as_py():
            texts = pc.if_else(pc.equal(numbers, number), word, texts)
    return texts


def _mapped(values: pa.Array, write: Callable[[Any], str | bytes], binary: bool = False) -> pa.Array:
    import pyarrow as pa

    made = [None if v is None else write(v) for v in values.to_pylist()]
    return pa.array(made, pa.binary() if binary else pa.string())


def _text_booleans(values: pa.Array) -> Cells:
    import pyarrow.compute as pc

    return _of_texts(pc.if_else(values, "t", "f"))


def _text_floats(values: pa.Array) -> Cells:
    """The shortest text that reads back, without a `.0`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_float16(values.type):
        values = pc.cast(values, pa.float32())
    texts = pc.cast(values, pa.string())
    texts = pc.replace_substring_regex(texts, r"\.0$", "")
    size, most = pc.abs(values), LARGEST[values.type.bit_width]
    far = pc.and_(pc.or_(pc.less(size, 1e-4), pc.greater_equal(size, most)), pc.not_equal(size, 0))
    odd = pc.and_(pc.or_(far, pc.match_substring(texts, "e")), pc.is_finite(values))
    odd = pc.fill_null(odd, False)
    if pc.any(odd).as_py():
        texts = pc.replace_with_mask(texts, odd, _mapped(pc.filter(texts, odd), lambda t: _digits(t, most)))
    if not pc.all(pc.is_finite(values)).as_py():
        for name, word in INFINITE.items():
            texts = pc.if_else(pc.equal(texts, name), word, texts)
    return _of_texts(texts)


LARGEST = {32: 1e6, 64: 1e15}
"""From where on PostgreSQL writes numbers of so many bits with a power of ten; it does so below 0.0001 too."""


def _digits(text: str, most: float) -> str:
    """The same number as PostgreSQL writes it: with a power of ten, of at least two figures, where it is small or large.

    >>> [_digits(t, 1e15) for t in ("0.0000642", "1e+14", "-1e-7", "1000000000000000")]
    ['6.42e-05', '100000000000000', '-1e-07', '1e+15']
    """
    number = Decimal(text).normalize()
    if 1e-4 <= abs(number) < most:
        return f"{number:f}"
    mantissa, _, power = f"{number:e}".partition("e")
    return f"{mantissa}e{power[0]}{power[1:].zfill(2)}"


def _text_moments(zone: str) -> Callable[[pa.Array], Cells]:
    def write(values: pa.Array) -> Cells:
        import pyarrow as pa
        import pyarrow.compute as pc

        plain = pc.cast(pc.cast(values, pa.timestamp("us", values.type.tz), safe=False), pa.timestamp("us"))
        texts = _without_zeros(pc.cast(plain, pa.string()))
        texts = pc.binary_join_element_wise(texts, zone, "") if zone else texts
        numbers = pc.cast(plain, pa.int64())
        for number, word in ((2**63 - 1, "infinity"), (-(2**63) + 1, "-infinity")):
            if pc.any(pc.equal(numbers, number)).as_py():
                texts = pc.if_else(pc.equal(numbers, number), word, texts)
        return _of_texts(texts)

    return write


def _text_times(values: pa.Array) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    return _of_texts(_without_zeros(pc.cast(pc.cast(values, pa.time64("us"), safe=False), pa.string())))


def _without_zeros(texts: pa.Array) -> pa.Array:
    """Times without what ends a fraction of a second and says nothing."""
    import pyarrow.compute as pc

    return pc.replace_substring_regex(pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1"), r"\.$", "")


def _text_bytes(values: pa.Array) -> Cells:
    return _of_texts(_mapped(values, lambda v: "\\x" + v.hex()))


def _text_uuids(values: pa.Array) -> Cells:
    import uuid

    return _of_texts(_mapped(values, lambda v: str(uuid.UUID(bytes=v) if isinstance(v, bytes) else v)))


def _text_intervals(values: pa.Array) -> Cells:
    return _of_texts(_mapped(values, lambda v: interval_text(*_interval(v))))


def interval_text(months: int, days: int, micros: int) -> str:
    """As PostgreSQL's style `postgres` writes it.

    >>> interval_text(14, 3, 3_600_000_000), interval_text(0, 0, -1_500_000), interval_text(0, 0, 0)
    ('1 year 2 mons 3 days 01:00:00', '-00:00:01.5', '00:00:00')
    """
    years, rest = divmod(abs(months), MONTHS)
    sign, before = -1 if months < 0 else 1, False
    words = list[str]()
    for n, name in ((sign * years, "year"), (sign * rest, "mon"), (days, "day")):
        if n:
            plus = "+" if before and n > 0 else ""  # after one below zero the sign is told
            words.append(f"{plus}{n} {name}{'' if n == 1 else 's'}")
            before = n < 0
    if micros or not words:
        seconds, part = divmod(abs(micros), 1_000_000)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        mark = "-" if micros < 0 else "+" if before else ""
        words.append(f"{mark}{clock}{f'.{part:06}'.rstrip('0') if part else ''}")
    return " ".join(words)


def _interval(value: Any) -> tuple[int, int, int]:
    """Months, days and microseconds of an Arrow interval or a timedelta."""
    if hasattr(value, "months"):
        return value.months, value.days, value.nanoseconds // 1000
    return 0, value.days, value.seconds * 1_000_000 + value.microseconds


# --- binary ------------------------------------------------------------------------------------------------


def _valid(values: pa.Array) -> Mask:
    import numpy as np

    return np.asarray(values.is_valid())


def _of_numbers(values: pa.Array, kind: str) -> Cells:
    """Numbers of a fixed size, the highest byte first."""
    import numpy as np
    import pyarrow.compute as pc

    width = int(kind[-1])
    lengths = np.full(len(values), width, dtype=np.int64)
    if values.null_count:
        lengths[~_valid(values)] = -1
        values = pc.drop_null(values)
    plain = np.asarray(values.to_numpy(zero_copy_only=False))
    return Cells(lengths, np.ascontiguousarray(plain.astype(f">{kind}")).view(np.uint8).reshape(-1))


def _numbers(kind: str) -> Callable[[pa.Array], Cells]:
    return lambda values: _of_numbers(values, kind)


def _binary_booleans(values: pa.Array) -> Cells:
    import pyarrow as pa

    return _of_numbers(values.cast(pa.int8()), "i1")


def _binary_dates(values: pa.Array) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    days = pc.cast(pc.cast(values, pa.date32()), pa.int32())
    moved = pc.subtract(days, pa.scalar(DAYS, pa.int32()))
    for number, sent in (
        (2**31 - 1, 2**31 - 1),
        (-(2**31) + 1, -(2**31)),
    ):  # infinity, and what is before all
        if pc.any(pc.equal(days, number)).as_py():
            moved = pc.if_else(pc.equal(days, number), pa.scalar(sent, pa.int32()), moved)
    return _of_numbers(moved, "i4")


def _binary_times(values: pa.Array) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    return _of_numbers(pc.cast(pc.cast(values, pa.time64("us"), safe=False), pa.int64()), "i8")


def _binary_moments(values: pa.Array) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    micros = pc.cast(pc.cast(values, pa.timestamp("us", values.type.tz), safe=False), pa.int64())
    moved = pc.subtract(micros, pa.scalar(MICROS, pa.int64()))
    for number, sent in ((2**63 - 1, 2**63 - 1), (-(2**63) + 1, -(2**63))):
        if pc.any(pc.equal(micros, number)).as_py():
            moved = pc.if_else(pc.equal(micros, number), pa.scalar(sent, pa.int64()), moved)
    return _of_numbers(moved, "i8")


def _binary_decimals(values: pa.Array) -> Cells:
    return _of_texts(_mapped(values, numeric, binary=True))


def _binary_uuids(values: pa.Array) -> Cells:
    import uuid

    return _of_texts(
        _mapped(values, lambda v: v if isinstance(v, bytes) else uuid.UUID(str(v)).bytes, binary=True)
    )


def _binary_intervals(values: pa.Array) -> Cells:
    def write(value: Any) -> bytes:
        months, days, micros = _interval(value)
        return struct.pack("!qii", micros, days, months)

    return _of_texts(_mapped(values, write, binary=True))


def numeric(value: Decimal | int) -> bytes:
    """As PostgreSQL's numeric_send has it: digits to the base of 10,000, the weight of the first, the sign and the scale.

    >>> numeric(Decimal("-12345.678")).hex(" ", 2)
    '0003 0001 4000 0003 0001 0929 1a7c'
    """
    sign, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int), "an Arrow decimal is finite"
    scale = max(0, -exponent)
    text = "".join(map(str, digits)) + "0" * max(0, exponent)
    text = text.zfill(scale + 1)
    whole, part = (text[:-scale], text[-scale:]) if scale else (text, "")
    whole = whole.zfill(-(-len(whole) // 4) * 4)
    part = part.ljust(-(-len(part) // 4) * 4, "0")
    groups = [int((whole + part)[i : i + 4]) for i in range(0, len(whole + part), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups, weight = groups[1:], weight - 1
    while groups and groups[-1] == 0:
        groups = groups[:-1]
    if not groups:
        sign, weight = 0, 0
    return struct.pack(f"!hhHh{len(groups)}h", len(groups), weight, 0x4000 if sign else 0, scale, *groups)


_TEXT: Mapping[int, Callable[[pa.Array], Cells]] = {
    types.BOOL.oid: _text_booleans,
    types.FLOAT4.oid: _text_floats,
    types.FLOAT8.oid: _text_floats,
    types.TIMESTAMP.oid: _text_moments(""),
    types.TIMESTAMPTZ.oid: _text_moments("+00"),
    types.TIME.oid: _text_times,
    types.BYTEA.oid: _text_bytes,
    types.UUID.oid: _text_uuids,
    types.INTERVAL.oid: _text_intervals,
}
_BINARY: Mapping[int, Callable[[pa.Array], Cells]] = {
    types.BOOL.oid: _binary_booleans,
    types.INT2.oid: _numbers("i2"),
    types.INT4.oid: _numbers("i4"),
    types.INT8.oid: _numbers("i8"),
    types.FLOAT4.oid: _numbers("f4"),
    types.FLOAT8.oid: _numbers("f8"),
    types.DATE.oid: _binary_dates,
    types.TIME.oid: _binary_times,
    types.TIMESTAMP.oid: _binary_moments,
    types.TIMESTAMPTZ.oid: _binary_moments,
    types.NUMERIC.oid: _binary_decimals,
    types.UUID.oid: _binary_uuids,
    types.INTERVAL.oid: _binary_intervals,
    types.BYTEA.oid: _of_texts,
}
