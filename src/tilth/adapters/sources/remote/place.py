"""What is asked of a place that holds files: which there are, by which tag each is known, and one of them as it was under that tag."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tilth.adapters.sources.files.found import PACKED, Found
from tilth.core.errors import SourceError


@dataclass(frozen=True, slots=True)
class Item:
    """A file: `path` is what the place calls it, `shown` its name in messages. `tag` differs when its content does (None: untold).

    Of one that was fetched, `ending` is the end of a name by which it is read (`.csv.gz`), and `unsure` that nobody said how long it is.
    """

    path: str
    shown: str
    size: int | None
    tag: str | None
    ending: str = ""
    unsure: bool = False


class ChangedError(Exception):
    """A file is no longer what the list said, or is gone: the list is asked for anew."""


class BrokenError(Exception):
    """A body that ended early, or a connection that broke: it is asked for again."""


class Place(Protocol):
    """Where files lie. Errors are SourceError without secrets, and those two."""

    what: str

    def stop(self) -> None:
        """End what is being fetched, from another thread."""
        ...

    def found(self) -> Found:
        """Which files are which table; paths are those of `items`."""
        ...

    def items(self, table: str) -> tuple[Item, ...]:
        """The files of a table as they are now; UnknownNameError when there is none such."""
        ...

    def fetch(self, item: Item, path: str, most: int) -> Item:
        """Write the file there, whole, and at most so many bytes of it; the item as it was sent, with its ending.

        ChangedError when it is not what the item says; BrokenError when the body is not whole.
        """
        ...


ENCODED = {"": "", "identity": "", "gzip": ".gz", "x-gzip": ".gz", "zstd": ".zst"}


def ending(name: str, encoding: str | None, shown: str) -> str:
    """What a file of this name is read by, where it was sent in this Content-Encoding. SourceError for one that is not unpacked."""
    packed = ENCODED.get((encoding or "").strip().lower())
    if packed is None:
        raise SourceError(
            f"{shown} is sent in the Content-Encoding {encoding!r:.40}, which is not unpacked.",
            hint="Have it sent as it is, or as gzip or zstd.",
        )
    low = name.lower()
    found = next((p for p in PACKED if low.endswith(p)), "")
    kind = os.path.splitext(low.removesuffix(found))[1]
    return kind + (found or packed)


def token(items: Iterable[Item]) -> str | None:
    """Some text that differs when a file of the table does; None when one of them has no tag. It says no address."""
    listed = sorted((i.path, i.tag) for i in items)
    if any(tag is None for _, tag in listed):
        return None
    return hashlib.sha256("\n".join(f"{path}\t{tag}" for path, tag in listed).encode()).hexdigest()
