"""Folders in which files are made before they are stored, on the same disk as the store."""

from __future__ import annotations

import os
import shutil
import tempfile

PREFIX = "making-"


def new_scratch(folder: str) -> str:
    """A new empty scratch folder below the folder, which is made at need. Raises OSError."""
    os.makedirs(folder, exist_ok=True)
    return tempfile.mkdtemp(prefix=PREFIX, dir=folder)


def remove_scratch(folder: str) -> int:
    """Remove all scratch folders below the folder; the bytes freed."""
    freed = 0
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.startswith(PREFIX) and os.path.isdir(path):
            freed += sum(
                os.path.getsize(os.path.join(at, file)) for at, _, files in os.walk(path) for file in files
            )
            shutil.rmtree(path, ignore_errors=True)
    return freed
