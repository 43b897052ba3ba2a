"""LOOK UP in process: what completing a row takes, at the worst of a hundred, and what making the store of a snapshot takes.

The rows are 10 columns of Parquet files, made into a store by the code that a node runs, in a process of its own; keys are asked in no
order of a store that was just opened. Run it: `python bench/lookup.py`.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime

from result import Result, at_most

ROWS = 10_000_000
ASKED = 200_000
PART = 1_000_000  # rows of a file
P99_MOST, MEMORY_MOST = 2.0, 600  # ms; MB of the process, of which Python, Arrow and a row group are the most
COLUMNS = tuple(f"c{n}" for n in range(10))


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        _made(folder)
        found = subprocess.run(
            [sys.executable, __file__, folder, str(ROWS), str(ASKED)],
            check=True,
            capture_output=True,
            text=True,
        )
    got = json.loads(found.stdout)
    note = f"of {ROWS:,} rows, {ASKED:,} asked in no order; half of them take {got['p50']:.3f} ms, the longest {got['worst']:.1f}; of CPU the p99 is {got['cpu']:.3f} ms"
    made = (
        f"{got['seconds']:.0f} s for {got['bytes'] / 1e6:,.0f} MB, {1e6 * got['seconds'] / ROWS:.1f} us a row"
    )
    return [
        at_most("a request completed, p99", got["p99"], P99_MOST, "ms", note),
        at_most("memory of making a store", got["peak"], MEMORY_MOST, "MB", made),
    ]


def _made(folder: str) -> None:
    """Rows of a snapshot: a key in no order, five numbers, five texts."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(1)
    keys = generator.permutation(ROWS)
    for start in range(0, ROWS, PART):
        some = keys[start : start + PART]
        columns = {"key": some}
        for n, name in enumerate(COLUMNS):
            drawn = generator.integers(0, 1000, len(some))
            columns[name] = drawn / 7 if n < 5 else pa.array(drawn).cast(pa.string())
        pq.write_table(pa.table(columns), os.path.join(folder, f"{start:09}.parquet"), row_group_size=131_072)


def _apart(folder: str, rows: int, asked: int) -> dict[str, float]:
    from tilth.adapters.engines.duckdb_engine import DuckDBEngine
    from tilth.adapters.files.lookups import ProjectLookups
    from tilth.core.schema import DataType
    from tilth.ml.data.keyed import KeyColumn
    from tilth.ports.clock import ManualClock
    from tilth.runtime.serving import keeping
    from tilth.runtime.serving.looking_up import Completing, Store

    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = Store("people", "s", "s", now, (KeyColumn("key", DataType.INTEGER),), COLUMNS, None, None)
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    lookups = ProjectLookups.opened(folder)
    began = time.perf_counter()
    lookups.made(store.name, keeping.kept(store, paths, DuckDBEngine()))
    seconds = time.perf_counter() - began
    found = lookups.opened(store.name)
    assert found is not None
    by = Completing("e", store, found, ("given", *COLUMNS), ManualClock(now), {}, gaps=False)
    took, busy, draw = [], [], random.Random(2)
    for _ in range(asked):
        body = b'{"given":3.5,"key":%d}' % draw.randrange(rows)
        cpu, at = time.thread_time(), time.perf_counter()
        by.completed(body)
        took.append(1000 * (time.perf_counter() - at))
        busy.append(1000 * (time.thread_time() - cpu))
    took.sort()
    busy.sort()
    return {
        "p50": statistics.median(took), "p99": took[int(0.99 * len(took))], "cpu": busy[int(0.99 * len(busy))], "worst": took[-1], "seconds": seconds,
        "bytes": sum(e.stat().st_size for e in os.scandir(os.path.join(folder, "lookups"))),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_apart(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
    else:
        for one in run():
            print(one)
