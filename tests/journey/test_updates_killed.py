"""UPDATE in a job and in a trigger whose process is killed at every step: what it sets is there once, what it counts on at most once."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from test_scheduled_killed import HELPER, KILLS, OPEN, put, run

import tilth

UNSURE = "makes its rows of those that it changes, so it is not done again"
STATEMENTS = """
  UPDATE res.first SET v = p.v FROM (SELECT id, v FROM {0}) AS p WHERE first.id = p.id;
  UPDATE res.counted SET n = counted.n + 1 FROM (SELECT id FROM {0}) AS p WHERE counted.id = p.id;
  UPDATE res.last SET v = p.v FROM (SELECT id, v FROM {0}) AS p WHERE last.id = p.id
"""
DECLARED = f"""
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE SOURCE res ENGINE sqlite WITH (path = 'res.db', writable = true);
CREATE JOB j START '2030-01-01' AS ({STATEMENTS.format("ops.t WHERE id > LAST")});
CREATE TRIGGER g ON ops.t AS ({STATEMENTS.format("TABLE_DELTA")});
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, applied; the trigger has looked once, and then rows came."""
    folder = tmp_path_factory.mktemp("killed") / "p"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL)")
    with closing(sqlite3.connect(folder / "res.db")) as db, db:
        for table, column in (("first", "v REAL"), ("counted", "n INTEGER DEFAULT 0"), ("last", "v REAL")):
            db.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {column})")
            db.executemany(f"INSERT INTO {table} (id) VALUES (?)", [(i,) for i in range(1, 6)])
    (folder / "all.sql").write_text(DECLARED)
    with tilth.open(str(folder)) as project:
        notes = [n.text for n in project.plan().notes]
        assert any(
            n.startswith("UPDATE or INSERT INTO res.counted makes its rows of those") for n in notes
        ), notes
        project.apply()
        assert run(project, "g").status == "nothing"
    put(folder, 1, 2, 3)
    return folder


def values(folder: Path, table: str, column: str) -> list[float | None]:
    with closing(sqlite3.connect(folder / "res.db")) as db:
        return [row[0] for row in db.execute(f"SELECT {column} FROM {table} ORDER BY id")]


@pytest.mark.parametrize(("when", "number"), KILLS)
@pytest.mark.parametrize("name", ["j", "g"])
def test_what_was_killed_is_gone_on_with_and_nothing_is_counted_twice(
    begun: Path, tmp_path: Path, name: str, when: str, number: int
) -> None:
    folder = tmp_path / "p"
    shutil.copytree(begun, folder)
    done = subprocess.run(
        [sys.executable, str(HELPER), str(folder), name, when, str(number)], capture_output=True, text=True, check=False, timeout=120
    )  # fmt: skip
    assert done.returncode == -9, done.stdout + done.stderr
    put(folder, 4)
    with tilth.open(str(folder)) as project:
        said = [run(project, name) for _ in range(3)]
    for table in ("first", "last"):
        assert values(folder, table, "v") == [0.5, 1.0, 1.5, 2.0, None]
    told = any(UNSURE in one.text for one in said)
    assert told == ((when, number) in OPEN)
    assert values(folder, "counted", "n") in (
        [[0, 0, 0, 1, 0], [1, 1, 1, 1, 0]] if told else [[1, 1, 1, 1, 0]]
    )
