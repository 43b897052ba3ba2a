"""The Postgres door beside PostgreSQL itself: rows that come through, a prediction by a prepared statement, idle connections.

Both hold the same rows and are asked by the same clients in turns: psql reads text, psycopg binary. A prediction is asked by one
client over one connection. Run it: `python bench/run.py doors`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from result import Result, at_most, compared, taking_turns

ROWS, TURNS, ASKED, IDLE = 1_000_000, 5, 500, 100
DECLARED = """
CREATE SOURCE f ENGINE files WITH (path = '.', tables = {});
CREATE DATASET big KEY (id) AS SELECT * FROM f.big;
CREATE DATASET people KEY (id) AS SELECT * FROM f.people;
CREATE MODEL leaves PREDICT gone FROM people USING (engine = 'auto', seed = 1);
"""
COLUMNS = "id int8, x float8, k int8, t text, b bool, s timestamp"
PREDICTED = "SELECT gone, gone_confidence FROM leaves WHERE age = %s AND visits = %s AND plan = %s"
OTHER = "SELECT gone_confidence * 2 AS twice FROM leaves WHERE age = %s AND visits = %s AND plan = %s"


@dataclass(frozen=True)
class Door:
    """A running server, and how it is reached."""

    process: subprocess.Popen[bytes]
    port: int
    token: str

    @property
    def place(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=tilth dbname=prod password={self.token}"


def run() -> list[Result]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import servers

    url = servers.postgres_url()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        made(folder)
        filled(url, folder)
        try:
            with up(folder) as door:
                return [*through(door, url), *asked(door), idle(door)]
        finally:
            emptied(url)


def made(folder: Path) -> None:
    """A project with a large dataset and a small model."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(7)
    seconds = random.integers(0, 10**8, ROWS).astype("timedelta64[s]")
    pq.write_table(
        pa.table(
            {
                "id": np.arange(ROWS), "x": random.normal(size=ROWS), "k": random.integers(0, 1000, ROWS),
                "t": [f"name{i % 5000}" for i in range(ROWS)], "b": random.random(ROWS) < 0.5,
                "s": pa.array(np.datetime64("2020-01-01") + seconds, pa.timestamp("us")),
            }
        ), folder / "big.parquet",
    )  # fmt: skip
    age, visits, plan = (
        random.integers(18, 80, 2000),
        random.integers(0, 30, 2000),
        random.integers(0, 3, 2000),
    )
    left = age / 30 + plan - visits / 10 + random.normal(size=2000) > 1.5
    pq.write_table(
        pa.table({"id": np.arange(2000), "age": age, "visits": visits, "plan": [f"p{p}" for p in plan], "gone": left}),
        folder / "people.parquet",
    )  # fmt: skip
    (folder / "all.sql").write_text(DECLARED.replace(", tables = {}", ""))
    line = [sys.executable, "-m", "tilth", "apply", "--project", str(folder)]
    subprocess.run(line, check=True, capture_output=True, timeout=300)


def filled(url: str, folder: Path) -> None:
    """The same rows in PostgreSQL."""
    import psycopg
    import pyarrow.parquet as pq
    from adbc_driver_postgresql import dbapi

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS tilth_bench_door")
        connection.execute(f"CREATE TABLE tilth_bench_door ({COLUMNS})")
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("tilth_bench_door", pq.read_table(folder / "big.parquet"), mode="append")
        connection.commit()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE tilth_bench_door")


def emptied(url: str) -> None:
    """Take away what was made in PostgreSQL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS tilth_bench_door")


@contextlib.contextmanager
def up(folder: Path) -> Iterator[Door]:
    """The real server, without its reconciler."""
    line = [sys.executable, "-m", "tilth", "up", "--project", str(folder), "--port", "0", "--no-reconcile", "--json"]  # fmt: skip
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        facts = json.loads(process.stdout.readline())
        yield Door(process, facts["postgres"], facts["url"].partition("token=")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def through(door: Door, url: str) -> Iterator[Result]:
    """How fast a million rows come, against PostgreSQL: rows a second of ours over theirs."""
    ours, theirs = ("SELECT * FROM big", door.place), ("SELECT * FROM tilth_bench_door", url)
    for what, read in (
        ("text by psql", by_psql),
        ("binary by psycopg", by_psycopg),
        ("binary by COPY", by_copy),
    ):
        read(*ours)
        a, b, ratio = taking_turns(lambda r=read: r(*ours), lambda r=read: r(*theirs), TURNS)
        yield compared(
            f"{ROWS:,} rows x 6, {what}", f"{ROWS / a:,.0f} rows/s", f"PostgreSQL {ROWS / b:,.0f} rows/s", ratio,
            least=0.5,
        )  # fmt: skip


def by_psql(query: str, place: str) -> float:
    began = time.perf_counter()
    line = ["psql", "-X", "-q", "-A", "-t", "-v", "FETCH_COUNT=0", "-o", "/dev/null", place, "-c", query]
    subprocess.run(line, check=True, timeout=300, env=dict(os.environ))
    return time.perf_counter() - began


def by_psycopg(query: str, place: str) -> float:
    import psycopg

    with psycopg.connect(place) as connection:
        began = time.perf_counter()
        cursor = connection.cursor(binary=True)
        cursor.execute(query)
        assert cursor.rowcount == ROWS
        return time.perf_counter() - began


def by_copy(query: str, place: str) -> float:
    import psycopg

    with psycopg.connect(place) as connection:
        began = time.perf_counter()
        with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy:
            size = sum(len(piece) for piece in copy)
        assert size > ROWS
        return time.perf_counter() - began


def asked(door: Door) -> Iterator[Result]:
    """One prediction after another over one connection, by a statement that was prepared."""
    import psycopg

    with psycopg.connect(door.place, autocommit=True) as connection:
        for text, limit, what in ((PREDICTED, 3, "one prediction, prepared"), (OTHER, 60, "one with an expression, warm")):  # fmt: skip
            took = []
            for n in range(ASKED if limit < 10 else max(20, ASKED // 10)):
                began = time.perf_counter()
                connection.execute(text, (20 + n % 50, n % 20, "p1"), prepare=True).fetchall()
                took.append((time.perf_counter() - began) * 1e3)
            middle, late = statistics.median(took), sorted(took)[int(len(took) * 0.99)]
            yield at_most(
                f"{what}, p50",
                middle,
                limit,
                "ms",
                f"one client; p99 {late:.3g} ms; with the client's own work",
            )


def idle(door: Door) -> Result:
    """What the server grows by with a hundred connections that ask nothing."""
    import psycopg

    first = psycopg.connect(door.place)
    before = resident(door.process.pid)
    held: list[Any] = [psycopg.connect(door.place) for _ in range(IDLE)]
    grown = (resident(door.process.pid) - before) / 1e6
    for one in (first, *held):
        one.close()
    return at_most(f"{IDLE} idle connections", max(grown, 0.0), 50, "MB", "growth of the serving process")


def resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) << 10


if __name__ == "__main__":
    for found in run():
        print(found)
