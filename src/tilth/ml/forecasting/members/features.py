"""What trees see of a series at an origin, for a step ahead: values before it against a reference, and the calendar.

A row is (series, points known, step); all steps share one table, so that one model answers every step at once (a direct
forecast). Values are told as distances from a reference in units of the series' own movement, so series of any size teach
one model, and what lies above all that was seen can be answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tilth.ml.forecasting.known import Covariates
from tilth.ml.forecasting.panel import Panel
from tilth.ml.forecasting.steps import DAY, calendar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

LAGS = 12
CYCLES = 4
FLOOR = 0.2  # of the movement so far that the newest movement counts at least


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """`reference` 0: the newest value; else the value a season of that length before. `window` bounds how far lags go back."""

    seasons: tuple[int, ...]
    reference: int = 0
    window: int | None = None
    holidays: Ints | None = None

    @property
    def free(self) -> Ints | None:
        """The holidays, where there are any."""
        return self.holidays if self.holidays is not None and len(self.holidays) else None

    @property
    def lags(self) -> int:
        most = max(3, min(LAGS, self.seasons[0] if self.seasons else LAGS // 2))
        return most if self.window is None else max(1, min(most, self.window))

    @property
    def widths(self) -> tuple[int, ...]:
        """Of means of the newest values."""
        base = self.seasons[0] if self.seasons else 6
        wanted = sorted({3, base, 2 * base, 4 * base, *(s for s in self.seasons[1:] if s <= 400)})
        return tuple(w for w in wanted if w > 1 and (self.window is None or w <= max(3, self.window)))


class Seen:
    """A panel as trees see it; sums over it are made once."""

    def __init__(self, panel: Panel, recipe: Recipe, covariates: Covariates) -> None:
        self.panel, self.recipe, self.covariates = panel, recipe, covariates

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns of a matrix, in order."""
        r = self.recipe
        out = [
            "step",
            *(f"lag{k + 1}" for k in range(r.lags)),
            *(f"mean{w}" for w in r.widths),
            "turn",
            "moved",
        ]
        for s in r.seasons:
            out += [f"season{s}_{w}" for w in ("1", "2", "before", "after", "mean", "now")]
        import numpy as np

        parts = calendar(self.panel.step, np.zeros(1, np.int64))
        free = (
            ["holiday", "holiday_before", "holiday_after", *(f"holiday{s}" for s in r.seasons)]
            if r.free is not None
            else []
        )
        return (*out, *parts, *free, *self.covariates.names)

    @cached_property
    def _sums(self) -> tuple[Floats, Floats]:
        """Running sums of values (against the series' first one) and of how far a value lies from the one before."""
        import numpy as np

        p = self.panel
        first = (
            p.values[np.minimum(p.starts, max(0, len(p.values) - 1))] if len(p.values) else np.zeros(len(p))
        )
        centred = p.values - np.repeat(first, p.lengths)
        season = self.recipe.reference or 1
        moved = np.zeros(len(p.values))
        if len(p.values) > season:
            inside = np.arange(len(p.values)) - np.repeat(p.starts, p.lengths) >= season
            moved[season:] = np.abs(p.values[season:] - p.values[:-season])
            moved = np.where(inside, moved, 0.0)
        return np.append(0.0, np.cumsum(centred)), np.append(0.0, np.cumsum(moved))

    def _value(self, group: Ints, last: Ints, at: Ints) -> Floats:
        """The values at flat places; NaN outside of what is known of the series."""
        import numpy as np

        start = self.panel.starts[group]
        inside = (at >= start) & (at <= last)
        return np.where(inside, self.panel.values[np.where(inside, at, 0)], np.nan)

    def _mean(self, group: Ints, last: Ints, width: int, back: int = 0) -> Floats:
        """The mean of so many values up to the last known one (or so many before it)."""
        import numpy as np

        start = self.panel.starts[group]
        high = np.maximum(last + 1 - back, start)
        low = np.maximum(high - width, start)
        first = self.panel.values[np.minimum(start, len(self.panel.values) - 1)]
        sums = self._sums[0]
        return np.where(high > low, (sums[high] - sums[low]) / np.maximum(high - low, 1) + first, np.nan)

    def units(self, group: Ints, last: Ints) -> Floats:
        """How far the series moves, lately and so far: what distances are told in."""
        import numpy as np

        start, season = self.panel.starts[group], self.recipe.reference or 1
        sums = self._sums[1]
        high = last + 1
        begun = np.minimum(start + season, high)
        so_far = (sums[high] - sums[begun]) / np.maximum(high - begun, 1)
        low = np.maximum(high - max(20, 2 * (self.recipe.seasons[0] if self.recipe.seasons else 10)), begun)
        lately = (sums[high] - sums[low]) / np.maximum(high - low, 1)
        unit = np.maximum(lately, FLOOR * so_far)
        level = np.abs(self._mean(group, last, 20))
        return np.where(unit > 0, unit, np.where(level > 0, level, 1.0))

    def reference(self, group: Ints, last: Ints, step: Ints) -> Floats:
        """What a distance is told from."""
        import numpy as np

        newest = self.panel.values[last]
        season = self.recipe.reference
        if not season:
            return newest
        before = self._value(group, last, last + step - season * -(-step // season))
        return np.where(np.isnan(before), newest, before)

    def matrix(self, group: Ints, known: Ints, step: Ints) -> tuple[Floats, Floats, Floats]:
        """(columns, references, units) for series of which so many points are known, so many steps ahead."""
        import numpy as np

        p, r = self.panel, self.recipe
        last = p.starts[group] + known - 1
        reference, unit = self.reference(group, last, step), self.units(group, last)
        out = np.empty((len(group), len(self.names)))
        out[:, 0] = step
        at = 1

        def put(values: Floats) -> None:
            nonlocal at
            out[:, at] = (values - reference) / unit
            at += 1

        for lag in range(r.lags):
            put(self._value(group, last, last - lag))
        for width in r.widths:
            put(self._mean(group, last, width))
        base = r.widths[-1] if r.widths else 3
        out[:, at] = (self._mean(group, last, base) - self._mean(group, last, base, base)) / unit
        out[:, at + 1] = np.log1p(np.abs(self._mean(group, last, base)) / unit)
        at += 2
        for season in r.seasons:
            at = self._season(out, at, season, (group, last, step, reference, unit))
        place = p.begins[group] + known + step - 1
        for values in calendar(p.step, place).values():
            out[:, at] = values
            at += 1
        if r.free is not None:
            at = self._holidays(out, at, r.free, place, step)
        out[:, at:] = self.covariates.at(p.members[group], place)
        return out, reference, unit

    def _holidays(self, out: Floats, at: int, free: Ints, place: Ints, step: Ints) -> int:
        """Whether the day, its neighbours and the days a season before are holidays."""
        import numpy as np

        grid = self.panel.step
        day = np.floor_divide(grid.instants(place), DAY)
        before = [place - s * -(-step // s) for s in self.recipe.seasons]
        asked = [day, day - 1, day + 1, *(np.floor_divide(grid.instants(p), DAY) for p in before)]
        for i, days in enumerate(asked):
            out[:, at + i] = np.isin(days, free)
        return at + len(asked)

    def _season(self, out: Floats, at: int, season: int, row: tuple[Ints, Ints, Ints, Floats, Floats]) -> int:
        """The columns of one season: its last cycles at the step's phase, their neighbours, and where it stands now."""
        import numpy as np

        group, last, step, reference, unit = row
        before = last + step - season * -(-step // season)
        values = [self._value(group, last, before - season * c) for c in range(CYCLES)]
        stack = np.stack(values)
        there = ~np.isnan(stack)
        mean = np.where(
            there.any(axis=0), np.nansum(stack, axis=0) / np.maximum(there.sum(axis=0), 1), np.nan
        )
        around = (self._value(group, last, before - 1), self._value(group, last, before + 1))
        for i, value in enumerate((values[0], values[1], *around, mean)):
            out[:, at + i] = (value - reference) / unit
        out[:, at + 5] = (self._value(group, last, last) - self._value(group, last, last - season)) / unit
        return at + 6
