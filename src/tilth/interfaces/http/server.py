"""Runs a node and its door on uvicorn until a signal: the serving process of `tilth up`.

Where it listens is said by `listening`. The thread of the event loop answers, one thread polls the state (`runtime.serving.node`),
and one reads it for the console.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tilth.app.disk import Disk
from tilth.core.errors import TilthError
from tilth.core.principals import Principal
from tilth.interfaces.http import guard, metrics, watched
from tilth.interfaces.http.asking import Asking
from tilth.interfaces.http.connection import connection
from tilth.interfaces.http.crowd import Crowd, descriptors
from tilth.interfaces.http.door import Door
from tilth.interfaces.http.journal import Journal, Numbered
from tilth.interfaces.http.listening import HOST, Place
from tilth.interfaces.http.minutes import Minutes
from tilth.interfaces.http.openapi import Served, document
from tilth.interfaces.http.renewing import Renewal
from tilth.interfaces.http.served import Served as ServedFacts
from tilth.interfaces.http.status import status
from tilth.plan.rights import Right
from tilth.ports.progress import Progress
from tilth.runtime.asking.session import Session
from tilth.runtime.serving.answering import Answering, Route
from tilth.runtime.serving.holders import Holders
from tilth.runtime.serving.node import Node
from tilth.runtime.showing.learned import Learned, Library
from tilth.runtime.showing.promises import facts, promises
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    import uvicorn

IDLE = 75  # seconds an idle connection is kept
HANDSHAKE = 10  # seconds for that of TLS
ASKING = 32  # statements over HTTP that are performed or wait at once
GRACE = 10  # seconds requests in flight have once a signal came
COLLECT = 20_000  # objects between looks for garbage: requests leave no cycles
SWITCH = 0.0005  # seconds until a thread that computes lets the answering one go on

Tell = Callable[[str], None]


class Beside(Protocol):
    """Another door on the same event loop."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Stops(Protocol):
    """What is to be stopped in order."""

    async def stop(self) -> None: ...


Sessions = Callable[[str | None, Principal, Progress], Session]
"""Makes a session in an environment for whoever asks."""
Postgres = Callable[[str, Holders], Beside]
"""Makes it, of the project's token and of who holds the others."""


def serve(
    work: Workspace,
    home: str,
    environment: str,
    place: Place,
    ready: Callable[[Node], None],
    tell: Tell,
    disk: Callable[[], Disk],
    journal: Journal | None = None,
    postgres: Postgres | None = None,
    sessions: Sessions | None = None,
    drawing: Sequence[str] = (),
) -> None:
    """Answer until SIGINT or SIGTERM; requests in flight are finished and the log is synced. `drawing` starts the process that
    draws the console's pages; without it there are none.
    """
    import uvloop

    sys.setswitchinterval(SWITCH)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            _serve(work, home, environment, place, ready, tell, disk, journal, postgres, sessions, drawing)
        )


async def _serve(
    work: Workspace,
    home: str,
    environment: str,
    place: Place,
    ready: Callable[[Node], None],
    tell: Tell,
    disk: Callable[[], Disk],
    journal: Journal | None,
    postgres: Postgres | None,
    sessions: Sessions | None,
    drawing: Sequence[str],
) -> None:
    loop = asyncio.get_running_loop()
    node = Node(work, environment, loop.call_soon_threadsafe, tell)
    holders = Holders(work, tell)
    answering = Answering(work.log, work.clock, loop.call_soon, tell)
    counts = metrics.Metrics()
    reader, pool = ThreadPoolExecutor(1, "tilth-status"), ThreadPoolExecutor(ASKING, "tilth-ask")

    shown = _Shown(loop, reader, work, node, counts, Library(work), watched.Measured(disk), tell)
    secret = guard.token(home)
    lets_in = guard.Guard(secret, others=holders.who, names=place.names, kept=holders.kept)
    asking = None if sessions is None else Asking(sessions, pool)
    served = ServedFacts(node, counts, work.root)
    console = served.console(lets_in, asking, tell, drawing, place) if drawing else None
    door = Door(node, answering, lets_in, counts, shown, tell, root=work.root, asking=asking, console=console)
    most, waiting = descriptors()
    crowd = Crowd(most)
    ending, app = None if console is None else console.end, Numbered(door, journal, proxied=place.proxied)
    server = _server(app, crowd, waiting, context=place.context, ending=ending)
    _end_by_signals(server)
    named = f"{environment}-{place.name}"
    await loop.run_in_executor(None, node.start, named, place.at)
    minutes = Minutes(work, environment, named, counts, tell)
    await loop.run_in_executor(None, holders.start)
    _settle()
    if journal is not None:
        journal.start()
    beside = await _started(None if postgres is None else postgres(secret, holders))
    ready(node)
    watches = [loop.create_task(w) for w in (crowd.watch(), minutes.watch(reader))]
    watches += _renewing(loop, place, lets_in, tell)
    try:
        await server.serve(sockets=[place.socket])
    finally:
        for watch in watches:
            watch.cancel()
        await _stopped(beside, console)
        await _ended(reader, minutes.note, node.stop, holders.stop)
        reader.shutdown()
        pool.shutdown(wait=False, cancel_futures=True)
        if journal is not None:
            journal.stop()
        work.log.flush()


async def _stopped(*doors: Stops | None) -> None:
    for door in doors:
        if door is not None:
            await door.stop()


async def _ended(reader: ThreadPoolExecutor, *steps: Callable[[], object]) -> None:
    """The last steps, up to the first that fails: what they tell is no more needed to end."""
    with contextlib.suppress(Exception):
        for step in steps:
            await asyncio.get_running_loop().run_in_executor(reader, step)


async def _started(door: Beside | None) -> Beside | None:
    if door is not None:
        await door.start()
    return door


def _end_by_signals(server: uvicorn.Server) -> None:
    """SIGINT and SIGTERM end it in order; uvicorn takes them over, and raises them again at its end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))


def _settle() -> None:
    """What is there now stays: the garbage collector looks at it no more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT, 20, 50)


def _renewing(
    loop: asyncio.AbstractEventLoop, place: Place, lets_in: guard.Guard, tell: Tell
) -> list[asyncio.Task[None]]:
    """What takes up a renewed certificate, where one is spoken with."""
    if place.context is None or place.files is None:
        return []
    return [loop.create_task(Renewal(place.context, *place.files, lets_in.named, tell).watch())]


@dataclass(frozen=True, slots=True)
class _Shown:
    """Reads the state in a thread of its own, one after the other."""

    loop: asyncio.AbstractEventLoop
    reader: ThreadPoolExecutor
    work: Workspace
    node: Node
    counts: metrics.Metrics
    library: Library
    disk: watched.Measured
    tell: Tell

    async def document(self, rights: frozenset[Right]) -> dict[str, Any]:
        return await self.loop.run_in_executor(self.reader, self._document, rights)

    def _document(self, rights: frozenset[Right]) -> dict[str, Any]:
        """As of one table of routes."""
        table = self.node.table
        if table is None:
            return document(self.node.environment, 0, (), rights)
        routes = [table.routes[name] for name in sorted(table.routes)]
        served = [Served(route, self._learned(route)) for route in routes]
        self.library.forget_all_but([_place(route) for route in routes])
        return document(self.node.environment, table.generation, served, rights)

    def _learned(self, route: Route) -> Learned | None:
        """What training saw; where that cannot be read the document goes without, and the log says why."""
        try:
            return self.library.of(*_place(route))
        except TilthError as error:
            self.tell(f"{route.endpoint}: /openapi.json goes without what training saw: {error.message}")
            return None

    async def status(self) -> dict[str, Any]:
        return await self.loop.run_in_executor(self.reader, status, self.work, self.node, self.counts)

    async def promises(self) -> dict[str, Any]:
        name = self.node.environment
        return facts(name, await self.loop.run_in_executor(self.reader, promises, self.work, name))

    async def figures(self) -> bytes:
        return await self.loop.run_in_executor(self.reader, self._figures)

    def _figures(self) -> bytes:
        return watched.text(self.work, self.node.environment, self.disk.now())


def _place(route: Route) -> tuple[str, int, tuple[str, ...]]:
    side = route.leading
    return side.model.name, side.version, side.keys


def _server(
    app: Any,
    crowd: Crowd,
    waiting: int = 2048,
    protocol: type[asyncio.Protocol] | None = None,
    context: ssl.SSLContext | None = None,
    ending: Callable[[], None] | None = None,
) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """As uvicorn's, for one socket of either family, with a bound on how long a handshake may take."""
            await self.lifespan.startup()
            one = (sockets or [])[0]
            loop = asyncio.get_running_loop()
            more: dict[str, Any] = {"sock": one, "backlog": waiting}
            if context is not None:
                more |= {"ssl": context, "ssl_handshake_timeout": HANDSHAKE}
            make = loop.create_unix_server if one.family == socket.AF_UNIX else loop.create_server
            self.servers = [await make(self._connection, **more)]
            self.started = True

        def _connection(self) -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for one in (*self.servers, *(sockets or ())):
                one.close()
            if ending is not None:
                ending()
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
