"""What lies in a bundle folder, read strictly: regular files directly in it, nothing else, each read once.

The bytes that were digested are the bytes that are handed on, so a file changed after the check changes nothing.
Who signed the list is in `signing`; what is said about the bundle is in `provenance`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tilth.core.canonical import canonical, digest
from tilth.core.errors import TamperError

ENVELOPE = "bundle.sigstore.json"
MOST_BYTES = 2 << 30


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file of the folder by name; TamperError for a symlink, a subfolder or a special file."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as e:
        raise TamperError(
            f"The bundle {folder.name} cannot be read: {e.strerror}.",
            hint="Train the model again, or put the folder back from a backup.",
        ) from e
    return {name: read_file(folder / name) for name in names}


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """sha256 by file name, in the order of the names."""
    return {name: digest(files[name]) for name in sorted(files)}


def bundle_digest(listed: Mapping[str, str]) -> str:
    """One digest over names and contents: sha256 of the canonical list."""
    return digest(canonical(dict(listed)))


def compare(expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Return when both lists are the same; TamperError naming the files when they are not."""
    missing = sorted(set(expected) - set(found))
    added = sorted(set(found) - set(expected))
    changed = sorted(n for n in expected if n in found and found[n] != expected[n])
    reasons = (("missing file", missing), ("added file", added), ("changed file", changed))
    rows = tuple(f"{word}: {name!r}" for word, names in reasons for name in names)
    if rows:
        raise TamperError(
            "The bundle's files are not the ones that were signed.",
            detail=rows,
            hint="Do not serve it. Train the model again, or roll back to another version.",
        )


def read_file(path: Path) -> bytes:
    """The content of a regular file; TamperError for a symlink, a special file, or one that is too large."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        what = "is a symlink" if path.is_symlink() else f"cannot be read: {e.strerror}"
        raise _not_regular(path, what) from e
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise _not_regular(path, "is not a regular file")
    with os.fdopen(handle, "rb") as stream:  # as much memory as the file takes, not as the largest may
        data = stream.read(min(found.st_size, MOST_BYTES) + 1)
    if len(data) > min(found.st_size, MOST_BYTES):
        raise _not_regular(path, "is larger than a bundle's file may be")
    return data


def _not_regular(path: Path, what: str) -> TamperError:
    return TamperError(
        f"{path.name!r} in the bundle {what}.",
        hint="A bundle holds plain files only. Train the model again, or roll back to another version.",
    )
