"""The Postgres door: listens for PostgreSQL's clients on the event loop of a serving process."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.interfaces.pgwire.connection import Connection, Shared, Talks
from tilth.interfaces.pgwire.letting_in import Doorkeeper
from tilth.interfaces.pgwire.performing import Server

if TYPE_CHECKING:
    import socket

PORT = 5439
MOST = 500  # connections
THREADS = 128  # statements that are performed or wait at once
GRACE = 10.0  # seconds that statements have to end
LIMIT = 1 << 16  # bytes of a connection that are read ahead
HIGH = 1 << 20  # bytes that are written ahead


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where the door is, and with what it encrypts."""

    socket: socket.socket
    context: ssl.SSLContext | None
    must_encrypt: bool


class PostgresDoor:
    """Accepts connections until `stop`."""

    def __init__(self, wanted: Wanted, server: Server, keeper: Doorkeeper, tell: Callable[[str], None]) -> None:  # fmt: skip
        self._wanted = wanted
        self._pool = ThreadPoolExecutor(THREADS, "tilth-sql")
        self._shared = Shared(server, keeper, Talks(), self._pool, wanted.context, wanted.must_encrypt, tell)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    async def start(self) -> None:
        self._listening = await asyncio.start_server(self._accepted, sock=self._wanted.socket, limit=LIMIT)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MOST:
            from tilth.interfaces.pgwire import said

            words = f"sorry, too many clients already: {MOST} are connected"
            writer.write(said.reported(said.Report("FATAL", "53300", words)))
            writer.close()
            return
        self._tasks.add(task)
        writer.transport.set_write_buffer_limits(high=HIGH)
        try:
            await Connection(self._shared, reader, writer).serve()
        finally:
            self._tasks.discard(task)

    async def stop(self) -> None:
        """No new ones; what runs is cancelled, and all are closed."""
        if self._listening is not None:
            self._listening.close()
        for _, stop in list(self._shared.talks.by_number.values()):
            stop()
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)
