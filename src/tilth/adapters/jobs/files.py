"""A job's files on this machine: its inputs found by digest, and what its task left listed by digest.

Both runners of this machine, `local` and `inline`, use it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from tilth.adapters.files.own import digest_of
from tilth.core.errors import TamperError
from tilth.ports.blobs import Blobs
from tilth.ports.jobs import Job

MOST_FILES, MOST_BYTES = 64, 2 << 30  # that a job may leave
HINT = "Do not serve it. Train the model again; own estimators decide what their member's file holds."


def inputs_of(job: Job, blobs: Blobs, beside: Mapping[str, str]) -> dict[str, str]:
    """Paths of the inputs by name, of which every byte was looked at just now."""
    return {name: _input(name, digest, blobs, beside) for name, digest in job.inputs.items()}


def _input(name: str, digest: str, blobs: Blobs, beside: Mapping[str, str]) -> str:
    path = beside.get(digest)
    if path is None:
        return blobs.verified(digest)
    if digest_of(path) != digest:
        raise TamperError(
            f"The file {name} is not what it was when the job was made.", hint="Run the command again."
        )
    return path


def left_in(folder: str) -> dict[str, str]:
    """The sha256 of each file right in the folder; TamperError when there is anything else, or too much."""
    with os.scandir(folder) as entries:
        found = [entry for entry, _ in zip(entries, range(MOST_FILES + 1), strict=False)]
    sizes = [entry.stat(follow_symlinks=False) for entry in found]
    if len(found) > MOST_FILES or sum(s.st_size for s in sizes) > MOST_BYTES:
        raise TamperError("The worker left more than a bundle's files.", hint=HINT)
    for entry, size in zip(found, sizes, strict=True):
        if not stat.S_ISREG(size.st_mode):
            raise TamperError(f"The worker left {entry.name!r}, which is no plain file.", hint=HINT)
    return {entry.name: digest_of(entry.path) for entry in sorted(found, key=lambda e: e.name)}
