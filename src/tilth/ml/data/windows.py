"""Event times against the clock: the watermark, rows from the future, and from when on an INCREMENTAL dataset is read.

The watermark is the newest event time that is not later than now, so that a row of 2099 cannot hide what comes before
2099. Rows from the future stay in the dataset and lie in every window until their time has come; one that is no longer
found there was corrected or taken back at its source, and only a look at all rows shows where it went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tilth.core.errors import ProjectError
from tilth.core.names import quoted
from tilth.core.schema import DataType
from tilth.core.time import Instant, naive
from tilth.ml.data.rows import Rows
from tilth.ml.data.snapshots import Written, event_text
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine
from tilth.ports.snapshots import CheckResult, Manifest, Part
from tilth.sql.language.statements import CreateDataset, OnFail

FUTURE = "future"  # the kind of the check that tells of rows from the future
FIRST = datetime.min  # noqa: DTZ901 - data holds naive UTC times; the first that a calendar holds
EARLY = datetime(1678, 1, 1)  # noqa: DTZ001 - nanoseconds in 64 bits begin in 1677: no bound can be compared with them


@dataclass(frozen=True, slots=True)
class Times:
    """Of a snapshot's event times: the newest that is not later than now, and what is later."""

    watermark: str | None
    future: int = 0  # rows
    newest: str | None = None  # of the future

    def results(self, event_time: str | None) -> tuple[CheckResult, ...]:
        """What is told of rows from the future."""
        if not self.future:
            return ()
        some = "1 row is" if self.future == 1 else f"{self.future:,} rows are"
        observed = f"{some} from the future, up to {self.newest}: kept, and left out of the watermark"
        return (
            CheckResult(
                f"EVENT TIME {event_time} IS NOT LATER THAN NOW",
                FUTURE,
                OnFail.WARN.value,
                False,
                self.future,
                self.future,
                observed,
            ),
        )


def times(
    parts: Sequence[Part | Written], event_time: str | None, now: Instant, engine: QueryEngine, blobs: Blobs
) -> Times:
    """The event times of a snapshot's parts; only those with a row from the future are read."""
    present = event_text(naive(now)) or ""
    marks = [p.event_max for p in parts if p.event_max and p.event_max <= present]
    late = [p for p in parts if p.event_max and p.event_max > present]
    if event_time is None or not late:
        return Times(max(marks, default=None))
    column = quoted(event_time)
    sql = (
        f"SELECT count_if({column} > $now) AS future, max({column})::TIMESTAMP AS newest,"
        f" (max({column}) FILTER (WHERE {column} <= $now))::TIMESTAMP AS mark FROM late"
    )
    files = [p.path if isinstance(p, Written) else blobs.path(p.blob) for p in late]
    found = engine.stream(sql, {"late": files}, {"now": naive(now)}).read_all().to_pylist()[0]
    if found["mark"] is not None:
        marks.append(event_text(found["mark"]) or "")
    newest = found["newest"].isoformat(sep=" ", timespec="seconds")
    return Times(max(marks, default=None), int(found["future"]), newest)


@dataclass(frozen=True, slots=True)
class Start:
    """From `low` on rows are read again; in the parent, what is later than `mark` was from the future."""

    low: datetime
    mark: str


def start(
    spec: CreateDataset,
    recipe: str,
    parent: Manifest | None,
    now: Instant,
    engine: QueryEngine,
    blobs: Blobs,
) -> Start | None:
    """Where the window begins; None when all rows are read. Days are read whole."""
    if parent is None or not spec.refresh.incremental or parent.recipe != recipe:
        return None
    if spec.event_time is None:
        raise ProjectError(
            f"Dataset `{spec.name}` is INCREMENTAL and has no EVENT TIME.",
            hint="Add EVENT TIME <column>: it says which rows are new.",
            where=spec.position,
        )
    event = parent.schema.field(spec.event_time)
    mark = parent.watermark
    if mark is not None and mark > (
        event_text(naive(now)) or ""
    ):  # the clock was set back, or it was never bounded
        mark = times(parent.parts, event.name, now, engine, blobs).watermark
    if mark is None or not parent.parts:
        return None
    try:
        low = datetime.fromisoformat(mark) - (spec.refresh.lookback or timedelta())
    except OverflowError:
        low = FIRST
    low = low if low > EARLY else FIRST
    return Start(_midnight(low) if event.type is DataType.DATE else low, mark)


def vanished(
    parent: Manifest,
    mark: str,
    rows: Rows,
    key: Sequence[str],
    event_time: str,
    engine: QueryEngine,
    blobs: Blobs,
) -> bool:
    """Whether a row that was from the future in the parent is not among those of the window."""
    late = [blobs.path(p.blob) for p in parent.parts if p.event_max and p.event_max > mark]
    if not late:
        return False
    names = ", ".join(quoted(c) for c in (key or rows.schema.names))
    sql = (
        f"SELECT {names} FROM old WHERE {quoted(event_time)} > $mark EXCEPT ALL"
        f" SELECT {names} FROM new LIMIT 1"
    )
    found = engine.stream(sql, {"old": late, "new": rows.relation}, {"mark": datetime.fromisoformat(mark)})
    return bool(found.read_all().num_rows)


def first(rows: Rows, event_time: str, engine: QueryEngine) -> datetime:
    """The first event time of the rows that a calendar holds."""
    column = quoted(event_time)
    sql = f"SELECT (min({column}) FILTER (WHERE {column} >= DATE '0001-01-01'))::TIMESTAMP AS low FROM rows"
    found: datetime | None = engine.stream(sql, {"rows": rows.relation}).read_all()["low"][0].as_py()
    return FIRST if found is None else found


def _midnight(day: date) -> datetime:
    return datetime.combine(day if not isinstance(day, datetime) else day.date(), time())
