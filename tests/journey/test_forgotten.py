"""FORGET: a person leaves snapshots, quarantine and the prediction log, and what cannot be reached is said."""

import errno
import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.app.project import Project
from tilth.core.errors import StorageError, TilthError
from tilth.ports.clock import ManualClock
from tilth.runtime.applying import forgetting, releasing
from tilth.runtime.record import snapshots

START = datetime(2024, 1, 25, tzinfo=UTC)
DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d KEY (id) EVENT TIME ts REFRESH INCREMENTAL LOOKBACK '3 days' EXPECT (v >= 0 ON FAIL QUARANTINE)
  AS SELECT id, ts, person, v, y FROM ops.t;
CREATE DATASET derived AS SELECT person, sum(v) AS v FROM d GROUP BY person;
CREATE MODEL m PREDICT y FROM d FEATURES (person, v) USING (engine = 'linear');
"""


def write(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        for statement in statements:
            db.execute(statement)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "d.sql").write_text(DECLARED)
    write(tmp_path, "CREATE TABLE t (id INTEGER, ts TIMESTAMP, person TEXT, v REAL, y INTEGER)")
    with closing(sqlite3.connect(tmp_path / "ops.db")) as db, db:
        rows = [
            (i, f"2024-01-{1 + i // 20:02} {i % 20:02}:00:00", f"p{i % 10}", -1.0 if i in (7, 8) else i % 9 + i / 1000, i % 2)
            for i in range(400)
        ]  # fmt: skip
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
    found = tilth.open(str(tmp_path))
    found.clock = ManualClock(START)
    found.apply()
    write(
        tmp_path,
        "INSERT INTO t VALUES (900, '2024-01-21 00:00:00', 'p7', 1, 1), (901, '2024-01-21 01:00:00', 'p1', 1, 1)",
    )
    found.sql("REFRESH DATASET d")
    for n in range(6):
        said = {
            "at": f"2024-01-25T00:00:0{n}.000000Z", "id": f"r{n}", "endpoint": "e", "model": "m", "version": 1, "digest": "x",
            "environment": "prod", "role": "champion", "inputs": {"person": f"p{5 + n % 3}", "v": 1.0}, "outputs": {"y": 1}, "score": 0.5,
        }  # fmt: skip
        found.work().log.append(json.dumps(said, separators=(",", ":")).encode())
    found.work().log.close()
    return found


def everywhere(project: Project, person: str) -> dict[str, int]:
    """Rows of a person in all that is kept, and bytes of files that name it."""
    work = project.work()
    kept = 0
    for one in snapshots.all_of(work.state):
        if "id" in one.manifest.schema.names:
            people = [r for p in one.manifest.parts for r in _people(work.blobs.path(p.blob))]
            assert len(people) == one.rows
            kept += people.count(person)
    held = project.sql("SELECT row FROM tilth.quarantined_rows").rows()
    logged = project.sql("SELECT inputs FROM tilth.predictions").rows()
    return {
        "snapshots": kept,
        "quarantine": sum(f'"{person}"' in r["row"] for r in held),
        "predictions": sum(f'"{person}"' in r["inputs"] for r in logged),
    }


def _people(path: str) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_table(path, columns=["person"])["person"].to_pylist())


def test_a_person_leaves_all_that_is_kept_and_the_rest_stays(project: Project) -> None:
    before, other = everywhere(project, "p7"), everywhere(project, "p5")
    assert before == {"snapshots": 39 + 40, "quarantine": 1, "predictions": 2}
    ids = {s.id for s in snapshots.all_of(project.work().state)}
    done = project.sql("FORGET FROM d WHERE person = 'p7'")
    assert everywhere(project, "p7") == {"snapshots": 0, "quarantine": 0, "predictions": 0}
    assert everywhere(project, "p5") == other
    assert {s.id for s in snapshots.all_of(project.work().state)} == ids
    assert (done.facts["rows"], done.facts["quarantined"], done.facts["predictions"]) == (79, 1, 2)
    assert done.facts["models"] == ["m@1"]
    assert any("derived" in line for line in done.facts["unreached"])
    assert any("backups" in line for line in done.facts["unreached"])
    assert project.verify()
    blobs = [p for p in (Path(project.home) / "blobs").rglob("*") if p.is_file() and _has_id(p)]
    assert len(blobs) > 1
    assert not any("p7" in _people(str(p)) for p in blobs)
    assert project.sql("SELECT count(*) AS n FROM d WHERE person = 'p7'").rows() == [{"n": 0}]


def _has_id(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return "id" in pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False


def test_what_was_to_be_forgotten_is_written_nowhere(project: Project) -> None:
    session = project.session(door="cli")
    session.run("FORGET FROM d WHERE person = 'p7'")
    assert project.sql("SELECT condition FROM tilth.forgets").rows() == [{"condition": None}]
    said = project.sql("SELECT detail FROM tilth.audit WHERE verb IN ('forget', 'forgotten')").rows()
    assert len(said) == 2
    assert not any("p7" in r["detail"] for r in said)


@pytest.mark.parametrize(
    ("where", "gone"),
    [
        ("person = 'p7'", {"p7", "both"}),
        ("person IN ('p7', 'p6') AND v > 1", {"p7", "p6", "both"}),
        ("id = 7", set()),
        ("v > 3", set()),
    ],
)
def test_texts_of_statements_that_name_who_is_forgotten_go(
    project: Project, where: str, gone: set[str]
) -> None:
    asked = {
        "p7": "SELECT count(*) AS n FROM d WHERE person = 'p7'",
        "p6": "SELECT count(*) AS n FROM d WHERE person = 'p6'",
        "both": "SELECT 'p7' AS a, 'p6' AS b",
        "other": "SELECT 'p77' AS a, 3 AS n",
    }
    session = project.session(door="cli")
    for text in asked.values():
        session.run(text).rows()
    done = session.run(f"FORGET FROM d WHERE {where}")
    texts = {r["text"] for r in project.sql("SELECT text FROM tilth.statements").rows()}
    assert asked["other"] in texts
    assert {k for k, v in asked.items() if v not in texts} == gone
    assert (done.facts["statements"] > 0) == bool(gone)


@pytest.mark.parametrize("where", ["count(*) > 3", "gone = 1", "person", "v > (", "person = 'p7' OR", "1"])
def test_what_is_no_condition_changes_nothing(project: Project, where: str) -> None:
    before = everywhere(project, "p7")
    with pytest.raises(TilthError):
        project.sql(f"FORGET FROM d WHERE {where}")
    assert everywhere(project, "p7") == before
    assert project.sql("SELECT count(*) AS n FROM tilth.forgets").rows() == [{"n": 0}]


def test_null_is_nobody_and_nothing_to_forget_is_said(project: Project) -> None:
    done = project.sql("FORGET FROM d WHERE person = NULL")
    assert (done.facts["rows"], done.facts["snapshots"]) == (0, [])
    assert everywhere(project, "p7")["snapshots"] == 79


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", ["_commit", "sweep", "_predictions"])
def test_a_process_that_dies_forgets_all_or_nothing_and_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    before = everywhere(project, "p7")
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, at, dies)
        with pytest.raises(Killed):
            project.sql("FORGET FROM d WHERE person = 'p7'")
    if at == "_commit":
        assert everywhere(project, "p7") == before
        project.sql("FORGET FROM d WHERE person = 'p7'")
    else:
        assert everywhere(project, "p7")["snapshots"] == 0
        assert project.sql("SELECT condition FROM tilth.forgets").rows() == [{"condition": "person = 'p7'"}]
        project.gc()
    assert everywhere(project, "p7") == {"snapshots": 0, "quarantine": 0, "predictions": 0}
    assert project.sql("SELECT DISTINCT condition FROM tilth.forgets").rows() == [{"condition": None}]
    assert project.verify()


@pytest.mark.parametrize(
    ("room", "at", "statement"),
    [
        (forgetting, "_commit", "FORGET FROM d WHERE person = 'p7'"),
        (releasing, "manifest_with", "RELEASE QUARANTINE d WHERE id = 7 SET v = 1 BECAUSE 'x'"),
    ],
)
def test_a_full_disk_is_said_and_changes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, room: Any, at: str, statement: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = everywhere(project, "p7")
    monkeypatch.setattr(room, at, full)
    with pytest.raises(StorageError, match="No space left") as raised:
        project.sql(statement)
    assert "Free some space" in raised.value.hint
    assert everywhere(project, "p7") == before
    assert project.verify()


def test_a_refresh_goes_on_from_what_is_left(project: Project) -> None:
    project.sql("FORGET FROM d WHERE person = 'p7'")
    write(
        Path(project.root),
        "INSERT INTO t VALUES (950, '2024-01-22 00:00:00', 'p3', 1, 1)",
        "DELETE FROM t WHERE person = 'p7'",
    )
    assert isinstance(project.clock, ManualClock)
    project.clock.set(START + timedelta(days=1))
    project.sql("REFRESH DATASET d")
    found = project.sql("SELECT count(*) AS n, count_if(person = 'p7') AS gone FROM d").rows()[0]
    assert (found["n"], found["gone"]) == (
        400 - 2 + 2 - 39 - 1 + 1,
        0,
    )  # two in quarantine, two that came, p7, one that came
    assert project.verify()
    assert os.path.isdir(project.home)
