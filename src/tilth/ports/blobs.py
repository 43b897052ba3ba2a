"""Bytes kept by their digest: Parquet parts of snapshots, files of bundles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tilth.ports.bundles import BundleStore


class Blobs(Protocol):
    """Immutable once put. `path` gives a local read-only file."""

    def put_file(self, path: str) -> str:
        """Take over a finished local file (it is moved); its sha256 in hex. Durable on return."""
        ...

    def path(self, digest: str) -> str:
        """A local path to read from; DamagedError when there is no such blob, or a write has changed it since it was put."""
        ...

    def verified(self, digest: str) -> str:
        """As `path`, of a file whose every byte was looked at just now: what changed without a write is found, too."""
        ...

    def intact(self, digest: str) -> bool:
        """Whether `path` would give it."""
        ...

    def digests(self) -> Iterator[tuple[str, int]]:
        """All blobs with their sizes in bytes."""
        ...

    def delete(self, digest: str) -> int:
        """Remove one; the bytes freed (0 if it was not there)."""
        ...

    def tidy(self) -> int:
        """Remove scratch folders that a dead process left behind; the bytes freed. Nothing may be being made."""
        ...

    def scratch(self) -> str:
        """A new empty folder on the same disk, for files that will be put."""
        ...


class StoreAdapter(Protocol):
    """What an entry point of `tilth.blobs` stands for; its name in `tilth.toml` is `blobs`, an address may follow it."""

    @staticmethod
    def opened(address: str, home: str) -> tuple[Blobs, BundleStore]:
        """Where content is kept: files by digest, and sealed bundles."""
        ...
