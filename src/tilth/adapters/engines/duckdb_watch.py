"""Watches one query in this process: interrupts it when it has worked too long, or when the process has grown too much.

DuckDB keeps account of the memory of its own operators; strings and lists that are made of one value are outside of it,
so the process itself is looked at, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tilth.core.errors import ResourceLimitError
from tilth.ports.limits import Limits

LOOK = 0.05  # seconds between looks
LAST = 5.0  # seconds until what heard no interrupt is given up
PAGE = 4096


class Watch:
    """Time counts while the block runs, and from block to block. Without limits nothing is watched."""

    def __init__(self, connection: Any, limits: Limits | None) -> None:
        self._connection, self._limits = connection, limits
        self._left = 0.0 if limits is None else limits.seconds
        self._began = 0.0
        self._over: ResourceLimitError | None = None
        self._done: threading.Event | None = None
        self._floor = _resident()

    def __enter__(self) -> None:
        if self._limits is None:
            return
        self._began, self._done = time.monotonic(), threading.Event()
        threading.Thread(
            target=self._watch, args=(self._limits, self._done), name="tilth-watch", daemon=True
        ).start()

    def __exit__(self, *_: object) -> None:
        if self._done is not None:
            self._done.set()
            self._left -= time.monotonic() - self._began
            self._done = None

    def each(self, reader: Iterable[Any]) -> Iterator[Any]:
        """The batches, watched while each is made."""
        batches = iter(reader)
        while True:
            with self:
                batch = next(batches, None)
            if batch is None:
                return
            if self._limits is not None and self._left < 0:  # each came quickly, and there were many
                self._over = over_time(self._limits)
                raise self._over
            yield batch

    def told(self, error: BaseException) -> BaseException:
        """What ended the query: our interrupt looks like anybody's."""
        return (
            self._over
            if self._over is not None and isinstance(error, Exception | KeyboardInterrupt)
            else error
        )

    def _watch(self, limits: Limits, done: threading.Event) -> None:
        while not done.wait(LOOK):
            spent = time.monotonic() - self._began - self._left
            if spent > 0:
                self._over = over_time(limits)
            elif _resident() - self._floor > 2 * limits.memory:
                self._over = over_memory(limits)
            if self._over is not None:
                self._connection.interrupt()
                if spent > LAST:
                    limits.give_up()


def over_time(limits: Limits) -> ResourceLimitError:
    """The error of a statement that took too long."""
    return ResourceLimitError(
        f"The statement worked for {limits.seconds:g} seconds, which is all it may.",
        hint="Raise it with `tilth sql --timeout 600` or, for good, statement_timeout under [limits] in tilth.toml;"
        " or have the statement read less.",
    )


def over_memory(limits: Limits) -> ResourceLimitError:
    """The error of one that needed too much."""
    return ResourceLimitError(
        f"The statement needs more than the {limits.memory / 1e9:g} GB of memory that it may use.",
        hint="Raise statement_memory under [limits] in tilth.toml, or have the statement return fewer rows or columns.",
    )


def _resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return 0  # another system: DuckDB's own account must do
