"""Where a path of a project really leads: the one rule for the text files that declare and the files that hold data.

Whoever can write into a folder can put a link, a FIFO or a device there, and whoever runs tilth in it may be somebody
else, even root. So a path is followed only as far as the folder it is said to lie in, and only a regular file is read.
"""

from __future__ import annotations

import errno
import os
import stat

from tilth.core.errors import ProjectError, StorageError
from tilth.core.sizes import show_size

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def within(path: str, folder: str, *, shown: str | None = None) -> str:
    """The real path of what lies there; ProjectError when that is outside the folder. Links inside it are fine."""
    name = shown or path
    real = _real(path, name)
    base = os.path.realpath(folder)
    if real != base and not real.startswith(os.path.join(base, "")):
        raise ProjectError(
            f"{name} is a link that leads out of {folder}: it is not followed.",
            hint="Put the file itself there, or name the folder where it really lies.",
        )
    return real


def bound(path: str, root: str) -> str:
    """The folder that a path which a declaration names may not lead out of: the project, or what it names outside of it."""
    written, base = os.path.normpath(os.path.join(root, path)), os.path.abspath(root)
    if written == base or written.startswith(os.path.join(base, "")):
        return base
    return written if os.path.isdir(written) else os.path.dirname(written)


def regular(path: str, folder: str, *, shown: str | None = None) -> str:
    """As `within`, and ProjectError when it is a folder, a FIFO, a device or a socket."""
    name = shown or path
    real = within(path, folder, shown=name)
    try:
        mode = os.lstat(real).st_mode
    except OSError as error:
        raise _unreadable(name, error) from error
    if not stat.S_ISREG(mode):
        raise _special(name, mode)
    return real


def read_text(path: str, folder: str, limit: int, *, shown: str | None = None) -> str:
    """The UTF-8 text of a regular file that lies in the folder and is at most `limit` bytes long."""
    name = shown or path
    data = read_bytes(path, folder, limit, shown=name)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StorageError(
            f"{name} is not UTF-8 text (byte {error.start + 1} cannot be read).",
            hint="Save the file as UTF-8.",
        ) from error


def read_bytes(path: str, folder: str, limit: int, *, shown: str | None = None) -> bytes:
    """The bytes of such a file; what was looked at is what is read, whoever changes the folder meanwhile."""
    name = shown or path
    real = regular(path, folder, shown=name)
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise _special(name, found.st_mode)
            data = file.read(limit + 1)
    except OSError as error:
        raise _unreadable(name, error) from error
    if len(data) > limit:
        raise ProjectError(
            f"{name} is longer than {show_size(limit)}, which is the most that is read.",
            hint="Divide it, or move what is not a declaration out of the project.",
        )
    return data


def _real(path: str, name: str) -> str:
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ProjectError(
                f"{name} is a link that leads back to itself.", hint="Remove the link."
            ) from error
        raise _unreadable(name, error) from error
    except ValueError as error:
        raise ProjectError(f"{name!r} cannot be a path ({error}).", hint="Correct the path.") from error


def _special(name: str, mode: int) -> ProjectError:
    what = next((word for test, word in _KINDS if test(mode)), "no regular file")
    return ProjectError(f"{name} is {what}, not a file.", hint="Put a file there, or remove it.")


def _unreadable(name: str, error: OSError) -> StorageError:
    return StorageError(
        f"{name} cannot be read ({error.strerror}).", hint="Make it readable by this user, or remove it."
    )
