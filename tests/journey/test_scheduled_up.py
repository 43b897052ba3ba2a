"""`tilth up` runs jobs and triggers by the clock on the wall, while it is killed again and again: rows come through, each once."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

import tilth
from http_server import Up, up, wait

DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE SOURCE res ENGINE sqlite WITH (path = 'res.db', writable = true);
CREATE JOB j EVERY '1 second' AS (INSERT INTO res.keyed KEY (id) SELECT id FROM ops.t WHERE id > LAST);
CREATE JOB k EVERY '1 second' AS (INSERT INTO res.plain SELECT id FROM ops.t WHERE id > LAST);
CREATE TRIGGER g ON ops.t EVERY '1 second' AS (INSERT INTO res.seen KEY (id) SELECT id FROM TABLE_DELTA);
"""
KILLS = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "ops.db")) as db, db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with closing(sqlite3.connect(tmp_path / "res.db")) as db, db:
        db.execute("CREATE TABLE keyed (id INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE plain (id INTEGER)")
    (tmp_path / "all.sql").write_text(DECLARED)
    with tilth.open(str(tmp_path)) as project:
        project.apply()
    return tmp_path


def rows(folder: Path, table: str) -> list[int]:
    with closing(sqlite3.connect(folder / "res.db", timeout=20)) as db:
        return [r[0] for r in db.execute(f"SELECT id FROM {table} ORDER BY id")]


def put(folder: Path, one: int) -> None:
    with closing(sqlite3.connect(folder / "ops.db", timeout=20)) as db, db:
        db.execute("INSERT INTO t VALUES (?)", [one])


def children(server: Up) -> list[int]:
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return [int(c) for t in tasks for c in (t / "children").read_text().split()]


def test_jobs_come_through_kills_of_the_process_that_runs_them(folder: Path) -> None:
    put(folder, 0)
    with up(folder, "--env", "prod") as server:
        wait(lambda: "g: looks at ops.t from now on" in server.log.read_text())
        for n in range(1, KILLS + 1):
            put(folder, n)
            time.sleep(0.3 * n % 1.1)
            for child in children(server):
                os.kill(child, signal.SIGKILL)
            wait(lambda n=n: server.log.read_text().count("reconciling prod") > n, 60)  # type: ignore[misc]
        put(folder, KILLS + 1)
        every = list(range(KILLS + 3))
        wait(lambda: rows(folder, "keyed") == every[:-1], 60)
        put(folder, KILLS + 2)
        wait(lambda: rows(folder, "keyed") == every and rows(folder, "seen") == every[1:], 60)
        wait(lambda: KILLS + 2 in rows(folder, "plain"), 60)
        found = rows(folder, "plain")
        assert len(found) == len(set(found))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(40) == 0
    with tilth.open(str(folder)) as project:
        told = project.sql(
            "SELECT error FROM tilth.runs WHERE name = 'k' AND error LIKE '%has no KEY%'"
        ).rows()
        assert len(found) == len(every) or told
        assert project.sql("SELECT * FROM tilth.runs WHERE status = 'running'").rows() == []
        project.verify()
