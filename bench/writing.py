"""Rows into sources by CREATE TABLE against the plain way of each: ADBC's COPY, sqlite3's executemany, Parquet by pyarrow.

The plain way reads the same Parquet file and does nothing else: no key, no log, no record of what was written. Run it:
`python bench/writing.py`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from result import Result, compared, taking_turns

ROOT = Path(__file__).parents[1]
ROWS = 500_000
TURNS = 5
SPACE = f"bench_writing_{os.getpid()}"
DECLARED = """
CREATE SOURCE flat ENGINE files WITH (path = 'data');
CREATE SOURCE files ENGINE files WITH (path = 'out', writable = true);
CREATE SOURCE lite ENGINE sqlite WITH (path = 'out.db', writable = true);
CREATE SOURCE pg ENGINE postgres WITH (url = '{url}', schema = '{space}', writable = true);
"""


def run() -> list[Result]:
    import pyarrow.parquet as pq

    sys.path.insert(0, str(ROOT / "tests"))
    import servers

    with tempfile.TemporaryDirectory() as folder, _schema(servers.postgres_url()):
        root = Path(folder)
        (root / "data").mkdir()
        pq.write_table(_rows(), root / "data" / "rows.parquet")
        (root / "all.sql").write_text(DECLARED.format(url=servers.postgres_url(), space=SPACE))
        return _measured(root, servers.postgres_url())


def _rows():
    import numpy as np
    import pyarrow as pa

    random, n = np.random.default_rng(7), np.arange(ROWS)
    return pa.table(
        {
            "id": pa.array(n, pa.int64()),
            "at": pa.array(1_700_000_000_000_000 + n * 60_000_000, pa.timestamp("us")),
            "carrier": pa.array([f"C{i % 16}" for i in n]),
            "late": pa.array(random.random(ROWS) > 0.8),
            "p": pa.array(random.random(ROWS)),
            "lower": pa.array(random.random(ROWS)),
        }
    )


@contextlib.contextmanager
def _schema(url: str) -> Iterator[None]:
    from adbc_driver_postgresql import dbapi

    def say(sql: str) -> None:
        with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    say(f"CREATE SCHEMA {SPACE}")
    try:
        yield
    finally:
        say(f"DROP SCHEMA {SPACE} CASCADE")


def _measured(root: Path, url: str) -> list[Result]:
    import pyarrow.parquet as pq
    from adbc_driver_postgresql import dbapi

    import tilth

    source = root / "data" / "rows.parquet"

    def copied() -> None:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("raw", pq.read_table(source), mode="replace", db_schema_name=SPACE)
            connection.commit()

    def inserted() -> None:
        with contextlib.closing(sqlite3.connect(root / "raw.db")) as db, db:
            db.execute("DROP TABLE IF EXISTS raw")
            db.execute(
                "CREATE TABLE raw (id INTEGER, at TIMESTAMP, carrier TEXT, late BOOLEAN, p REAL, lower REAL)"
            )
            columns = pq.read_table(source).to_pydict()
            columns["at"] = [at.isoformat(" ") for at in columns["at"]]
            db.executemany("INSERT INTO raw VALUES (?, ?, ?, ?, ?, ?)", zip(*columns.values(), strict=True))

    def stored() -> None:
        pq.write_table(pq.read_table(source), root / "raw.parquet", compression="zstd")

    ways: dict[str, tuple[str, str, Callable[[], None], float]] = {
        "PostgreSQL": ("pg", "ADBC's COPY", copied, 0.5),
        "SQLite": ("lite", "sqlite3's executemany", inserted, 0.5),
        "Parquet": ("files", "pyarrow", stored, 0.3),
    }
    with contextlib.closing(tilth.open(str(root))) as project:
        project.apply()
        return [_compared(project, what, *way) for what, way in ways.items()]


def _compared(project, what: str, source: str, peer: str, raw: Callable[[], None], least: float) -> Result:
    def ours() -> float:
        began = time.perf_counter()
        done = project.sql(f"CREATE OR REPLACE TABLE {source}.scores AS SELECT * FROM flat.rows")
        assert done.facts["rows"] == ROWS
        return time.perf_counter() - began

    def theirs() -> float:
        began = time.perf_counter()
        raw()
        return time.perf_counter() - began

    ours(), theirs()
    mine, other, ratio = taking_turns(ours, theirs, TURNS)
    note = f"{ROWS:,} rows of 6 columns, wall, medians of {TURNS} alternating rounds"
    return compared(
        f"rows written into {what}", f"{ROWS / mine:,.0f} rows/s", f"{peer} {ROWS / other:,.0f} rows/s", ratio,
        least=least, note=note,
    )  # fmt: skip


if __name__ == "__main__":
    for found in run():
        print(found)
