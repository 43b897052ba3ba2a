"""State in one SQLite file: WAL, synchronous FULL, foreign processes welcome. Not the place for what the rows mean.

Every change is one `BEGIN IMMEDIATE` transaction that must carry an audit row; audit rows are chained by sha256.
Numbered migrations lie in `migrations/`; the number applied is SQLite's `user_version`.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib import resources
from typing import Any

from tilth.core.canonical import canonical, digest
from tilth.core.errors import StateChangedError, StorageError, TamperError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, quoted
from tilth.ports.state import Cell, Row

GENESIS = "0" * 64
PATIENCE = 10.0  # seconds to wait for another program's lock
_HIDDEN = frozenset({"definitions", "pointers", "looks"})


@cache
def queries() -> Mapping[str, str]:
    """The named texts of `queries.sql`."""
    text = resources.files(__package__).joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (p.strip() for p in parts[2::2]), strict=True))


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, text) of every migration, in order."""
    files = resources.files(__package__).joinpath("migrations").iterdir()
    found = [(f.name, f.read_text("utf-8")) for f in files if f.name.endswith(".sql")]
    return sorted((int(n.split("_", 1)[0]), n.removesuffix(".sql"), t) for n, t in found)


def statements(text: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit the transaction that is open."""
    start = 0
    for end in (found.end() for found in re.finditer(";", text)):
        if sqlite3.complete_statement(text[start:end]):
            yield text[start:end]
            start = end
    if text[start:].strip():
        yield text[start:]


def pending(path: str) -> list[str]:
    """Names of migrations that opening this file would apply; writes nothing."""
    if not os.path.exists(path):
        return [name for _, name, _ in migrations()]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        have = int(db.execute("PRAGMA user_version").fetchone()[0])
    return [name for number, name, _ in migrations() if number > have]


def _use_wal(db: sqlite3.Connection) -> None:
    """Write ahead; asked for until the file is free, since SQLite itself does not wait where it could wait for ever."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


class _Connection(sqlite3.Connection):
    """Closes itself with its thread, or with the state when that is dropped unclosed."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it never opened
            self.close()


class SqliteState:
    """The `State` port over one file (or `:memory:`). Thread-safe: one connection a thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._local = threading.local()
        self._one = self._open() if path == ":memory:" else None
        self._write_lock = threading.RLock()
        with _storage(path):
            self._migrate(self._db())

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        db.row_factory = sqlite3.Row
        _use_wal(db)
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        return db

    def _db(self) -> sqlite3.Connection:
        if self._one is not None:
            return self._one
        if getattr(self._local, "db", None) is None:
            self._local.db = self._open()
        found: sqlite3.Connection = self._local.db
        return found

    def _migrate(self, db: sqlite3.Connection) -> None:
        """Apply what is pending in one transaction; another process that opens the file at once waits, and finds it done."""
        newest = migrations()[-1][0]
        if self._schema(db, newest) == newest:
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            have = self._schema(db, newest)
            for number, _, text in migrations():
                if number > have:
                    for statement in statements(text):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _schema(self, db: sqlite3.Connection, newest: int) -> int:
        have = int(db.execute("PRAGMA user_version").fetchone()[0])
        if have > newest:
            raise StateChangedError(
                f"The state in {self._path} was written by a newer tilth (schema {have}; this one knows {newest}).",
                hint="Install the newer tilth, or open the project with the state it was made with.",
            )
        return have

    def close(self) -> None:
        """Close this thread's connection."""
        db = self._one or getattr(self._local, "db", None)
        if db is not None:
            db.close()
            self._local.db = None

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        with _storage(self._path):
            return _rows(self._db().execute(queries()[query], parameters))

    @contextmanager
    def change(self, actor: str, at: str) -> Iterator[SqliteChange]:
        with self._write_lock, _storage(self._path):
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                change = SqliteChange(db, actor, at)
                yield change
                if not change.audited:
                    raise RuntimeError("a change of state without an audit row")
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def tables(self) -> tuple[str, ...]:
        names = self._db().execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return tuple(sorted(r[0] for r in names if r[0] not in _HIDDEN))

    def table(self, name: str) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
        if name not in self.tables():
            raise UnknownNameError(
                f"There is no table `tilth.{name}`.",
                hint=did_you_mean(name, self.tables(), "tables of tilth"),
            )
        with _storage(self._path):
            cursor = self._db().execute(f"SELECT * FROM {quoted(name)}")
            return tuple(c[0] for c in cursor.description), [tuple(r) for r in cursor.fetchall()]

    def column_types(self, name: str) -> dict[str, str]:
        """Declared types of a table's columns: TEXT, INTEGER, REAL or BLOB."""
        return {r[1]: r[2] for r in self._db().execute(f"PRAGMA table_info({quoted(name)})")}

    def version_counter(self) -> int:
        with _storage(self._path):
            return int(self._db().execute("PRAGMA data_version").fetchone()[0])

    def backup(self, path: str) -> None:
        if os.path.exists(path):
            raise StorageError(f"{path} is there already.", hint="Name a file that does not exist yet.")
        with _storage(path), closing(sqlite3.connect(path)) as copy:
            self._db().backup(copy)
            copy.execute("PRAGMA journal_mode = WAL")
        os.chmod(path, 0o600)

    def verify_audit(self) -> int:
        previous, count = GENESIS, 0
        for row in self.read("audit"):
            count += 1
            if row["sequence"] != count or row["previous"] != previous or row["hash"] != _link(row):
                raise TamperError(
                    f"The audit chain breaks at row {count}: the state file was changed by something other than tilth.",
                    hint="Restore .tilth/state.db from a backup; `SELECT * FROM tilth.audit` shows what was recorded.",
                )
            previous = str(row["hash"])
        return count


class SqliteChange:
    """An open transaction of `SqliteState`."""

    def __init__(self, db: sqlite3.Connection, actor: str, at: str) -> None:
        self._db, self._actor, self._at = db, actor, at
        self.audited = 0

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        return _rows(self._db.execute(queries()[query], parameters))

    def write(self, query: str, **parameters: Cell) -> int:
        """Run a named write; the id of a RETURNING query, else the number of rows changed."""
        cursor = self._db.execute(queries()[query], parameters)
        if cursor.description:
            return int(cursor.fetchone()[0])
        return cursor.rowcount

    def audit(self, verb: str, subject: str, detail: Mapping[str, object]) -> None:
        tail = self.read("audit_tail")
        row: dict[str, Cell] = {
            "sequence": int(tail[0]["sequence"] or 0) + 1 if tail else 1,
            "at": self._at,
            "actor": self._actor,
            "verb": verb,
            "subject": subject,
            "detail": canonical(detail).decode(),
            "previous": str(tail[0]["hash"]) if tail else GENESIS,
        }
        self.write("add_audit", **row, hash=_link(row))
        self.audited += 1


def _link(row: Row) -> str:
    keys = ("sequence", "at", "actor", "verb", "subject", "detail", "previous")
    return digest(canonical([row[k] for k in keys]))


def _rows(cursor: sqlite3.Cursor) -> tuple[Row, ...]:
    return tuple(dict(r) for r in cursor.fetchall())


@contextmanager
def _storage(path: str) -> Iterator[None]:
    """SQLite's failures as errors of ours."""
    try:
        yield
    except TilthError:
        raise
    except sqlite3.Error as error:
        raise _explain(error, path) from error


def _explain(error: sqlite3.Error, path: str) -> StorageError:
    text = str(error)
    if "readonly" in text or "unable to open" in text:
        return StorageError(
            f"The state file {path} cannot be written ({text}).",
            hint="Give this user write access to the project's .tilth folder.",
        )
    if "full" in text or "disk I/O" in text:
        return StorageError(
            f"The disk that holds {path} is full or failing ({text}).",
            hint="Free some space (`tilth gc` helps), then run the command again.",
        )
    if "locked" in text or "busy" in text:
        return StorageError(
            f"The state file {path} is locked by another program ({text}).",
            hint="Wait for it to finish, then run the command again.",
        )
    if "malformed" in text or "not a database" in text:
        return StateChangedError(
            f"The state file {path} is damaged ({text}).", hint="Restore .tilth/state.db from a backup."
        )
    return StorageError(f"The state file {path} failed: {text}.", hint="Run `tilth verify`.")


def open_state(url: str, root: str) -> Any:
    """The state named in `tilth.toml`: `sqlite` is `.tilth/state.db` of the project."""
    if url != "sqlite":
        raise UnknownNameError(f"State {url!r} is not known.", hint='In this version `state` is "sqlite".')
    return SqliteState(os.path.join(root, ".tilth", "state.db"))
