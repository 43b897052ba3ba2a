"""Changes of files that a loss of power cannot undo or halve: the one place where adapters write, rename, sync and remove.

A file is made under another name, synced, given its name, and then its folder is synced; a folder is on the disk when
the folder around it is synced. Nothing here follows a link that stands in the place of a file. `watch` hands every
change on as it is made, so that a test can replay what a crash may leave of them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tilth.core.errors import StorageError

Watcher = Callable[[str, str, str], None]
"""Told of each change after it was made: what it was, the path, and the new path of a rename or link."""

_watchers: list[Watcher] = []
_settled: set[str] = set()  # folders whose own entry this process has synced


@contextmanager
def watch(watcher: Watcher) -> Iterator[None]:
    """Tell the watcher of every change made in the block: make, write, sync, rename, link, remove."""
    _watchers.append(watcher)
    _settled.clear()
    try:
        yield
    finally:
        _watchers.remove(watcher)


def _did(what: str, path: str, other: str = "") -> None:
    for watcher in _watchers:
        watcher(what, path, other)


def make_folder(path: str, mode: int = 0o700) -> None:
    """Make the folder and those around it at need, each synced into the one around it. Raises OSError."""
    path = os.path.abspath(path)
    if path in _settled and os.path.isdir(path):
        return
    around = os.path.dirname(path)
    if not os.path.isdir(around):
        make_folder(around, mode)
    with suppress(FileExistsError):
        os.mkdir(path, mode)
        _did("make", path)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    sync(around)
    _settled.add(path)


def sync(path: str) -> None:
    """What was written to the file, or which entries the folder has, is on the disk on return. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    _did("sync", path)


def write_new(path: str, data: bytes, mode: int = 0o600) -> None:
    """A file that was not there, with its bytes on the disk; its name is, once the folder is synced. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, mode)
    _did("make", path)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        _did("write", path)
        os.fsync(handle)
    _did("sync", path)


def write_whole(path: str, data: bytes, mode: int = 0o600, *, settle: bool = True) -> None:
    """The file with these bytes, or as it was before: never a half. Raises OSError.

    Without `settle` the folder is not synced: after a loss of power it may be as it was before.
    """
    fresh = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        write_new(fresh, data, mode)
        rename(fresh, path, settle=settle)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh)
        raise


def write_once(path: str, data: bytes, mode: int = 0o600) -> bool:
    """The file with these bytes, unless there is one of that name: that one stays, and the answer is False. Raises OSError."""
    fresh = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        write_new(fresh, data, mode)
        os.link(fresh, path, follow_symlinks=False)
        _did("link", fresh, path)
        sync(os.path.dirname(path) or ".")
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):
            remove(fresh)
    return True


def rename(path: str, goal: str, *, settle: bool = True) -> None:
    """Give a synced file or folder its place, over what had it before. From another disk a file is copied. Raises OSError."""
    try:
        os.replace(path, goal)
        _did("rename", path, goal)
    except OSError as error:
        if error.errno != errno.EXDEV or os.path.isdir(path):
            raise
        _copied(path, goal)
    if settle:
        sync(os.path.dirname(goal) or ".")


def _copied(path: str, goal: str) -> None:
    """Copy beside the goal first, so that no half file ever has the final name."""
    near = f"{goal}.{os.getpid()}"
    shutil.copyfile(path, near)
    shutil.copymode(path, near)
    _did("make", near)
    _did("write", near)
    sync(near)
    os.replace(near, goal)
    _did("rename", near, goal)
    os.unlink(path)


def settle_folder(path: str) -> None:
    """The files right in the folder are on the disk, and so are their names. Raises OSError."""
    for name in sorted(os.listdir(path)):
        sync(os.path.join(path, name))
    sync(path)


def remove(path: str) -> None:
    """Remove the file, and have that on the disk. Raises OSError."""
    os.unlink(path)
    _did("remove", path)
    sync(os.path.dirname(path) or ".")


def refused(what: str, folder: str, error: OSError) -> StorageError:
    """A disk's refusal as an instruction."""
    hint = {
        errno.ENOSPC: f"Free some space on the disk of {folder}, then run the command again.",
        errno.EFBIG: f"Raise the size that a file may have there (see `ulimit -f`, and the disk of {folder}).",
        errno.EDQUOT: f"Raise this user's quota on the disk of {folder}, then run the command again.",
        errno.EROFS: f"{folder} is on a read-only disk: mount it writable, or move the project.",
    }.get(error.errno or 0, f"Give this user write access to {folder}, then run the command again.")
    return StorageError(f"{what} ({error.strerror}).", hint=hint)
