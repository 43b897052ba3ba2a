"""What moved since a browser last looked: one look at this server's own figures twice a second while somebody listens, and none else.

The state's counter is polled by the node's thread, which counts how often it moved; nothing is read here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Iterator
from time import monotonic
from typing import Any

LOOK = 0.5  # seconds between looks
COUNTS = 5.0  # seconds between tellings that only counts of requests moved


class Listener:
    """One who waits for the next beat."""

    def __init__(self) -> None:
        self.moved = asyncio.Event()

    async def wait(self, seconds: float, gone: asyncio.Future[Any]) -> bool:
        """Whether something moved within so long; returns at once when `gone` is done."""
        turn = asyncio.ensure_future(self.moved.wait())
        await asyncio.wait({turn, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        turn.cancel()
        found = self.moved.is_set()
        self.moved.clear()
        return found


class Pulse:
    """Beats when what is shown may be another. `mark` is what stands still while nothing moves, `counts` what always goes on."""

    def __init__(self, mark: Callable[[], Hashable], counts: Callable[[], Hashable]) -> None:
        self._mark, self._counts = mark, counts
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._beats = 0
        self.count = 0  # tellings

    def moment(self) -> Hashable:
        """What a page of now is of: another one once something moved."""
        return self._beats, self._mark()

    def beat(self) -> None:
        """Something moved that nothing else knows of."""
        self._beats += 1
        self._tell()

    @contextlib.contextmanager
    def listening(self) -> Iterator[Listener]:
        """Be told from now on, for the block."""
        one = Listener()
        self._listeners.add(one)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._look())
        try:
            yield one
        finally:
            self._listeners.discard(one)

    def _tell(self) -> None:
        self.count += 1
        for one in self._listeners:
            one.moved.set()

    async def _look(self) -> None:
        """Until nobody listens."""
        mark, counts, told = self._mark(), self._counts(), monotonic()
        while self._listeners:
            await asyncio.sleep(LOOK)
            new, now = self._mark(), monotonic()
            due = now - told >= COUNTS and self._counts() != counts
            if new != mark or due:
                mark, counts, told = new, self._counts(), now
                self.beat()
