"""A column's values in Python, for doors that write them as text: what Python has no value for comes as text and fails nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def values(column: pa.Array, *, mapped: bool = False) -> list[Any]:
    """The column in Python's values; dates and times that Python has none for (BC, after 9999, infinity, nanoseconds) as text.

    Maps whose keys are texts are mappings, other maps lists of pairs; `mapped`: all maps, wherever they lie, whose keys can be keys.
    """
    import pyarrow as pa

    texts = pa.types.is_map(column.type) and pa.types.is_string(column.type.key_type)
    try:
        found: list[Any] = _coarser(column).to_pylist(maps_as_pydicts="lossy" if texts or mapped else None)
    except TypeError:  # a list is no key
        return values(column)
    except (OverflowError, ValueError):
        found = [_value(scalar) for scalar in column]
    return found


def _coarser(column: pa.Array) -> pa.Array:
    """Nanoseconds as microseconds, as far as Python's times go, or as text where that would lose some."""
    import pyarrow as pa

    if not (pa.types.is_timestamp(column.type) and column.type.unit == "ns"):
        return column
    try:
        return column.cast(pa.timestamp("us", column.type.tz))
    except pa.ArrowInvalid:
        return column.cast(pa.string())


def _value(scalar: Any) -> Any:
    import pyarrow as pa

    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(scalar[name]) for name in scalar}
        if isinstance(scalar, pa.MapScalar):
            return [tuple(_value(one).values()) for one in scalar.values]
        if isinstance(scalar, pa.ListScalar):
            return [_value(one) for one in scalar.values]
        return _beyond(scalar)


def _beyond(scalar: Any) -> str:
    """A date or time as text: as Arrow writes it, and DuckDB's infinities by their name."""
    import pyarrow as pa

    most = 2 ** (scalar.type.bit_width - 1) - 1
    if abs(scalar.value) >= most:
        return "infinity" if scalar.value > 0 else "-infinity"
    return str(scalar.cast(pa.string()).as_py())
