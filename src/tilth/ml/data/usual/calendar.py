"""Periods of a dataset's event times, and what of the calendar each is: a day of the week, the end of a month, a holiday.

Event times are naive and read as UTC, so a day that a change of clocks makes longer or shorter is a day like others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from tilth.ml.data import holidays

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - data holds naive UTC times
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Grain:
    """A length of period. `fewest` periods are needed before anything is judged, `most` are looked at."""

    name: str  # as DuckDB's date_trunc takes it
    span: timedelta
    fewest: int
    most: int

    def index(self, moment: datetime) -> int:
        """The number of the period that the moment lies in."""
        if self.name == "month":
            return (moment.year - 1970) * 12 + moment.month - 1
        first = EPOCH if self.name != "week" else MONDAY
        return (moment - first) // self.span

    def start(self, index: int) -> datetime:
        """The first moment of a period."""
        if self.name == "month":
            return datetime(1970 + index // 12, index % 12 + 1, 1)  # noqa: DTZ001
        return (EPOCH if self.name != "week" else MONDAY) + index * self.span


MONDAY = datetime(1970, 1, 5)  # noqa: DTZ001
HOUR = Grain("hour", timedelta(hours=1), 3 * 168, 2016)
DAY = Grain("day", timedelta(days=1), 21, 800)
WEEK = Grain("week", timedelta(weeks=1), 12, 300)
MONTH = Grain("month", timedelta(days=365.25 / 12), 12, 120)
GRAINS = {g.name: g for g in (HOUR, DAY, WEEK, MONTH)}


@dataclass(frozen=True, slots=True)
class Known:
    """What the calendar says of moments: effects [moments, effects], which vary each time, and which are holidays."""

    effects: Floats
    uneven: Bools
    holiday: Bools


def known(moments: list[datetime], grain: Grain, place: str | None) -> Known:
    """What the calendar says of the periods that begin then. Effects of days of the week add up to nothing."""
    import numpy as np

    days = np.array([(m - EPOCH).days for m in moments], np.int64)
    free = np.zeros(len(days), bool)
    if grain in (WEEK, MONTH):
        return Known(np.zeros((len(days), 0)), free, free)
    if place is not None:
        off = holidays.between(place, moments[0].year, moments[-1].year + 1)
        free = np.isin(days, off)
    parts = [_among((days + 3) % 7, 7), _months(days)]
    if place is not None:
        parts.append(np.stack([free, np.isin(days - 1, off)], 1).astype(float))
    if grain is HOUR:
        hours = np.array([m.hour for m in moments])
        weekend = ((days + 3) % 7 > 4)[:, None]
        parts += [_among(hours, 24) * ~weekend, _among(hours, 24) * weekend]
    return Known(np.hstack(parts), free, free)


def _among(places: Ints, of: int) -> Floats:
    """One column for each place but the last, against which they are."""
    import numpy as np

    found: Floats = (places[:, None] == np.arange(of - 1)).astype(float)
    found[places == of - 1] = -1.0
    return found


def _months(days: Ints) -> Floats:
    """The last day of a month, the two before, and the first."""
    import numpy as np

    day = days.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    left = ((month + 1).astype("datetime64[D]") - day).astype(int)
    ends = [left == 1, (left == 2) | (left == 3), day == month.astype("datetime64[D]")]
    return np.stack(ends, 1).astype(np.float64)


def words(moment: datetime, grain: Grain, *, holiday: bool = False) -> tuple[str, str]:
    """A period, and the kind of period it is: ('Monday 2026-11-23', 'on a Monday')."""
    if grain is MONTH:
        return f"{moment:%Y-%m}", "in a month"
    day = date(moment.year, moment.month, moment.day)
    name = DAYS[day.weekday()]
    if grain is WEEK:
        return f"the week from {day}", "in a week"
    last = (day + timedelta(days=1)).day == 1
    kind = "on a holiday" if holiday else f"on a {name}" + (" that ends a month" if last else "")
    if grain is HOUR:
        return f"{name} {moment:%Y-%m-%d %H}:00", f"{kind} at {moment:%H}:00"
    return f"{name} {day}", kind
