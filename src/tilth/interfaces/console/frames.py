"""What the door and the drawing process say to each other: a length of four bytes, then JSON."""

from __future__ import annotations

from typing import Any, BinaryIO

import msgspec

MOST = 64 << 20  # bytes of a frame


class Wanted(msgspec.Struct):
    """A page that is asked for. `served` is what the server alone knows; `marks` stand where the door puts what is a session's own."""

    number: int
    path: str
    query: dict[str, str]
    environment: str
    role: str
    served: dict[str, Any]
    marks: dict[str, str]


class Drawn(msgspec.Struct):
    """Its answer."""

    number: int
    status: int
    html: str
    seconds: float = 0.0  # of CPU


def packed(value: msgspec.Struct) -> bytes:
    """The frame."""
    body = msgspec.json.encode(value)
    return len(body).to_bytes(4, "big") + body


def read(stream: BinaryIO) -> bytes | None:
    """The body of the next frame; None at the end."""
    head = stream.read(4)
    size = int.from_bytes(head, "big")
    if len(head) < 4 or size > MOST:
        return None
    body = stream.read(size)
    return body if len(body) == size else None
