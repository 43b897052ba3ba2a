"""Jobs and triggers on real stores: when they run, what they read, that a row is written once, what becomes of those that fail."""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tilth.app.project import Project
from tilth.core.errors import BusyError, CancelledError, ProjectError, TilthError
from tilth.core.principals import token
from tilth.ports.clock import ManualClock
from tilth.runtime.asking import running
from tilth.runtime.keeping.reconciler import Reconciler
from tilth.runtime.keeping.scheduling import Scheduler

START = datetime(2026, 1, 1, tzinfo=UTC)
H = timedelta(hours=1)
SOURCES = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE SOURCE res ENGINE sqlite WITH (path = 'res.db', writable = true);
"""
COPY = "INSERT INTO res.copy KEY (id) SELECT id, v FROM ops.t WHERE id > LAST"
ADD = "INSERT INTO res.log SELECT id, v FROM ops.t WHERE id > LAST"


class Place:
    """A project with a clock that is moved by hand, and its reconciler."""

    def __init__(self, folder: Path, declared: str) -> None:
        self.folder, self.clock = folder, ManualClock(START)
        with closing(sqlite3.connect(folder / "ops.db")) as db, db:
            db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL)")
        with closing(sqlite3.connect(folder / "res.db")) as db, db:
            db.execute("CREATE TABLE copy (id INTEGER PRIMARY KEY, v REAL)")
            db.execute("CREATE TABLE log (id INTEGER, v REAL)")
        (folder / "all.sql").write_text(SOURCES + declared)
        self.project = Project(str(folder), clock=self.clock)
        self.told: list[str] = []
        self.project.apply()
        self.reconciler = self.anew()

    def run(self, resource: Any, reason: str, due: datetime | None) -> running.Ran:
        return running.run(self.project.session("prod"), resource, running.Why(reason, due))

    def anew(self, environment: str = "prod") -> Reconciler:
        return Reconciler(
            self.project.work(), environment, lambda: self.project.deployed(environment), tell=self.told.append, replay=True, run=self.run
        )  # fmt: skip

    def step(self, hours: float = 0.0) -> None:
        self.clock.set(self.clock.now() + hours * H)
        self.reconciler.step(self.clock.now())

    def put(self, *ids: int) -> None:
        with closing(sqlite3.connect(self.folder / "ops.db")) as db, db:
            db.executemany("INSERT INTO t VALUES (?, ?)", [(i, i / 2) for i in ids])

    def rows(self, table: str) -> list[int]:
        with closing(sqlite3.connect(self.folder / "res.db")) as db:
            return [row[0] for row in db.execute(f"SELECT id FROM {table} ORDER BY id")]

    def runs(self, what: str = "status", name: str = "j") -> list[Any]:
        text = f"SELECT {what} AS x FROM tilth.runs WHERE name = '{name}' AND action IN ('RunJob', 'RunTrigger') ORDER BY id"
        return [r["x"] for r in self.project.sql(text).rows()]

    def job(self, name: str = "j", table: str = "jobs") -> dict[str, Any]:
        (found,) = self.project.sql(f"SELECT * FROM tilth.{table} WHERE name = '{name}'").rows()
        return dict(found)


@pytest.fixture
def at(tmp_path: Path) -> Callable[[str], Place]:
    return lambda declared: Place(tmp_path, declared)


# --- when ------------------------------------------------------------------------------------------------------


def test_a_job_runs_at_its_times_and_reads_what_came_since(at: Callable[[str], Place]) -> None:
    place = at(f"CREATE JOB j EVERY '1 hour' AS ({COPY}; {ADD});")
    place.put(1, 2, 3)
    place.step()
    assert (place.rows("copy"), place.rows("log")) == ([1, 2, 3], [1, 2, 3])
    place.step(0.5)
    place.put(4)
    place.step(0.25)
    assert place.rows("copy") == [1, 2, 3]
    place.step(0.25)
    place.step()
    assert (place.rows("copy"), place.rows("log")) == ([1, 2, 3, 4], [1, 2, 3, 4])
    place.step(1)
    assert place.rows("log") == [1, 2, 3, 4]
    assert place.runs() == ["done"] * 3
    found = place.job()
    assert (found["failures"], found["runs_here"], found["next_due"]) == (0, True, datetime(2026, 1, 1, 3))
    assert "0 rows written" in found["said"]


MISSED = {
    "MISSED RUN ONCE": (["done", "done", "done"], [1, 2, 3], "and 3 times before that went by"),
    "MISSED SKIP": (["done", "skipped", "done"], [1, 2, 3], "4 times up to 2026-01-01 04:00:00 went by"),
}


@pytest.mark.parametrize("rule", MISSED)
def test_times_that_went_by_are_run_once_or_skipped_and_told(at: Callable[[str], Place], rule: str) -> None:
    statuses, rows, words = MISSED[rule]
    place = at(f"CREATE JOB j EVERY '1 hour' {rule} AS ({ADD});")
    place.put(1)
    place.step()
    place.put(2)
    place.step(4.5)
    place.put(3)
    place.step(0.5)
    assert place.runs() == statuses
    assert place.rows("log") == rows
    assert any(words in reason for reason in place.runs("reason"))


TIMES = {
    "": [1, 1, 1, 1],
    "EVERY '2 hours'": [1, 1, 2, 2],
    "EVERY '1 hour' END '2026-01-01 01:30'": [1, 2, 2, 2],
    "START '2026-01-01 01:00'": [0, 1, 1, 1],
    "START '2025-12-31 23:30' EVERY '90 minutes'": [0, 1, 1, 2],
    "EVERY '1 hour' IF (SELECT 1 FROM ops.t WHERE id > 1)": [0, 0, 1, 2],
    "EVERY '1 hour' IF (SELECT 1 FROM ops.t WHERE id > LAST)": [0, 1, 2, 2],
}


@pytest.mark.parametrize("clauses", TIMES)
def test_a_job_runs_when_its_clauses_say(at: Callable[[str], Place], clauses: str) -> None:
    place = at(f"CREATE JOB j {clauses} AS (SELECT * FROM ops.t WHERE id > LAST);")
    seen = []
    for hour in range(4):
        place.step(1 if hour else 0)
        seen.append(len(place.runs()))
        if hour < 2:
            place.put(hour + 1)
    assert seen == TIMES[clauses]


def test_a_reconciler_that_begins_anew_repeats_nothing(at: Callable[[str], Place]) -> None:
    place = at(
        f"CREATE JOB j EVERY '1 hour' AS ({ADD});\nCREATE TRIGGER g ON ops.t AS (INSERT INTO res.copy KEY (id) FROM TABLE_DELTA);"
    )
    place.step()
    place.put(1)
    for _ in range(3):
        place.reconciler = place.anew()
        place.step(0.25)
    assert (place.runs(), place.runs(name="g")) == (["done"], ["done"])
    assert (place.rows("log"), place.rows("copy")) == ([], [1])


ODD = {
    "future": (
        "at TIMESTAMP",
        ["2026-01-01 00:00:00", "2999-12-31 00:00:00"],
        ["2026-01-01 01:30:00"],
        [1, 3],
    ),
    "no number": ("at REAL", [1.5, 9e999], [2.5], [1, 3]),
    "texts": ("at TEXT", ["it's a", "b"], ["zz'"], [1, 2, 3]),
    "negative": ("at REAL", [-5.25, -1e-7], [0.1], [1, 2, 3]),
    "gaps": ("at REAL", [None, 1.0], [2.0], [2, 3]),
}


@pytest.mark.parametrize("name", ODD)
def test_last_goes_by_values_of_any_type_and_waits_for_those_of_the_future(
    at: Callable[[str], Place], name: str
) -> None:
    column, first, then, expected = ODD[name]
    place = at("")
    with closing(sqlite3.connect(place.folder / "ops.db")) as db, db:
        db.execute(f"CREATE TABLE odd (id INTEGER, {column})")
        db.executemany("INSERT INTO odd VALUES (?, ?)", list(enumerate(first, 1)))
    place.project.sql(
        "CREATE JOB j EVERY '1 hour' AS (INSERT INTO res.log SELECT id, 0 AS v FROM ops.odd o WHERE o.at > LAST)"
    )
    place.step(1)
    with closing(sqlite3.connect(place.folder / "ops.db")) as db, db:
        db.executemany("INSERT INTO odd VALUES (?, ?)", list(enumerate(then, 3)))
    place.step(1)
    place.step(1)
    assert (place.rows("log"), set(place.runs())) == (expected, {"done"})


# --- where, and as whom ----------------------------------------------------------------------------------------


def test_elsewhere_a_job_is_declared_and_does_not_run(at: Callable[[str], Place]) -> None:
    place = at("")
    place.put(1)
    (place.folder / "jobs.sql").write_text(f"CREATE JOB j EVERY '1 hour' AS ({ADD});")
    plan = place.project.plan("dev")
    assert "it runs in `prod` alone" in " ".join(n.text for n in plan.notes)
    place.project.apply("dev")
    place.anew("dev").step(place.clock.now())
    assert (place.rows("log"), place.runs()) == ([], [])
    assert not place.job()["runs_here"]
    with pytest.raises(ProjectError, match="run in `prod` alone"):
        place.project.sql("RUN JOB j", environment="dev")
    place.project.promote("dev")
    place.step()
    assert place.rows("log") == [1]


def test_statements_are_those_of_the_job_with_the_rights_of_who_declared_it(
    at: Callable[[str], Place],
) -> None:
    place = at("CREATE JOB old AS (SELECT 1);")
    session = place.project.session()
    session.principal = token("ci")
    session.run(f"CREATE JOB j EVERY '1 hour' AS ({ADD})")
    place.step()
    assert place.job()["declared_by"] == "token:ci"
    (actor,) = {r["actor"] for r in place.project.sql("SELECT actor FROM tilth.writes").rows()}
    assert actor == "job:j"


# --- by hand, and two at once ----------------------------------------------------------------------------------


def test_a_job_is_run_by_hand_and_stopped(at: Callable[[str], Place]) -> None:
    place = at(f"CREATE JOB j START '2030-01-01' AS ({ADD});")
    place.put(1, 2)
    done = place.project.sql("RUN JOB j")
    assert "2 rows written" in done.text
    assert place.rows("log") == [1, 2]
    with pytest.raises(ProjectError, match="is over: done"):
        place.project.sql(f"CANCEL RUN '{done.facts['run']}'")
    with pytest.raises(TilthError, match="There is no run"):
        place.project.sql("CANCEL RUN '999'")
    with pytest.raises(TilthError, match="No job and no trigger"):
        place.project.sql("CANCEL RUN '1'")
    with pytest.raises(TilthError, match="There is no job `k`"):
        place.project.sql("RUN JOB k")


class Held:
    """Holds the rows of `res.log` in the middle of its writing, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from tilth.runtime.asking import writing

        self.begun, self.go = threading.Event(), threading.Event()
        whole = writing._stepped

        def stepped(at: Any, statement: Any, rows: Any) -> Any:
            import pyarrow as pa

            def batches() -> Any:
                self.begun.set()
                while not self.go.wait(0.05):
                    at.progress.step("held")
                yield from whole(at, statement, rows)

            return pa.RecordBatchReader.from_batches(rows.schema, batches())

        monkeypatch.setattr(writing, "_stepped", stepped)


def test_a_job_never_runs_twice_at_once_and_others_run_beside_it(
    at: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = at(f"CREATE JOB j EVERY '1 hour' AS ({ADD});\nCREATE JOB k EVERY '1 hour' AS (SELECT 1);")
    place.put(1)
    held = Held(monkeypatch)
    one, two = (
        Scheduler(
            place.project.work(), "prod", lambda: place.project.deployed("prod"), place.run, place.told.append
        )
        for _ in range(2)
    )
    one.step(place.clock.now())
    assert held.begun.wait(20)
    two.step(place.clock.now())
    with pytest.raises(BusyError):
        place.project.sql("RUN JOB j")
    _until(lambda: place.runs(name="k") == ["done"])
    assert place.runs() == ["running"]
    held.go.set()
    _until(lambda: place.runs() == ["done"])
    for each in (one, two):
        each.step(place.clock.now())
    _until(
        lambda: not one._under_way and not two._under_way,
        lambda: [s.step(place.clock.now()) for s in (one, two)],
    )
    assert place.runs() == ["done"]
    assert place.rows("log") == [1]


def test_a_run_is_stopped_from_another_session_and_its_next_time_comes_as_ever(
    at: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = at(f"CREATE JOB j EVERY '1 hour' AS ({ADD});")
    place.put(1)
    held = Held(monkeypatch)
    scheduler = Scheduler(
        place.project.work(), "prod", lambda: place.project.deployed("prod"), place.run, place.told.append
    )
    scheduler.step(place.clock.now())
    assert held.begun.wait(20)
    (number,) = place.runs("id")
    assert "asked to stop" in place.project.sql(f"CANCEL RUN '{number}'").text
    _until(lambda: place.runs() == ["cancelled"])
    assert place.rows("log") == []
    assert place.job()["failures"] == 0
    held.go.set()
    place.step(0.5)
    assert place.runs() == ["cancelled"]
    place.step(0.5)
    assert place.runs() == ["cancelled", "done"]
    assert place.rows("log") == [1]


def _until(true: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        meanwhile()
        time.sleep(0.05)


# --- failing ---------------------------------------------------------------------------------------------------


def test_a_job_that_fails_is_told_rests_and_goes_on_where_it_was(at: Callable[[str], Place]) -> None:
    place = at(
        f"CREATE JOB j EVERY '1 day' AS ({ADD}; INSERT INTO res.other KEY (id) SELECT id FROM ops.t WHERE id > LAST);"
    )
    place.put(1, 2)
    place.step()
    assert place.runs() == ["failed"]
    assert "other" in place.job()["error"]
    (failure,) = place.project.status()["failures"]
    assert (failure["name"], failure["action"]) == ("j", "RunJob")
    place.put(3)
    place.step()
    assert place.runs() == ["failed"]
    place.step(1 / 60)
    assert (place.runs(), place.rows("log")) == (["failed", "failed"], [1, 2])
    with closing(sqlite3.connect(place.folder / "res.db")) as db, db:
        db.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    place.step(1 / 60)
    assert len(place.runs()) == 2
    place.step(1 / 60)
    assert place.runs() == ["failed", "failed", "done"]
    assert (place.rows("log"), place.rows("other")) == ([1, 2], [1, 2])
    assert place.project.status()["failures"] == []
    assert (
        "tried again after 2 failures" in place.runs("reason")[-1]
        or "where it was left" in place.runs("reason")[-1]
    )
    place.step(24)
    assert (place.rows("log"), place.rows("other")) == ([1, 2, 3], [1, 2, 3])


def test_a_job_that_cannot_be_considered_stops_no_other(
    at: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = at(f"CREATE JOB a AS (SELECT 1);\nCREATE JOB j AS ({ADD});")
    place.put(1)
    consider = Scheduler._consider

    def considered(self: Any, resource: Any, *rest: Any) -> bool:
        if resource.name == "a":
            raise OverflowError("an odd one")
        return consider(self, resource, *rest)

    monkeypatch.setattr(Scheduler, "_consider", considered)
    place.step()
    place.step(0.1)
    assert (place.rows("log"), place.told.count("a: cannot run for now: OverflowError: an odd one")) == (
        [1],
        1,
    )


def test_a_job_whose_source_is_gone_does_not_lose_its_time(at: Callable[[str], Place]) -> None:
    place = at(f"CREATE JOB j AS ({ADD});")
    place.put(1)
    (place.folder / "ops.db").rename(place.folder / "away.db")
    place.step()
    assert place.runs() == ["failed"]
    (place.folder / "away.db").rename(place.folder / "ops.db")
    place.step(0.25)
    assert place.runs() == ["failed", "done"]
    assert place.rows("log") == [1]


def test_a_changed_job_begins_anew_and_keeps_its_place(at: Callable[[str], Place]) -> None:
    place = at(f"CREATE JOB j AS ({ADD});")
    place.put(1)
    place.step()
    place.put(2)
    place.project.sql(f"CREATE OR REPLACE JOB j EVERY '1 hour' AS ({ADD}; SELECT 1)")
    place.step()
    assert place.rows("log") == [1, 2]
    place.project.sql("CREATE JOB renamed RENAMED FROM j EVERY '1 hour' AS (" + ADD + "; SELECT 1)")
    place.step()
    place.put(3)
    place.step(1)
    assert place.rows("log") == [1, 2, 3]
    place.project.sql("DROP JOB renamed")
    place.step(1)
    assert place.project.sql("SELECT * FROM tilth.jobs").rows() == []
    assert place.project.sql("SELECT * FROM tilth.schedules").rows() == []


# --- triggers --------------------------------------------------------------------------------------------------

TRIGGERS: dict[str, list[tuple[str, list[int]]]] = {
    "": [
        ("INSERT INTO t VALUES (1, 1), (2, 2)", [1, 2]),
        ("UPDATE t SET v = 9 WHERE id = 1", [1]),
        ("DELETE FROM t WHERE id = 2", []),
        ("INSERT INTO t VALUES (2, 2)", [2]),
        ("UPDATE t SET v = NULL WHERE id = 2", [2]),
        ("UPDATE t SET v = v", []),
    ],
    "COLUMNS (v)": [
        ("INSERT INTO t VALUES (1, 1), (2, 1)", [1, 2]),
        ("UPDATE t SET id = 5 WHERE id = 2", []),
        ("UPDATE t SET v = -1 WHERE id = 5", [5]),
        ("UPDATE t SET v = NULL WHERE id = 5", [5]),
    ],
    "KEY (id) COLUMNS (v)": [
        ("INSERT INTO t VALUES (1, 1), (2, 1)", [1, 2]),
        ("UPDATE t SET id = 5 WHERE id = 2", [5]),
        ("UPDATE t SET v = 1 WHERE id < 9", []),
    ],
}


@pytest.mark.parametrize("clauses", TRIGGERS)
def test_a_trigger_goes_off_by_rows_that_came_or_changed(at: Callable[[str], Place], clauses: str) -> None:
    place = at(f"CREATE TRIGGER g ON ops.t {clauses} AS (INSERT INTO res.log SELECT id, v FROM TABLE_DELTA);")
    place.put(77)
    place.step()
    assert place.rows("log") == []
    assert any("looks at ops.t from now on, 1 rows are there" in line for line in place.told)
    before: list[int] = []
    for statement, came in TRIGGERS[clauses]:
        with closing(sqlite3.connect(place.folder / "ops.db")) as db, db:
            db.execute(statement)
        place.step(0.1)
        place.step(0.1)
        assert place.rows("log") == sorted([*before, *came]), statement
        before = place.rows("log")
    assert set(place.runs(name="g")) == {"done"}


def test_a_trigger_that_fails_does_not_lose_its_rows_and_takes_along_what_came(
    at: Callable[[str], Place],
) -> None:
    place = at(
        "CREATE TRIGGER g ON ops.t AS (INSERT INTO res.later SELECT id, v FROM TABLE_DELTA a WHERE a.id > 0);"
    )
    place.step()
    place.put(1)
    place.step(0.1)
    place.put(2)
    assert place.runs(name="g") == ["failed"]
    with closing(sqlite3.connect(place.folder / "res.db")) as db, db:
        db.execute("CREATE TABLE later (id INTEGER, v REAL)")
    place.step(0.1)
    place.step(0.1)
    assert (place.rows("later"), place.runs(name="g")) == ([1, 2], ["failed", "done"])
    assert place.job("g", "triggers")["failures"] == 0


def test_a_trigger_whose_memory_is_lost_begins_anew_and_says_so(at: Callable[[str], Place]) -> None:
    place = at(
        "CREATE TRIGGER g ON ops.t AS (INSERT INTO res.log SELECT id, v FROM TABLE_DELTA; INSERT INTO res.no SELECT id FROM TABLE_DELTA);"
    )
    blobs = place.project.work().blobs
    place.put(1)
    place.step()
    for digest, _ in tuple(blobs.digests()):
        blobs.delete(digest)
    place.put(2)
    place.step(0.1)
    assert (place.rows("log"), "what was seen before is lost" in place.told[-1]) == ([], True)
    place.put(3)
    place.step(0.1)
    assert (place.rows("log"), place.runs(name="g")) == ([3], ["failed"])
    for digest, _ in tuple(blobs.digests()):
        blobs.delete(digest)
    place.step(0.1)
    assert "not kept any more" in place.runs("error", "g")[-1]
    with closing(sqlite3.connect(place.folder / "res.db")) as db, db:
        db.execute("CREATE TABLE no (id INTEGER)")
    place.step(0.1)
    place.put(4)
    place.step(0.1)
    assert (place.rows("log"), place.rows("no")) == ([3, 4], [4])


def test_rows_of_a_trigger_are_read_as_often_as_its_statements_like(at: Callable[[str], Place]) -> None:
    place = at(
        "CREATE TRIGGER g ON ops.t AS (INSERT INTO res.log SELECT a.id, b.v FROM TABLE_DELTA a JOIN TABLE_DELTA b USING (id);"
        " SELECT * FROM table_delta WHERE id IN (SELECT max(id) FROM Table_Delta));"
    )
    place.step()
    place.put(*range(5000))
    place.step(0.1)
    assert place.rows("log") == list(range(5000))
    assert place.job("g", "triggers")["said"] == "res.log: 5,000 rows written; 1 row"


def test_a_table_with_other_columns_is_looked_at_anew_and_what_no_trigger_needs_is_gone(
    at: Callable[[str], Place],
) -> None:
    place = at("CREATE TRIGGER g ON ops.t AS (INSERT INTO res.log SELECT id, v FROM TABLE_DELTA);")
    place.put(1)
    place.step()
    with closing(sqlite3.connect(place.folder / "ops.db")) as db, db:
        db.execute("ALTER TABLE t ADD COLUMN w")
    place.step(0.1)
    assert (place.rows("log"), "its columns are not those of before" in place.told[-1]) == ([], True)
    for n in range(2, 6):
        with closing(sqlite3.connect(place.folder / "ops.db")) as db, db:
            db.execute("INSERT INTO t VALUES (?, 0, 0)", [n])
        place.step(0.1)
    assert place.rows("log") == [2, 3, 4, 5]
    assert len(list(place.project.work().blobs.digests())) == 1
    place.project.gc()
    assert len(list(place.project.work().blobs.digests())) == 1
    place.project.sql("DROP TRIGGER g")
    place.project.gc()
    assert list(place.project.work().blobs.digests()) == []


REFUSED = {
    "CREATE JOB x EVERY '0.5 s' AS (SELECT 1)": "once a second is the most",
    "CREATE JOB x START '2026-02-01' END '2026-01-01' AS (SELECT 1)": "ends before it starts",
    "CREATE JOB x EVERY '1 hour' AS (CREATE TABLE res.y AS SELECT 1 AS a)": "again and again",
    "CREATE JOB x AS (SELECT * FROM TABLE_DELTA)": "TABLE_DELTA",
    "CREATE JOB x AS (SELECT * FROM nowhere)": "nowhere",
    "CREATE JOB x AS (INSERT INTO nowhere.t SELECT 1)": "There is no source `nowhere`",
    "CREATE JOB x AS (REFRESH DATASET nothing)": "There is no dataset `nothing`",
    "CREATE JOB x IF (SELECT LAST) AS (SELECT 1)": "LAST is compared with a column",
    "CREATE JOB x EVERY '9999 days' AS (SELECT 1)": "3,650 are the most",
    "CREATE JOB x START '0001-01-01' EVERY '1 second' AS (SELECT 1)": "beyond the years 1900 to 9000",
    "CREATE JOB x END '9999-12-31' AS (SELECT 1)": "END of job `x` lies beyond",
    "CREATE JOB x AS (SELECT * FROM read_csv('/etc/passwd'))": "read_csv",
    "CREATE JOB x IF (SELECT * FROM '/etc/passwd') AS (SELECT 1)": "passwd",
    "CREATE VIEW x AS SELECT * FROM read_text('/etc/passwd')": "read_text",
    "CREATE TRIGGER x ON ops.nothing AS (SELECT 1)": "There is no table `nothing`",
    "CREATE TRIGGER x ON ops.t COLUMNS (w) AS (SELECT 1)": "There is no column `w`, which trigger `x` needs",
    "CREATE TRIGGER x ON ops.t EVERY '10 ms' AS (SELECT 1)": "once a second is the most",
    "CREATE TRIGGER x ON nowhere.t AS (SELECT 1)": "There is no source `nowhere`",
    "CREATE TRIGGER x ON res.log AS (INSERT INTO res.Log SELECT * FROM TABLE_DELTA)": "again and again",
    "CREATE TRIGGER x ON ops.t AS (SELECT * FROM ops.t WHERE id > LAST)": "A trigger has no LAST",
    "CREATE TRIGGER x ON ops.t COLUMNS (a, A) AS (SELECT 1)": "names the column `a` twice",
    "DROP SOURCE ops": "is used by",
}


def test_what_cannot_be_declared_is_refused_and_changes_nothing(at: Callable[[str], Place]) -> None:
    place = at(f"CREATE JOB j EVERY '1 hour' AS ({ADD});")
    for text, words in REFUSED.items():
        with pytest.raises(TilthError, match=words):
            place.project.sql(text)
    assert [r["name"] for r in place.project.sql("SHOW JOBS").rows()] == ["j"]
    assert place.project.sql("SHOW TRIGGERS").rows() == []
    assert "has no KEY" in " ".join(n.text for n in place.project.plan("dev").notes)
    assert "with the rights of person:" in place.project.sql("DESCRIBE JOB j").text


def test_a_job_that_is_run_by_hand_ends_with_the_statement_that_runs_it(at: Callable[[str], Place]) -> None:
    place = at(
        "CREATE JOB j START '2030-01-01' AS (SELECT count(*) FROM range(1000000000000) a, range(1000) b; INSERT INTO res.log SELECT 1, 1);"
    )
    session, ended = place.project.session("prod"), threading.Event()

    def run() -> None:
        with pytest.raises(CancelledError, match="j: cancelled: stopped by person:"):
            session.run("RUN JOB j")
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    _until(lambda: place.runs() == ["running"])
    time.sleep(0.5)
    session.cancel("somebody")
    assert ended.wait(20)
    thread.join()
    assert (place.runs(), place.rows("log")) == (["cancelled"], [])
    place.step(24)
    assert place.runs() == ["cancelled"]


def test_a_query_that_never_ends_is_stopped_at_once(at: Callable[[str], Place]) -> None:
    place = at(
        f"CREATE JOB j EVERY '1 hour' AS (SELECT count(*) FROM range(1000000000000) a, range(1000) b; {ADD});"
    )
    place.put(1)
    scheduler = Scheduler(
        place.project.work(), "prod", lambda: place.project.deployed("prod"), place.run, place.told.append
    )
    scheduler.step(place.clock.now())
    _until(lambda: place.runs() == ["running"])
    began = time.monotonic()
    place.project.sql(f"CANCEL RUN '{place.runs('id')[0]}'")
    _until(lambda: place.runs() == ["cancelled"])
    assert time.monotonic() - began < 20  # the limit of a statement is 60
    assert place.rows("log") == []
    (error,) = place.runs("error")
    assert error.startswith("stopped by person:")


def test_a_channel_is_told_of_a_job_that_fails(
    at: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/")
    monkeypatch.setenv("KEY", "k")
    place = at(
        "CREATE JOB j EVERY '1 hour' AS (INSERT INTO res.nowhere SELECT 1 AS a);\n"
        "CREATE CHANNEL c WITH (url = SECRET 'env:HOOK', key = SECRET 'env:KEY') NOTIFY ON (failed);"
    )
    place.step()
    place.step(0.1)
    found = place.project.sql("SELECT subject, event, body FROM tilth.messages").rows()
    assert [(r["subject"], r["event"]) for r in found] == [("j", "failed")]
    assert "nowhere" in found[0]["body"]


def test_the_status_tells_of_jobs_and_triggers(at: Callable[[str], Place]) -> None:
    place = at(
        f"CREATE JOB j EVERY '1 hour' AS ({ADD});\nCREATE JOB bad AS (INSERT INTO res.no SELECT 1 AS a);\n"
        "CREATE TRIGGER g ON ops.t AS (INSERT INTO res.copy KEY (id) SELECT * FROM TABLE_DELTA);"
    )
    place.put(1)
    place.step()
    found = {r["name"]: r for r in place.project.status()["jobs"]}
    assert {(r["kind"], n) for n, r in found.items()} == {("job", "j"), ("job", "bad"), ("trigger", "g")}
    assert (found["j"]["next_due"][:19], found["j"]["said"]) == (
        "2026-01-01T01:00:00",
        "res.log: 1 row written",
    )
    assert (found["bad"]["failures"], "`no`" in found["bad"]["said"], found["bad"]["last_done"]) == (
        1,
        True,
        None,
    )
    (other,) = [r for r in place.project.status("prod")["failures"] if r["name"] == "bad"]
    assert other["action"] == "RunJob"
