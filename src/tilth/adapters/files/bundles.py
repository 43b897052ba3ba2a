"""Sealed bundles as read-only folders under `bundles/ab/cdef...`, durable once put."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from tilth.adapters.files import durable, own
from tilth.adapters.files.scratch import new_scratch, remove_scratch
from tilth.core.errors import DamagedError, StorageError

_HEX = frozenset("0123456789abcdef")


class FileBundles:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def _path(self, digest: str) -> str:
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise StorageError(f"{digest!r} is not a digest.")
        return os.path.join(self._folder, digest[:2], digest[2:])

    def put(self, digest: str, folder: str) -> None:
        goal = self._path(digest)
        try:
            if _listed(goal) == _listed(folder):
                shutil.rmtree(folder, ignore_errors=True)
                return
            for name in os.listdir(folder):
                os.chmod(os.path.join(folder, name), 0o444)
            durable.settle_folder(folder)
            durable.make_folder(self._folder)
            durable.make_folder(os.path.dirname(goal))
            if os.path.lexists(goal):  # and is not whole
                os.rename(goal, os.path.join(new_scratch(self._folder), "replaced"))
            durable.rename(folder, goal)
        except OSError as error:
            raise durable.refused("The bundle could not be stored", self._folder, error) from error

    def path(self, digest: str) -> str:
        goal = self._path(digest)
        if not os.path.isdir(goal) or os.path.islink(goal):
            raise DamagedError(
                f"Bundle {digest[:12]} is missing from {self._folder}.",
                hint="Put the folder back from a backup (`tilth restore FILE`), or RETRAIN the model.",
            )
        return goal

    def digests(self) -> Iterator[tuple[str, int]]:
        if not own.check(self._folder, folder=True):
            return
        for head in sorted(os.listdir(self._folder)):
            inner = os.path.join(self._folder, head)
            if len(head) == 2 and _HEX.issuperset(head) and own.check(inner, folder=True):
                for tail in sorted(os.listdir(inner)):
                    if len(tail) == 62 and _HEX.issuperset(tail):
                        yield head + tail, _size(os.path.join(inner, tail))

    def delete(self, digest: str) -> int:
        goal = self._path(digest)
        if not os.path.isdir(goal) or os.path.islink(goal):
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
            raise durable.refused(f"{self._folder} cannot be written", self._folder, error) from error


def _size(folder: str) -> int:
    return sum(os.lstat(os.path.join(folder, n)).st_size for n in os.listdir(folder))


def _listed(folder: str) -> list[tuple[str, int]] | None:
    """Names and sizes of its files; None when there is no such folder."""
    if not os.path.isdir(folder) or os.path.islink(folder):
        return None
    return sorted((n, os.lstat(os.path.join(folder, n)).st_size) for n in os.listdir(folder))
