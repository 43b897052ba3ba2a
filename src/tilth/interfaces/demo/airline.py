"""The airline of the demo: what the project's owner would bring. Its systems hold flights, ask for predictions, and learn later.

It knows of tilth what a client knows: the data folder that tilth reads, and bodies of requests.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tilth.interfaces.demo import data

if TYPE_CHECKING:
    import pyarrow as pa

KEY = "flight_id"
SHARE = 2  # of how many flights one is asked about


class Airline:
    """The flights of a span as they are known when they are planned: `query` joins them with weather and planes."""

    def __init__(self, folder: str, query: str, since: datetime, until: datetime) -> None:
        self.folder = folder
        self._planned = _planned(query, since, until)

    def planned(self, since: datetime, until: datetime) -> pa.Table:
        """The flights that leave in the span."""
        import pyarrow as pa
        import pyarrow.compute as pc

        at = self._planned["sched_dep"]
        edge = pa.timestamp("us")
        inside = pc.and_(pc.greater_equal(at, pa.scalar(since, edge)), pc.less(at, pa.scalar(until, edge)))
        return self._planned.filter(inside)

    def asks(self, day: datetime, inputs: Sequence[str]) -> Iterator[tuple[bytes, int]]:
        """A body for each hour of the day with the flights that are asked about, and how many they are."""
        rows = self.planned(day, day + data.DAY).select([KEY, *inputs]).to_pylist()[::SHARE]
        hours: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            hours.setdefault(row["sched_dep"].hour, []).append(row)
        for _, found in sorted(hours.items()):
            yield msgspec.json.encode(found), len(found)

    def lands(self, since: datetime, until: datetime, *, spoil: bool = False) -> int:
        """The flights of the span arrive in the database, with what became of them."""
        return data.add_flights(self.folder, since, until, spoil=spoil)

    def corrects(self, since: datetime, until: datetime) -> int:
        """The delays of a spoilt span become minutes again."""
        with closing(sqlite3.connect(os.path.join(self.folder, "flights.db"), timeout=10)) as db, db:
            done = db.execute(
                "UPDATE flights SET dep_delay = dep_delay / 60, arr_delay = arr_delay / 60"
                " WHERE sched_dep >= ? AND sched_dep < ?",
                (since.isoformat(sep=" "), until.isoformat(sep=" ")),
            )
        return done.rowcount


def _planned(query: str, since: datetime, until: datetime) -> pa.Table:
    """What the dataset's query makes of the flights, as if all of them had arrived."""
    import pyarrow.compute as pc

    from tilth.adapters.engines.duckdb_engine import DuckDBEngine

    flights = data.flights(since, until)
    place = flights.schema.get_field_index("arr_delay")
    flights = flights.set_column(place, "arr_delay", pc.fill_null(flights["arr_delay"], 0))
    inputs = {"ops.flights": flights, "wx.weather": data.weather(), "wx.planes": data.planes()}
    engine = DuckDBEngine()
    found: pa.Table = engine.stream(query, inputs).read_all().sort_by("sched_dep")
    engine.close()
    return found
