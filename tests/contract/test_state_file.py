"""The state in a file of SQLite: shared with other processes, migrated, damaged, edited, backed up."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tilth.adapters.state.sqlite import state as state_module
from tilth.adapters.state.sqlite.state import SqliteState, migrations, pending, queries, statements
from tilth.core.errors import (
    StateChangedError,
    StorageError,
    TamperError,
)
from tilth.core.principals import person

BY = person("test")

AT = "2013-05-01T00:00:00.000000Z"


@pytest.fixture
def state(tmp_path: Path):
    made = SqliteState(str(tmp_path / "state.db"))
    yield made
    made.close()


def _set(state: SqliteState, generation: int) -> None:
    with state.change(BY, AT) as change:
        change.write("set_environment", name="prod", generation=generation, at=AT)
        change.audit("publish", "prod", {"generation": generation})


def test_a_change_is_seen_by_another_connection_and_moves_the_counter(
    state: SqliteState, tmp_path: Path
) -> None:
    other = SqliteState(str(tmp_path / "state.db"))
    before = other.version_counter()
    _set(state, 1)
    assert other.version_counter() != before
    assert other.read("environment", name="prod")[0]["generation"] == 1
    other.close()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE audit SET detail = '{\"generation\":9}' WHERE sequence = 2",
        "DELETE FROM audit WHERE sequence = 2",
        "UPDATE audit SET actor = 'x' WHERE sequence = 3",
    ],
)
def test_an_edited_audit_row_breaks_the_chain(state: SqliteState, tmp_path: Path, edit: str) -> None:
    for n in (1, 2, 3):
        _set(state, n)
    assert state.verify_audit() == 3
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute(edit)
    db.close()
    with pytest.raises(TamperError, match="audit chain breaks"):
        state.verify_audit()


def test_every_query_fits_the_schema(state: SqliteState) -> None:
    import re

    db = sqlite3.connect(":memory:")
    for _, _, text in migrations():
        db.executescript(text)
    for text in queries().values():
        names = set(re.findall(r":([a-z_][a-z_0-9]*)", text))
        db.execute(f"EXPLAIN {text}", dict.fromkeys(names))
    db.close()
    assert len(queries()) > 50


def test_pending_migrations_are_listed_without_writing(tmp_path: Path) -> None:
    path = str(tmp_path / "none.db")
    assert pending(path) == [name for _, name, _ in migrations()]
    assert pending(path)[0] == "0001_first"
    assert not os.path.exists(path)


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(StateChangedError, match="damaged"):
        SqliteState(str(tmp_path / "state.db"))


def test_two_that_open_a_new_state_at_once_both_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, raced = str(tmp_path / "state.db"), state_module._Connection, []

    class Racing(real):  # type: ignore[misc, valid-type]
        """Has another process win between the look at the schema's number and what follows from it."""

        def execute(self, sql: str, *given: object) -> sqlite3.Cursor:
            found = super().execute(sql, *given)
            if "user_version" in sql and not raced:
                raced.append(path)
                SqliteState(path).close()
            return found

    monkeypatch.setattr(state_module, "_Connection", Racing)
    late = SqliteState(path)
    assert raced
    _set(late, 1)
    assert late.verify_audit() == 1
    late.close()


def test_many_processes_open_a_new_state_at_once(tmp_path: Path) -> None:
    code = "import sys; from tilth.adapters.state.sqlite.state import SqliteState; sys.stdin.read(1); SqliteState(sys.argv[1])"
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "state.db")],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(6)
    ]
    for process in begun:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert [process.communicate(timeout=60)[1] for process in begun] == [b""] * len(begun)


def test_a_new_file_that_another_program_is_writing_to_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "state.db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses a change of the journal at once then
    waited: list[float] = []

    def let_go(seconds: float) -> None:
        waited.append(seconds)
        other.close()

    monkeypatch.setattr(state_module.time, "sleep", let_go)
    SqliteState(path).close()
    assert len(waited) == 1
    assert pending(path) == []


def test_a_file_that_stays_locked_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "state.db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(state_module, "PATIENCE", 0.05)
    with pytest.raises(StorageError, match="locked by another program"):
        SqliteState(path)
    other.close()


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, good = str(tmp_path / "state.db"), migrations()
    bad = (good[-1][0] + 1, "9999_bad", "CREATE TABLE half (a TEXT);\nINSERT INTO nowhere VALUES (1);\n")
    with monkeypatch.context() as patched:
        patched.setattr(state_module, "migrations", lambda: [*good, bad])
        with pytest.raises(StorageError, match="nowhere"):
            SqliteState(path)
    assert len(pending(path)) == len(good)
    made = SqliteState(path)
    assert "half" not in made.tables()
    made.close()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("-- a; b\nCREATE TABLE a (x); -- c; d\nCREATE TABLE b (x)", 2),
        ("CREATE TABLE a (x TEXT DEFAULT ';', /* ; */ y);", 1),
        (
            "CREATE TABLE a (x); CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; DELETE FROM a; END;\n",
            2,
        ),
    ],
)
def test_a_script_is_taken_apart_into_its_statements(text: str, count: int) -> None:
    parts = list(statements(text))
    db = sqlite3.connect(":memory:")
    for part in parts:
        db.execute(part)
    db.close()
    assert len(parts) == count


def test_a_damaged_page_is_found(state: SqliteState, tmp_path: Path) -> None:
    assert state.flaws() == state.flaws(quick=True) == ()
    for n in range(200):
        _set(state, n)
    state.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'audit'").fetchone()[0]
    with open(tmp_path / "state.db", "r+b") as file:
        file.seek((root - 1) * 4096 + 2)
        file.write(b"\xff\xff\xff\xff")
    again = SqliteState(str(tmp_path / "state.db"))
    assert again.flaws()
    assert again.flaws(quick=True)
    again.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteState(str(path)).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StateChangedError, match="newer tilth"):
        SqliteState(str(path))


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        SqliteState(str(tmp_path / "no" / "state.db"))


def test_a_backup_holds_what_was_there_and_takes_no_place_of_another_file(
    state: SqliteState, tmp_path: Path
) -> None:
    _set(state, 1)
    copy = tmp_path / "copy.db"
    state.backup(str(copy))
    _set(state, 2)
    kept = SqliteState(str(copy))
    assert kept.read("environment", name="prod")[0]["generation"] == 1
    assert kept.verify_audit() == 1
    kept.close()
    assert copy.stat().st_mode & 0o077 == 0
    with pytest.raises(StorageError, match="there already"):
        state.backup(str(copy))


def test_a_file_that_is_gone_is_not_made_anew_by_another_thread(state: SqliteState, tmp_path: Path) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    with ThreadPoolExecutor(1) as pool, pytest.raises(StorageError):
        pool.submit(state.read, "environment", name="prod").result()
    assert list(tmp_path.iterdir()) == []
