"""Files as a kind of store, by its name in `tilth.toml`: `file` keeps blobs and bundles in the folder `.tilth`."""

from __future__ import annotations

import os

from tilth.adapters.files.blobs import FileBlobs
from tilth.adapters.files.bundles import FileBundles


class FileStore:
    """Implements `ports.blobs.StoreAdapter`."""

    @staticmethod
    def opened(address: str, home: str) -> tuple[FileBlobs, FileBundles]:
        """Both stores; their folders are made when something is put."""
        del address
        return FileBlobs(os.path.join(home, "blobs")), FileBundles(os.path.join(home, "bundles"))
