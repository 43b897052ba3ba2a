"""A small project over a real SQLite database: orders, and whether each comes back. Days can be added and asked about."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tilth.app.project import Project
from tilth.core.time import show_instant
from tilth.ports.clock import ManualClock
from tilth.runtime.loading import version_of

START = datetime(2024, 1, 1, tzinfo=UTC)
A_DAY = 200
HISTORY = 60  # days that are there when the model is trained first

SOURCES = "CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');\n"
DATASET = """CREATE DATASET orders
  KEY (id) EVENT TIME placed
  REFRESH {refresh}
  EXPECT (price BETWEEN 0 AND 1000 ON FAIL QUARANTINE, shop IS NOT NULL ON FAIL STOP,
          AVG(price) BETWEEN 1 AND 200 ON FAIL STOP)
  AS SELECT * FROM ops.orders;
"""
MODEL = """CREATE MODEL returns PREDICT returned FROM orders
  OBJECTIVE (metric = 'roc_auc', minimum = 0.6)
  USING (engine = 'linear')
  RETRAIN WHEN drift > 0.2
  PROMOTE IF {promote};
"""
ENDPOINT = "CREATE ENDPOINT returns_api FOR MODEL returns OUTCOMES FROM orders (id, returned);\n"


def orders(day: int, shift: float = 0.0) -> list[tuple[Any, ...]]:
    """The orders of a day since START: dear ones come back more often; `shift` makes all of them dearer."""
    random = np.random.default_rng(day)
    z = random.normal(size=A_DAY) + shift
    price = 50 + 15 * z
    shops = random.integers(0, 3, A_DAY)
    late = z + 0.7 * shops + random.normal(size=A_DAY) > 1
    placed = [START + timedelta(days=day, minutes=7 * n) for n in range(A_DAY)]
    return [
        (day * A_DAY + n, str(placed[n].replace(tzinfo=None)), float(price[n]), "abc"[shops[n]], int(late[n]))
        for n in range(A_DAY)
    ]


def add(folder: Path, *days: int, shift: float = 0.0) -> None:
    """Put the days' orders, with their outcomes, into the database."""
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        for day in days:
            db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", orders(day, shift))


def make(
    folder: Path, refresh: str = "EVERY '1 day' INCREMENTAL LOOKBACK '1 day'", promote: str = "better"
) -> Path:
    """The project's files and its first days."""
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, placed TIMESTAMP, price REAL, shop TEXT, returned BOOLEAN)"
        )
    add(folder, *range(HISTORY))
    (folder / "sources.sql").write_text(SOURCES)
    (folder / "datasets.sql").write_text(DATASET.format(refresh=refresh))
    (folder / "models.sql").write_text(MODEL.format(promote=promote))
    (folder / "endpoints.sql").write_text(ENDPOINT)
    return folder


def at(day: float) -> datetime:
    return START + timedelta(days=day)


def opened(folder: Path, day: float = HISTORY) -> tuple[Project, ManualClock]:
    clock = ManualClock(at(day))
    return Project(str(folder), clock), clock


def ask(
    project: Project,
    day: int,
    shift: float = 0.0,
    version: int = 1,
    role: str = "champion",
    environment: str = "prod",
    endpoint: str = "returns_api",
    now: datetime | None = None,
    *,
    timed: bool = True,
) -> int:
    """Have the version answer the day's orders, and log it as the server does; how many answers.

    They are asked when they are placed, or all `now`; those that are not `timed` are logged without when they were placed.
    """
    work = project.work()
    predictor = version_of(work, "returns", version)
    asked = orders(day, shift)
    for number, placed, price, shop, _ in asked:
        row = {"id": number, "placed": placed.replace(" ", "T"), "price": price, "shop": shop}
        decoded = predictor.decode(json.dumps(row).encode())
        score = predictor.score_row(decoded)
        values = {
            k: v.isoformat() if isinstance(v, datetime) else v for k, v in predictor.values(decoded).items()
        }
        if not timed:
            values["placed"] = None
        record = {
            "at": show_instant(now or datetime.fromisoformat(placed).replace(tzinfo=UTC)), "id": f"{day}-{number}",
            "endpoint": endpoint, "model": "returns", "version": version, "digest": predictor.digest,
            "environment": environment, "role": role, "inputs": values,
            "outputs": json.loads(b"{" + predictor.render(score) + b"}"), "score": score[0],
        }  # fmt: skip
        work.log.append(json.dumps(record, separators=(",", ":")).encode())
    return len(asked)
