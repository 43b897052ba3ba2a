"""What lies in `.tilth` must be this user's own, and no link: else whoever put it there decides what tilth reads and writes.

`check_home` looks at the folder and what stands right in it before anything is opened; `check` looks at one path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from tilth.core.errors import DamagedError, StorageError

OTHERS = 0o022  # others may write
_FOLDERS = ("blobs", "bundles", "keys", "temp")
_FILES = ("state.db", "head.json", "token", "blobs.verified")
_WHAT = {
    **dict.fromkeys(_FOLDERS, True),
    **dict.fromkeys(_FILES, False),
}  # whether what has this name is a folder
MAKING = "making-"  # how folders are called in which something is made


def check_home(home: str) -> None:
    """StorageError when `.tilth`, or something right in it, is a link, another user's, open to others, or a file in the place of a folder.

    No `.tilth` is fine.
    """
    if not os.path.lexists(home):
        return
    check(home, folder=True)
    try:
        with os.scandir(home) as found:
            for entry in found:
                check(entry.path, folder=_WHAT.get(entry.name))
    except OSError as error:
        raise StorageError(
            f"{home} cannot be read ({error.strerror}).", hint=f"Run: chmod u+rwx {home}"
        ) from error


def check(path: str, *, folder: bool | None = None) -> bool:
    """Whether there is something; StorageError when it is not what this user made. `folder`: what it must be."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(
            f"{path} cannot be looked at ({error.strerror}).", hint="Give this user access to the folder."
        ) from error
    if stat.S_ISLNK(found.st_mode):
        raise StorageError(
            f"{path} is a link: tilth follows none in its own folder.",
            hint=f"Run: rm {path}   (or move what it points at here).",
        )
    wanted = "a folder" if folder else "a file" if folder is not None else "a file or a folder"
    is_folder, is_file = stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode)
    if not (is_folder or is_file) or (folder is not None and folder != is_folder):
        raise StorageError(f"{path} is not {wanted}.", hint=f"Look at what it is, then run: rm {path}")
    _check_owner(path, found)
    return True


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise StorageError(
            f"{path} belongs to another user (number {found.st_uid}).",
            hint=f"Run: chown {os.geteuid()} {path}   (after looking at what is in it).",
        )
    if found.st_mode & OTHERS:
        raise StorageError(
            f"Other users may write to {path}.",
            hint=f"Run: chmod go-w {path}   (after looking at what is in it).",
        )


def holds_something(path: str | Path) -> bool:
    """Whether a file is there, or a folder with more in it than folders in which something was being made."""
    try:
        return any(not name.startswith(MAKING) for name in os.listdir(path))
    except NotADirectoryError:
        return True
    except OSError:
        return False


def open_file(path: str, flags: int, mode: int = 0o600, *, alone: bool = False) -> int:
    """A descriptor of a regular file of this user's; raises OSError, or StorageError for anything else.

    Neither a link nor a FIFO is waited for or followed, whoever puts it there meanwhile. `alone`: it has no other name.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            check(path, folder=False)
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            check(path, folder=False)
            raise StorageError(f"{path} is not a file.", hint=f"Look at what it is, then run: rm {path}")
        if alone and found.st_nlink > 1:
            raise StorageError(
                f"{path} is another name of a file elsewhere (a hard link).", hint=f"Run: rm {path}"
            )
        _check_owner(path, found)
    except BaseException:
        os.close(handle)
        raise
    return handle


def digest_of(path: str) -> str:
    """The sha256 of a regular file, no link; DamagedError when it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DamagedError(
            f"The file {path} cannot be read ({error.strerror}).",
            hint="Give this user access to it, or put it back from a backup (`tilth restore FILE`).",
        ) from error
