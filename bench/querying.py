"""What it costs that a query runs in a process of its own: until it is there, for one row, for many rows that go there and back.

A statement is what a session performs, from its text to its last row. The crossing is compared with the same query in this process, on
columns of floats that are passed through: the query does nothing else, so all that is measured is the way. Run it:
`python bench/querying.py`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from result import Result, at_least, at_most, compared, cpu_of, taking_turns

TURNS = 60
ROWS, COLUMNS = 2_000_000, 6
READY, WARM, CROSSING = 20.0, 60.0, 0.3
TILTH = str(Path(sys.executable).parent / "tilth")


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        return [*_one(folder), *_many(folder), _command(folder)]


def _one(folder: str) -> list[Result]:
    """Milliseconds until a process is there, and of one row by a statement."""
    import tilth
    from tilth.adapters.engines.nursery import NURSERY

    (Path(folder) / "tilth.toml").touch()
    with tilth.open(folder) as project:
        session = project.session()

        def ready() -> None:
            NURSERY.child().close()

        def asked() -> None:
            assert session.run("SELECT 41 + 1 AS n").rows() == [{"n": 42}]

        began = time.perf_counter()
        asked()
        first = time.perf_counter() - began
        found = {work: _milliseconds(work) for work in (ready, asked)}
    note = f"milliseconds, p50 of {TURNS}; p95 {{:.1f}}; the first statement, with the start of the zygote, {first * 1e3:.0f}"
    return [
        at_most("a query's process is there", found[ready][0], READY, "ms", note.format(found[ready][1])),
        at_most("one row by a warm statement", found[asked][0], WARM, "ms", note.format(found[asked][1])),
    ]


def _milliseconds(work: Callable[[], None]) -> tuple[float, float]:
    """p50 and p95."""
    took = []
    for _ in range(TURNS):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return statistics.median(took), took[int(len(took) * 0.95) - 1]


def _many(folder: str) -> list[Result]:
    """Rows there and back, and rows of a file, against the same in this process."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tilth.adapters.engines.duckdb_engine import DuckDBEngine
    from tilth.ports.limits import Limits

    rng = np.random.default_rng(1)
    table = pa.table({f"c{i}": rng.random(ROWS) for i in range(COLUMNS)})
    path = f"{folder}/rows.parquet"
    pq.write_table(table, path)
    engine = DuckDBEngine([folder], temp=folder)
    out = []
    for what, given in (
        ("a stream there and back", lambda: table.to_reader(65_536)),
        ("a Parquet file", lambda: [path]),
    ):

        def apart(given: Callable[[], object] = given) -> float:
            return _read(lambda: engine.stream("SELECT * FROM t", {"t": given()}, limits=Limits()))

        def here(given: Callable[[], object] = given) -> float:
            return _read(lambda: engine.stream("SELECT * FROM t", {"t": given()}))

        apart(), here()
        ours, theirs, ratio = taking_turns(apart, here, max(3, TURNS // 10))
        size = table.nbytes / 1e6
        note = f"{ROWS:,} rows, {COLUMNS} columns of floats, {size:.0f} MB, wall"
        measured, against = f"{size / ours:,.0f} MB/s", f"in this process {size / theirs:,.0f} MB/s"
        if "stream" in what:
            out.append(
                at_least(f"{what} by a query's process", size / ours, 300, "MB/s", f"{note}; {against}")
            )
        else:
            out.append(
                compared(f"{what} by a query's process", measured, against, ratio, least=CROSSING, note=note)
            )
    engine.close()
    return out


def _read(ask: Callable[[], Iterable[Any]]) -> float:
    began = time.perf_counter()
    rows = sum(batch.num_rows for batch in ask())
    assert rows == ROWS
    return time.perf_counter() - began


def _command(folder: str) -> Result:
    """CPU seconds of `tilth sql` with one SELECT, against one that needs no engine."""
    command = [TILTH, "sql", "--project", folder, "--json"]
    took = cpu_of([*command, "SELECT 1 AS a"], max(3, TURNS // 10))
    bare = cpu_of([*command, "SHOW MODELS"], max(3, TURNS // 10))
    subprocess.run([*command, "SELECT 1 AS a"], check=True, capture_output=True)
    note = f"CPU seconds with its children; SHOW MODELS, which asks no engine, {bare:.2f} s"
    return at_most('`tilth sql "SELECT 1"`', took, 1.0, "s", note)


if __name__ == "__main__":
    for result in run():
        print(result)
