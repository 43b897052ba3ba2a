"""Imports from a project's own folder: always compiled from the source that was hashed, never from what lies compiled beside it."""

from __future__ import annotations

import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from typing import Any


class _Source(SourceFileLoader):
    """A loader that knows no age of its file, without which Python reads and writes no `__pycache__`."""

    def path_stats(self, path: Any) -> Any:
        raise OSError(f"{path} is compiled each time")


def open_folder(folder: str) -> None:
    """Let modules of the folder, and packages in it, be imported before all others. For this whole process."""
    root = os.path.realpath(folder)

    def finder(path: str) -> FileFinder:
        real = os.path.realpath(path)
        if real != root and not real.startswith(root + os.sep):
            raise ImportError(f"{path} is not in {folder}")
        return FileFinder(
            path,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (_Source, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )

    if folder not in sys.path:
        sys.path_hooks.insert(0, finder)
        sys.path_importer_cache.pop(folder, None)
        sys.path.insert(0, folder)
