"""Values of a client's parameters, in text or binary, as Python's (PostgreSQL 18, the receive and in functions of its types)."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from tilth.interfaces.pgwire import arrays, types
from tilth.interfaces.pgwire.said import BINARY, spread

DAY, MOMENT = date(2000, 1, 1), datetime(2000, 1, 1)  # noqa: DTZ001 - PostgreSQL's time begins here, naive or in UTC
MOST_DIGITS = 20_000
_TRUE, _FALSE = (
    frozenset({"t", "true", "y", "yes", "on", "1"}),
    frozenset({"f", "false", "n", "no", "off", "0"}),
)
_DAY_ALONE = re.compile(r"^(\d{4}-\d\d-\d\d)[ T]?(?:\d\d:\d\d[\d:.]*)? ?(?:[+-]\d\d(?::?\d\d)?|Z)?$")
"""JDBC sends a date with an offset, and PostgreSQL drops the time of one."""
_OFFSET = re.compile(r"([+-]\d\d)(\d\d)?$")


class BadValue(Exception):
    """A value that is none of its type, with the SQLSTATE for it."""

    def __init__(self, words: str, state: str = "22P02") -> None:
        super().__init__(words)
        self.state = state


def values(given: Sequence[bytes | None], formats: Sequence[int], oids: Sequence[int]) -> tuple[Any, ...]:
    """All of them; a type of 0 is not known, and its text is a text. BadValue names the parameter."""
    each = spread(formats, len(given))
    out = []
    for number, (data, form, oid) in enumerate(zip(given, each, oids, strict=True), start=1):
        try:
            out.append(None if data is None else value(data, form, oid))
        except BadValue as error:
            raise BadValue(f"${number} {error}", error.state) from error
    return tuple(out)


def value(data: bytes, form: int, oid: int) -> Any:
    """One value."""
    kind = types.BY_OID.get(oid, types.UNKNOWN)
    binary = form == BINARY
    if (element := types.ELEMENTS.get(oid)) is not None:
        return _list(data, element, binary=binary)
    if binary and kind.oid not in _BINARY and oid not in _WORDS:
        raise BadValue(f"is binary, and of the type {oid or 'that is not told'}; send it as text", "0A000")
    try:
        if binary:
            return _BINARY.get(kind.oid, _text)(data)
        return _TEXT.get(kind.oid, str)(_text(data))
    except (struct.error, ValueError, InvalidOperation, OverflowError) as error:
        shown = repr(data[:40]) if binary else repr(_text(data)[:40])
        raise BadValue(f"is {shown}, which is no {kind.name}") from error


def _list(data: bytes, element: int, *, binary: bool) -> list[Any]:
    """An array of one dimension."""
    try:
        if binary:
            return arrays.read_binary(data, lambda d, oid: value(d, BINARY, oid))
        return arrays.read_text(_text(data), lambda t: value(t.encode(), 0, element))
    except (struct.error, ValueError) as error:
        raise BadValue(f"is {data[:40]!r}, which is no array of one dimension") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadValue("is no UTF-8", "22021") from error


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(text)


def _float(text: str) -> float:
    return float(text.strip())


def _decimal(text: str) -> Decimal | float:
    found = Decimal(text.strip())
    return found if found.is_finite() else float(found)


def _bytes(text: str) -> bytes:
    """The form with hexadecimal digits, and the old one with octal escapes."""
    if text.startswith("\\x"):
        return bytes.fromhex(text[2:])
    return re.sub(
        rb"\\(\\|[0-3][0-7]{2})", lambda m: b"\\" if m[1] == b"\\" else bytes([int(m[1], 8)]), text.encode()
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(_OFFSET.sub(lambda m: f"{m[1]}:{m[2] or '00'}", text.strip()))


def _plain_moment(text: str) -> datetime:
    return _moment(text).replace(tzinfo=None)


def _zoned_moment(text: str) -> datetime:
    found = _moment(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _unpacked(form: str) -> Callable[[bytes], Any]:
    read = struct.Struct(form)
    return lambda data: read.unpack(data)[0]


def _numeric(data: bytes) -> Decimal | float:
    """The inverse of `rows.numeric`; the specials are floats."""
    count, weight, sign, scale = struct.unpack_from("!hhHh", data)
    if sign in {0xC000, 0xD000, 0xF000}:
        return {0xC000: math.nan, 0xD000: math.inf, 0xF000: -math.inf}[sign]
    digits = struct.unpack(f"!{count}h", data[8:])
    if sign not in {0, 0x4000} or any(not 0 <= d < 10_000 for d in digits):
        raise ValueError("digits")
    whole = 0
    for digit in digits:
        whole = whole * 10_000 + digit
    places = 4 * (weight - count + 1) + scale  # exact, whatever the precision of the context is
    if not -MOST_DIGITS < places < MOST_DIGITS:
        raise ValueError("digits")
    whole, lost = (whole * 10**places, 0) if places >= 0 else divmod(whole, 10**-places)
    if lost:
        raise ValueError("digits")
    return Decimal((int(bool(sign)), tuple(map(int, str(whole))), -scale))


def _interval(data: bytes) -> timedelta:
    """Months are none of a fixed length, and refused."""
    micros, days, months = struct.unpack("!qii", data)
    if months:
        raise ValueError("months")
    return timedelta(days=days, microseconds=micros)


def _time(data: bytes) -> time:
    (micros,) = struct.unpack("!q", data)
    return (MOMENT + timedelta(microseconds=micros)).time()


def _jsonb(data: bytes) -> Any:
    if data[:1] != b"\x01":
        raise ValueError("version")
    return json.loads(data[1:])


_WORDS = frozenset({types.TEXT.oid, types.VARCHAR.oid, types.BPCHAR.oid, types.NAME.oid, types.CHAR.oid})
_TEXT: Mapping[int, Callable[[str], Any]] = {
    types.BOOL.oid: _boolean,
    **{t.oid: int for t in (types.INT2, types.INT4, types.INT8, types.OID)},
    types.FLOAT4.oid: _float,
    types.FLOAT8.oid: _float,
    types.NUMERIC.oid: _decimal,
    types.BYTEA.oid: _bytes,
    types.DATE.oid: lambda t: date.fromisoformat(_DAY_ALONE.sub(r"\1", t.strip())),
    types.TIME.oid: lambda t: time.fromisoformat(t.strip()),
    types.TIMESTAMP.oid: _plain_moment,
    types.TIMESTAMPTZ.oid: _zoned_moment,
    types.UUID.oid: UUID,
}
_BINARY: Mapping[int, Callable[[bytes], Any]] = {
    types.BOOL.oid: _unpacked("!?"),
    types.INT2.oid: _unpacked("!h"),
    types.INT4.oid: _unpacked("!i"),
    types.INT8.oid: _unpacked("!q"),
    types.OID.oid: _unpacked("!I"),
    types.FLOAT4.oid: _unpacked("!f"),
    types.FLOAT8.oid: _unpacked("!d"),
    types.NUMERIC.oid: _numeric,
    types.BYTEA.oid: bytes,
    types.DATE.oid: lambda b: DAY + timedelta(days=_unpacked("!i")(b)),
    types.TIME.oid: _time,
    types.TIMESTAMP.oid: lambda b: MOMENT + timedelta(microseconds=_unpacked("!q")(b)),
    types.TIMESTAMPTZ.oid: lambda b: (MOMENT + timedelta(microseconds=_unpacked("!q")(b))).replace(
        tzinfo=UTC
    ),
    types.INTERVAL.oid: _interval,
    types.UUID.oid: lambda b: UUID(bytes=b),
    types.JSON.oid: json.loads,
    types.JSONB.oid: _jsonb,
}
