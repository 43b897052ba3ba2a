"""One HTTP connection: uvicorn's own, but an answer's head and body leave in one system call.

uvicorn writes the two one after the other, and uvloop hands each to the kernel at once: two packets and two calls, which
for a small answer is most of what sending costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def connection() -> type[asyncio.Protocol]:
    """The class of each connection, as uvicorn takes it."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Connection(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
            super().connection_made(Joining(transport, self.loop.call_soon))  # type: ignore[arg-type]

    return Connection


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

    def _send(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
