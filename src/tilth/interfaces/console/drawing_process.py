"""The process that draws pages, as the door sees it: started at the first visit, ended when nobody looks, started again when it died.

It is asked over a pipe and answers in any order. Pages are kept by what they show (`Key`) for `FRESH` seconds at most, so that many
browsers cost one drawing; a page that is being drawn is waited for, not drawn twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from tilth.core.errors import BusyError
from tilth.interfaces.console.frames import MOST, Drawn, Wanted, packed

PATIENCE = 60.0  # seconds a page may take
REST = 300.0  # seconds without a visit until the process ends
FRESH = 2.0  # seconds a page is kept while the state has not moved: the server's own counts go on
PAGES = 60  # that are kept
LINGERS = 2.0  # seconds one that says no more has to end
LEAVE = 5.0  # seconds it has to end by itself


class Key(NamedTuple):
    """What a page depends on: where it is, what who looks may do, and the moment of the state."""

    path: str
    query: tuple[tuple[str, str], ...]
    environment: str
    role: str
    moment: object


class DrawingError(BusyError):
    """A page could not be drawn just now."""

    http_status = 503


class _DiedError(DrawingError):
    """The process ended before it had drawn the page."""


class DrawingProcess:
    """Draws pages. Lives in the thread of the event loop, and does nothing there but pass bytes on."""

    def __init__(
        self, line: Sequence[str], environment: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        """`line` and `environment` are how it is started."""
        self._line, self._environment, self._tell = list(line), dict(environment), tell
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._asked: dict[int, tuple[asyncio.subprocess.Process, asyncio.Future[Drawn]]] = {}
        self._number = 0
        self._kept: OrderedDict[Key, tuple[float, Drawn]] = OrderedDict()
        self._drawing: dict[Key, asyncio.Task[Drawn]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._rest: asyncio.TimerHandle | None = None
        self.drawn = 0  # pages since the start

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None else self._process.pid

    async def page(self, key: Key, served: dict[str, Any], marks: dict[str, str]) -> Drawn:
        """The page; DrawingError when the process died over it, or took too long."""
        kept = self._kept.get(key)
        if kept is not None and monotonic() - kept[0] < FRESH:
            return kept[1]
        task = self._drawing.get(key)
        if task is None:
            task = asyncio.ensure_future(self._draw(key, served, marks))
            self._drawing[key] = task
            task.add_done_callback(lambda done: self._drawn(key, done))
        return await asyncio.shield(task)

    def _drawn(self, key: Key, done: asyncio.Task[Drawn]) -> None:
        """It is drawn, or not: whoever waited has heard of it, even where nobody waits any more."""
        self._drawing.pop(key, None)
        if not done.cancelled():
            done.exception()

    async def _draw(self, key: Key, served: dict[str, Any], marks: dict[str, str]) -> Drawn:
        """It is asked for again once: the process may have been dead already, or died over another page."""
        try:
            drawn = await self._asked_for(key, served, marks)
        except _DiedError:
            drawn = await self._asked_for(key, served, marks)
        self.drawn += 1
        if drawn.status == 200:
            self._kept[key] = (monotonic(), drawn)
            while len(self._kept) > PAGES:
                self._kept.popitem(last=False)
        return drawn

    async def _asked_for(self, key: Key, served: dict[str, Any], marks: dict[str, str]) -> Drawn:
        process = await self._running()
        assert process.stdin is not None
        self._number += 1
        number = self._number
        wanted = Wanted(number, key.path, dict(key.query), key.environment, key.role, served, marks)
        answer: asyncio.Future[Drawn] = asyncio.get_running_loop().create_future()
        self._asked[number] = process, answer
        try:
            process.stdin.write(packed(wanted))
            await process.stdin.drain()
            drawn = await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            self._tell(f"console: {key.path} took over {PATIENCE:g} s; the process that draws is ended")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise DrawingError(
                f"The page took over {PATIENCE:g} seconds.", hint="Load it again; ask for less of it in SQL."
            ) from None
        except ConnectionError as error:
            answer.cancel()
            await _ended(process)
            raise _died() from error
        finally:
            self._asked.pop(number, None)
        if not drawn.html:
            raise DrawingError("The page could not be drawn.", hint="The server's log says why.")
        return drawn

    async def _running(self) -> asyncio.subprocess.Process:
        """The process; started when there is none."""
        async with self._starting:
            self._rests()
            if self._process is None or self._process.returncode is not None:
                pipe = asyncio.subprocess.PIPE
                self._process = await asyncio.create_subprocess_exec(
                    *self._line, stdin=pipe, stdout=pipe, env=self._environment, start_new_session=True
                )
                self._reading = asyncio.ensure_future(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand out answers until it ends; who still waits then is told so."""
        assert process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                if size > MOST:
                    break
                drawn = msgspec.json.decode(await process.stdout.readexactly(size), type=Drawn)
                _, waiting = self._asked.pop(drawn.number, (None, None))
                if waiting is not None and not waiting.done():
                    waiting.set_result(drawn)
        status = await _ended(process)
        if self._process is process:
            self._process = None
        asked = [one for of, one in self._asked.values() if of is process and not one.done()]
        if asked:
            self._tell(
                f"console: the process that draws pages ended with status {status}; the next page starts it again"
            )
        for one in asked:
            one.set_exception(_died())

    def _rests(self) -> None:
        """It ends when nobody looks for a while."""
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(REST, self._leave)

    def _leave(self) -> None:
        if self._asked:
            self._rests()
        elif self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # it ends by itself
            self._kept.clear()

    async def stop(self) -> None:
        """End it."""
        if self._rest is not None:
            self._rest.cancel()
        process, reading = self._process, self._reading
        if process is None or reading is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(reading), LEAVE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await reading


async def _ended(process: asyncio.subprocess.Process) -> int:
    """The status of a process that says no more: most have ended, and one that has not is made to."""
    try:
        return await asyncio.wait_for(process.wait(), LINGERS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def _died() -> _DiedError:
    return _DiedError(
        "The process that draws pages ended while it drew this one.",
        hint="Load the page again: it is started anew. The server's log says how it ended.",
    )
