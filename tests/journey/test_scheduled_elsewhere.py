"""Jobs and triggers over MariaDB and DuckDB files: rows taken once by LAST, scored as they come, and none lost when the source is away."""

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import servers
from tilth.app.project import Project
from tilth.ports.clock import ManualClock
from tilth.runtime.asking import running
from tilth.runtime.keeping.reconciler import Reconciler

START = datetime(2026, 1, 1, tzinfo=UTC)
DECLARED = """
CREATE SOURCE ops {source};
CREATE DATASET sales KEY (id) AS SELECT id, area, price FROM ops.sales;
CREATE MODEL priced PREDICT price FROM sales FEATURES (area) USING (engine = 'linear');
CREATE JOB by_time EVERY '1 hour' AS (INSERT INTO ops.by_time KEY (id) SELECT id, sold FROM ops.sales WHERE sold > LAST);
CREATE TRIGGER scored ON ops.sales COLUMNS (area) KEY (id) EVERY '5 seconds' AS (
  INSERT INTO ops.scored KEY (id) SELECT d.id, m.price AS said FROM TABLE_DELTA d JOIN priced m
);
"""
TABLES = (
    "CREATE TABLE sales (id BIGINT PRIMARY KEY, area DOUBLE, price DOUBLE, sold {time})",
    "CREATE TABLE by_time (id BIGINT PRIMARY KEY, sold {time})",
    "CREATE TABLE scored (id BIGINT PRIMARY KEY, said DOUBLE)",
)


class Store:
    """A place with the tables: it is asked beside tilth, and can be away."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.name = kind, folder, f"tilth_jobs_{uuid.uuid4().hex[:8]}"
        if kind == "mariadb":
            servers.mysql(servers.mysql_url(), f"CREATE DATABASE {self.name}")
        self.ask(*(t.format(time="DATETIME(6)" if kind == "mariadb" else "TIMESTAMP") for t in TABLES))
        self.put(range(200))

    @property
    def url(self) -> str:
        return servers.mysql_url().replace("/test?", f"/{self.name}?")

    @property
    def declared(self) -> str:
        if self.kind == "duckdb":
            return "ENGINE duckdb WITH (path = 'ops.duckdb', writable = true)"
        return f"ENGINE mariadb WITH (url = '{self.url}', writable = true)"

    def ask(self, *statements: str) -> list[Any]:
        if self.kind == "mariadb":
            return servers.mysql(self.url, *statements)
        with duckdb.connect(self.folder / "ops.duckdb") as db:
            for statement in statements:
                db.execute(statement)
            return db.fetchall()

    def put(self, ids: Any) -> None:
        at = (
            "TIMESTAMP '2025-12-01 00:00:00' + INTERVAL {} SECOND"
            if self.kind == "mariadb"
            else "TIMESTAMP '2025-12-01' + to_seconds({})"
        )
        rows = ", ".join(
            f"({i}, {i % 97 + 1}, {3 * (i % 97) + 7 + i * 7919 % 211}, {at.format(i)})" for i in ids
        )
        self.ask(f"INSERT INTO sales VALUES {rows}")

    def away(self) -> None:
        if self.kind == "mariadb":
            self.ask("RENAME TABLE sales TO gone")
        else:
            os.rename(self.folder / "ops.duckdb", self.folder / "gone")

    def back(self) -> None:
        if self.kind == "mariadb":
            self.ask("RENAME TABLE gone TO sales")
        else:
            os.rename(self.folder / "gone", self.folder / "ops.duckdb")

    def drop(self) -> None:
        if self.kind == "mariadb":
            servers.mysql(servers.mysql_url(), f"DROP DATABASE {self.name}")


@pytest.fixture(params=["mariadb", "duckdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = Store(request.param, tmp_path)
    yield made
    made.drop()


def test_rows_are_taken_once_scored_as_they_come_and_none_is_lost(store: Store) -> None:
    (store.folder / "all.sql").write_text(DECLARED.format(source=store.declared))
    clock = ManualClock(START)
    project = Project(str(store.folder), clock=clock)
    done = project.apply()
    assert not done.refusals, [d.text for d in done.refusals]

    def run(resource: Any, reason: str, due: datetime | None) -> running.Ran:
        return running.run(project.session("prod"), resource, running.Why(reason, due))

    told: list[str] = []
    reconciler = Reconciler(
        project.work(), "prod", lambda: project.deployed("prod"), tell=told.append, replay=True, run=run
    )

    def step(span: timedelta = timedelta()) -> None:
        clock.set(clock.now() + span)
        reconciler.step(clock.now())

    def ids(table: str) -> list[int]:
        return [int(r[0]) for r in store.ask(f"SELECT id FROM {table} ORDER BY 1")]

    step()
    assert (ids("by_time"), ids("scored")) == (list(range(200)), [])
    store.put(range(200, 210))
    step(timedelta(minutes=1))
    assert ids("scored") == list(range(200, 210))
    assert not [line for line in told if "failed" in line]
    store.away()
    step(timedelta(hours=1))
    assert {"by_time", "scored"} <= {f["name"] for f in project.status()["failures"]}
    store.back()
    store.put(range(210, 215))
    step(timedelta(minutes=2))
    step(timedelta(minutes=2))
    assert ids("by_time") == list(range(215))
    assert ids("scored") == list(range(200, 215))
    assert (
        store.ask("SELECT count(*) FROM by_time b JOIN sales s ON s.id = b.id WHERE s.sold = b.sold")[0][0]
        == 215
    )
    assert project.status()["failures"] == []
    project.close()
