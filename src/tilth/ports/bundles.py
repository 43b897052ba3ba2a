"""Where sealed bundles are kept: immutable folders of a few files, named by digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol


class BundleStore(Protocol):
    def put(self, digest: str, folder: str) -> None:
        """Take over a sealed folder; durable on return. One that is there whole stays."""
        ...

    def path(self, digest: str) -> str:
        """The folder of that digest; DamagedError when there is none."""
        ...

    def digests(self) -> Iterator[tuple[str, int]]:
        """All bundles with their sizes in bytes."""
        ...

    def delete(self, digest: str) -> int:
        """Remove one; the bytes freed."""
        ...

    def tidy(self) -> int:
        """Remove scratch folders that a dead process left behind; the bytes freed. Nothing may be being made."""
        ...

    def scratch(self) -> str:
        """A new empty folder on the same disk, to build a bundle in."""
        ...


Files = Mapping[str, bytes]
