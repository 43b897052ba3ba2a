"""A backup as one file: a zip whose first entry lists all others with length and digest. What is in it is not its business.

Written beside its name, read back whole and only then given it. Unpacked into an empty folder of our own, by a list of
names that may be there and nothing else: no name leads elsewhere, no entry becomes a link, and none is longer than said.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from tilth.adapters.files import durable
from tilth.core.canonical import canonical
from tilth.core.errors import DamagedError, StorageError
from tilth.core.sizes import show_size

FORMAT = 1
LISTING = "backup.json"
MOST_LISTED = 256 << 20  # bytes of the listing
CHUNK = 1 << 20
_HEX = "[0-9a-f]"
_NAME = re.compile(
    rf"state\.db|head\.json|blobs/{_HEX}{{2}}/{_HEX}{{62}}|bundles/{_HEX}{{2}}/{_HEX}{{62}}/[A-Za-z0-9_-][A-Za-z0-9_.-]*"
    r"|predictions/[A-Za-z0-9_-][A-Za-z0-9_.-]*\.(?:jsonl|parquet)|keys/signing_key\.(?:pem|pub)"
)
_READ_ONLY = ("blobs/", "bundles/")

Tell = Callable[[int], None]
"""Told how many bytes were done since it was told last."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to keep: `size` of its first bytes (all, when None); `digest` when it is known what they must be."""

    name: str
    path: str
    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a backup says of itself: facts about it, and (length, digest) of each file by name."""

    facts: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]]

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self.files.values())


def write(path: str, entries: Iterable[Entry], facts: Mapping[str, object], tell: Tell) -> Listing:
    """Make the file, which must not exist; it was read back and found whole on return."""
    if os.path.lexists(path):
        raise StorageError(f"{path} is there already.", hint="Name a file that does not exist yet.")
    fresh = f"{path}.{os.getpid()}.part"
    folder = os.path.dirname(os.path.abspath(path))
    try:
        listed = tuple(entries)
        files = {e.name: _measured(e, tell) for e in listed}
        listing = Listing(facts, files)
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w+b") as file:
            _pack(file, listed, listing, tell)
            file.flush()
            os.fsync(handle)
        verify(fresh, tell)
        os.link(fresh, path)  # never over another's
        os.unlink(fresh)
        durable.sync(folder)
    except OSError as error:
        raise durable.refused(f"The backup {path} cannot be written", folder, error) from error
    finally:
        with suppress(OSError):
            os.unlink(fresh)
    return listing


def _measured(entry: Entry, tell: Tell) -> tuple[int, str]:
    """Length and digest of what will be kept; DamagedError when it is not what it must be."""
    hashed, size = hashlib.sha256(), 0
    with open(entry.path, "rb") as file:
        while data := file.read(CHUNK if entry.size is None else min(CHUNK, entry.size - size)):
            hashed.update(data)
            size += len(data)
            tell(len(data))
    if entry.digest not in (None, hashed.hexdigest()) or entry.size not in (None, size):
        raise DamagedError(
            f"{entry.name} is damaged: its bytes are not those that were stored.",
            hint="Run `tilth verify`: it names what is damaged and what mends it; then make the backup.",
        )
    return size, hashed.hexdigest()


def _pack(file: IO[bytes], entries: tuple[Entry, ...], listing: Listing, tell: Tell) -> None:
    said = {"format": FORMAT, **listing.facts, "files": {n: list(f) for n, f in listing.files.items()}}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(zipfile.ZipInfo(LISTING), canonical(said), zipfile.ZIP_DEFLATED)
        for entry in entries:
            info = zipfile.ZipInfo(entry.name)  # with a date that does not change
            info.external_attr = 0o600 << 16
            dense = entry.name.startswith("blobs/") or entry.name.endswith(".parquet")
            info.compress_type = zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED
            left = listing.files[entry.name][0]
            with open(entry.path, "rb") as source, archive.open(info, "w", force_zip64=True) as goal:
                while left and (data := source.read(min(CHUNK, left))):
                    goal.write(data)
                    left -= len(data)
                    tell(len(data))


def read_listing(path: str) -> Listing:
    """What a backup says it holds; StorageError for a file that is none."""
    with _opened(path) as archive:
        return _listing(archive, path)


def verify(path: str, tell: Tell) -> None:
    """Read the whole file; DamagedError when anything is not what its listing says."""
    with _opened(path) as archive:
        listing = _listing(archive, path)
        for name in listing.files:
            _copy(archive, path, name, listing, None, tell)


def unpack(path: str, folder: str, tell: Tell) -> Listing:
    """All files of the backup below the empty folder, whole and on the disk."""
    with _opened(path) as archive:
        listing = _listing(archive, path)
        _fits(listing, folder)
        made = {folder}
        for name in listing.files:
            goal = os.path.join(folder, *name.split("/"))
            inner = os.path.dirname(goal)
            while inner not in made:
                os.makedirs(inner, mode=0o700, exist_ok=True)
                made.add(inner)
                inner = os.path.dirname(inner)
            mode = 0o444 if name.startswith(_READ_ONLY) else 0o644 if name.endswith(".pub") else 0o600
            handle = os.open(goal, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            with os.fdopen(handle, "wb") as file:
                _copy(archive, path, name, listing, file, tell)
                file.flush()
                os.fsync(handle)
        for one in sorted(made, key=len, reverse=True):
            durable.sync(one)
    return listing


def _fits(listing: Listing, folder: str) -> None:
    free = shutil.disk_usage(folder).free
    if listing.bytes > free:
        raise StorageError(
            f"The backup holds {show_size(listing.bytes)}, and {show_size(free)} are free.",
            hint="Free some space, then run the command again; nothing was changed.",
        )


def _copy(
    archive: zipfile.ZipFile, path: str, name: str, listing: Listing, goal: IO[bytes] | None, tell: Tell
) -> None:
    """One entry, at most as long as the listing says, and exactly what it says."""
    size, digest = listing.files[name]
    hashed, done = hashlib.sha256(), 0
    try:
        with archive.open(name) as source:
            while done <= size and (data := source.read(min(CHUNK, size - done + 1))):
                hashed.update(data)
                done += len(data)
                tell(len(data))
                if goal is not None and done <= size:
                    goal.write(data)
    except (
        zipfile.BadZipFile,
        KeyError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        zlib.error,
    ) as error:
        raise _damaged(path, f"{name} cannot be read") from error
    if (done, hashed.hexdigest()) != (size, digest):
        raise _damaged(path, f"{name} is not what its listing says")


@contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    """The zip in the file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(
            f"The backup {path} cannot be read ({error.strerror}).", hint="Name a file of `tilth backup`."
        ) from error
    with ExitStack() as stack:
        try:
            file = stack.enter_context(os.fdopen(handle, "rb"))
            archive = stack.enter_context(zipfile.ZipFile(file))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise StorageError(
                f"{path} is not a backup of tilth, or was cut short.", hint="Name a file of `tilth backup`."
            ) from error
        yield archive


def _listing(archive: zipfile.ZipFile, path: str) -> Listing:
    try:
        info = archive.getinfo(LISTING)
        if info.file_size > MOST_LISTED:
            raise _damaged(path, "its listing is too long")
        with archive.open(info) as file:
            said = json.loads(file.read(MOST_LISTED))
        if said["format"] != FORMAT:
            raise StorageError(
                f"{path} was made by a newer tilth (format {said['format']}; this one knows {FORMAT}).",
                hint="Install the newer tilth.",
            )
        files = {str(n): (int(size), str(digest)) for n, (size, digest) in said.pop("files").items()}
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, RuntimeError, NotImplementedError,
            zipfile.BadZipFile, EOFError, zlib.error) as error:  # fmt: skip
        raise _damaged(path, "its listing cannot be read") from error
    names = [i.filename for i in archive.infolist()]
    if sorted(names) != sorted([LISTING, *files]):
        raise _damaged(path, "its entries are not those of its listing")
    for name, (size, _) in files.items():
        if not _NAME.fullmatch(name) or size < 0:
            raise _damaged(path, f"it holds an entry that no backup has ({name[:80]!r})")
    return Listing(said, files)


def _damaged(path: str, why: str) -> DamagedError:
    return DamagedError(
        f"The backup {path} cannot be used: {why}.", hint="Nothing was changed. Take another backup."
    )
