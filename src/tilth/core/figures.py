"""How values are written for people: figures that keep the digits before the point, and values as SQL prints them.

A figure is for sentences and summaries (`roc_auc 0.6894`, `mae 49,871`); `sql_text` is for the cells of a result and is
exact, except that it has no quotes around texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

PLAIN = 1e16  # from here on a float is written with an exponent, as DuckDB and Python do


def figure(value: float, digits: int = 4, *, signed: bool = False) -> str:
    """The number to so many digits, and with all of those before the point.

    >>> figure(204912.34), figure(0.68936), figure(-3.0), figure(0.5, signed=True)
    ('204,912', '0.6894', '-3', '+0.5')
    """
    sign = "+" if signed else ""
    if not math.isfinite(value) or abs(value) >= PLAIN or 0 < abs(value) < 1e-4:
        return f"{value:{sign}.{digits}g}"
    rounded = float(f"{value:.{digits - 1}e}")
    before = math.floor(math.log10(abs(rounded))) + 1 if rounded else 1
    text = f"{value:{sign},.{max(0, digits - before)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def edge(value: float) -> str:
    """The least or greatest value there was: whole numbers as they are, others so that 118.75 is not told as 118.8.

    >>> edge(20131231), edge(118.75), edge(8684.8), edge(1 / 3)
    ('20131231', '118.75', '8,684.8', '0.33333333')
    """
    return sql_text(value) if isinstance(value, int) else figure(value, 8)


def sql_text(value: Any) -> str:
    """The value as DuckDB writes it as text; '' for NULL.

    >>> sql_text(True), sql_text({"a": [1, None]}), sql_text(timedelta(days=1, seconds=7200)), sql_text(2.049e5)
    ('true', "{'a': [1, NULL]}", '1 day 02:00:00', '204900.0')
    """
    return "" if value is None else _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return _moment(value.isoformat(sep=" "))
    if isinstance(value, date | time):
        return _moment(value.isoformat())
    if isinstance(value, timedelta):
        return _interval(0, value.days, (value.seconds * 1_000_000 + value.microseconds) * 1_000)
    if hasattr(value, "nanoseconds") and hasattr(value, "months"):
        return _interval(value.months, value.days, value.nanoseconds)
    if isinstance(value, bytes):
        return "".join(chr(b) if 32 <= b < 127 and b not in b"\\\"'" else f"\\x{b:02X}" for b in value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)


def _moment(text: str) -> str:
    """An ISO text without zeros at the end of its fraction, and UTC as +00."""
    head, dot, fraction = text.partition(".")
    digits = fraction[:6].rstrip("0") if dot else ""
    rest = (f".{digits}" if digits else "") + fraction[6:]
    return (head + rest).removesuffix(":00") if (head + rest).endswith("+00:00") else head + rest


def _key(key: Any) -> str:
    return f"'{key}'" if isinstance(key, str) else _text(key)


def _number(value: float) -> str:
    """All digits, and no exponent where none is needed."""
    if not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    return repr(value)


def _interval(months: int, days: int, nanoseconds: int) -> str:
    """Months, days and a time, each with its own sign."""
    years, months = int(months / 12), int(math.fmod(months, 12))
    named = ((years, "year"), (months, "month"), (days, "day"))
    parts = [f"{count} {word}{'' if abs(count) == 1 else 's'}" for count, word in named if count]
    if nanoseconds or not parts:
        seconds, part = divmod(abs(nanoseconds) // 1_000, 1_000_000)
        fraction = f".{part:06d}".rstrip("0") if part else ""
        sign = "-" if nanoseconds < 0 else ""
        parts.append(f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}")
    return " ".join(parts)
