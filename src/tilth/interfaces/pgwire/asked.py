"""What a client says, message by message (PostgreSQL 18, 54.7). BadMessage tells one that does not hold what its letter says."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tilth.interfaces.pgwire.frames import Message

_SHORT, _LONG = struct.Struct("!H"), struct.Struct("!i")


class BadMessage(Exception):
    """A message that cannot be read, though it is known where it ends."""


@dataclass(frozen=True, slots=True)
class Query:
    """Statements, to be answered as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Parse:
    """A statement to be kept under a name; `types` are the OIDs of its parameters, 0 for those to be found out."""

    name: str
    text: str
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bind:
    """Values for a kept statement's parameters; a format is 0 for text and 1 for binary, one for each, for all, or none: text."""

    portal: str
    statement: str
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    answered: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Describe:
    """What a statement (`portal` false) or a portal takes and gives."""

    portal: bool
    name: str


@dataclass(frozen=True, slots=True)
class Execute:
    """Rows of a portal, at most so many; 0: all."""

    portal: str
    most: int


@dataclass(frozen=True, slots=True)
class Close:
    portal: bool
    name: str


@dataclass(frozen=True, slots=True)
class Sync:
    pass


@dataclass(frozen=True, slots=True)
class Flush:
    pass


@dataclass(frozen=True, slots=True)
class Terminate:
    pass


@dataclass(frozen=True, slots=True)
class Response:
    """What a client answers while it is asked who it is."""

    body: bytes


@dataclass(frozen=True, slots=True)
class CopyData:
    data: bytes


@dataclass(frozen=True, slots=True)
class CopyDone:
    pass


@dataclass(frozen=True, slots=True)
class CopyFail:
    why: str


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The old fast path, which is refused."""


Asked = (
    Query | Parse | Bind | Describe | Execute | Close | Sync | Flush | Terminate | Response
    | CopyData | CopyDone | CopyFail | FunctionCall
)  # fmt: skip


def read(message: Message) -> Asked:
    """What it says; BadMessage where it says nothing that can be read."""
    reads = _READS.get(message.kind)
    if reads is None:
        raise BadMessage(f"no message begins with {message.kind!r}")
    body = _Body(message.body)
    try:
        found = reads(body)
    except (struct.error, IndexError) as error:
        raise BadMessage(f"the message {message.kind!r} ends too early") from error
    except UnicodeDecodeError as error:
        raise BadMessage(f"the message {message.kind!r} is not UTF-8") from error
    if body.left:
        raise BadMessage(f"the message {message.kind!r} has {body.left} bytes too many")
    return found


class _Body:
    """Reads a message from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def text(self) -> str:
        """A text with a zero after it."""
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise IndexError
        found = self._data[self._at : end].decode()
        self._at = end + 1
        return found

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.left:
            raise IndexError
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        return self.take(self.left)

    def short(self) -> int:
        return int(_SHORT.unpack(self.take(2))[0])

    def long(self) -> int:
        return int(_LONG.unpack(self.take(4))[0])

    def shorts(self) -> tuple[int, ...]:
        return tuple(self.short() for _ in range(self.short()))

    def value(self) -> bytes | None:
        """Bytes with their number before them; -1 is NULL."""
        count = self.long()
        return None if count == -1 else self.take(count)


def _parse(body: _Body) -> Parse:
    name, text = body.text(), body.text()
    return Parse(name, text, tuple(body.long() & 0xFFFFFFFF for _ in range(body.short())))


def _bind(body: _Body) -> Bind:
    portal, statement, formats = body.text(), body.text(), body.shorts()
    values = tuple(body.value() for _ in range(body.short()))
    answered = body.shorts()
    if set(formats + answered) - {0, 1}:
        raise BadMessage("a format that is neither text nor binary")
    if len(formats) not in {0, 1, len(values)}:
        raise BadMessage(f"{len(formats)} formats for {len(values)} parameters")
    return Bind(portal, statement, formats, values, answered)


def _named(body: _Body) -> tuple[bool, str]:
    kind = body.take(1)
    if kind not in {b"S", b"P"}:
        raise BadMessage(f"{kind!r}, which is neither a statement nor a portal")
    return kind == b"P", body.text()


_READS: Mapping[bytes, Callable[[_Body], Asked]] = {
    b"Q": lambda b: Query(b.text()),
    b"P": _parse,
    b"B": _bind,
    b"D": lambda b: Describe(*_named(b)),
    b"E": lambda b: Execute(b.text(), b.long()),
    b"C": lambda b: Close(*_named(b)),
    b"S": lambda _b: Sync(),
    b"H": lambda _b: Flush(),
    b"X": lambda _b: Terminate(),
    b"p": lambda b: Response(b.rest()),
    b"d": lambda b: CopyData(b.rest()),
    b"c": lambda _b: CopyDone(),
    b"f": lambda b: CopyFail(b.text()),
    b"F": lambda b: (b.rest(), FunctionCall())[1],
}
