"""A job and a trigger whose process is killed at every step: a row that has a KEY is there once, one without at most once, and it is told."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.core.errors import TilthError
from tilth.runtime.asking import running

HELPER = Path(__file__).parents[1] / "killed.py"
DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE SOURCE res ENGINE sqlite WITH (path = 'res.db', writable = true);
CREATE JOB j START '2030-01-01' AS (
  INSERT INTO res.first KEY (id) SELECT id, v FROM ops.t WHERE id > LAST;
  INSERT INTO res.plain SELECT id, v FROM ops.t WHERE id > LAST;
  INSERT INTO res.last KEY (id) SELECT id, v FROM ops.t WHERE id > LAST
);
CREATE TRIGGER g ON ops.t AS (
  INSERT INTO res.first KEY (id) SELECT id, v FROM TABLE_DELTA;
  INSERT INTO res.plain SELECT id, v FROM TABLE_DELTA;
  INSERT INTO res.last KEY (id) SELECT id, v FROM TABLE_DELTA
);
"""
KILLS = [
    ("before", 1),
    *(("after", n) for n in range(1, 12)),
    *((when, n) for when in ("writing", "written") for n in (1, 2, 3)),
]
OPEN = {
    ("writing", 2),
    ("written", 2),
    ("after", 5),
    ("after", 6),
    ("after", 7),
}  # in the middle of the INSERT INTO without a KEY
UNSURE = "has no KEY, so it is not done again"


def put(folder: Path, *ids: int) -> None:
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i / 2) for i in ids])


def rows(folder: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(folder / "res.db")) as db:
        return [row[0] for row in db.execute(f"SELECT id FROM {table} ORDER BY id")]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, applied; the trigger has looked once, and then rows came."""
    folder = tmp_path_factory.mktemp("killed") / "p"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL)")
    with closing(sqlite3.connect(folder / "res.db")) as db, db:
        for table, key in (("first", " PRIMARY KEY"), ("plain", ""), ("last", " PRIMARY KEY")):
            db.execute(f"CREATE TABLE {table} (id INTEGER{key}, v REAL)")
    (folder / "all.sql").write_text(DECLARED)
    with tilth.open(str(folder)) as project:
        project.apply()
        assert run(project, "g").status == "nothing"
    put(folder, 1, 2, 3)
    return folder


def run(project: Any, name: str) -> running.Ran:
    return running.run(
        project.session("prod"), project.deployed("prod").get(name), running.Why("by hand", asked=True)
    )


@pytest.mark.parametrize(("when", "number"), KILLS)
@pytest.mark.parametrize("name", ["j", "g"])
def test_what_was_killed_is_gone_on_with_and_nothing_is_there_twice(
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
        runs = project.sql(
            f"SELECT status, error FROM tilth.runs WHERE name = '{name}' AND action LIKE 'Run%' ORDER BY id"
        ).rows()
    assert (rows(folder, "first"), rows(folder, "last")) == ([1, 2, 3, 4], [1, 2, 3, 4])
    told = any(UNSURE in one.text for one in said)
    assert told == ((when, number) in OPEN)
    assert rows(folder, "plain") in ([[4], [1, 2, 3, 4]] if told else [[1, 2, 3, 4]])
    assert "running" not in {r["status"] for r in runs}
    assert told == any(UNSURE in (r["error"] or "") for r in runs)


def test_the_run_that_is_killed_makes_as_many_changes_as_are_tried(begun: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    shutil.copytree(begun, folder)
    for name in ("j", "g"):
        done = subprocess.run(
            [sys.executable, str(HELPER), str(folder), name, "after", "12"], capture_output=True, text=True, check=True, timeout=120
        )  # fmt: skip
        assert done.stdout.startswith("done")
    with tilth.open(str(folder)) as project, pytest.raises(TilthError, match="is over"):
        project.sql("CANCEL RUN '5'")
