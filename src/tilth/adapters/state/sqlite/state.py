"""State in one SQLite file: WAL, synchronous FULL, foreign processes welcome. Not the place for what the rows mean.

Every change is one `BEGIN IMMEDIATE` transaction that must carry an audit row; audit rows are chained by sha256.
Numbered migrations lie in `migrations/`; the number applied is SQLite's `user_version`. With a `Head` every change is
followed by a signed note beside the file of how the chain ends, and a file that is older than the note is refused.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import cache
from importlib import resources
from urllib.parse import quote

from tilth.adapters.state.sqlite.head import EMPTY, GENESIS, End, Head
from tilth.core.canonical import canonical, digest
from tilth.core.errors import (
    InputError,
    StateChangedError,
    StorageError,
    TamperError,
    TilthError,
    UnknownNameError,
)
from tilth.core.names import did_you_mean, quoted
from tilth.core.principals import Principal
from tilth.ports.state import Cell, Reader, Row

PATIENCE = 10.0  # seconds to wait for another program's lock
HEADED = 3  # the first schema whose chain has a head as soon as it has a row
_HIDDEN = frozenset({"definitions", "pointers", "looks", "token_hashes", "token_verifiers", "row_states"})


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
    """The `State` port over one file, or in memory. Thread-safe: a file has two connections a thread, one of them for
    moments (`reading`); in memory there is one for all, and threads take turns.

    `trusted`: open it whatever the head says, to give it a new one.
    """

    def __init__(self, path: str, head: Head | None = None, *, trusted: bool = False) -> None:
        self._path = path
        self._head = head
        self._local = threading.local()
        self._there = False
        self._one = self._open() if path == ":memory:" else None
        self._write_lock = threading.RLock()
        with _storage(path):
            self._migrate(self._db())
            self._there = path != ":memory:"
            if head is not None and not trusted:
                head.check(self._end, self._hash)

    def _open(self) -> sqlite3.Connection:
        # A file that was there and is gone with its folder is not made anew: an empty one would pass for the state.
        place = f"file:{quote(os.path.abspath(self._path))}?mode=rw" if self._there else self._path
        db = sqlite3.connect(
            place, timeout=PATIENCE, isolation_level=None, check_same_thread=False, factory=_Connection, uri=self._there
        )  # fmt: skip
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
            if self._head is not None and 0 < have < HEADED:
                self._head.advance(self._end())
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
        """Close this thread's connections."""
        for db in (self._one, getattr(self._local, "db", None), getattr(self._local, "moments", None)):
            if db is not None:
                db.close()
        self._local.db = self._local.moments = None

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        with _storage(self._path), self._turn():
            return _rows(_run(self._db(), query, parameters))

    def _turn(self) -> AbstractContextManager[object]:
        """In memory: while no other thread changes or reads; of a file SQLite itself sees to that."""
        return nullcontext() if self._one is None else self._write_lock

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        if self._one is not None:
            with self._write_lock:
                yield self
            return
        open_one: SqliteMoment | None = getattr(self._local, "moment", None)
        if open_one is not None:
            yield open_one
            return
        with _storage(self._path):
            db = self._moments()
            db.execute("BEGIN")
            try:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on the moment stands
                self._local.moment = SqliteMoment(db, self._path)
                yield self._local.moment
            finally:
                self._local.moment = None
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _moments(self) -> sqlite3.Connection:
        """The connection of this thread for moments."""
        if getattr(self._local, "moments", None) is None:
            self._local.moments = self._open()
        found: sqlite3.Connection = self._local.moments
        return found

    @contextmanager
    def change(self, by: Principal, at: str, *, keyless: bool = False) -> Iterator[SqliteChange]:
        with self._write_lock, _storage(self._path):
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                if self._head is not None:
                    self._head.before(self._end(), self._hash, keyless=keyless)
                change = SqliteChange(db, by, at)
                yield change
                if not change.audited:
                    raise RuntimeError("a change of state without an audit row")
                end = self._end()
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            if self._head is not None:
                self._head.advance(end)

    def note(self, query: str, rows: Sequence[Mapping[str, Cell]]) -> None:
        with self._write_lock, _storage(self._path):
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                for row in rows:
                    _run(db, query, row)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def verify_head(self) -> int:
        with _storage(self._path):
            head = self._head.check(self._end, self._hash) if self._head is not None else None
            return self._end().sequence - head.sequence if head is not None else 0

    def new_head(self) -> int:
        """Sign how the chain ends now, whatever was signed before; its length. What it holds must have been verified."""
        end = self._end()
        if self._head is not None:
            self._head.advance(end, anew=True)
        return end.sequence

    def _end(self) -> End:
        found = self._db().execute(queries()["audit_tail"]).fetchone()
        return EMPTY if found is None else End(int(found["sequence"]), str(found["hash"]))

    def _hash(self, sequence: int) -> str | None:
        found = self._db().execute(queries()["audit_hash"], {"sequence": sequence}).fetchone()
        return None if found is None else str(found["hash"])

    def flaws(self, *, quick: bool = False) -> tuple[str, ...]:
        what = "quick_check" if quick else "integrity_check"
        try:
            found = self._db().execute(f"PRAGMA {what}(20)").fetchall()
        except sqlite3.DatabaseError as error:
            return (str(error),)
        return tuple(str(r[0]) for r in found if r[0] != "ok")

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


class SqliteMoment:
    """An open read transaction of `SqliteState`."""

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db, self._path = db, path

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        with _storage(self._path):
            return _rows(_run(self._db, query, parameters))


class SqliteChange:
    """An open transaction of `SqliteState`."""

    def __init__(self, db: sqlite3.Connection, by: Principal, at: str) -> None:
        self._db, self.by, self._at = db, by, at
        self.audited = 0

    def read(self, query: str, **parameters: Cell) -> tuple[Row, ...]:
        return _rows(_run(self._db, query, parameters))

    def write(self, query: str, **parameters: Cell) -> int:
        cursor = _run(self._db, query, parameters)
        if cursor.description:
            raise RuntimeError(f"`{query}` gives an id: use insert")
        return cursor.rowcount

    def insert(self, query: str, **parameters: Cell) -> int:
        found = _run(self._db, query, parameters).fetchone()
        return int(found[0])

    def audit(self, verb: str, subject: str, detail: Mapping[str, object]) -> None:
        tail = self.read("audit_tail")
        row: dict[str, Cell] = {
            "sequence": int(tail[0]["sequence"] or 0) + 1 if tail else 1,
            "at": self._at,
            "actor": self.by.text,
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


def _run(db: sqlite3.Connection, query: str, parameters: Mapping[str, Cell]) -> sqlite3.Cursor:
    """A named query; InputError for values that a state cannot hold."""
    try:
        return db.execute(queries()[query], parameters)
    except OverflowError:
        large = next(k for k, v in parameters.items() if isinstance(v, int) and not -(1 << 63) <= v < 1 << 63)
        raise InputError(
            f"The {large} given is a number beyond 64 bits: there is none such.",
            hint="Write a smaller number.",
        ) from None
    except UnicodeEncodeError:
        raise InputError("A text given is not valid Unicode.", hint="Write it as UTF-8.") from None


@contextmanager
def _storage(path: str) -> Iterator[None]:
    """SQLite's failures as errors of ours."""
    try:
        yield
    except TilthError:
        raise
    except sqlite3.Error as error:
        raise _explain(error, path) from error


def _explain(error: sqlite3.Error, path: str) -> TilthError:
    """By SQLite's own number of what happened; what is none of the disk's or another program's doing is a mistake of ours."""
    text, number = str(error), (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
    if number in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StorageError(
            f"The state file {path} cannot be written ({text}).",
            hint="Give this user write access to the project's .tilth folder.",
        )
    if number in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return StorageError(
            f"The disk that holds {path} is full or failing ({text}).",
            hint="Free some space (`tilth gc` frees more, once it has a little to work with), then run the command again.",
        )
    if number in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return StorageError(
            f"The state file {path} is locked by another program ({text}).",
            hint="Wait for it to finish, then run the command again.",
        )
    if number in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT):
        return StateChangedError(
            f"The state file {path} is damaged ({text}).",
            hint="Put it back from a backup, or run: tilth restore FILE",
        )
    if number == sqlite3.SQLITE_ERROR:
        return StateChangedError(
            f"The state file {path} has not the form that this tilth made: {text}.",
            hint="Run `tilth verify`.",
        )
    return TilthError(
        f"The state refused a change: {text}.",
        hint="Nothing was changed. tilth did not foresee this: please report it with this line.",
    )


def memory() -> SqliteState:
    """A state that ends with the process, for tests of what is above the port."""
    return SqliteState(":memory:")
