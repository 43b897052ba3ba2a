"""Blobs as read-only files under `blobs/ab/cdef...`, durable once put. Sealed folders are in `file_bundles`."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator

from tilth.adapters.scratch import new_scratch, remove_scratch
from tilth.core.errors import StorageError

_HEX = frozenset("0123456789abcdef")


class FileBlobs:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def _path(self, digest: str) -> str:
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise StorageError(
                f"{digest!r} is not a digest.", hint="A digest is 64 lower-case hexadecimal digits."
            )
        return os.path.join(self._folder, digest[:2], digest[2:])

    def put_file(self, path: str) -> str:
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            goal = self._path(digest)
            if os.path.isfile(goal) and os.path.getsize(goal) == os.path.getsize(path):
                os.unlink(path)
                return digest
            os.chmod(path, 0o444)
            os.makedirs(os.path.dirname(goal), exist_ok=True)
            _move(path, goal)
            for folder in (os.path.dirname(goal), self._folder):
                _sync(folder)
        except OSError as error:
            raise _refused(self._folder, error) from error
        return digest

    def path(self, digest: str) -> str:
        goal = self._path(digest)
        if not os.path.isfile(goal):
            raise StorageError(
                f"Blob {digest[:12]} is missing from {self._folder}.",
                hint="Restore that folder from a backup, or collect the snapshot again.",
            )
        return goal

    def digests(self) -> Iterator[tuple[str, int]]:
        if not os.path.isdir(self._folder):
            return
        for head in sorted(os.listdir(self._folder)):
            inner = os.path.join(self._folder, head)
            if len(head) == 2 and _HEX.issuperset(head) and os.path.isdir(inner):
                for tail in sorted(os.listdir(inner)):
                    if len(tail) == 62 and _HEX.issuperset(tail):
                        yield head + tail, os.path.getsize(os.path.join(inner, tail))

    def delete(self, digest: str) -> int:
        goal = self._path(digest)
        try:
            size = os.path.getsize(goal)
            os.unlink(goal)
            _sync(os.path.dirname(goal))
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise _refused(self._folder, error) from error
        return size

    def tidy(self) -> int:
        return remove_scratch(self._folder)

    def scratch(self) -> str:
        try:
            return new_scratch(self._folder)
        except OSError as error:
            raise _refused(self._folder, error) from error


def _move(path: str, goal: str) -> None:
    """Rename; from another disk, copy beside the goal first so that no half file ever has the final name."""
    try:
        os.replace(path, goal)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = f"{goal}.{os.getpid()}"
        shutil.copyfile(path, near)
        os.chmod(near, 0o444)
        _sync(near)
        os.replace(near, goal)
        os.unlink(path)


def _refused(folder: str, error: OSError) -> StorageError:
    hint = {
        errno.ENOSPC: f"Free some space on the disk of {folder}, then run the command again.",
        errno.EDQUOT: f"Raise this user's quota on the disk of {folder}, then run the command again.",
        errno.EROFS: f"{folder} is on a read-only disk: mount it writable, or move the project.",
    }.get(error.errno or 0, f"Give this user write access to {folder}, then run the command again.")
    return StorageError(f"A blob could not be stored ({error.strerror}).", hint=hint)


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
