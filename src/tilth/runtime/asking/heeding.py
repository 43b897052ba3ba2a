"""Work that ends when its statement is cancelled: what reports its progress hears of it there, what reads a source at each batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tilth.core.scan import Scan
from tilth.core.schema import Schema
from tilth.ports.limits import Limits, over_time
from tilth.ports.progress import Progress
from tilth.ports.source import Source
from tilth.ports.turns import Turn

if TYPE_CHECKING:
    import pyarrow as pa

_ASKED = ("broken", "notices", "tables")  # what some sources read whole tables for
AGAIN = 0.2  # seconds until a source that goes on is stopped once more


class HeedingProgress:
    """A progress whose step raises KeyboardInterrupt once the statement is cancelled; all else is the other's."""

    def __init__(self, progress: Progress, turn: Turn) -> None:
        self._progress, self._turn = progress, turn

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        if self._turn.cancelled:
            raise KeyboardInterrupt
        self._progress.step(what, done, note)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._progress, name)


class HeedingSource:
    """A source whose rows end with CancelledError once the statement is cancelled, and which is stopped when it works too long
    before there are any: time counts while it is asked, and that of its rows where they are waited for. All else is the other's.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self._source, self._limits, self._turn = source, limits, limits.turn
        self._left = limits.seconds

    def describe(self, table: str) -> Schema:
        with self._in_time():
            return self._source.describe(table)

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        return self._heeded(lambda: self._source.scan(scan))

    def native(self, sql: str) -> pa.RecordBatchReader:
        return self._heeded(lambda: self._source.native(sql))

    def _heeded(self, read: Callable[[], pa.RecordBatchReader]) -> pa.RecordBatchReader:
        import pyarrow as pa

        with self._in_time():
            reader = read()

        def batches() -> Iterator[pa.RecordBatch]:
            with self._ending():
                for batch in reader:
                    self._turn.check()
                    yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """What is read in the block ends when the statement is cancelled, where the source can be stopped."""
        stop = getattr(self._source, "stop", None)
        if stop is None:
            self._turn.check()
            yield
        else:
            with self._turn.ending(stop):
                yield

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """The same, and when the statement has worked for all of its time."""
        stop = getattr(self._source, "stop", None)
        done, late, began = threading.Event(), threading.Event(), time.monotonic()
        if stop is not None:
            args = (stop, self._left, done, late)
            threading.Thread(target=_watch, args=args, name="tilth-late", daemon=True).start()
        try:
            with self._ending():
                yield
            if late.is_set():  # some drivers say it with the first rows only
                raise over_time(self._limits)
        except BaseException:
            if late.is_set() and not self._turn.cancelled:
                raise over_time(self._limits) from None
            raise
        finally:
            done.set()
            self._left -= time.monotonic() - began

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        if name not in _ASKED:
            return found

        def asked(*args: Any) -> Any:
            with self._in_time():
                return found(*args)

        return asked


def _watch(stop: Callable[[], None], seconds: float, done: threading.Event, late: threading.Event) -> None:
    """Stop the source after that time, and again until it is done: what it is only about to begin cannot be stopped yet."""
    if done.wait(max(seconds, 0)):
        return
    late.set()
    while True:
        stop()
        if done.wait(AGAIN):
            return


def heeding(source: Source, limits: Limits) -> Source:
    """The source, which heeds whether the statement was cancelled, and how long it may work."""
    found: Any = HeedingSource(source, limits)
    heeds: Source = found
    return heeds
