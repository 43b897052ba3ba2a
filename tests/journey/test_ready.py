"""READY WHEN: a half-loaded table is not read; what is late is told; a training waits, or says that it did not."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

import tilth
from tilth.app.project import Project
from tilth.core.errors import TilthError
from tilth.ports.clock import ManualClock
from tilth.runtime.applying.handlers import WAITING
from tilth.runtime.keeping.reconciler import Reconciler


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTH_TEST_KEY", "k" * 32)


START = datetime(2024, 1, 20, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d KEY (id) EVENT TIME ts REFRESH EVERY '1 hour'
  READY WHEN ({ready}) WITHIN '2 hours'
  AS SELECT id, ts, v, y FROM ops.t;
CREATE MODEL m PREDICT y FROM d FEATURES (v) USING (engine = 'linear') RETRAIN WHEN age > '3 hours' PROMOTE IF not_worse_by(0.5);
CREATE CHANNEL ops_hook WITH (url = 'http://127.0.0.1:9/hook', key = SECRET 'env:TILTH_TEST_KEY') NOTIFY ON (late);
"""
READY = "SELECT count(*) > 0 FROM ops.loads WHERE done"


def project_of(folder: Path, ready: str = READY, *, done: bool = True) -> tuple[Project, ManualClock]:
    (folder / "d.sql").write_text(DECLARED.format(ready=ready))
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute("CREATE TABLE t (id INTEGER, ts TIMESTAMP, v REAL, y INTEGER)")
        db.execute("CREATE TABLE loads (done BOOLEAN)")
        random = Random(3)
        rows = []
        for i in range(400):
            v = random.gauss(0, 1)
            rows.append((i, f"2024-01-{1 + i % 19:02} 00:00:00", v, int(v + random.gauss(0, 1) > 0)))
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    load(folder, done=done)
    project, clock = tilth.open(str(folder)), ManualClock(START)
    project.clock = clock
    return project, clock


def load(folder: Path, *, done: bool) -> None:
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute("DELETE FROM loads")
        db.execute("INSERT INTO loads VALUES (?)", (done,))


def statuses(done: Any) -> dict[str, str]:
    return {d.action.name: d.status for d in done.did}


def test_a_dataset_is_read_when_it_is_ready_and_told_when_it_is_late(tmp_path: Path) -> None:
    project, clock = project_of(tmp_path, done=False)
    first = project.apply()
    assert statuses(first) == {"ops": "done", "d": WAITING, "m": "held", "ops_hook": "done"}
    assert "late from 2024-01-20 08:00:00 on" in first.did[1].text
    assert project.status()["waiting"][0] | {"text": ""} == {
        "name": "d", "status": "waiting", "since": "2024-01-20T06:00:00.000000Z", "text": "",
    }  # fmt: skip
    clock.set(clock.now() + 2 * HOUR)
    assert statuses(project.apply())["d"] == WAITING
    assert project.status()["waiting"][0]["status"] == "late"
    load(tmp_path, done=True)
    assert statuses(project.apply()) == {"d": "done", "m": "done"}
    assert project.status()["waiting"] == []
    assert project.sql("SELECT count(*) AS n FROM tilth.waits").rows() == [{"n": 0}]


def test_a_training_waits_until_the_rows_are_late_and_then_says_that_it_did_not(tmp_path: Path) -> None:
    project, clock = project_of(tmp_path)
    project.apply()
    load(tmp_path, done=False)
    clock.set(clock.now() + 4 * HOUR)
    waited = project.apply()
    assert statuses(waited) == {"d": WAITING, "m": "held"}
    assert "waits for `d`" in waited.did[1].text
    clock.set(clock.now() + 2 * HOUR)
    trained = project.apply()
    assert statuses(trained)["d"] == WAITING
    assert statuses(trained)["m"] in {"done", "held"}
    assert any("did not wait for the newest rows of d" in n for n in trained.did[1].notices)


def test_late_is_a_notice_and_reaches_a_channel(tmp_path: Path) -> None:
    project, clock = project_of(tmp_path)
    project.apply()
    load(tmp_path, done=False)
    keeper = Reconciler(project.work(), "prod", lambda: project.deployed("prod"))
    for _ in range(5):
        clock.set(clock.now() + HOUR)
        keeper.step(clock.now())
    notices = project.sql("SELECT text FROM tilth.notices WHERE name = 'd' AND kind = 'late'").rows()
    assert [n["text"].partition(":")[0] for n in notices] == ["it is late since 2024-01-20 09"]
    sent = project.sql("SELECT event, subject FROM tilth.messages").rows()
    assert {"event": "late", "subject": "d"} in sent


@pytest.mark.parametrize(
    ("ready", "says"),
    [
        ("SELECT count(*) FROM ops.loads", "gives no truth"),
        ("SELECT done, done AS b FROM ops.loads", "gives no truth"),
        ("SELECT 'true' FROM ops.loads", "gives no truth"),
        ("SELECT done > 0 FROM ops.loads WHERE false", "gives 0 rows"),
        ("SELECT true FROM ops.t", "gives 400 rows"),
        ("SELECT error('boom')::BOOLEAN FROM ops.loads", "boom"),
        ("SELECT gone FROM ops.loads", "gone"),
        ("SELECT true FROM ops.loadz", "loadz"),
    ],
)
def test_a_query_that_fails_or_gives_no_truth_is_an_error(tmp_path: Path, ready: str, says: str) -> None:
    project, _ = project_of(tmp_path, ready)
    with pytest.raises(TilthError) as raised:
        project.apply()
    assert says in raised.value.message
    assert any("READY WHEN" in line for line in (raised.value.message, *raised.value.detail))
    assert raised.value.where is not None
    assert raised.value.where.file is not None
    assert "READY WHEN" in (raised.value.where.text or "")
    assert project.sql("SELECT count(*) AS n FROM tilth.snapshots").rows() == [{"n": 0}]


def test_null_is_not_ready(tmp_path: Path) -> None:
    project, _ = project_of(tmp_path, "SELECT bool_and(done) FROM ops.loads WHERE false")
    assert statuses(project.apply())["d"] == WAITING


def test_when_rows_come_is_learned_and_told_before_fresh_is_missed(tmp_path: Path) -> None:
    project, clock = project_of(tmp_path)
    text = (
        (tmp_path / "d.sql")
        .read_text()
        .replace("  AS SELECT id", "  EXPECT (FRESH WITHIN '3 days' ON FAIL WARN)\n  AS SELECT id")
    )
    (tmp_path / "d.sql").write_text(text)
    project.apply()
    for day in range(20, 26):
        with closing(sqlite3.connect(tmp_path / "ops.db")) as db, db:
            db.execute("INSERT INTO t VALUES (?, ?, 1, 0)", (1000 + day, f"2024-01-{day} 05:00:00"))
        project.sql("REFRESH DATASET d")
        clock.set(clock.now() + DAY)
    found = project.sql("SELECT name, period_seconds, expected_at, slack_seconds FROM tilth.sources").rows()[
        0
    ]
    assert found["period_seconds"] == DAY.total_seconds()
    assert str(found["expected_at"]) == "2024-01-26 06:00:00"
    assert project.status()["waiting"] == []
    clock.set(clock.now() + DAY + HOUR)
    late = project.status()["waiting"]
    assert [w["status"] for w in late] == ["late"]
    assert "FRESH WITHIN '3 days' is missed from 2024-01-28 05:00:00 on" in late[0]["text"]
