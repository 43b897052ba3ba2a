"""Copies of remote files on this machine: fetched once for as long as their tags stay, removed with the process.

A table is fetched of one list of its files, each by its tag. Where one changed or went meanwhile the list is asked for anew, a few times;
then nothing of it is read.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tilth.adapters.jails.folders import scratch_folder
from tilth.adapters.sources.remote.place import BrokenError, ChangedError, Item, Place, token
from tilth.core.errors import SourceError, StorageError
from tilth.core.sizes import show_size
from tilth.ports import leaving

LISTS, BODIES = 4, 4  # how often a list, and a body, is asked for before it is given up
PAUSE = 0.2  # seconds after the first failure, doubled after each
KEPT = 8  # tables whose copies stay


@dataclass(frozen=True, eq=False)
class Copy:
    """A table's files here, in the order of their list. The folder is gone when nobody refers to it any more."""

    folder: str
    paths: tuple[str, ...]
    shown: tuple[str, ...]
    tag: str | None
    again: int  # bodies that had to be asked for again
    unsure: tuple[str, ...]  # files of which nobody said how long they are


_Key = tuple[int, str, str]
_kept: dict[_Key, Copy] = {}
_locks: dict[_Key, threading.Lock] = {}
_lock = threading.Lock()
_made: list[Any] = []  # what removes the copies that there are


def copy(place: Place, address: str, table: str, home: str | None, most: int) -> Copy:
    """The table's files as they are now. SourceError when they will not stay, or are larger than `most` bytes in all."""
    key = (os.getpid(), address, table)
    with _lock:
        alone = _locks.setdefault(key, threading.Lock())
    with alone:
        found = _current(place, key, table, home, most)
        with _lock:
            _kept.pop(key, None)
            _kept[key] = found  # the last used is last
            while len(_kept) > KEPT:
                del _kept[next(iter(_kept))]
    return found


def _current(place: Place, key: _Key, table: str, home: str | None, most: int) -> Copy:
    why = ""
    for turn in range(LISTS):
        items = place.items(table)
        tag = token(items)
        with _lock:
            known = _kept.get(key)
        if known is not None and tag is not None and known.tag == tag:
            return known
        try:
            return _fetched(place, items, home, most)
        except ChangedError as error:
            why = str(error)
            if turn + 1 < LISTS:
                time.sleep(PAUSE * 2**turn)
    raise SourceError(
        f"The files of table `{table}` changed each of {LISTS} times that they were read: {why}. Nothing was taken.",
        hint="Try again when whoever writes them is done; write new files under new names.",
    )


def _fetched(place: Place, items: tuple[Item, ...], home: str | None, most: int) -> Copy:
    known = sum(i.size or 0 for i in items)
    if known > most:
        raise too_large(known, most)
    stack = ExitStack()
    try:
        folder = stack.enter_context(scratch_folder(_home(home)))
        paths, done, again, left = [], [], 0, most
        for number, item in enumerate(items):
            path = os.path.join(folder, f"{number:06d}")
            got, tries = _whole(lambda i=item, p=path, n=left: place.fetch(i, p, n), path)  # type: ignore[misc]
            again += tries
            left -= os.path.getsize(path)
            paths.append(path + got.ending)
            os.rename(path, paths[-1])
            done.append(got)
    except OSError as error:
        stack.close()
        raise _no_room(error) from error
    except BaseException:
        stack.close()
        raise
    unsure = tuple(i.shown for i in done if i.unsure)
    made = Copy(folder, tuple(paths), tuple(i.shown for i in items), token(done), again, unsure)
    _made.append(weakref.finalize(made, stack.close))
    _made[:] = [f for f in _made if f.alive]
    return made


def _forget() -> None:
    """Remove all copies."""
    for remove in _made:
        remove()


leaving.at_end(_forget)


def _whole(fetch: Callable[[], Item], path: str) -> tuple[Item, int]:
    """What `fetch` gives once its body is whole, and how often it was not."""
    for turn in range(BODIES):
        try:
            return fetch(), turn
        except BrokenError as error:
            if turn + 1 == BODIES:
                raise SourceError(
                    f"{error}, {BODIES} times over. Nothing was taken.",
                    hint="Try again later; look at the server, and at what lies between.",
                ) from error
            time.sleep(PAUSE * 2**turn)
            if os.path.exists(path):
                os.remove(path)
    raise AssertionError(path)


def _home(home: str | None) -> str:
    """A folder of ours for copies: below the project's own, else below the system's folder of temporary files."""
    if home is not None and os.path.isdir(home):
        folder = os.path.join(home, "copies")
    else:
        folder = os.path.join(tempfile.gettempdir(), f"tilth-copies-{os.geteuid()}")
    os.makedirs(folder, 0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StorageError(f"{folder} is not a folder of this user.", hint="Remove it, and try again.")
    return folder


def _no_room(error: OSError) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return StorageError(
        f"The copies of remote files cannot be written ({error.strerror}).",
        hint="Free some space: a table's files are copied whole before they are read."
        if full
        else "Give this user write access to the project's .tilth.",
    )


def too_large(size: int, most: int) -> SourceError:
    """The error of a table with more bytes than the source may read."""
    return SourceError(
        f"The table's files have {show_size(size)} or more, and the source reads {show_size(most)} at most.",
        hint="Raise the source's option max_size, for example max_size = '100 GB'; each read copies them to this machine's disk.",
    )
