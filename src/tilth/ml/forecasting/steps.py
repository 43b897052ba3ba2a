"""The regular grid of a forecast: how long a step is, which place on it an instant has, and which instant a place.

A step is a fixed length (microseconds to weeks), whole months (months, quarters, years), or a business day. Instants are
microseconds since 1970 in UTC; wall-clock hours of zones are not known here.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
WEEK = 7 * DAY
FIXED, MONTHS, BUSINESS = "fixed", "months", "business"
MONTH_END = 31
MOST = 10_000  # of a unit in a step
_UNITS = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "week": WEEK}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Step:
    """`size` in microseconds or months; `anchor` is an instant of the grid, or its month; `day` and `clock` place a month's instant.

    `day` 31 is the last day of the month, whatever its length.
    """

    kind: str
    size: int
    anchor: int = 0
    day: int = 1
    clock: int = 0

    @property
    def words(self) -> str:
        """'1 month', '15 minutes', as the option `step` takes it."""
        if self.kind == BUSINESS:
            return "1 business day"
        units = _MONTHS if self.kind == MONTHS else _UNITS
        for name, size in reversed(units.items()):
            if self.size % size == 0:
                count = self.size // size
                return f"{count} {name}{'s' * (count > 1)}"
        return f"{self.size / SECOND:g} seconds"

    def places(self, instants: Ints) -> tuple[Ints, Mask]:
        """The place of each instant, and whether it lies on the grid (else the place is that of the step it falls into)."""
        import numpy as np

        if self.kind == FIXED:
            apart = instants - self.anchor
            return np.floor_divide(apart, self.size), np.remainder(apart, self.size) == 0
        if self.kind == BUSINESS:
            days, clock = np.floor_divide(instants, DAY), np.remainder(instants, DAY)
            week, weekday = np.divmod(days + 3, 7)
            return week * 5 + np.minimum(weekday, 4), (weekday < 5) & (clock == self.clock)
        month, day, clock, length = _parts(instants)
        apart = month - self.anchor
        on = (
            (clock == self.clock)
            & (day == np.minimum(self.day, length))
            & (np.remainder(apart, self.size) == 0)
        )
        return np.floor_divide(apart, self.size), on

    def instants(self, places: Ints) -> Ints:
        """The instant of each place."""
        import numpy as np

        if self.kind == FIXED:
            return places * self.size + self.anchor
        if self.kind == BUSINESS:
            week, weekday = np.divmod(places, 5)
            return (week * 7 + weekday - 3) * DAY + self.clock
        month = (places * self.size + self.anchor).astype("datetime64[M]")
        first = month.astype("datetime64[D]").astype(np.int64)
        length = (month + 1).astype("datetime64[D]").astype(np.int64) - first
        out: Ints = (first + np.minimum(self.day, length) - 1) * DAY + self.clock
        return out

    @property
    def seasons(self) -> tuple[int, ...]:
        """Lengths of seasons, in steps, that a series of this step may have: of which some are found."""
        if self.kind == BUSINESS:
            return (5, 260)
        if self.kind == MONTHS:
            return (12 // self.size,) if self.size < 12 and 12 % self.size == 0 else ()
        if self.size == WEEK:
            return (52,)
        wanted = (HOUR,) if self.size < MINUTE else (HOUR, DAY) if self.size < 5 * MINUTE else (DAY, WEEK)
        if self.size >= DAY:
            wanted = (WEEK, 365 * DAY)
        return tuple(w // self.size for w in wanted if w % self.size == 0 and w // self.size > 1)

    def plain(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


def parse(text: str) -> Step:
    """'1 day', '15 minutes', 'month', '1 business day' as a step; InputError names the units."""
    found = re.fullmatch(r"\s*(\d+)?\s*(business day|[a-z]+?)s?\s*", text.lower())
    count, unit = (int(found[1] or 1), found[2]) if found else (0, "")
    if count > MOST and unit in {**_UNITS, **_MONTHS}:
        raise InputError(
            f"{text[:60]!r} is not a step that can be: it is too long.",
            hint=f"Write {MOST:,} {unit}s at most.",
        )
    if count == 1 and unit == "business day":
        return Step(BUSINESS, 1)
    if count > 0 and unit in _UNITS:
        size = count * _UNITS[unit]
        return Step(FIXED, size, anchor=-3 * DAY if size % WEEK == 0 else 0)  # weeks begin on Monday
    if count > 0 and unit in _MONTHS:
        return Step(MONTHS, count * _MONTHS[unit])
    raise InputError(
        f"{text[:60]!r} is not a step.",
        hint="Write for example '15 minutes', '1 hour', '1 day', '1 business day', '1 week', '1 month', '1 quarter' or '1 year'.",
    )


def infer(instants: Ints, apart: Ints) -> Step:
    """The step of differences between neighbours `apart` (above 0): the commonest, as months or business days where these fit."""
    import numpy as np

    sizes, counts = np.unique(apart, return_counts=True)
    size = int(sizes[counts.argmax()])
    month = _monthly(instants, sizes, counts, size)
    if month is not None:
        return month
    anchor = int(instants[0]) if len(instants) else 0
    if size == DAY:
        weekday = np.remainder(np.floor_divide(instants, DAY) + 3, 7)
        clock = np.remainder(instants, DAY)
        weekends = counts[sizes == 3 * DAY].sum() >= 0.1 * counts.sum()
        if not (weekday >= 5).any() and weekends and (clock == clock[0]).all():
            return Step(BUSINESS, 1, clock=int(clock[0]))
    return Step(FIXED, size, anchor=anchor % size)


def _monthly(instants: Ints, sizes: Ints, counts: Ints, size: int) -> Step | None:
    """Months, quarters or years, where the commonest difference is one of theirs and every instant has one day of the month."""
    import numpy as np

    spans = {1: (28, 31), 2: (59, 62), 3: (89, 92), 4: (120, 123), 6: (181, 184), 12: (365, 366)}
    months = next((m for m, (least, most) in spans.items() if least * DAY <= size <= most * DAY), None)
    if months is None:
        return None
    least, most = spans[months]
    kin = (sizes >= least * DAY) & (sizes <= most * DAY)
    if months == 1 and size == 28 * DAY and counts[sizes == size].sum() == counts[kin].sum() > 3:
        return None  # four weeks
    month, day, clock, length = _parts(instants)
    last = int(day.max())
    ends = bool((day == length).all())
    whole = ends or bool((day == np.minimum(last, length)).all())
    if not whole or not (clock == clock[0]).all():
        return None
    return Step(MONTHS, months, int(month[0]) % months, MONTH_END if ends else last, int(clock[0]))


def _parts(instants: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Months since 1970, day of the month, microseconds of the day, days of the month."""
    import numpy as np

    days, clock = np.divmod(instants, DAY)
    month = days.astype("datetime64[D]").astype("datetime64[M]")
    first = month.astype("datetime64[D]").astype(np.int64)
    length = (month + 1).astype("datetime64[D]").astype(np.int64) - first
    return month.astype(np.int64), days - first + 1, clock, length


def calendar(step: Step, places: Ints) -> dict[str, npt.NDArray[np.float64]]:
    """Parts of the calendar that change within what a step's seasons can be: month, weekday, hour ..., by name."""
    import numpy as np

    instants = step.instants(places)
    month, day, clock, length = _parts(instants)
    out = {"month": np.remainder(month, 12) + 1}
    if step.kind == BUSINESS or (step.kind == FIXED and step.size <= DAY):
        days = np.floor_divide(instants, DAY)
        out |= {"weekday": np.remainder(days + 3, 7), "day": day, "left": length - day}
    if step.kind == FIXED and step.size <= WEEK and step.size >= HOUR:
        year = (np.floor_divide(month, 12)).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
        out["yearday"] = np.floor_divide(instants, DAY) - year
    if step.kind == FIXED and step.size < DAY:
        out["hour"] = np.floor_divide(clock, HOUR)
    if step.kind == FIXED and step.size < HOUR:
        out["minute"] = np.floor_divide(clock, MINUTE)
    return {name: values.astype(np.float64) for name, values in out.items()}
