"""Tables of series for these tests."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

import pyarrow as pa


def days(count: int, first: date = date(2024, 1, 1), every: int = 1) -> list[date]:
    return [first + timedelta(days=i * every) for i in range(count)]


def hours(count: int, first: datetime = datetime(2024, 3, 30), every: int = 1) -> list[datetime]:
    return [first + timedelta(hours=i * every) for i in range(count)]


def months(count: int, day: int = 1, first: int = 0) -> list[date]:
    """The day of each month, or its last one where it is shorter."""
    out = []
    for i in range(first, first + count):
        begin = date(2019 + i // 12, i % 12 + 1, 1)
        after = date(2019 + (i + 1) // 12, (i + 1) % 12 + 1, 1)
        out.append(begin + timedelta(days=min(day, (after - begin).days) - 1))
    return out


def table(
    *series: tuple[str, Sequence[object], Iterable[float | None]], kind: pa.DataType | None = None
) -> pa.Table:
    """Columns g, t, y of (group, times, values)."""
    groups, times, values = [], [], []
    for name, at, y in series:
        listed = list(y)
        groups += [name] * len(listed)
        times += list(at)[: len(listed)]
        values += listed
    return pa.table({"g": groups, "t": pa.array(times, kind), "y": pa.array(values, pa.float64())})


def wave(
    count: int, season: int, level: float = 100.0, slope: float = 0.0, seed: int = 0, noise: float = 1.0
) -> list[float]:
    """A season, a slope and noise."""
    import numpy as np

    t = np.arange(count)
    season_of = np.random.default_rng(season).normal(0, 10, season)[t % season]
    return [
        float(v) for v in level + slope * t + season_of + np.random.default_rng(seed).normal(0, noise, count)
    ]
