"""Runs a node and its door on uvicorn until a signal: the serving process of `tilth up`.

It listens on the loopback address only. The thread of the event loop answers, one thread polls the state (`runtime.serving.node`),
and one reads it for the console.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tilth.core.errors import BusyError, StorageError
from tilth.interfaces.http import guard, metrics
from tilth.interfaces.http.connection import connection
from tilth.interfaces.http.crowd import Crowd, descriptors
from tilth.interfaces.http.door import Door
from tilth.interfaces.http.status import status
from tilth.runtime.serving.answering import Answering
from tilth.runtime.serving.holders import Holders
from tilth.runtime.serving.node import Node
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
IDLE = 75  # seconds an idle connection is kept
GRACE = 10  # seconds requests in flight have once a signal came
COLLECT = 20_000  # objects between looks for garbage: requests leave no cycles
SWITCH = 0.0005  # seconds until a thread that computes lets the answering one go on

Tell = Callable[[str], None]


def listen(port: int) -> socket.socket:
    """A socket on the loopback address; BusyError when the port is taken. Port 0 takes a free one.

    How many connections may wait to be accepted is settled by `serve`.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
        found.listen()
    except (OSError, OverflowError) as error:
        found.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise BusyError(
                f"Port {port} is taken by another program.",
                hint="Stop it, or choose another: tilth up --port 0 takes a free one.",
            ) from error
        raise StorageError(f"Port {port} cannot be used: {error}.", hint="Choose one above 1023.") from error
    return found


def serve(
    work: Workspace,
    home: str,
    environment: str,
    listener: socket.socket,
    ready: Callable[[Node], None],
    tell: Tell,
) -> None:
    """Answer until SIGINT or SIGTERM; requests in flight are finished and the log is synced."""
    import uvloop

    sys.setswitchinterval(SWITCH)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(work, home, environment, listener, ready, tell))


async def _serve(
    work: Workspace,
    home: str,
    environment: str,
    listener: socket.socket,
    ready: Callable[[Node], None],
    tell: Tell,
) -> None:
    loop = asyncio.get_running_loop()
    node = Node(work, environment, loop.call_soon_threadsafe, tell)
    holders = Holders(work, tell)
    answering = Answering(work.log, work.clock, loop.call_soon, tell)
    counts = metrics.Metrics()
    reader = ThreadPoolExecutor(1, "tilth-status")

    async def shown() -> dict[str, Any]:
        return await loop.run_in_executor(reader, status, work, node, counts)

    door = Door(
        node,
        answering,
        guard.Guard(guard.token(home), others=holders.who),
        counts,
        shown,
        tell,
        root=work.root,
    )
    most, waiting = descriptors()
    crowd = Crowd(most)
    server = _server(door, crowd, waiting)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # uvicorn takes them over, and raises them again at its end
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    port = listener.getsockname()[1]
    await loop.run_in_executor(None, node.start, f"{environment}-{port}", f"http://{HOST}:{port}")
    await loop.run_in_executor(None, holders.start)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT, 20, 50)
    ready(node)
    watch = loop.create_task(crowd.watch())
    try:
        await server.serve(sockets=[listener])
    finally:
        watch.cancel()
        with contextlib.suppress(Exception):
            await loop.run_in_executor(None, node.stop)
            await loop.run_in_executor(None, holders.stop)
        reader.shutdown()
        work.log.flush()


def _server(
    app: Any, crowd: Crowd, waiting: int = 2048, protocol: type[asyncio.Protocol] | None = None
) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for one in (*self.servers, *(sockets or ())):
                one.close()
            await crowd.drain(GRACE)
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        host=HOST,
        http=protocol or connection(crowd),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=1,  # after the grace
        backlog=waiting,
    )
    return Server(config)
