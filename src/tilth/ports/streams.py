"""Streams of Arrow batches that hold something open: a connection, a folder, a process.

Whoever hands such a stream on cannot know whether it will be read to its end, or at all. What it holds is let go with
its last batch, with an error, and when nobody refers to it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

Told = Callable[[Exception], BaseException]


def closing(
    reader: pa.RecordBatchReader, close: Callable[[], None], told: Told | None = None
) -> pa.RecordBatchReader:
    """The reader, running `close` once, at its end or when it is dropped; `told` makes our errors of strangers'."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch | None]:
        try:
            yield None
            yield from reader
        except Exception as error:
            if told is None:
                raise
            raise told(error) from error
        finally:
            close()

    started = batches()
    next(started)  # a generator that was never started would run nothing when it is dropped
    return pa.RecordBatchReader.from_batches(reader.schema, started)


def remembering(reader: pa.RecordBatchReader, failed: list[Exception]) -> pa.RecordBatchReader:
    """The reader; an error that ends it is kept in `failed`, since a library that reads it will not say it whole."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except Exception as error:
            failed.append(error)
            raise

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
