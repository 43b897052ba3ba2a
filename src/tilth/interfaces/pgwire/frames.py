"""Bytes of a client as packets: what it begins with, and the messages after it (PostgreSQL 18, 54.7).

Nothing is read that a packet does not announce, and nothing is kept that is longer than a packet may be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

FIRST_MOST = 10_000  # bytes of what a connection begins with, as PostgreSQL has it
SMALL_MOST = 10_000  # of a message before it is known who asks
MOST = 64 * 2**20  # of any other
TLS, GSSAPI, CANCEL = 80_877_103, 80_877_104, 80_877_102
MAJOR = 3

_LENGTH = struct.Struct("!i")
_TWO = struct.Struct("!ii")


class BadPacket(Exception):
    """What was sent is no packet of the protocol: nothing after it can be read."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """The client asks for TLS, or for GSSAPI."""

    tls: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """What runs for another connection is to stop; both numbers were told to that one."""

    process: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Startup:
    """Who asks for which database, in which minor version; `options` are of the protocol, and no server knows them all."""

    minor: int
    parameters: dict[str, str]
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its letter and what follows the length."""

    kind: bytes
    body: bytes


Packet = Encryption | Cancel | Startup | Message


class Frames:
    """Takes bytes as they come and gives packets as they are whole. BadPacket ends it."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._begun = False
        self.most = SMALL_MOST

    def trust(self) -> None:
        """From here on messages may be long: it is known who asks."""
        self.most = MOST

    @property
    def empty(self) -> bool:
        """Whether no byte waits: what comes next was not sent before TLS was agreed upon (CVE-2021-23222)."""
        return not self._held

    @property
    def size(self) -> int:
        """Bytes of a packet that is not whole yet."""
        return len(self._held)

    def feed(self, data: bytes) -> None:
        self._held += data

    def packets(self) -> Iterator[Packet]:
        """Those that are whole now."""
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Packet | None:
        head = 1 if self._begun else 0
        if len(self._held) < head + 4:
            return None
        (length,) = _LENGTH.unpack_from(self._held, head)
        least, most = (4, self.most) if self._begun else (8, FIRST_MOST)
        if not least <= length <= most:
            raise BadPacket(f"a packet of {length:,} bytes, where {least} to {most:,} are possible")
        if len(self._held) < head + length:
            return None
        kind, body = bytes(self._held[:head]), bytes(self._held[head + 4 : head + length])
        del self._held[: head + length]
        return Message(kind, body) if self._begun else self._first(body)

    def _first(self, body: bytes) -> Packet:
        (code,) = _LENGTH.unpack_from(body)
        if code in {TLS, GSSAPI} and len(body) == 4:
            return Encryption(code == TLS)
        if code == CANCEL:
            if not 12 <= len(body) <= 264:
                raise BadPacket(f"a request to cancel of {len(body)} bytes")
            return Cancel(_LENGTH.unpack_from(body, 4)[0], body[8:])
        if code >> 16 != MAJOR:
            raise BadPacket(f"version {code >> 16}.{code & 0xFFFF} of the protocol, where {MAJOR} is spoken")
        self._begun = True
        return _startup(code & 0xFFFF, body[4:])


def _startup(minor: int, body: bytes) -> Startup:
    """Names and values in turn, each with a zero after it, and one more zero at the end."""
    words = body.split(b"\0")
    if len(words) < 2 or words[-1] or words[-2] or len(words) % 2:
        raise BadPacket("a start that does not end where it says")
    try:
        given = [w.decode() for w in words[:-2]]
    except UnicodeDecodeError as error:
        raise BadPacket("a start that is not UTF-8") from error
    found = dict(zip(given[::2], given[1::2], strict=True))
    if "" in found:
        raise BadPacket("a start with a parameter that has no name")
    options = tuple(name for name in found if name.startswith("_pq_."))
    return Startup(minor, {k: v for k, v in found.items() if k not in options}, options)
