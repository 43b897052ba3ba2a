"""Rows by key in SQLite files, one a store: made under another name, indexed, synced and renamed; then only read.

Rows are appended and the index is sorted at the end, in SQLite's bounded memory, so that 10 million rows need no more than a few.
Each row carries a checksum of its key and itself: a byte that rots is an error and no answer.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from zlib import crc32

from tilth.adapters.files import durable
from tilth.core.errors import DamagedError, StorageError
from tilth.ports.lookups import Kept, Rows

SUFFIX = ".rows"
FORM = 1  # of the file; one of another form is made anew
CACHE = 64 << 10  # KB that SQLite may hold while a store is made, and sort in
PAGE = 16 << 10  # bytes
READ = 4 << 10  # and while it is read
_FIND = "SELECT row, sum FROM rows WHERE key = ? AND seen <= ? ORDER BY at DESC, known DESC LIMIT 1"


class SqliteRows:
    """One open file. Only one thread at a time asks it."""

    def __init__(self, path: str) -> None:
        """DamagedError for what is no finished store."""
        self._path, self.damaged = path, False
        self._db = sqlite3.connect(
            f"file:{_quoted(path)}?mode=ro&immutable=1",
            uri=True,
            check_same_thread=False,
            isolation_level=None,
        )
        try:
            self._db.execute(f"PRAGMA cache_size = -{READ}")
            (form,) = self._db.execute("PRAGMA user_version").fetchone()
            if form != FORM:
                raise sqlite3.DatabaseError(f"form {form}")
            (self._count,) = self._db.execute("SELECT count FROM about").fetchone()
        except sqlite3.Error as error:
            self._db.close()
            raise self._broken(error) from error

    def __len__(self) -> int:
        return int(self._count)

    def __del__(self) -> None:
        with suppress(AttributeError, sqlite3.Error):
            self._db.close()

    def find(self, key: bytes, now: int) -> bytes | None:
        try:
            found = self._db.execute(_FIND, (key, now)).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if found is None:
            return None
        row: bytes = found[0]
        if not isinstance(row, bytes) or crc32(row, crc32(key)) != found[1]:
            raise self._broken(ValueError("a row is not as it was written"))
        return row

    def _broken(self, error: Exception) -> DamagedError:
        self.damaged = True
        return DamagedError(
            f"A store of rows to look up cannot be read: {error}.",
            hint="The server makes it again of the snapshot; ask once more in a moment.",
        )


class SqliteLookups:
    """The stores in one folder, which is made at need."""

    def __init__(self, folder: str, home: str) -> None:
        self._folder, self.home = folder, home

    def opened(self, name: str) -> Rows | None:
        path = self._path(name)
        if not os.path.isfile(path):
            return None
        try:
            return SqliteRows(path)
        except (DamagedError, sqlite3.Error):
            return None  # it is made anew, over this one

    def made(self, name: str, rows: Iterable[Kept]) -> Rows:
        path = self._path(name)
        fresh = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            durable.make_folder(self._folder)
            _write(fresh, rows)
            durable.sync(fresh)
            durable.rename(fresh, path)
            return SqliteRows(path)
        except sqlite3.Error as error:
            raise StorageError(
                f"The rows to look up cannot be written: {error}.", hint="Look whether the disk is full."
            ) from error
        except OSError as error:
            raise durable.refused("The rows to look up", self._folder, error) from error
        finally:
            with suppress(OSError):
                os.unlink(fresh)

    def keep(self, names: Collection[str]) -> int:
        wanted = {os.path.basename(self._path(name)) for name in names}
        gone = 0
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if name in wanted or self._being_made(name):
                    continue
                with suppress(FileNotFoundError):
                    durable.remove(os.path.join(self._folder, name))
                    gone += 1
        return gone

    def _being_made(self, name: str) -> bool:
        """Whether a process that lives is making it."""
        _, mark, rest = name.partition(f"{SUFFIX}.")
        pid = rest.partition(".")[0]
        if not mark or not pid.isdigit():
            return False
        try:
            os.kill(int(pid), 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, f"{name}{SUFFIX}")


class ProjectLookups:
    """What `tilth.parts` opens: the stores of a project."""

    @staticmethod
    def opened(home: str) -> SqliteLookups:
        """In a folder of its own, which no backup needs."""
        return SqliteLookups(os.path.join(home, "lookups"), home)


def _write(path: str, rows: Iterable[Kept]) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        os.chmod(path, 0o600)
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            f"cache_size = -{CACHE}",
            f"page_size = {PAGE}",
        ):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        db.execute(
            "CREATE TABLE rows (key BLOB, at INTEGER, known INTEGER, seen INTEGER, row BLOB, sum INTEGER)"
        )
        before = db.total_changes
        db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", _summed(rows))
        count = db.total_changes - before
        db.execute("CREATE INDEX by_key ON rows (key, at, known, seen)")
        db.execute("CREATE TABLE about (count INTEGER)")
        db.execute("INSERT INTO about VALUES (?)", (count,))
        db.execute(f"PRAGMA user_version = {FORM}")
        db.execute("COMMIT")
    finally:
        db.close()


def _summed(rows: Iterable[Kept]) -> Iterator[tuple[object, ...]]:
    """The rows, each with its checksum."""
    return ((k, at, known, seen, row, crc32(row, crc32(k))) for k, at, known, seen, row in rows)


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(os.path.abspath(path))
