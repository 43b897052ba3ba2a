"""MindsDB's house sales: moving averages of prices by quarter, type and bedrooms, made up with their schema and a known season."""

import math
from datetime import date

import numpy as np
import pyarrow as pa

SERIES = (("house", 2), ("house", 3), ("house", 4), ("house", 5), ("unit", 1), ("unit", 2), ("unit", 3))
FIRST, QUARTERS = 2007, 54  # from the third quarter of 2007 on


def quarter(n: int) -> date:
    """The last day of the n-th quarter."""
    year, q = divmod(n + 2, 4)
    return date(FIRST + year, (3, 6, 9, 12)[q], (31, 30, 30, 31)[q])


def table(quarters: int = QUARTERS, seed: int = 3) -> pa.Table:
    """saledate DATE, ma INTEGER, type VARCHAR, bedrooms INTEGER; the first `quarters` of each series."""
    rng = np.random.default_rng(seed)
    rows = []
    for place, (kind, bedrooms) in enumerate(SERIES):
        level, noise = 300_000.0 + 90_000 * place, rng.normal(0, 4_000, QUARTERS)
        for n in range(QUARTERS):
            value = level * (1 + 0.008 * n) + 9_000 * math.sin(math.pi * n / 2 + place) + noise[n]
            rows.append({"saledate": quarter(n), "ma": round(value), "type": kind, "bedrooms": bedrooms})
    return pa.Table.from_pylist([r for r in rows if r["saledate"] <= quarter(quarters - 1)])
