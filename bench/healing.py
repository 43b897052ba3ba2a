"""What comparing 30 days of a table of ten million rows costs its PostgreSQL: one grouped scan, against reading these rows.

All rows lie in the 30 days, so nothing of the table is passed over. Run it: `python bench/healing.py`; fewer rows: TILTH_BENCH_HEALING_ROWS.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path

from result import Result, compared

ROOT = Path(__file__).parents[1]
ROWS = int(os.environ.get("TILTH_BENCH_HEALING_ROWS", "10_000_000"))
MILLIONS = f"{ROWS / 1e6:g}M"
START, END = datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2026-03-01")
SPACE = f"bench_healing_{os.getpid()}"


def run() -> list[Result]:
    from adbc_driver_postgresql import dbapi

    sys.path.insert(0, str(ROOT / "tests"))
    import servers

    url = servers.postgres_url()
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SPACE}")
        try:
            cursor.execute(table())
            cursor.execute(f"VACUUM ANALYZE {SPACE}.t")
            return _measured(url)
        finally:
            cursor.execute(f"DROP SCHEMA {SPACE} CASCADE")


def _measured(url: str) -> list[Result]:
    from tilth.adapters.sources.postgres.source import PostgresSource
    from tilth.core.scan import Scan
    from tilth.ports.source import AskedDays

    source = PostgresSource.from_options({"url": url, "schema": SPACE}, "")
    scan = Scan("t", ("id", "at", "shop", "carrier", "amount", "late"))
    checks, reads, guards = [], [], []
    found = None
    for _ in range(3):
        began = time.monotonic()
        found = source.by_day(AskedDays(scan, "at", START))
        checks.append(time.monotonic() - began)
        began = time.monotonic()
        rows = sum(b.num_rows for b in source.scan(scan))
        reads.append(time.monotonic() - began)
        began = time.monotonic()
        source.by_day(AskedDays(scan, "at", None, END, counted=False, mark=found.mark if found else None))
        guards.append(time.monotonic() - began)
        assert rows == ROWS
    assert found is not None
    assert sum(n for n, _ in found.counts.values()) == ROWS
    check, read, guard = (sorted(s)[1] for s in (checks, reads, guards))
    return [
        compared(
            f"30 days of {MILLIONS} rows compared, one grouped scan", f"{check:.1f} s", f"{read:.1f} s to read them", check / read, most=1.5,
            note=f"{len(found.counts)} days of {ROWS:,} rows of 6 columns come back as {len(found.counts)} rows",
        ),
        compared(
            f"late rows of {MILLIONS} looked for, without HEAL", f"{guard:.1f} s", f"{read:.1f} s to read them", guard / read, most=0.5
        ),
    ]  # fmt: skip


def table() -> str:
    """The statement that makes the table, whose rows lie in 30 days."""
    return (
        f"CREATE UNLOGGED TABLE {SPACE}.t AS SELECT i AS id, TIMESTAMP '2026-01-01' + i * INTERVAL '{30 * 86_400 / ROWS} s' AS at,"
        f" i % 97 AS shop, 'C' || i % 16 AS carrier, (i::bigint * 7919 % 100000) / 100.0 AS amount, i % 5 = 0 AS late"
        f" FROM generate_series(0, {ROWS - 1}) AS i"
    )


if __name__ == "__main__":
    for one in run():
        print(one)
