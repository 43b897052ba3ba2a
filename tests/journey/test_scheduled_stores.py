"""Jobs and triggers from PostgreSQL and files into PostgreSQL and files: types kept by LAST, rows scored as they come, the server going away."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import servers
from tilth.app.project import Project
from tilth.ports.clock import ManualClock
from tilth.runtime.asking import running
from tilth.runtime.keeping.reconciler import Reconciler

START = datetime(2026, 1, 1, tzinfo=UTC)
DECLARED = """
CREATE SOURCE ops ENGINE postgres WITH (
  url = 'postgresql://postgres@127.0.0.1:{port}/postgres', password = SECRET 'env:TILTH_TEST_WORD', schema = '{schema}', writable = true
);
CREATE SOURCE out ENGINE files WITH (path = 'out', writable = true);
CREATE DATASET sales KEY (id) AS SELECT id, area, price FROM ops.sales;
CREATE MODEL priced PREDICT price FROM sales FEATURES (area) USING (engine = 'linear');
CREATE VIEW big AS SELECT * FROM ops.sales WHERE area > 50;
CREATE JOB by_time EVERY '1 hour' AS (INSERT INTO ops.by_time KEY (id) SELECT id, sold FROM ops.sales WHERE sold > LAST);
CREATE JOB by_number EVERY '1 hour' AS (INSERT INTO ops.by_number KEY (id) SELECT v.id, v.worth FROM big v WHERE v.worth > LAST);
CREATE JOB to_file EVERY '1 hour' AS (CREATE OR REPLACE TABLE out.scored KEY (id) AS SELECT s.id, m.price AS said FROM ops.sales s JOIN priced m);
CREATE TRIGGER scored ON ops.sales COLUMNS (area) KEY (id) EVERY '5 seconds' AS (
  INSERT INTO ops.scored KEY (id) SELECT d.id, m.price AS said FROM TABLE_DELTA d JOIN priced m
);
"""
TABLES = (
    "sales (id BIGINT PRIMARY KEY, area DOUBLE PRECISION, price DOUBLE PRECISION, worth NUMERIC(20, 4), sold TIMESTAMP, note JSONB)",
    "by_time (id BIGINT PRIMARY KEY, sold TIMESTAMP)",
    "by_number (id BIGINT PRIMARY KEY, worth NUMERIC(20, 4))",
    "scored (id BIGINT PRIMARY KEY, said DOUBLE PRECISION)",
)


@pytest.fixture(scope="module")
def server() -> servers.Postgres:
    return servers.private_postgres()


def ask(server: servers.Postgres, *statements: str) -> list[Any]:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server.url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if statements[-1].startswith("SELECT") else []


class Shop:
    def __init__(self, server: servers.Postgres, folder: Path) -> None:
        self.server, self.schema = server, f"j{uuid.uuid4().hex[:8]}"
        ask(server, f"CREATE SCHEMA {self.schema}", *(f"CREATE TABLE {self.schema}.{t}" for t in TABLES))
        self.put(range(200))
        (folder / "out").mkdir()
        (folder / "all.sql").write_text(DECLARED.format(port=server.port, schema=self.schema))
        self.clock = ManualClock(START)
        self.project = Project(str(folder), clock=self.clock)
        self.told: list[str] = []
        done = self.project.apply()
        assert not done.refusals, [d.text for d in done.refusals]
        self.reconciler = Reconciler(
            self.project.work(), "prod", lambda: self.project.deployed("prod"), tell=self.told.append, replay=True, run=self.run
        )  # fmt: skip

    def run(self, resource: Any, reason: str, due: datetime | None) -> running.Ran:
        return running.run(self.project.session("prod"), resource, running.Why(reason, due))

    def put(self, ids: Any) -> None:
        values = ", ".join(
            f"({i}, {i % 97 + 1}, {3 * (i % 97) + 7 + i * 7919 % 211}, {i}.0001, TIMESTAMP '2025-12-01' + interval '1 microsecond' * {i}, '{{\"a\": {i}}}')"
            for i in ids
        )
        ask(self.server, f"INSERT INTO {self.schema}.sales VALUES {values}")

    def step(self, span: timedelta = timedelta()) -> None:
        self.clock.set(self.clock.now() + span)
        self.reconciler.step(self.clock.now())

    def table(self, name: str) -> list[Any]:
        return ask(self.server, f"SELECT * FROM {self.schema}.{name} ORDER BY 1")


@pytest.fixture
def shop(server: servers.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("TILTH_TEST_WORD", server.password)
    return Shop(server, tmp_path)


def test_rows_of_postgres_are_taken_once_by_times_and_numbers_and_scored_as_they_come(shop: Shop) -> None:
    shop.step()
    assert [len(shop.table(t)) for t in ("by_time", "by_number", "scored")] == [200, 94, 0]
    assert len(shop.project.sql("SELECT * FROM out.scored").rows()) == 200
    shop.put(range(200, 230))
    shop.step(timedelta(minutes=1))
    assert [r[0] for r in shop.table("scored")] == list(range(200, 230))
    expected = {
        r["id"]: r["said"]
        for r in shop.project.sql(
            "SELECT s.id, m.price AS said FROM ops.sales s JOIN priced m WHERE s.id >= 200"
        ).rows()
    }
    assert dict(shop.table("scored")) == pytest.approx(expected)
    shop.step(timedelta(minutes=59))
    assert [r[0] for r in shop.table("by_time")] == list(range(230))
    assert shop.table("by_time") == ask(shop.server, f"SELECT id, sold FROM {shop.schema}.sales ORDER BY 1")
    assert shop.table("by_number") == ask(
        shop.server, f"SELECT id, worth FROM {shop.schema}.sales WHERE area > 50 ORDER BY 1"
    )
    counts = shop.project.sql(
        "SELECT target, sum(rows_written) AS n FROM tilth.writes WHERE source = 'ops' GROUP BY ALL ORDER BY ALL"
    ).rows()
    once = {t: len(shop.table(t)) for t in ("by_number", "by_time", "scored")}
    assert {r["target"]: int(r["n"]) for r in counts} == once
    ask(
        shop.server,
        f"UPDATE {shop.schema}.sales SET note = '{{}}' WHERE id = 7",
        f"UPDATE {shop.schema}.sales SET area = 1 WHERE id = 8",
    )
    shop.step(timedelta(minutes=1))
    assert [r[0] for r in shop.table("scored")] == [8, *range(200, 230)]
    assert not [line for line in shop.told if "failed" in line]


def test_a_server_that_is_away_costs_no_row(shop: Shop) -> None:
    shop.step()
    ask(shop.server, f"ALTER SCHEMA {shop.schema} RENAME TO {shop.schema}_away")
    shop.step(timedelta(hours=1))
    failures = {f["name"] for f in shop.project.status()["failures"]}
    assert {"by_time", "by_number", "to_file", "scored"} <= failures
    ask(shop.server, f"ALTER SCHEMA {shop.schema}_away RENAME TO {shop.schema}")
    shop.put(range(200, 210))
    shop.step(timedelta(minutes=2))
    shop.step(timedelta(minutes=2))
    assert [r[0] for r in shop.table("by_time")] == list(range(210))
    assert [r[0] for r in shop.table("scored")] == list(range(200, 210))
    assert shop.project.status()["failures"] == []
