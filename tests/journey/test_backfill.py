"""Days of an INCREMENTAL dataset are read again: all of them or none, with what is gone at the source gone here."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tilth
from tilth.app.project import Project
from tilth.core.errors import CheckFailedError, ProjectError
from tilth.interfaces.cli.backfill import backfill
from tilth.ports.clock import ManualClock

DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d KEY (id) EVENT TIME ts REFRESH INCREMENTAL EXPECT (v < 100 ON FAIL STOP) AS SELECT id, ts, v FROM ops.t;
CREATE DATASET whole AS SELECT id, ts, v FROM ops.t;
"""


def write(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        for statement in statements:
            db.execute(statement)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "d.sql").write_text(DECLARED)
    write(tmp_path, "CREATE TABLE t (id INTEGER, ts TIMESTAMP, v REAL)")
    with closing(sqlite3.connect(tmp_path / "ops.db")) as db, db:
        rows = [(i, f"2024-01-{1 + i // 10:02} 0{i % 10}:00:00", 1.0) for i in range(200)]
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    found = tilth.open(str(tmp_path))
    found.clock = ManualClock(datetime(2024, 1, 25, tzinfo=UTC))
    found.apply()
    return found


def held(project: Project) -> list[tuple[int, float]]:
    return [(r["id"], r["v"]) for r in project.sql("SELECT id, v FROM d ORDER BY id").rows()]


def there(project: Project) -> list[tuple[int, float]]:
    with closing(sqlite3.connect(Path(project.root) / "ops.db")) as db:
        return [(int(i), float(v)) for i, v in db.execute("SELECT id, v FROM t ORDER BY id")]


def run(project: Project, *options: str) -> Any:
    return CliRunner().invoke(backfill, ["d", *options, "--project", project.root, "--json"])


def test_days_hold_what_the_source_holds_of_them(project: Project) -> None:
    write(
        Path(project.root),
        "UPDATE t SET v = 2 WHERE id BETWEEN 25 AND 44",
        "DELETE FROM t WHERE id IN (31, 52)",
    )
    write(Path(project.root), "INSERT INTO t VALUES (900, '2024-01-04 23:59:59', 5)")
    project.sql("REFRESH DATASET d")
    assert held(project) != there(project)
    found = run(project, "--from", "2024-01-03", "--to", "2024-01-05", "--dry-run")
    assert (json.loads(found.output)["rows_here"], found.exit_code) == (30, 0)
    assert held(project) != there(project)
    assert run(project, "--from", "2024-01-03", "--to", "2024-01-05").exit_code == 0
    assert [r for r in held(project) if r[0] != 52] == there(project)  # 52 is of the sixth
    project.sql("REFRESH DATASET d FROM '2023-12-01' TO '2024-02-01'")
    assert held(project) == there(project)


def test_what_does_not_pass_its_checks_changes_nothing(project: Project) -> None:
    before = held(project)
    write(Path(project.root), "UPDATE t SET v = 1000 WHERE id = 33", "UPDATE t SET v = 3 WHERE id = 34")
    with pytest.raises(CheckFailedError):
        project.sql("REFRESH DATASET d FROM '2024-01-01' TO '2024-01-10'")
    assert held(project) == before


def test_a_dataset_that_is_read_whole_has_no_days_to_read_again(project: Project) -> None:
    with pytest.raises(ProjectError, match="is not INCREMENTAL"):
        project.sql("REFRESH DATASET whole FROM '2024-01-01' TO '2024-01-10'")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from", "2024-01-05", "--to", "2024-01-03"), "lies before"),
        (("--from", "x", "--to", "2024-01-03"), "does not match"),
        (("--from", "2024-01-05"), "--to"),
    ],
)
def test_days_that_are_none(project: Project, options: tuple[str, ...], says: str) -> None:
    found = run(project, *options)
    assert found.exit_code == 2
    assert says in found.output
