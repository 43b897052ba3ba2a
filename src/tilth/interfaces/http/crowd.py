"""All connections of a server: how many there may be, who goes when there are too many, and who is waited for too long.

A connection costs a file descriptor, and the prediction log must always be able to open its next segment: so the
process keeps a reserve that no connection may take. Over the limit the connection that was silent longest goes, those
that never sent a request first; a new client is turned away only when all others are being answered. Time is looked
at once a second, for all connections at once, so that a request sets no timer.
"""

from __future__ import annotations

import asyncio
import heapq
import resource
from typing import Any, Protocol

MOST = 4096  # connections, however many descriptors there are
ENOUGH = 1 << 16  # descriptors: more than this are not asked for
RESERVE = 128  # descriptors for the log, the state, bundles and the process itself
HEADERS = 10.0  # seconds from the first byte of a request, or from the connection's beginning, to the end of its headers
BODY = 35.0  # seconds for its body: a little more than `bodies.SLOWEST`, which answers in words
LINGER = 2.0  # seconds a refused or closed connection has to take its answer
LOOK = 1.0  # seconds between looks at the time
TOGETHER = 16  # idle connections that go at once, since finding the oldest means to look at all
QUIET = 0.5  # seconds an idle client has, at the end, to send a request and be told that it is the last


class Member(Protocol):
    """What the crowd asks of a connection."""

    stage: int
    since: float
    refused: bool
    transport: Any
    timeout_keep_alive_task: Any

    @property
    def resting(self) -> bool: ...
    def late(self) -> None: ...
    def shutdown(self) -> None: ...


def descriptors() -> tuple[int, int]:
    """How many connections there may be, and how many may wait to be accepted, with the descriptors of this process.

    The soft limit is raised to the hard one first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    there = ENOUGH if soft == resource.RLIM_INFINITY else soft
    # All that wait are accepted in one turn of the loop, before the first of them can be turned away.
    waiting = max(8, min(2048, there // 8))
    return max(8, min(MOST, there - RESERVE - waiting)), waiting


class Crowd:
    """The connections of one server; lives in the thread of its event loop."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.members: dict[Member, None] = {}
        self.half: dict[Member, None] = {}  # whose headers are not there, the oldest first
        self.dropped = 0

    def admits(self, new: Member, now: float) -> bool:
        """Take the connection in; False when there is no room for it."""
        room = len(self.members) < self.most or self._make_room()
        self.members[new] = None
        if room:
            new.since = now
            self.half[new] = None
        return room

    def leaves(self, one: Member) -> None:
        self.members.pop(one, None)
        self.half.pop(one, None)

    def waits(self, one: Member) -> None:
        """The connection's headers are not complete."""
        self.half[one] = None

    def acts(self, one: Member) -> None:
        """They are."""
        self.half.pop(one, None)

    def _make_room(self) -> bool:
        """Close those that were silent longest."""
        gone = next(iter(self.half), None)
        going = [gone] if gone is not None else self._idle()
        for one in going:
            self.dropped += 1
            self.leaves(one)
            one.transport.abort()
        return bool(going)

    def _idle(self) -> list[Member]:
        idle = [one for one in self.members if one.resting and one.timeout_keep_alive_task is not None]
        return heapq.nsmallest(TOGETHER, idle, key=lambda one: float(one.timeout_keep_alive_task.when()))

    # --- time ----------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Close what was waited for too long."""
        for one in tuple(self.members):
            if one.transport.is_closing():  # what was written is not taken by the client
                one.since = one.since or now
                limit = LINGER
            elif one.refused:
                limit = LINGER
            else:
                limit = HEADERS if one in self.half else BODY
            if one.since and now - one.since > limit:
                one.late()

    async def watch(self) -> None:
        """Look at the time, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK)
            self.look(loop.time())

    async def drain(self, patience: float) -> None:
        """Have each client be told that its next answer is the last one; those that ask nothing are closed then.

        An idle connection is closed in our direction only: a request that is on its way meets no reset.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        for one in tuple(self.members):
            one.shutdown()
        await self._while_some(loop.time() + QUIET, lambda _: True)
        for one in tuple(self.members):
            if one.resting and not one.transport.is_closing() and one.transport.can_write_eof():
                one.transport.write_eof()
        await self._while_some(loop.time() + QUIET, lambda _: True)
        await self._while_some(end, lambda one: not one.resting)

    async def _while_some(self, end: float, kind: Any) -> None:
        loop = asyncio.get_running_loop()
        while any(kind(one) for one in tuple(self.members)) and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
