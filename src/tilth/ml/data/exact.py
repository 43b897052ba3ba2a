"""Arrays made plain without changing a value: exact, or refused with the column, the row and what to write instead.

Which plain type a column has is decided in `snapshots`; here its values are brought into it. No value is ever shown.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.core.names import quoted

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array stands in a query's result: its column, and how many rows came before."""

    column: str = ""
    before: int = 0
    unsigned: bool = False  # of 128 bits, whose upper half Arrow shows below zero

    def refused(self, row: int, what: str, instead: str) -> DataError:
        """The error for row `row` of the array; in `instead`, {0} is the column."""
        return DataError(
            f"Column `{self.column}` of the query's result holds {what} in row {self.before + row + 1:,}.",
            hint=instead.format(quoted(self.column)),
        )


def unkept(column: str, kind: str) -> DataError:
    """The error for a column of a type that no snapshot keeps."""
    name = quoted(column)
    return DataError(
        f"Column `{column}` of the query's result is of type {kind}, which is not kept as it is.",
        hint=f"Write CAST({name} AS VARCHAR) AS {name} in the query, or leave the column out.",
    )


def plain_array(array: pa.Array, kind: pa.DataType, place: Place | None = None) -> pa.Array:
    """The array in a plain type; DataError when a value would not stay what it is."""
    import pyarrow as pa
    import pyarrow.types as t

    at = place or Place()
    if t.is_time64(kind) and t.is_time(array.type):
        _within_a_day(array, at)
    if array.type.equals(kind):
        return array
    if isinstance(array.type, pa.BaseExtensionType):
        return plain_array(array.storage, kind, at)
    if t.is_dictionary(array.type):
        return plain_array(array.dictionary_decode(), kind, at)
    if t.is_timestamp(array.type):
        return _timestamps(array, kind, at)
    if t.is_duration(array.type):
        scale = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[array.type.unit]
        return pa.array([None if v is None else v / scale for v in array.cast(pa.int64()).to_pylist()], kind)
    if t.is_interval(array.type):
        return pa.array([_seconds(v, i, at) for i, v in enumerate(array.to_pylist())], kind)
    if t.is_nested(array.type):
        return pa.array(_texts(array, at), kind)
    return _cast(array, kind, at)


# --- numbers -----------------------------------------------------------------------------------------------


def _cast(array: pa.Array, kind: pa.DataType, at: Place) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    try:
        made = array.cast(kind)
        if at.unsigned and (pc.min(made).as_py() or 0) < 0:
            raise at.refused(pc.index(pc.less(made, 0), True).as_py(), *_words(kind))
        # A decimal reaches a double without complaint: back again it must be itself.
        if not (t.is_decimal(array.type) and t.is_floating(kind)):
            return made
        back = made.cast(array.type)
    except pa.ArrowInvalid:
        row = _first(array, lambda part: part.cast(kind).cast(array.type) is None)
        raise at.refused(row, *_words(kind)) from None
    lost = pc.not_equal(back, array)
    if pc.any(lost, min_count=1).as_py():
        raise at.refused(pc.index(lost, True).as_py(), *_words(kind))
    return made


def _words(kind: pa.DataType) -> tuple[str, str]:
    import pyarrow.types as t

    if t.is_integer(kind):
        return "a whole number beyond 64 bits", (
            "Write CAST({0} AS DECIMAL(38,0)) AS {0} in the query, which keeps 38 digits, or CAST({0} AS VARCHAR) AS {0}."
        )
    if t.is_floating(kind):
        return "a number of more digits than a DOUBLE keeps", (
            "The dataset kept {0} as DOUBLE so far. Write CAST({0} AS VARCHAR) AS {0} or CAST({0} AS DOUBLE) AS {0} in the"
            " query, which declares it anew."
        )
    if t.is_time(kind):
        return (
            "a time with digits beyond microseconds",
            "Write CAST({0} AS TIME) AS {0} in the query, which rounds them.",
        )
    return f"a value that {kind} cannot keep", "Write CAST({0} AS VARCHAR) AS {0} in the query."


def _first(array: pa.Array, test: Any) -> int:
    """The row of the first value on which the test fails; it fails on the whole array."""
    import pyarrow as pa

    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            test(array.slice(low, middle - low))
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


# --- times -------------------------------------------------------------------------------------------------


def _timestamps(array: pa.Array, kind: pa.DataType, at: Place) -> pa.Array:
    import pyarrow as pa

    wanted = pa.timestamp(getattr(kind, "unit", "us"), tz=array.type.tz)
    try:
        return array.cast(wanted).cast(kind)
    except pa.ArrowInvalid:
        row = _first(array, lambda part: part.cast(wanted))
        fine = array.type.unit == "ns"
        what = "a time with digits beyond microseconds" if fine else "a time beyond the year 294246"
        instead = "Write CAST({0} AS TIMESTAMP) AS {0} in the query, which rounds them, or CAST({0} AS VARCHAR) AS {0}."
        raise at.refused(
            row, what, instead if fine else "Leave the row out: WHERE {0} < TIMESTAMP '9999-12-31'."
        ) from None


def _within_a_day(array: pa.Array, at: Place) -> None:
    """DataError for 24:00, which the types of programs do not have, and for digits beyond microseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.type.unit not in ("us", "ns"):
        return
    numbers, most = array.cast(pa.int64()), _DAY * (1000 if array.type.unit == "ns" else 1)
    if (pc.max(numbers).as_py() or 0) >= most:
        row = pc.index(pc.greater_equal(numbers, most), True).as_py()
        raise at.refused(
            row,
            "the time 24:00, which ends a day and is of none",
            "Write CAST({0} AS VARCHAR) AS {0} in the query.",
        )


def _seconds(value: Any, row: int, at: Place) -> float | None:
    """A month-day-nanosecond interval in seconds; a month is no number of them."""
    if value is None:
        return None
    if value.months:
        raise at.refused(
            row,
            "an interval of months, which are no number of seconds,",
            "Write CAST({0} AS VARCHAR) AS {0} in the query, or epoch({0}) AS {0}, which takes a month as 30 days.",
        )
    return float(value.days * 86_400 + value.nanoseconds / 1e9)


# --- lists and structs -------------------------------------------------------------------------------------


def _texts(array: pa.Array, at: Place) -> list[str | None]:
    """The values as JSON text."""
    try:
        return [None if v is None else json_text(v) for v in array.to_pylist()]
    except (OverflowError, ValueError):
        row = next(i for i, v in enumerate(array) if not _readable(v))
        raise at.refused(
            row, "a time outside the years 1 to 9999", "Write CAST({0} AS VARCHAR) AS {0} in the query."
        ) from None


def _readable(value: pa.Scalar) -> bool:
    try:
        value.as_py()
    except (OverflowError, ValueError):
        return False
    return True


def json_text(value: Any) -> str:
    """JSON, which has no word for what is no number: that becomes a text."""
    try:
        return json.dumps(value, default=_word, allow_nan=False)
    except ValueError:
        return json.dumps(_worded(value), default=_word, allow_nan=False)


def _word(value: Any) -> str:
    """What JSON has no word for, as text: bytes as DuckDB writes them."""
    if not isinstance(value, bytes):
        return str(value)
    return "".join(chr(b) if 32 <= b < 127 and chr(b) not in "\\'\"" else f"\\x{b:02X}" for b in value)


def _worded(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {k: _worded(v) for k, v in value.items()}
    return [_worded(v) for v in value] if isinstance(value, list | tuple) else value
