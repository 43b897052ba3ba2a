"""Sealed bundles as read-only folders under `bundles/ab/cdef...`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from tilth.adapters.scratch import new_scratch, remove_scratch
from tilth.core.errors import StorageError


class FileBundles:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def _path(self, digest: str) -> str:
        if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
            raise StorageError(f"{digest!r} is not a digest.")
        return os.path.join(self._folder, digest[:2], digest[2:])

    def put(self, digest: str, folder: str) -> None:
        goal = self._path(digest)
        if os.path.isdir(goal):
            shutil.rmtree(folder, ignore_errors=True)
            return
        try:
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                _sync(path)
                os.chmod(path, 0o444)
            os.makedirs(os.path.dirname(goal), exist_ok=True)
            os.rename(folder, goal)
            _sync(os.path.dirname(goal))
        except OSError as error:
            raise StorageError(
                f"The bundle could not be stored ({error.strerror}).",
                hint="Free some space or give this user write access to .tilth, then run the command again.",
            ) from error

    def path(self, digest: str) -> str:
        goal = self._path(digest)
        if not os.path.isdir(goal):
            raise StorageError(
                f"Bundle {digest[:12]} is missing from {self._folder}.",
                hint="Restore .tilth/bundles from a backup, or RETRAIN the model.",
            )
        return goal

    def digests(self) -> Iterator[tuple[str, int]]:
        if not os.path.isdir(self._folder):
            return
        for head in sorted(os.listdir(self._folder)):
            inner = os.path.join(self._folder, head)
            if len(head) == 2:
                for tail in sorted(os.listdir(inner)):
                    yield head + tail, _size(os.path.join(inner, tail))

    def delete(self, digest: str) -> int:
        goal = self._path(digest)
        if not os.path.isdir(goal):
            return 0
        size = _size(goal)
        shutil.rmtree(goal)
        return size

    def tidy(self) -> int:
        return remove_scratch(self._folder)

    def scratch(self) -> str:
        try:
            return new_scratch(self._folder)
        except OSError as error:
            raise StorageError(
                f"{self._folder} cannot be written ({error.strerror}).",
                hint="Free some space or give this user write access to .tilth.",
            ) from error


def _size(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder))


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
