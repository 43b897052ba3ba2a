"""Served predictions in segment files of JSON lines: one `write` for what a request gave, synced in batches by a thread.

A record is in the kernel's hands before its answer is sent, so `kill -9` loses none that was acknowledged; a loss of
power can lose those of the last `sync_every` seconds. A sync that fails is told by the next `append` or `flush`, once, and
its segment is left for a new one: the kernel may have dropped what it held, and a later sync would not say so. A writer
begins a segment of its own, so two processes never share one, and holds a lock on it for as long as it writes. Reading
is in `prediction_files`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tilth.adapters.files import durable, own, prediction_files
from tilth.core.errors import StorageError
from tilth.ports.predictions import START, Mark

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENT_BYTES = 64 << 20


class FilePredictions:
    """`folder` is made at need; `sync_every` in seconds; segments are closed at `segment_bytes`."""

    def __init__(self, folder: str, sync_every: float = 0.5, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder, self._sync_every, self._limit = folder, sync_every, segment_bytes
        self._fd = -1
        self._size = 0
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._syncer: threading.Thread | None = None
        self._failure: OSError | None = None  # of a sync in the background, until it is told

    @staticmethod
    def opened(home: str) -> FilePredictions:
        """The log of a project."""
        return FilePredictions(os.path.join(home, "predictions"))

    def append(self, record: bytes) -> None:
        line = prediction_files.checked(record) + b"\n"
        with self._lock:
            self._tell_failure()
            if self._fd < 0 or self._size >= self._limit:
                self._begin()
            try:
                written = os.write(self._fd, line)
            except OSError as error:
                raise _failed(self._folder, error) from error
            self._size += written
            if written != len(line):
                self._take_back(written)
                raise StorageError(
                    f"A prediction could not be written whole to {self._folder}: the disk is full.",
                    hint="Free some space (`tilth gc` frees more, once it has a little to work with); the request was not acknowledged.",
                )
        if not self._dirty.is_set():  # cheaper than setting it again
            self._dirty.set()

    def flush(self) -> None:
        with self._lock:
            self._tell_failure()
            if self._fd < 0:
                return
            try:
                os.fsync(self._fd)
            except OSError as error:
                self._leave()
                raise _unsynced(self._folder, error) from error

    def close(self) -> None:
        """Sync and end this writer's segment; StorageError when not all of it was synced."""
        self._closed.set()
        self._dirty.set()
        if self._syncer is not None:
            self._syncer.join(10)
        with self._lock:
            self._tell_failure()
            self._end()

    def segments(self) -> tuple[str, ...]:
        return tuple(prediction_files.segments(self._folder))

    def records(self) -> Iterator[bytes]:
        return prediction_files.records(self._folder)

    def table(
        self, after: Mark = START, since: str | None = None, *, strict: bool = False
    ) -> tuple[pa.Table, Mark]:
        return prediction_files.read(self._folder, after, since, strict=strict)

    def damaged(self) -> Iterator[StorageError]:
        return prediction_files.damaged(self._folder)

    def compact(self) -> int:
        return prediction_files.compact(self._folder)

    def forget(self, before: str) -> tuple[int, int]:
        return prediction_files.forget(self._folder, before)

    def drop(self, hits: Callable[[pa.Table], pa.Array]) -> tuple[int, int]:
        return prediction_files.drop(self._folder, hits)

    def _take_back(self, written: int) -> None:
        """Cut off what was not written whole, so that no row of a refused request stays; else end the segment.

        Readers leave a torn line out, but the whole ones before it they would count.
        """
        try:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            self._size -= written
        except OSError:
            self._begin()

    def _begin(self) -> None:
        self._end()
        try:
            durable.make_folder(self._folder)
            own.check(self._folder, folder=True)
            self._fd = self._new()
        except OSError as error:
            raise _failed(self._folder, error) from error
        self._size = 0
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync_in_batches, name="prediction-log", daemon=True)
            self._syncer.start()

    def _new(self) -> int:
        """A segment of our own; another when a reader took the first for abandoned before it was marked.

        It is synced while empty, so that a disk that takes nothing in is found out before a request is acknowledged.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            path = os.path.join(self._folder, f"{time.time_ns():020d}-{os.getpid()}.jsonl")
            handle = os.open(path, flags, 0o600)
            try:
                if prediction_files.held(handle):
                    os.fsync(handle)
                    durable.sync(self._folder)
                    return handle
            except OSError:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                os.close(handle)
                raise
            os.close(handle)

    def _end(self) -> None:
        """Sync and close the segment; it is closed even when that fails."""
        if self._fd < 0:
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _unsynced(self._folder, error) from error
        finally:
            self._leave()

    def _leave(self) -> None:
        """Close the segment as it is; the next append begins another."""
        handle, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            os.close(handle)

    def _tell_failure(self) -> None:
        """Raise what the thread met, if anything, and end the segment: the failed one, or a newer one that this syncs."""
        failure, self._failure = self._failure, None
        if failure is None:
            return
        with contextlib.suppress(StorageError):
            self._end()
        raise _unsynced(self._folder, failure) from failure

    def _sync_in_batches(self) -> None:
        while not self._closed.is_set():
            self._dirty.wait()
            self._dirty.clear()
            try:
                self._sync_once()
            except OSError as error:
                self._failure = error
            self._closed.wait(self._sync_every)

    def _sync_once(self) -> None:
        """Sync through a descriptor of its own, so that appends go on meanwhile."""
        with self._lock:
            fd = os.dup(self._fd) if self._fd >= 0 else -1
        if fd >= 0:
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _failed(folder: str, error: OSError) -> StorageError:
    return StorageError(
        f"Predictions cannot be written to {folder} ({error.strerror}).",
        hint="Free some space or give this user write access to .tilth; the request was not acknowledged.",
    )


def _unsynced(folder: str, error: OSError) -> StorageError:
    return StorageError(
        f"Predictions in {folder} could not be synced ({error.strerror}): a loss of power may lose the newest.",
        hint="Free some space or check the disk; a request that met this was not acknowledged, later ones go to a new segment.",
    )
