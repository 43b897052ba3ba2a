"""dataframely over the rows that `bench/data.py` vets: the same checks, of the same Parquet files, in one process.

`python vet_dataframely.py FOLDER` prints CPU seconds (user and system, all threads) and the peak of memory above what the imported
process holds. What dataframely has no word for (sums, spreads, values of a whole column) is a rule of a group of all rows.
"""

# ruff: noqa: N805 - dataframely hands the class to its rules

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import dataframely as dy
import polars as pl

CARRIERS = [f"C{n}" for n in range(10)]


def status(name: str) -> float:
    """A line of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


class Flights(dy.Schema):
    """Twenty checks: columns, rows, and the whole."""

    id = dy.Int64(nullable=False)
    due = dy.Datetime(nullable=False, time_unit="us")
    carrier = dy.String(nullable=False, check=lambda c: c.is_in(CARRIERS))
    origin = dy.String(nullable=False, check=lambda c: c.is_in(["JFK", "LGA", "EWR"]))
    dest = dy.String(nullable=False, check=lambda c: c.str.starts_with("D"))
    tail = dy.String(nullable=False, regex="^N[0-9]{5}$", min_length=6, max_length=6)
    delay = dy.Float64(nullable=True, min=-5000, max=5000)
    distance = dy.Int64(nullable=False, min=0)
    price = dy.Float64(nullable=False, min_exclusive=0, max_exclusive=100000)
    late = dy.Bool(nullable=False)
    remark = dy.String(nullable=True)

    @dy.rule()
    def worth(cls) -> pl.Expr:
        return pl.col("delay").is_null() | (pl.col("delay") < pl.col("price") * 1000)

    @dy.rule()
    def many(cls) -> pl.Expr:
        return pl.len() >= 10_000

    @dy.rule()
    def mean(cls) -> pl.Expr:
        return pl.col("delay").mean().is_between(-100, 100)

    @dy.rule()
    def far(cls) -> pl.Expr:
        return pl.col("distance").max() < 5000

    @dy.rule()
    def spread(cls) -> pl.Expr:
        return pl.col("price").std() > 1

    @dy.rule()
    def carriers(cls) -> pl.Expr:
        return pl.col("carrier").approx_n_unique().is_between(9, 11)

    @dy.rule()
    def remarks(cls) -> pl.Expr:
        return pl.col("remark").count() >= 0.5 * pl.len()

    @dy.rule()
    def fresh(cls) -> pl.Expr:
        return pl.col("due").max() >= pl.datetime(2000, 1, 1)


class Keyed(Flights):
    """The same, and a key that no two rows share."""

    id = dy.Int64(primary_key=True)
    tail = dy.String(primary_key=True, regex="^N[0-9]{5}$", min_length=6, max_length=6)


def once(schema: type[dy.Schema], folder: str) -> dict[str, float]:
    """Read, vet, and count."""
    before, began = status("VmRSS"), time.process_time()
    rows = pl.read_parquet(f"{folder}/vetted-*.parquet", columns=schema.column_names())
    valid, failed = schema.filter(rows, cast=False)
    assert valid.height == rows.height
    assert not failed.counts(), failed.counts()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": time.process_time() - began, "peak_mb": peak - before}


if __name__ == "__main__":
    print(json.dumps(once(Keyed if "keyed" in sys.argv else Flights, sys.argv[1])))
