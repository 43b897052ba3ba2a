"""A project with an input of every type that is learned, two models (one of them strict) and an endpoint for each."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tilth

ROWS = 900
DECLARED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET d KEY (id) AS SELECT * FROM f.t;
CREATE MODEL m PREDICT y FROM d USING (engine = 'lightgbm');
CREATE MODEL strict_m PREDICT y FROM d OBJECTIVE (strict = true) USING (engine = 'linear');
CREATE ENDPOINT api FOR MODEL m;
CREATE ENDPOINT strict_api FOR MODEL strict_m;
"""


def rows() -> pa.Table:
    rng = np.random.default_rng(1)
    n, x = rng.integers(0, 100, ROWS), rng.normal(size=ROWS)
    t, b = rng.integers(0, 3, ROWS), rng.random(ROWS) < 0.5
    days = rng.integers(0, 400, ROWS)
    raw = n / 30 + x + t - b + np.sin(days / 60) + rng.normal(0, 0.5, ROWS)
    start = datetime(2023, 6, 1)
    return pa.table(
        {
            "id": np.arange(ROWS),
            "n": n,
            "x": x,
            "t": [["a", "b", "c"][v] for v in t],
            "b": b,
            "d": [start.date() + timedelta(days=int(v)) for v in days],
            "s": [start + timedelta(days=int(v), minutes=int(w)) for v, w in zip(days, n * 14, strict=True)],
            "y": raw > np.median(raw),
        }
    )


def applied(folder: Path, declared: str = DECLARED) -> Path:
    """The project, made and applied."""
    (folder / "data").mkdir(parents=True)
    pq.write_table(rows(), folder / "data" / "t.parquet")
    (folder / "all.sql").write_text(declared)
    project = tilth.open(str(folder))
    assert not project.apply().refusals
    project.close()
    return folder
