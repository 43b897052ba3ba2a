"""Rows as SQL that MySQL takes, where each value stays what it is: INSERTs of many rows, none larger than the server allows.

Texts are written as they are, with their quotes doubled (`NO_BACKSLASH_ESCAPES` is set), bytes by their digits, doubles by all of
theirs. There is no NaN in MySQL, so one becomes NULL and is counted; an infinity is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.core.names import literal

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1 << 20  # bytes of a statement, where the server allows them


def inserts(
    head: str, batch: pa.RecordBatch, most: int, lost: Counter[str], before: int = 0
) -> Iterator[str]:
    """The statements that add the batch's rows; `head` is what stands before VALUES, `most` what the server allows of bytes."""
    columns = [_column(f, a, lost, before) for f, a in zip(batch.schema, batch.columns, strict=True)]
    kept: list[str] = []
    room, size = min(CHUNK, most // 2), 0
    for at, values in enumerate(zip(*columns, strict=True)):
        row = f"({','.join(values)})"
        weight = len(row) if row.isascii() else len(row.encode())
        if weight + len(head) + 16 > most:
            raise DataError(
                f"Row {before + at + 1:,} takes {weight:,} bytes, and the server takes {most:,} at once. Nothing was written.",
                hint="Raise its max_allowed_packet, or leave the long column out.",
            )
        if kept and size + weight > room:
            yield f"{head} VALUES {','.join(kept)}"
            kept, size = [], 0
        kept.append(row)
        size += weight + 1
    if kept:
        yield f"{head} VALUES {','.join(kept)}"


def _column(field: pa.Field, array: pa.Array, lost: Counter[str], before: int) -> Sequence[str]:
    """The values of a column as SQL."""
    import pyarrow.types as t

    kind = field.type
    if t.is_date(kind) or t.is_timestamp(kind) or t.is_time(kind):
        return _times(field.name, array, before)
    values = array.to_pylist()
    if t.is_floating(kind):
        return [_double(v, field.name, lost, before + i) for i, v in enumerate(values)]
    made: Callable[[Any], str] = str
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind):
        made = _bytes
    elif t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        made = literal
    return ["NULL" if v is None else made(v) for v in values]


def _bytes(value: bytes) -> str:
    return f"x'{value.hex()}'"


def _double(value: float | None, name: str, lost: Counter[str], row: int) -> str:
    if value is None:
        return "NULL"
    if math.isnan(value):
        lost[f"NaN of `{name}`, which became NULL: MySQL has none"] += 1
        return "NULL"
    if math.isinf(value):
        raise DataError(
            f"`{name}` is infinite in row {row + 1:,}, which MySQL does not keep. Nothing was written.",
            hint=f"Write CASE WHEN isfinite({name}) THEN {name} END AS {name} in the query.",
        )
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def _times(name: str, array: pa.Array, before: int) -> list[str]:
    try:
        values = array.to_pylist()
    except (OverflowError, ValueError):
        raise DataError(
            f"`{name}` holds a time beyond the years 1 to 9999 after row {before:,}, which MySQL does not keep. Nothing was written.",
            hint="Leave such rows out, or CAST the column to VARCHAR.",
        ) from None
    return ["NULL" if v is None else f"'{_time(v)}'" for v in values]


def _time(value: Any) -> str:
    if isinstance(value, datetime):
        plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return plain.isoformat(" ")
    return str(value.isoformat() if isinstance(value, date) else value)
