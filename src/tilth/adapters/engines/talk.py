"""How a query's process and the one that asks speak over a socket: frames of a letter, a length and bytes.

First the process says READY, with a handle by which it can be ended; then it is told what to do, with the descriptors of its inputs;
then it answers with an Arrow stream in DATA frames and an END, or with one WHOLE frame, or with an ERROR in between. Only an END
or a WHOLE makes an answer whole.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

READY, TOLD, DATA, WHOLE, END, ERROR = b"R", b"T", b"D", b"W", b"Z", b"E"
HEAD = struct.Struct("<cQ")
BUFFER = 4 << 20  # bytes that a socket holds, where the system lets it
_FDS = 200  # descriptors in one message; the system takes 253
_IOV = 512  # buffers in one message; the system takes 1024


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that hold as much as the system lets them."""
    ends = socket.socketpair()
    for end in ends:
        for what in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, what, BUFFER)
    return ends


def say(end: socket.socket, kind: bytes, parts: Sequence[Any] = ()) -> None:
    """Send one frame."""
    views = [memoryview(p).cast("B") for p in parts if len(p)]
    waiting = [memoryview(HEAD.pack(kind, sum(map(len, views)))), *views]
    while waiting:
        sent = end.sendmsg(waiting[:_IOV])
        while waiting and sent >= len(waiting[0]):
            sent -= len(waiting.pop(0))
        if sent:
            waiting[0] = waiting[0][sent:]


def say_error(end: socket.socket, what: Mapping[str, Any], jail: Mapping[str, str]) -> None:
    """Say what is wrong, and how far the process was locked up."""
    say(end, ERROR, [json.dumps({**what, "jail": dict(jail)}).encode()])


def say_end(end: socket.socket, jail: Mapping[str, str]) -> None:
    """Say that the answer is whole, and how far the process was locked up."""
    say(end, END, [json.dumps({"jail": dict(jail)}).encode()])


def loaded(text: bytes | bytearray) -> dict[str, Any]:
    """What an END or an ERROR says."""
    found: dict[str, Any] = json.loads(text)
    return found


def tell(end: socket.socket, what: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Send what is to be done, and descriptors."""
    text = json.dumps({**what, "descriptors": len(descriptors)}).encode()
    end.sendall(HEAD.pack(TOLD, len(text)) + text)
    for start in range(0, len(descriptors), _FDS):
        socket.send_fds(end, [b"+"], list(descriptors[start : start + _FDS]))


def told(end: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What `tell` sent; EOFError when nobody tells any more."""
    _, size = HEAD.unpack(_exactly(end, HEAD.size))
    what: dict[str, Any] = json.loads(_exactly(end, size))
    found: list[int] = []
    while len(found) < what["descriptors"]:
        more, fds, _, _ = socket.recv_fds(end, 1, _FDS)
        if not more:
            raise EOFError
        found += fds
    return what, found


def _exactly(end: socket.socket, size: int) -> bytearray:
    out = bytearray(size)
    fill(end, memoryview(out))
    return out


def fill(end: socket.socket, view: memoryview) -> None:
    """Receive as many bytes as the view holds; EOFError when there are fewer."""
    while len(view):
        count = end.recv_into(view, 0, socket.MSG_WAITALL)
        if count == 0:
            raise EOFError
        view = view[count:]


class Sending:
    """A file that Arrow writes an answer to; each `flush` is one frame. `close` leaves the socket open."""

    closed = False

    def __init__(self, end: socket.socket, framed: bool = True) -> None:
        self._end, self._framed = end, framed
        self._parts: list[Any] = []
        self.size = 0

    def write(self, data: Any) -> int:
        """Keep the bytes for the next frame."""
        size = len(data) if isinstance(data, bytes) else data.size
        self._parts.append(data)
        self.size += size
        return int(size)

    def flush(self, kind: bytes = DATA) -> None:
        """Send what was written."""
        parts, self._parts, self.size = self._parts, [], 0
        if self._framed:
            say(self._end, kind, parts)
            return
        for part in parts:
            self._end.sendall(part)

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing of it is left."""


class Receiving:
    """A file that Arrow reads an input from: all that comes over the socket."""

    closed = False

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def read(self, size: int) -> pa.Buffer | bytes:
        """So many bytes, fewer at the end."""
        import pyarrow as pa

        out = pa.allocate_buffer(size)
        view, got = memoryview(out), 0
        while got < size:
            count = self._end.recv_into(view[got:], 0, socket.MSG_WAITALL)
            if count == 0:
                return bytes(view[:got])
            got += count
        return out

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """The socket is its owner's."""
