"""What a project's `.tilth` holds on the disk, by kind, and whether that is within `disk` under [limits] of tilth.toml."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tilth.core.errors import ResourceLimitError

KINDS = ("blobs", "bundles", "predictions", "state", "temp")
WHAT = {
    "blobs": "snapshots and quarantine",
    "bundles": "versions of models",
    "predictions": "the log of answers",
    "state": "the state and its keys",
    "temp": "what work in progress spills",
}
NEAR = 0.8  # of the limit, from which it is told
BLOCK = 512  # bytes of what a file's `st_blocks` counts (POSIX)
FREES = "`tilth gc` frees what nothing points at; [keep] of tilth.toml says what stays for how long."


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on the disk, by kind, and what they may be together; None: as much as there is room."""

    kinds: Mapping[str, int]
    limit: int | None = None

    @property
    def total(self) -> int:
        return sum(self.kinds.values())

    @property
    def near(self) -> str | None:
        """That there is little room left, or none; None while there is enough."""
        if self.limit is None or self.total < NEAR * self.limit:
            return None
        return f".tilth holds {shown(self.total)} of the {shown(self.limit)} that it may"

    def require(self) -> None:
        """ResourceLimitError when all that it may hold is held."""
        if self.limit is not None and self.total >= self.limit:
            largest = max(self.kinds, key=lambda k: self.kinds[k])
            raise ResourceLimitError(
                f"{self.near}, most of it {WHAT[largest]}: nothing is collected or trained.",
                hint=f"Raise `disk` under [limits] of tilth.toml, or free some: {FREES}",
            )


def held(home: str, limit: int | None = None) -> Disk:
    """What lies in the folder now. What goes while it is looked at counts for nothing."""
    kinds = dict.fromkeys(KINDS, 0)
    for entry in _entries(home):
        kind = entry.name.partition(".")[0]
        kinds[kind if kind in KINDS else "state"] += _size(entry)
    return Disk(kinds, limit)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError:
        return


def _size(entry: os.DirEntry[str]) -> int:
    """What the file, or all that is in the folder, takes; a link is not followed."""
    try:
        own = entry.stat(follow_symlinks=False).st_blocks * BLOCK
        inside = entry.is_dir(follow_symlinks=False)
    except OSError:
        return 0
    return own + (sum(map(_size, _entries(entry.path))) if inside else 0)


def shown(size: int) -> str:
    """The size as sizes are declared: a MB has 1,048,576 bytes.

    >>> shown(60 << 20), shown(3 << 29)
    ('60.0 MB', '1.5 GB')
    """
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"
