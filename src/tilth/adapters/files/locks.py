"""Locks as `flock` on files: the kernel frees them when a process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tilth.adapters.files.own import open_file
from tilth.core.errors import BusyError, StorageError


class FileLocks:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, name: str, wait: float = 0.0, *, shared: bool = False) -> Iterator[None]:
        path = os.path.join(self._folder, f"{name}.lock")
        try:
            fd = open_file(path, os.O_RDWR | os.O_CREAT, alone=True)  # it is cut and written to
        except OSError as error:
            raise StorageError(
                f"The lock file {path} cannot be made ({error.strerror}).",
                hint="Give this user write access to the project's .tilth folder.",
            ) from error
        try:
            _take(fd, name, wait, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(fd)


def _take(fd: int, name: str, wait: float, how: int) -> None:
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                holder = os.pread(fd, 32, 0).decode() or "unknown"
                raise BusyError(
                    f"Another tilth (process {holder}) is busy with `{name.replace('-', ' ')}` just now.",
                    hint="Wait until it is done, then run the command again; nothing was changed.",
                ) from None
            time.sleep(0.02)
        else:
            return
