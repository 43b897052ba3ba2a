"""The page on jobs and triggers: its project is applied, its jobs run, and its questions have answers."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tilth.app.project import Project
from tilth.kinds import declares, parse, show
from tilth.ports.clock import ManualClock
from tilth.runtime.asking import running, turns
from tilth.runtime.keeping import scheduling
from tilth.runtime.keeping.reconciler import Reconciler

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text("utf-8")
EXAMPLES = [
    x for e in re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for x in parse(e, "jobs.md")
]
ACTS = [x for x in EXAMPLES if not declares(x)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("page") / "homes"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "shop.db")) as db, db:
        db.execute("CREATE TABLE sales (id INTEGER PRIMARY KEY, area REAL, rooms INTEGER, price REAL)")
        db.executemany(
            "INSERT INTO sales VALUES (?, ?, ?, ?)",
            [
                (i, 30 + i % 97, 1 + i % 5, 900 * (30 + i % 97) + 5000 * (i % 5) + i * 7919 % 20011)
                for i in range(400)
            ],
        )
        db.execute("CREATE TABLE homes (id INTEGER PRIMARY KEY, area REAL, rooms INTEGER)")
        db.executemany("INSERT INTO homes VALUES (?, ?, ?)", [(i, 40 + i, 2) for i in range(5)])
    with closing(sqlite3.connect(folder / "crm.db")) as db, db:
        db.execute("CREATE TABLE scored (id INTEGER PRIMARY KEY, worth REAL, least REAL)")
        db.execute("CREATE TABLE now (id INTEGER PRIMARY KEY, worth REAL)")
    (folder / "page.sql").write_text("\n".join(show(x) for x in EXAMPLES if declares(x)))
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    made = Project(str(folder), clock=clock)
    done = made.apply()
    assert {d.status for d in done.did} == {"done"}, [d.text for d in done.did]
    told: list[str] = []
    reconciler = Reconciler(
        made.work(), "prod", lambda: made.deployed("prod"), tell=told.append, replay=True,
        run=lambda resource, why, due: running.run(made.session("prod"), resource, running.Why(why, due)),
    )  # fmt: skip
    reconciler.step(clock.now())
    with closing(sqlite3.connect(folder / "shop.db")) as db, db:
        db.execute("INSERT INTO homes VALUES (9, 77, 3)")
        db.execute("UPDATE homes SET area = 90 WHERE id = 1")
    clock.set(clock.now() + timedelta(hours=2))
    reconciler.step(clock.now())
    assert not [line for line in told if "failed" in line]
    return made


def test_the_jobs_of_the_page_do_what_it_says(project: Any) -> None:
    def ids(table: str) -> list[int]:
        return [r["id"] for r in project.sql(f"SELECT id FROM crm.{table} ORDER BY id").rows()]

    assert (ids("scored"), ids("now")) == ([0, 1, 2, 3, 4, 9], [1, 9])
    assert project.sql("SELECT sum(homes) AS n FROM crm.summary").rows() == [{"n": 400}]
    runs = project.sql(
        "SELECT name, status FROM tilth.runs WHERE name = 'nightly' AND action = 'RunJob'"
    ).rows()
    assert runs == [{"name": "nightly", "status": "done"}]


@pytest.mark.parametrize("number", range(len(ACTS)), ids=[" ".join(show(x).split())[:40] for x in ACTS])
def test_an_example_of_the_page_of_jobs_answers(project: Any, number: int) -> None:
    done = project.sql(show(ACTS[number]))
    assert done.text or done.arrow().num_rows > 0


def test_the_figures_of_the_page_of_jobs_are_those_of_the_code() -> None:
    from tilth.plan import calendar
    from tilth.runtime.record import schedules

    assert (scheduling.MOST, scheduling.SHARE, schedules.KEPT) == (4, 10, 1000)
    assert turns.PATIENCE == 600
    assert calendar.LATE.total_seconds() == 60
