"""Blobs as read-only files under `blobs/ab/cdef...`, durable once put. Sealed folders are in `file_bundles`.

No path is given out before the file was found to be what its name says. Hashing at every read would cost as much as
reading (a core hashes about 1.4 GB a second), and DuckDB, which reads most of it, does not look at the checksums that
Parquet can keep with its pages. So a file is hashed when it is put and whenever it has changed since: what was hashed
is remembered with size, inode and times beside the folder, which a write to the file cannot leave as they were. Bytes
that rot below the file system change none of these; `verified` hashes always: training, `tilth verify` and the scrub of
`tilth up` ask for that.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from tilth.adapters.files import durable, own
from tilth.adapters.files.scratch import new_scratch, remove_scratch
from tilth.core.errors import DamagedError, StorageError

_HEX = frozenset("0123456789abcdef")
REMEMBERED = ".verified"  # after the folder's name: what was hashed, and how it looked then
MOST_NOTES = 64 << 20  # characters of them that are read
SETTLED = (
    20_000_000  # nanoseconds after which a further write shows in a file's times, coarse as those may be
)


class FileBlobs:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._known: dict[str, str] | None = None  # digest -> how its file looked when it was hashed
        self._lock = threading.Lock()

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
            if self.intact(digest):
                os.unlink(path)
                return digest
            goal = self._path(digest)
            os.chmod(path, 0o444)
            durable.sync(path)
            durable.make_folder(self._folder)
            durable.make_folder(os.path.dirname(goal))
            durable.rename(path, goal)
            self._remember(digest, _look(goal))
        except OSError as error:
            raise durable.refused("A blob could not be stored", self._folder, error) from error
        return digest

    def path(self, digest: str) -> str:
        goal = self._path(digest)
        seen = _look(goal)
        if seen is None or seen != self._remembered().get(digest):
            return self.verified(digest)
        return goal

    def verified(self, digest: str) -> str:
        goal = self._path(digest)
        for _ in range(2):  # a file that is replaced by its like meanwhile is looked at once more
            seen = _look(goal)
            if seen is None:
                raise DamagedError(
                    f"Blob {digest[:12]} is missing from {self._folder}.",
                    hint="Put the file back from a backup (`tilth restore FILE`), or REFRESH its dataset.",
                )
            if own.digest_of(goal) == digest:
                if _look(goal) == seen:
                    self._remember(digest, seen)
                return goal
            if _look(goal) == seen:
                break
        raise DamagedError(
            f"The file {goal} is damaged: its bytes are not those that were stored.",
            hint="Put it back from a backup (`tilth restore FILE`), or REFRESH its dataset.",
        )

    def intact(self, digest: str) -> bool:
        try:
            self.path(digest)
        except DamagedError:
            return False
        return True

    def digests(self) -> Iterator[tuple[str, int]]:
        if not own.check(self._folder, folder=True):
            return
        for head in sorted(os.listdir(self._folder)):
            inner = os.path.join(self._folder, head)
            if len(head) == 2 and _HEX.issuperset(head) and own.check(inner, folder=True):
                for tail in sorted(os.listdir(inner)):
                    if len(tail) == 62 and _HEX.issuperset(tail):
                        yield head + tail, os.lstat(os.path.join(inner, tail)).st_size

    def delete(self, digest: str) -> int:
        goal = self._path(digest)
        try:
            size = os.lstat(goal).st_size
            durable.remove(goal)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise durable.refused("A blob could not be removed", self._folder, error) from error
        return size

    def tidy(self) -> int:
        self._rewrite()
        return remove_scratch(self._folder)

    def scratch(self) -> str:
        try:
            return new_scratch(self._folder)
        except OSError as error:
            raise durable.refused("A blob could not be stored", self._folder, error) from error

    # --- what was hashed -----------------------------------------------------------------------------------

    def _remembered(self) -> dict[str, str]:
        with self._lock:
            if self._known is None:
                self._known = {}
                with suppress(OSError, ValueError):  # a cache: without it files are hashed once more
                    handle = own.open_file(self._folder + REMEMBERED, os.O_RDONLY)
                    with os.fdopen(handle, encoding="ascii") as file:
                        whole = file.read(MOST_NOTES).split("\n")[:-1]
                        self._known = {
                            p[0]: p[1] for p in (line.split(" ", 1) for line in whole) if len(p) == 2
                        }
            return self._known

    def _remember(self, digest: str, seen: str | None) -> None:
        """Note how the file looked, for this process and the next; lost notes cost one more hash."""
        known = self._remembered()
        if seen is None or known.get(digest) == seen or time.time_ns() - int(seen.split()[-1]) < SETTLED:
            return
        known[digest] = seen
        with suppress(OSError):
            path = self._folder + REMEMBERED
            handle = own.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                os.write(handle, f"{digest} {seen}\n".encode())
            finally:
                os.close(handle)

    def _rewrite(self) -> None:
        """Leave out of the notes what is no longer there."""
        self._known = None
        there = {d: _look(self._path(d)) for d, _ in self.digests()}
        lines = [f"{d} {seen}\n" for d, seen in self._remembered().items() if there.get(d) == seen]
        path = self._folder + REMEMBERED
        if os.path.exists(path):
            with suppress(OSError):
                durable.write_whole(path, "".join(lines).encode(), settle=False)
            self._known = None


def _look(path: str) -> str | None:
    """Size, inode and times of a regular file: no write leaves all of them as they were."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return f"{found.st_size} {found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"
