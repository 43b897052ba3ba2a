"""Blobs and bundles of one process: gone with it. For tests of what keeps content.

They promise what the ports say, in a folder that nobody else knows: nothing is synced, and nothing is looked at twice.
Neighbours: `blobs` and `bundles`, which are what people use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator

from tilth.core.errors import DamagedError, StorageError

_HEX = frozenset("0123456789abcdef")


class _Kept:
    """What lies under its digest in a folder of this process."""

    def __init__(self) -> None:
        around = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, around, ignore_errors=True)
        self._kept, self._making = os.path.join(around, "kept"), os.path.join(around, "making")
        os.mkdir(self._kept)
        os.mkdir(self._making)

    def _path(self, digest: str) -> str:
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise StorageError(f"{digest!r} is not a digest.")
        return os.path.join(self._kept, digest)

    def path(self, digest: str) -> str:
        if not os.path.exists(goal := self._path(digest)):
            raise DamagedError(f"{digest[:12]} is missing.", hint="Put it there.")
        return goal

    def digests(self) -> Iterator[tuple[str, int]]:
        for digest in sorted(os.listdir(self._kept)):
            yield digest, _size(os.path.join(self._kept, digest))

    def tidy(self) -> int:
        freed = _size(self._making)
        shutil.rmtree(self._making)
        os.mkdir(self._making)
        return freed

    def scratch(self) -> str:
        return tempfile.mkdtemp(dir=self._making)


class MemoryBlobs(_Kept):
    """Implements `ports.blobs.Blobs`."""

    def put_file(self, path: str) -> str:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.chmod(path, 0o444)
        shutil.move(path, self._path(digest))
        return digest

    def path(self, digest: str) -> str:
        goal = super().path(digest)
        with open(goal, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise DamagedError(f"The file {goal} is damaged.", hint="Put it there again.")
        return goal

    def verified(self, digest: str) -> str:
        return self.path(digest)

    def intact(self, digest: str) -> bool:
        try:
            self.path(digest)
        except DamagedError:
            return False
        return True

    def delete(self, digest: str) -> int:
        goal = self._path(digest)
        if not os.path.exists(goal):
            return 0
        size = _size(goal)
        os.unlink(goal)
        return size


class MemoryBundles(_Kept):
    """Implements `ports.bundles.BundleStore`."""

    def put(self, digest: str, folder: str) -> None:
        if os.path.exists(goal := self._path(digest)):
            shutil.rmtree(folder)
            return
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o444)
        shutil.move(folder, goal)

    def delete(self, digest: str) -> int:
        goal = self._path(digest)
        if not os.path.exists(goal):
            return 0
        size = _size(goal)
        shutil.rmtree(goal)
        return size


def _size(path: str) -> int:
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names)
