"""Keeping up with flights that change with the seasons: every month the model is trained again, in each way that `retrain` offers.

A project a way; a step adds a month of real flights (the demo's, with the weather of their hour), collects, trains and lets the gate
decide. What serves then answers the next month. Table of each step on stderr: `python bench/keeping.py`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from result import Result, compared

EVERY = 2  # flights, of which one is taken
STEPS = (6, 7, 8, 9, 10, 11)  # the months that come, one a step; the model begins with those before
WAYS = ("full", "warm", "refit", "auto")
ENGINE = "lightgbm"
DECLARED = """
CREATE SOURCE wx ENGINE files WITH (path = 'data');
CREATE DATASET flights KEY (flight_id) EVENT TIME sched_dep AS SELECT * FROM wx.flights;
CREATE MODEL late PREDICT arr_late FROM flights
  FEATURES (* EXCEPT (dep_delay, arr_delay, air_time, tailnum))
  OBJECTIVE (metric = 'log_loss')
  USING (engine = '{engine}', retrain = '{way}', time_limit = '10 min')
  PROMOTE IF not_worse_by(0.01);
"""


def flights():
    """Every so manieth flight with the weather of its hour, in the order of departures."""
    import duckdb

    from tilth.interfaces.demo import data

    con = duckdb.connect()
    con.register("f", data.flights(data.FIRST, data.LAST))
    con.register("w", data.weather())
    columns = ", ".join(f"any_value(w.{c}) AS {c}" for c in data.WEATHER)
    found = con.sql(
        f"SELECT f.*, {columns} FROM f LEFT JOIN w ON w.origin = f.origin AND w.time_hour = date_trunc('hour', f.sched_dep) "
        f"WHERE f.arr_late IS NOT NULL AND f.flight_id % {EVERY} = 0 GROUP BY ALL ORDER BY f.sched_dep, f.flight_id"
    ).to_arrow_table()
    con.close()
    return found


def run() -> list[Result]:
    table = flights()
    found = {way: stream(way, table) for way in WAYS}
    cpu, fits, loss, passed = ({way: values[n] for way, values in found.items()} for n in range(4))
    steps = f"{len(STEPS)} months, {table.num_rows:,} flights"
    note = (
        "mean log loss of the next month by what serves after the gate: "
        + ", ".join(f"{w} {loss[w]:.4f}" for w in WAYS)
        + "; CPU-s of the trainings: "
        + ", ".join(f"{w} {cpu[w]:.1f}, of which fits {fits[w]:.1f}" for w in WAYS)
        + "; candidates that passed: "
        + ", ".join(f"{w} {passed[w]}" for w in WAYS)
    )
    out = [
        Result(
            f"the loss of `{way}` against `full`, {steps}", f"{loss[way]:.4f}", f"{loss['full']:.4f}",
            f"{loss[way] / loss['full']:.3f}", "", None, note if way == WAYS[1] else "",
        )
        for way in WAYS[1:]
    ]  # fmt: skip
    return out + [
        compared(
            f"CPU of {what} by `{w}` against `full`",
            f"{took[w]:.1f} s",
            f"{took['full']:.1f} s",
            took[w] / took["full"],
            most=1.0,
        )
        for what, took in (("trainings", cpu), ("their fits", fits))
        for w in WAYS[1:]
    ]


def stream(way: str, table) -> tuple[float, float, float, int]:
    """CPU seconds of the trainings after the first one and of their fits, the mean loss of the months that came next, and how many passed."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    import tilth
    from tilth.ports.clock import ManualClock

    month = pc.month(table.column("sched_dep")).to_numpy()
    clock, losses = ManualClock(datetime(2014, 1, 2, tzinfo=UTC)), []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "data").mkdir()
        (root / "models.sql").write_text(DECLARED.format(way=way, engine=ENGINE))
        pq.write_table(table.filter(month < STEPS[0]), root / "data" / "flights.parquet")
        with tilth.Project(folder, clock) as project:
            project.apply()
            for step in STEPS:
                pq.write_table(table.filter(month <= step), root / "data" / "flights.parquet")
                project.sql("REFRESH DATASET flights")
                project.sql("RETRAIN MODEL late")
                told = project.sql("SELECT * FROM tilth.trainings ORDER BY version").rows()
                status = project.sql("SELECT status FROM tilth.versions ORDER BY version").rows()[-1][
                    "status"
                ]
                after = table.filter(month == step + 1)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a month has places that were never flown to
                    shares = np.asarray(project.model("late").predict_proba(after))
                p = np.clip(shares[:, 1], 1e-6, 1 - 1e-6)
                y = after.column("arr_late").to_numpy().astype(float)
                losses.append(float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))))
                last = told[-1]
                print(
                    f"  {way}: month {step}: {last['way']}, {last['cpu_seconds']:.1f} CPU-s (fits {last['fit_cpu_seconds']:.1f}), {status}, next month {losses[-1]:.4f}; {last['why'] or ''}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
            passed = project.sql("SELECT status FROM tilth.versions ORDER BY version").rows()[1:]
    return (
        sum(t["cpu_seconds"] for t in told[1:]),
        sum(t["fit_cpu_seconds"] for t in told[1:]),
        float(np.mean(losses)),
        sum(v["status"] == "promoted" for v in passed),
    )


if __name__ == "__main__":
    for result in run():
        print(result)
