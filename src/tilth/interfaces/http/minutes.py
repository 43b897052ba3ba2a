"""Notes each minute what a server answered in it, so that latency and errors can be seen over time and after a restart.

What was counted since the last note is lost where the process is killed; the prediction log still has each answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta

from tilth.core.errors import TilthError
from tilth.core.time import Instant, show_instant
from tilth.interfaces.http.metrics import Metrics
from tilth.runtime.record import requests
from tilth.runtime.record.requests import Counted
from tilth.runtime.workspace import Workspace

EVERY = 60.0  # seconds
FORGET = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Seen:
    requests: int = 0
    rows: int = 0
    seconds: float = 0.0
    buckets: tuple[int, ...] = ()


class Minutes:
    """The counts of one server, noted under the name of its node."""

    def __init__(
        self, work: Workspace, environment: str, node: str, counts: Metrics, tell: Callable[[str], None]
    ) -> None:
        self._work, self._environment, self._node = work, environment, node
        self._counts, self._tell = counts, tell
        self._seen: dict[tuple[str, int, int], _Seen] = {}
        self._since = work.clock.now()
        self._forgot: Instant | None = None

    async def watch(self, reader: Executor) -> None:
        """Note them until it is cancelled, in the thread that reads the state."""
        while True:
            await asyncio.sleep(EVERY)
            await asyncio.get_running_loop().run_in_executor(reader, self.note)

    def note(self) -> None:
        """Note what was counted since the last time; told, and tried again with the next, where that cannot be."""
        now = self._work.clock.now()
        if now <= self._since:
            return  # the clock stands, or went back: with the next
        counted, seen = self._taken(now)
        try:
            if counted:
                requests.note(self._work.state, self._environment, counted)
            if self._forgot is None or now - self._forgot > FORGET:
                requests.forget(self._work.state, now - self._work.keep.requests)
                self._forgot = now
        except TilthError as error:
            self._tell(
                f"requests since {show_instant(self._since)} are not in tilth.requests yet: {error.message}"
            )
            return
        self._seen, self._since = seen, now

    def _taken(self, now: Instant) -> tuple[list[Counted], dict[tuple[str, int, int], _Seen]]:
        """What came since the last note, and what is seen with it. Requests for what is not served are of no endpoint."""
        counted, seen = [], {}
        for key, series in tuple(self._counts.series.items()):
            fresh = _Seen(series.requests, series.rows, series.seconds, tuple(series.counts))
            old = self._seen.get(key, _Seen(buckets=(0,) * len(fresh.buckets)))
            seen[key] = fresh
            if fresh.requests > old.requests:
                endpoint, version, status = key
                counted.append(Counted(
                    self._since, now, self._node, endpoint, version, status, fresh.requests - old.requests, fresh.rows - old.rows,
                    max(0.0, fresh.seconds - old.seconds), tuple(a - b for a, b in zip(fresh.buckets, old.buckets, strict=True)),
                ))  # fmt: skip
        return counted, seen
