"""What the server says, as bytes (PostgreSQL 18, 54.7)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_LONG, _SHORT = struct.Struct("!i"), struct.Struct("!h")
_COLUMN = struct.Struct("!ihIhih")
BINARY = 1

AUTHENTICATED = b"R\0\0\0\x08\0\0\0\0"
PARSED, BOUND, CLOSED = b"1\0\0\0\x04", b"2\0\0\0\x04", b"3\0\0\0\x04"
NO_ROWS, EMPTY, SUSPENDED = b"n\0\0\0\x04", b"I\0\0\0\x04", b"s\0\0\0\x04"
COPIED = b"c\0\0\0\x04"
NO_ENCRYPTION, ENCRYPTION = b"N", b"S"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer: its name, the OID of its type, and the bytes of a value, -1 where they differ."""

    name: str
    type: int
    size: int = -1
    modifier: int = -1


@dataclass(frozen=True, slots=True)
class Report:
    """An error or a notice: its SQLSTATE, the words, what to do, and the character of the statement, from 1, that it is about."""

    severity: str  # ERROR, FATAL, PANIC, WARNING, NOTICE, INFO
    state: str
    words: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + _LONG.pack(len(body) + 4) + body


def text(value: str) -> bytes:
    """A text with a zero after it, and none within it."""
    return value.replace("\0", "\ufffd").encode(errors="replace") + b"\0"


def sasl(mechanisms: Iterable[str]) -> bytes:
    """Ways in which a client may say who it is."""
    return message(b"R", _LONG.pack(10) + b"".join(map(text, mechanisms)) + b"\0")


def sasl_continued(body: bytes) -> bytes:
    return message(b"R", _LONG.pack(11) + body)


def sasl_final(body: bytes) -> bytes:
    return message(b"R", _LONG.pack(12) + body)


def negotiated(minor: int, unknown: Sequence[str]) -> bytes:
    """The newest minor version that is spoken, and the options that are not."""
    body = _LONG.pack(3 << 16 | minor) + _LONG.pack(len(unknown)) + b"".join(map(text, unknown))
    return message(b"v", body)


def parameters(values: Mapping[str, str]) -> bytes:
    return b"".join(message(b"S", text(name) + text(value)) for name, value in values.items())


def cancelled_by(process: int, key: bytes) -> bytes:
    """What a client shows who wants to cancel what runs."""
    return message(b"K", _LONG.pack(process) + key)


def ready(status: bytes) -> bytes:
    """`I`: in no transaction, `T`: in one, `E`: in one that failed."""
    return message(b"Z", status)


def columns(found: Sequence[Column], formats: Sequence[int] = ()) -> bytes:
    """What rows have; a format for each column, for all, or none: text."""
    each = spread(formats, len(found))
    described = (
        text(c.name) + _COLUMN.pack(0, 0, c.type, c.size, c.modifier, f)
        for c, f in zip(found, each, strict=True)
    )
    return message(b"T", _SHORT.pack(len(found)) + b"".join(described))


def taken(types: Sequence[int]) -> bytes:
    """The OIDs of a statement's parameters."""
    return message(b"t", struct.pack(f"!H{len(types)}I", len(types), *types))


def complete(tag: str) -> bytes:
    return message(b"C", text(tag))


def copying(formats: int, width: int) -> bytes:
    """Rows follow as COPY sends them: all in text (0), or all in binary (1)."""
    return message(b"H", struct.pack(f"!bH{width}h", formats, width, *[formats] * width))


def copied(data: bytes) -> bytes:
    return message(b"d", data)


def reported(what: Report) -> bytes:
    """An error, or a notice where the severity is none of an error."""
    fields = {
        b"S": what.severity, b"V": what.severity, b"C": what.state, b"M": what.words, b"D": what.detail,
        b"H": what.hint, b"P": None if what.position is None else str(what.position),
    }  # fmt: skip
    body = b"".join(key + text(value) for key, value in fields.items() if value is not None)
    return message(b"E" if what.severity in {"ERROR", "FATAL", "PANIC"} else b"N", body + b"\0")


def spread(formats: Sequence[int], count: int) -> tuple[int, ...]:
    """A format for each column, of as many as were given: none, one for all, or one for each."""
    if len(formats) < 2:
        return tuple(formats or (0,)) * count
    if len(formats) != count:
        raise ValueError(f"{len(formats)} formats for {count} columns")
    return tuple(formats)
