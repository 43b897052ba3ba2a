"""A small project on real stores: deliveries in SQLite over 120 days, two models, an endpoint."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import tilth
from tilth.app.project import Project
from tilth.plan.actions import Plan, TrainModel
from tilth.ports.clock import ManualClock
from tilth.runtime.applying import executor

START = datetime(2024, 1, 1)
DAYS, A_DAY = 120, 50
NOW = datetime(2024, 4, 30, tzinfo=UTC)

DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');

CREATE DATASET deliveries
  KEY (id)
  EVENT TIME ordered_at
  REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '2 days'
  EXPECT (
    minutes BETWEEN 0 AND 600 ON FAIL QUARANTINE,
    carrier IS NOT NULL ON FAIL STOP,
    COUNT(*) >= 100 ON FAIL STOP
  )
AS SELECT * FROM ops.deliveries;

CREATE MODEL late
  PREDICT late
  FROM deliveries
  FEATURES (* EXCEPT (minutes))
  OBJECTIVE (metric = 'roc_auc', minimum = 0.6)
  USING (engine = 'linear', time_limit = '20 s')
  RETRAIN WHEN age > '30 days'
  PROMOTE IF not_worse_by(0.02);

CREATE MODEL duration
  PREDICT minutes
  FROM deliveries
  FEATURES (* EXCEPT (late))
  USING (engine = 'linear');

CREATE ENDPOINT late_api FOR MODEL late
  OUTCOMES FROM deliveries (id, late);
"""


def deliveries(since: int, until: int, seed: int = 1) -> list[tuple[object, ...]]:
    """Rows of the days from `since` on and before `until`: far and evening deliveries of `slow` are late more often."""
    random, rows = Random(seed * 1000 + since), []
    for day in range(since, until):
        for n in range(A_DAY):
            at = START + timedelta(days=day, minutes=random.randrange(24 * 60))
            distance, carrier = round(random.uniform(1, 60), 1), random.choice(["fast", "slow", "own"])
            load = distance / 20 + (at.hour > 16) + 1.2 * (carrier == "slow") + random.gauss(0, 0.7)
            rows.append(
                (
                    day * A_DAY + n,
                    at.isoformat(sep=" "),
                    carrier,
                    distance,
                    round(15 + 12 * max(load, 0), 1),
                    load > 3,
                )
            )
    return rows


def add(project: Path, rows: list[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(project / "ops.db")) as db, db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS deliveries (id INTEGER PRIMARY KEY, ordered_at TIMESTAMP, carrier TEXT,"
            " distance REAL, minutes REAL, late BOOLEAN)"
        )
        db.executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?)", rows)


def make(folder: Path, declared: str = DECLARED) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.sql").write_text(declared)
    add(folder, deliveries(0, DAYS))
    return folder


def opened(folder: Path, now: datetime = NOW) -> Project:
    project = tilth.open(str(folder))
    project.clock = ManualClock(now)
    return project


def trained_again(project: Project, model: str) -> None:
    """Another version of the same rows and definition, which RETRAIN would not make."""
    session = project.session()
    plan = Plan(session.environment, project.generations(limit=1)[0].number, (
        TrainModel(model, project.deployed().get(model).recipe, "again", project.model(model).version),
    ))  # fmt: skip
    executor.apply(session.act(), project.deployed(), plan=plan)
