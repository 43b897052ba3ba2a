"""One HTTP connection: uvicorn's own, with bounds on what a client may send and how long it may take.

uvicorn and httptools bound neither the bytes of a head, nor their number, nor the time they take; `Bounded` does, at
the bytes themselves, and a request that comes whole in one piece pays for it with a few comparisons. What a connection
may hold of the machine beside others is in `crowd`; what a request may ask is in `guard`. An answer's head and body
leave in one system call: uvicorn writes them one after the other, and uvloop would send each at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tilth.interfaces.http.crowd import Crowd

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Protocol
else:
    _Protocol = object  # `connection` puts uvicorn's in its place

HEAD = 32 << 10  # bytes of a request line and its headers
LINE = 8 << 10  # bytes of what is asked for in the request line
FIELDS = 100  # headers
LEFT = 1 << 20  # bytes of a refused request that are read and thrown away, so that the refusal arrives
_WAITING, _HEADING, _BODY = range(3)
_CODING = b"transfer-encoding"
_CODED = len(_CODING)
_OWN = re.compile(rb"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?(?:[/?]|\Z)", re.IGNORECASE)
_WORDS = {
    400: "This is not a request of HTTP/1.1 that can be read in one way only.",
    408: "The request did not arrive in time.",
    414: f"The request line is over the limit of {LINE >> 10} KB.",
    421: "This server answers for this machine only.",
    431: f"The headers are over the limit of {FIELDS}, or of {HEAD >> 10} KB in all.",
    503: "The server has as many requests as it can take: try again later.",
}


class RefusedError(Exception):
    """Ends the reading of a request that was refused; never leaves this module."""


class Bounded(_Protocol):
    """What is ours of a connection; `connection` joins it with uvicorn's and gives it its crowd."""

    crowd: Crowd
    upgrade: type[Exception]
    broken: type[Exception]
    stage = _WAITING
    since = 0.0  # when the client was last waited for; 0 while it owes nothing
    draining = False
    refused = False
    _taken = 0  # bytes of a head that is not complete
    _heads = 0  # heads completed
    _long = False  # whether more came than a head may have
    _spent = 0  # bytes of a body that is not complete, with what goes around its chunks
    _bodied = 0  # bytes of it that are the body's

    # --- beginning and end -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(Joining(transport, self.loop.call_soon))  # type: ignore[arg-type]
        if not self.crowd.admits(self, self.loop.time()):
            self.refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.leaves(self)
        super().connection_lost(exc)

    @property
    def resting(self) -> bool:
        """Whether no request is under way, neither arriving nor being answered."""
        done = self.cycle is None or self.cycle.response_complete
        return done and self.stage == _WAITING and not self.refused

    def shutdown(self) -> None:
        """Called when the server ends: the answer that is under way, or the next one, is the last."""
        self.draining = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def late(self) -> None:
        """What was to arrive did not: say so to a client that began to speak, and close."""
        if self.refused or self.transport.is_closing():
            self.transport.abort()
        elif self.stage == _HEADING:
            self.refuse(408)
        else:
            self.transport.close()

    def refuse(self, status: int) -> None:
        """Answer with this status and close; what still comes is thrown away, so that the answer is read."""
        if self.refused:
            return
        self.refused, self.since = True, self.loop.time()
        self.crowd.waits(self)
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started or self.pipeline:  # answers are on their way, and come in order
                self.transport.abort()
                return
            if (
                not self.cycle.more_body
            ):  # a whole request came before: the next answer is its own, and the last
                self.cycle.keep_alive = False
                return
            self.cycle.disconnected = True  # whoever reads its body is told that no more comes
            self.cycle.message_event.set()
        self.transport.write(_refusal(status))
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # --- what arrives ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self.refused:
            self._taken += len(data)
            if self._taken > LEFT:
                self.transport.abort()
            return
        before, heads = self.stage, self._heads
        self._long = self._taken + len(data) > HEAD
        try:
            self.parser.feed_data(data)
        except self.upgrade:
            if not self.refused and self.cycle is not None:
                self.cycle.keep_alive = False  # nothing else is spoken here: the answer is in HTTP/1.1
        except self.broken:
            self.refuse(400)
        if self.refused:
            return
        if self.stage == _WAITING:
            self.since = 0.0
        else:
            self._unfinished(len(data), began=before != _BODY and heads == self._heads)

    def _unfinished(self, size: int, *, began: bool) -> None:
        """After a piece that ended in the middle of a request; `began`: all of the piece was of its head."""
        if self.stage == _HEADING:
            self._taken += size if began else 0
            if len(self.url) > LINE:
                self.refuse(414)
            elif self._taken > HEAD or len(self.headers) > FIELDS:
                self.refuse(431 if self.headers or len(self.url) <= LINE else 414)
            elif not self.since:
                self.since = self.loop.time()
                self.crowd.waits(self)
            return
        self._spent += size
        if self._spent > self._bodied * 8 + 4 * HEAD:  # chunks that are all extensions, or endless trailers
            self.refuse(400)
        elif not self.since:
            self.since = self.loop.time()

    # --- what the parser says --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.stage = _HEADING

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.stage == _HEADING:  # the fields after a body are not asked for
            if len(name) == _CODED and name.lower() == _CODING:
                self._only_chunked(value)
            super().on_header(name, value)

    def _only_chunked(self, value: bytes) -> None:
        """A body may come in chunks, said once; any other coding would not be undone."""
        if value.strip().lower() != b"chunked" or any(n == _CODING for n, _ in self.headers):
            self._stop(400)

    def on_headers_complete(self) -> None:
        if self._long or len(self.headers) > FIELDS or len(self.url) > LINE:
            self._measure()
        if self.url[:1] != b"/":
            self._own_target()
        if self.parser.get_http_version() not in {"1.1", "1.0"}:
            self._stop(400)
        super().on_headers_complete()
        self.stage = _BODY
        if self.since:
            self.since = 0.0
            self.crowd.acts(self)
        self._taken = self._spent = self._bodied = 0
        self._heads += 1
        if self.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._bodied += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.stage = _WAITING

    def _measure(self) -> None:
        if len(self.url) > LINE:
            self._stop(414)
        if len(self.headers) > FIELDS or sum(len(n) + len(v) + 4 for n, v in self.headers) > HEAD:
            self._stop(431)

    def _own_target(self) -> None:
        """A request line may name the server, but no other one."""
        if not _OWN.match(self.url):
            self._stop(400 if self.url[:7].lower() not in {b"http://", b"https:/"} else 421)

    def _stop(self, status: int) -> None:
        self.refuse(status)
        raise RefusedError


def connection(crowd: Crowd) -> type[asyncio.Protocol]:
    """The class of each connection of a server, as uvicorn takes it; all of them are in the crowd."""
    import httptools
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    more = {
        "crowd": crowd,
        "upgrade": httptools.HttpParserUpgrade,
        "broken": httptools.HttpParserError,
    }
    return type("Connection", (Bounded, HttpToolsProtocol), more)


def _refusal(status: int) -> bytes:
    body = b'{"error":{"code":"E-INPUT","message":"%b","retry":false}}' % _WORDS[status].encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


class Joining:
    """A transport that keeps what is written until the next piece, or until this turn of the event loop ends.

    Everything else is the transport's.
    """

    def __init__(self, transport: asyncio.Transport, soon: Callable[[Callable[[], None]], object]) -> None:
        self._transport, self._soon = transport, soon
        self._kept = b""

    def write(self, piece: bytes) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept + piece)
        elif piece:
            self._kept = piece
            self._soon(self._send)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()

    def _send(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
