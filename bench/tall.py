"""Training on a tall table: what an apply of 10 million rows of nine columns holds in memory, the command and its worker.

The rows are made by seed and written as one Parquet file, from which the project collects them. `time_limit` cuts the rounds: what is
measured is memory, not how good the model is. Run it: `python bench/tall.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from result import Result, at_most

ROWS = 10_000_000
PIECE = 500_000
MOST = 1_000  # MB of a process
SECONDS = 120  # the training's limit
APPLIED = """
import json, resource, sys
import tilth
project = tilth.open(sys.argv[1])
done = project.apply()
project.close()
own, others = (resource.getrusage(w).ru_maxrss / 1024 for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
told = [r["text"] for r in project.sql("SELECT text FROM tilth.notices WHERE kind = 'rows'")]
print(json.dumps({"command": own, "worker": others, "cpu": sum(u.ru_utime + u.ru_stime for u in used), "told": told}))
"""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made(folder)
        found = applied(folder)
    note = (
        f"{ROWS:,} rows x 9 columns, engine = 'auto', time_limit {SECONDS} s; {found['cpu']:.0f} CPU seconds in all."
        f" {' '.join(found['told'])}"
    )
    return [
        at_most("peak memory of the worker that trains on a tall table", found["worker"], MOST, "MB", note),
        at_most(
            "peak memory of the command beside it", found["command"], MOST, "MB", "collecting and the gate"
        ),
    ]


def applied(folder: Path) -> dict:
    """The peaks of an apply of the folder's project, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", APPLIED, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def made(folder: Path) -> None:
    """The rows in pieces, and the project."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer = np.random.default_rng(3), None
    kinds = pa.array([f"k{n}" for n in range(20)])
    for start in range(0, ROWS, PIECE):
        count = min(PIECE, ROWS - start)
        x = rng.normal(size=(count, 5))
        kind, hour = rng.integers(0, 20, count), rng.integers(0, 24, count)
        raw = (
            x[:, 0] - 0.5 * x[:, 1] + 0.5 * x[:, 0] * x[:, 2] + (kind % 7 - 3) * 0.3 + np.sin(hour / 3.8) - 1
        )
        table = pa.table({
            "id": np.arange(start, start + count), **{f"n{i}": x[:, i] for i in range(5)},
            "kind": kinds.take(pa.array(kind)), "hour": hour, "late": rng.random(count) < 1 / (1 + np.exp(-raw)),
        })  # fmt: skip
        writer = writer or pq.ParquetWriter(folder / "flights.parquet", table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    (folder / "project.sql").write_text(
        "CREATE SOURCE files ENGINE files WITH (path = '.');\n"
        "CREATE DATASET flights KEY (id) AS SELECT * FROM files.flights;\n"
        f"CREATE MODEL late PREDICT late FROM flights USING (engine = 'auto', time_limit = '{SECONDS} s');\n"
    )


if __name__ == "__main__":
    for found in run():
        print(found)
