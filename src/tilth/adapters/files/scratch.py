"""Folders in which files are made before they are stored, on the same disk as the store."""

from __future__ import annotations

import os
import shutil
import tempfile

from tilth.adapters.files import durable, own


def new_scratch(folder: str) -> str:
    """A new empty scratch folder below the folder, which is made at need. Raises OSError."""
    durable.make_folder(folder)
    own.check(folder, folder=True)
    return tempfile.mkdtemp(prefix=own.MAKING, dir=folder)


def remove_scratch(folder: str) -> int:
    """Remove all scratch folders below the folder; the bytes freed. A link is never followed."""
    freed = 0
    for name in os.listdir(folder) if own.check(folder, folder=True) else ():
        path = os.path.join(folder, name)
        if name.startswith(own.MAKING) and os.path.isdir(path) and not os.path.islink(path):
            freed += sum(
                os.lstat(os.path.join(at, file)).st_size for at, _, files in os.walk(path) for file in files
            )
            shutil.rmtree(path, ignore_errors=True)
    return freed
