"""AS OF joins of many rows: the time of DuckDB's plain ASOF JOIN over the same files, and the memory of the process.

Both run in processes of their own with the memory that a statement has. The dataset has KNOWN AT: each row became known
some hours after it happened, and some correct earlier ones. DuckDB's plain join knows the event time alone.
Run it: `python bench/asof.py`.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from result import Result, at_most, compared

ROWS = 10_000_000  # of each side
SERIES = 100_000
TURNS = 3
MEMORY = 1_600  # MB that the engine may use
MOST, MEMORY_MOST = 2.0, 2_000  # of the plain join's time; MB of the process


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        _made(folder)
        took: dict[str, list[dict[str, float]]] = {"plain": [], "as of": []}
        for _ in range(TURNS):
            for what, found in took.items():
                found.append(_apart(what, folder))
    wall = {w: statistics.median(f["seconds"] for f in found) for w, found in took.items()}
    cpu = {w: statistics.median(f["cpu"] for f in found) for w, found in took.items()}
    peak = max(f["peak"] for f in took["as of"])
    note = f"{ROWS:,} rows of each side, {SERIES:,} series, {took['as of'][0]['found']:,.0f} rows found; in CPU {cpu['as of']:.1f} s against {cpu['plain']:.1f} s"
    return [
        compared(
            "AS OF with KNOWN AT", f"{wall['as of']:.1f} s", f"ASOF JOIN {wall['plain']:.1f} s",
            wall["as of"] / wall["plain"], most=MOST, note=note,
        ),
        at_most("memory of AS OF", peak, MEMORY_MOST, "MB", f"the engine may use {MEMORY:,} MB, the rest is the process"),
    ]  # fmt: skip


def _made(folder: str) -> None:
    """Events, and a dataset whose rows are known late; of every tenth the event is that of the row before."""
    import duckdb

    with duckdb.connect() as c:
        moment = "TIMESTAMP '2024-01-01' + INTERVAL 1 SECOND * (hash({}) % 30000000)::BIGINT"
        c.execute(
            f"COPY (SELECT i AS eid, (hash(i) % {SERIES})::INT AS id, {moment.format('i * 7')} AS t FROM range({ROWS}) r(i))"
            f" TO '{folder}/events.parquet'"
        )
        of = "i - (i % 10 = 9)::INT"
        c.execute(
            f"COPY (SELECT i AS n, (hash({of} + 5) % {SERIES})::INT AS id, {moment.format(f'({of}) * 11')} AS happened,"
            f" happened + INTERVAL 1 SECOND * (hash(i * 13) % 20000)::BIGINT AS known, random() AS price FROM range({ROWS}) r(i))"
            f" TO '{folder}/prices.parquet'"
        )


def _apart(what: str, folder: str) -> dict[str, float]:
    """One join in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", what, folder],
        stdout=subprocess.PIPE, text=True, check=True, timeout=1200,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _one(what: str, folder: str) -> dict[str, float]:
    import duckdb

    from tilth.sql.queries.pointintime import Timed, joined

    sql = "SELECT count(*), sum(p.price), sum(p.n) FROM e JOIN p AS OF e.t ON p.id = e.id"
    known = "known" if what == "as of" else None
    made = joined(
        sql, lambda: {"p": Timed("happened", known, ("id", "happened", *([known] if known else [])))}
    )
    with duckdb.connect() as c:
        c.execute(f"SET threads = {os.cpu_count() or 1}")
        c.execute(f"SET memory_limit = '{MEMORY}MB'")
        c.execute(f"SET temp_directory = '{folder}/spill'")
        c.execute(f"CREATE VIEW e AS FROM '{folder}/events.parquet'")
        c.execute(f"CREATE VIEW p AS FROM '{folder}/prices.parquet'")
        began, used = time.perf_counter(), time.process_time()
        [row] = c.execute(made).fetchall()
        took, used = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": took, "cpu": used, "peak": peak, "found": float(row[0])}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(_one(*sys.argv[2:4])))
    else:
        for found in run():
            print(found)
