r"""Rows as COPY sends them: text, csv or binary (PostgreSQL 18, the page of COPY).

Text has a line a row with tabs between values, `\N` for NULL and backslashes before what would be taken for either.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tilth.core.errors import InputError
from tilth.interfaces.pgwire import rows, types
from tilth.interfaces.pgwire.commands import CopyOut, Tilth
from tilth.interfaces.pgwire.said import copied

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

BEGINS = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
ENDS = struct.pack("!h", -1)
TEXTUAL = frozenset({types.TEXT.oid, types.JSON.oid, types.BYTEA.oid, types.UNKNOWN.oid, *types.ELEMENTS})
"""Types whose texts may hold what a line is made of."""
_ESCAPES = (
    ("\\", "\\\\"),
    ("\n", "\\n"),
    ("\r", "\\r"),
    ("\t", "\\t"),
    ("\b", "\\b"),
    ("\f", "\\f"),
    ("\v", "\\v"),
)


def checked(copy: CopyOut) -> tuple[str, str]:
    """The delimiter and what stands for NULL; InputError for those that no line can hold."""
    delimiter = copy.delimiter if copy.delimiter is not None else ("," if copy.form == "csv" else "\t")
    null = copy.null if copy.null is not None else ("" if copy.form == "csv" else "\\N")
    if len(delimiter.encode()) != 1 or delimiter in '\r\n\\."' + "abcdefghijklmnopqrstuvwxyz0123456789":
        raise InputError(f"{delimiter!r} cannot stand between values.", hint="Write one such as ';' or ','.")
    if set("\r\n") & set(null) or len(copy.quote.encode()) != 1 or copy.quote == delimiter:
        raise InputError("NULL or QUOTE has what ends a line or a value.", hint="Leave them out.")
    return delimiter, null


def data(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], kinds: Sequence[types.Type], copy: CopyOut
) -> Iterator[bytes]:
    """The CopyData messages, one a row: clients go by that, though the protocol does not say so."""
    if copy.form == "binary":
        yield from _binary(batches, kinds)
        return
    delimiter, null = checked(copy)
    if copy.header:
        shown = [_quoted(n, delimiter, copy.quote) if copy.form == "csv" else _escaped(n) for n in names]
        yield copied((delimiter.join(shown) + "\n").encode())
    for batch in batches:
        if batch.num_rows:
            yield _lines(batch, kinds, copy, delimiter, null)


def _binary(batches: Iterable[pa.RecordBatch], kinds: Sequence[types.Type]) -> Iterator[bytes]:
    """The signature lies in the message of the first row, and alone with the end where there is none."""
    formats, begun = (rows.BINARY,) * len(kinds), False
    for batch in batches:
        found = rows.rows(batch, kinds, formats, b"d")
        if not begun and found:
            begun, end = True, 1 + int.from_bytes(found[1:5], "big")
            yield copied(BEGINS + found[rows.HEAD : end])
            found = found[end:]
        yield found
    yield copied(ENDS if begun else BEGINS + ENDS)


def csv(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], kinds: Sequence[types.Type]
) -> Iterator[bytes]:
    """The same rows as a file of CSV with a header, in pieces."""
    copy = CopyOut(Tilth("", 0, ()), "csv", header=True)
    yield (",".join(_quoted(n, ",", copy.quote) for n in names) + "\n").encode()
    for batch in batches:
        if batch.num_rows and kinds:
            yield rows.joined(_ended(batch, kinds, copy, ",", ""))


def _lines(
    batch: pa.RecordBatch, kinds: Sequence[types.Type], copy: CopyOut, delimiter: str, null: str
) -> bytes:
    if not kinds:
        return copied(b"\n") * int(batch.num_rows)
    return rows.messages(b"d", _ended(batch, kinds, copy, delimiter, null))


def _ended(
    batch: pa.RecordBatch, kinds: Sequence[types.Type], copy: CopyOut, delimiter: str, null: str
) -> pa.LargeStringArray:
    """The line of each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [
        _column(rows.cells(c, k, rows.TEXT), k, copy, delimiter, null)
        for c, k in zip(batch.columns, kinds, strict=True)
    ]
    whole = pc.binary_join_element_wise(
        *columns, pa.scalar(delimiter, pa.large_string()), null_handling="replace", null_replacement=null
    )
    return pc.binary_join_element_wise(
        whole, pa.scalar("", pa.large_string()), pa.scalar("\n", pa.large_string())
    )


def _column(found: rows.Cells, kind: types.Type, copy: CopyOut, delimiter: str, null: str) -> pa.Array:
    """Texts with all that would end them written otherwise; NULL stays NULL."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets = np.concatenate([[0], np.cumsum(np.maximum(found.lengths, 0))]).astype(np.int64)
    valid = found.lengths >= 0
    mask = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    held = pa.LargeStringArray.from_buffers(
        len(valid), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(found.data)), mask
    )
    if copy.form == "text":
        for plain, written in (*_ESCAPES, (delimiter, f"\\{delimiter}")) if _odd(kind, delimiter) else ():
            if delimiter == "\t" and plain == delimiter and written == "\\\t":
                continue
            held = pc.replace_substring(held, plain, written)
        return held
    marks = "[" + "".join(f"\\{c}" if c in r"\]^-" else c for c in (delimiter, copy.quote)) + "\r\n]"
    odd = pc.match_substring_regex(held, marks)
    odd = pc.or_(odd, pc.equal(held, null))  # a text that looks like NULL
    odd = pc.or_(odd, pc.equal(held, "\\."))
    doubled = pc.replace_substring(held, copy.quote, copy.quote * 2)
    quote = pa.scalar(copy.quote, pa.large_string())
    return pc.if_else(
        odd, pc.binary_join_element_wise(quote, doubled, quote, pa.scalar("", pa.large_string())), held
    )


def _odd(kind: types.Type, delimiter: str) -> bool:
    return kind.oid in TEXTUAL or delimiter not in "\t,;|"


def _escaped(text: str) -> str:
    for plain, written in _ESCAPES:
        text = text.replace(plain, written)
    return text


def _quoted(text: str, delimiter: str, quote: str) -> str:
    if not text or set(text) & {delimiter, quote, "\r", "\n"}:
        return f"{quote}{text.replace(quote, quote * 2)}{quote}"
    return text
