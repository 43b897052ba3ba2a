"""Work that ends when its statement is cancelled: what reports its progress hears of it there, what reads a source at each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tilth.core.scan import Scan
from tilth.ports.progress import Progress
from tilth.ports.source import Source
from tilth.ports.turns import Turn

if TYPE_CHECKING:
    import pyarrow as pa


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
    """A source whose rows end with CancelledError once the statement is cancelled; all else is the other's."""

    def __init__(self, source: Source, turn: Turn) -> None:
        self._source, self._turn = source, turn

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        return self._heeded(lambda: self._source.scan(scan))

    def native(self, sql: str) -> pa.RecordBatchReader:
        return self._heeded(lambda: self._source.native(sql))

    def _heeded(self, read: Callable[[], pa.RecordBatchReader]) -> pa.RecordBatchReader:
        import pyarrow as pa

        turn, stop = self._turn, getattr(self._source, "stop", None)
        if stop is None:
            turn.check()
            reader = read()
        else:
            with turn.ending(stop):
                reader = read()

        def batches() -> Iterator[pa.RecordBatch]:
            if stop is None:
                yield from checked()
            else:
                with turn.ending(stop):
                    yield from checked()

        def checked() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                turn.check()
                yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def heeding(source: Source, turn: Turn) -> Source:
    """The source, which heeds whether the statement was cancelled."""
    found: Any = HeedingSource(source, turn)
    heeds: Source = found
    return heeds
