"""Scratch folders of jailed processes: one is gone after its work, or with the next one when its owner was killed in it.

A folder is known to be abandoned by its lock, which the kernel frees with the process that held it. Folders in which
outputs are put are the ones of `files.scratch`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

from tilth.core.errors import StorageError

MAKING, OWN = (
    "making-",
    "making-worker-",
)  # gc clears the first, the next worker the second once its owner is gone


@contextlib.contextmanager
def scratch_folder(folder: str) -> Iterator[str]:
    """A new folder that is gone after the block, or after the next one when this process is killed in it."""
    try:
        os.makedirs(folder, exist_ok=True)
        _clear(folder)
        path, held = _held(folder)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror}).",
            hint="Free some space or give this user write access to it.",
        ) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def _held(folder: str) -> tuple[str, int]:
    """A folder that is locked before it has the name by which others look for abandoned ones; flock ends with us."""
    made = tempfile.mkdtemp(prefix=MAKING, dir=folder)
    held = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    path = os.path.join(folder, OWN + os.path.basename(made).removeprefix(MAKING))
    os.rename(made, path)
    return path, held


def _clear(folder: str) -> None:
    """Remove the folders of workers whose starter was killed."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(OWN) and not os.path.islink(path):
            with contextlib.suppress(OSError):
                held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(held)
