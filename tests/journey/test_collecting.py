"""A dataset that grows at its source is refreshed day by day, and holds what its source does."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import tilth
from tilth.app.project import Project
from tilth.ports.clock import ManualClock
from tilth.runtime.keeping.reconciler import Reconciler

DAY = timedelta(days=1)
START = datetime(2024, 1, 10, tzinfo=UTC)
DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d {key} EVENT TIME ts REFRESH EVERY '1 day' INCREMENTAL {lookback} {expect} AS SELECT * FROM ops.t;
"""
Row = tuple[int, str, float]


def make(
    folder: Path,
    rows: Sequence[Row],
    kind: str = "TIMESTAMP",
    key: str = "KEY (id)",
    lookback: str = "",
    expect: str = "",
) -> tuple[Project, ManualClock]:
    """A project of one incremental dataset, applied."""
    (folder / "d.sql").write_text(DECLARED.format(key=key, lookback=lookback, expect=expect))
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute(f"CREATE TABLE t (id INTEGER, ts {kind}, v REAL)")
    change(folder, add=rows)
    project, clock = tilth.open(str(folder)), ManualClock(START)
    project.clock = clock
    project.apply()
    return project, clock


def change(folder: Path, add: Sequence[Row] = (), remove: Sequence[int] = ()) -> None:
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", add)
        db.executemany("DELETE FROM t WHERE id = ?", [(i,) for i in remove])


def held(project: Project) -> list[int]:
    return [r["id"] for r in project.sql("SELECT id FROM d ORDER BY id").rows()]


def history(days: int = 9) -> list[Row]:
    return [(i, f"2024-01-{1 + i % days:02} 00:00:00", 1.0) for i in range(50)]


@pytest.mark.parametrize(
    ("lookback", "expect"),
    [
        ("LOOKBACK '2 days'", ""),
        ("", ""),
        ("", "EXPECT (v > 0)"),
        ("", "EXPECT (v > 0 ON FAIL QUARANTINE, COUNT(*) >= 50)"),
    ],
)
def test_a_day_without_new_rows_is_a_refresh_like_any_other(
    tmp_path: Path, lookback: str, expect: str
) -> None:
    project, clock = make(tmp_path, history(), lookback=lookback, expect=expect)
    clock.set(START + DAY)
    (done,) = project.apply().did
    assert (done.status, held(project)) == ("done", list(range(50)))
    lines: list[str] = []
    clock.set(START + 2 * DAY)
    loop = Reconciler(
        project.work(), "prod", lambda: project.deployed("prod"), tell=lines.append, replay=True
    )
    loop.step(clock.now())
    assert [": done: " in line for line in lines] == [True]


def test_days_without_rows_that_the_query_wants_do_not_hold_up_the_next(tmp_path: Path) -> None:
    project, clock = make(tmp_path, history())
    for day, rows in enumerate(([], [(60, "2024-01-11 12:00:00", 1.0)], []), 1):
        change(tmp_path, add=rows)
        clock.set(START + day * DAY)
        project.apply()
    assert held(project) == [*range(50), 60]
