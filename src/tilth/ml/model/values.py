"""Which Python values an input of each type takes, and as what: the slow way that gives what the fast decoder would not.

Numpy's scalars count as Python's. NaN, infinities, NaT and NA are gaps. Nothing is rounded, cut or wrapped: `Misfit` says
that a value is none of the type's.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from tilth.core.schema import DataType
from tilth.ml.data.exact import json_text


class Misfit(ValueError):
    """The value is none of the type's."""


def fitted(value: Any, kind: DataType) -> Any:
    """The value as the type has it, or None for a gap; Misfit for one that the type has not.

    >>> fitted(3.0, DataType.INTEGER), fitted(float("nan"), DataType.INTEGER), fitted([1, "a"], DataType.JSON)
    (3, None, '[1, "a"]')
    """
    value = _python(value)
    if value is None or kind not in _FITS:
        return value
    return _FITS[kind](value)


def _python(value: Any) -> Any:
    """Numpy's and pandas' scalars as Python's; None for what stands for a missing value."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return None
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        if getattr(value, "ndim", 0):
            return value.tolist()
        value = _moment(value) if value.dtype.kind == "M" else value.item()
    elif isinstance(value, datetime) and hasattr(value, "to_pydatetime"):
        value = _of_pandas(value)
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return None
    return value


def _moment(value: Any) -> datetime | None:
    """Numpy's datetime64 as a naive one; what is finer than a microsecond is not cut off."""
    micros = value.astype("M8[us]")
    if micros != value and value == value:  # noqa: PLR0124 - NaT is not itself
        raise Misfit(value)
    found: datetime | None = micros.item()
    return found


def _of_pandas(value: Any) -> datetime:
    """A pandas Timestamp as a datetime; what is finer than a microsecond is not cut off."""
    if value.nanosecond:
        raise Misfit(value)
    found: datetime = value.to_pydatetime()
    return found


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Misfit(value)
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Misfit(value)
    if value != int(value) or not -(2**63) <= value < 2**63:
        raise Misfit(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Misfit(value)
    try:
        return float(value)
    except OverflowError as error:
        raise Misfit(value) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Misfit(value)
    return value


def _date(value: Any) -> date:
    value = _read(value)
    if isinstance(value, datetime):
        value = naive(value)
        if value.time() != time():
            raise Misfit(value)
        return datetime.date(value)
    if not isinstance(value, date):
        raise Misfit(value)
    return value


def _instant(value: Any) -> datetime:
    value = _read(value)
    if not isinstance(value, date):
        raise Misfit(value)
    return naive(value)


def _read(value: Any) -> Any:
    """A text in ISO 8601 as a date or a time."""
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value) if len(value) == len("2013-07-04") else datetime.fromisoformat(value)
    except ValueError as error:
        raise Misfit(value) from error


def naive(value: date) -> datetime:
    """A date or an instant as a naive one in UTC; Misfit where UTC has no year for it."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001
    try:
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise Misfit(value) from error


def _json(value: Any) -> str:
    """The text of a list or an object, as snapshots keep it."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list | tuple | dict):
        raise Misfit(value)
    return json_text(value)


_FITS: dict[DataType, Any] = {
    DataType.BOOLEAN: _boolean,
    DataType.INTEGER: _whole,
    DataType.FLOAT: _number,
    DataType.DECIMAL: _number,
    DataType.STRING: _text,
    DataType.JSON: _json,
    DataType.DATE: _date,
    DataType.TIMESTAMP: _instant,
}
