"""Families of series that are judged together: how many rows came, how late, how many gaps, how values lie.

Counts and lags are followed as logarithms (few rows as square roots), shares as arcs of their square roots, so that one
deviation says the same wherever they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.ml.data.usual import chances
from tilth.ml.data.usual.calendar import Known
from tilth.ml.data.usual.following import Followed, follow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LOG, ROOT, SHARE, LAG = "log", "root", "share", "lag"
MANY = 50  # rows of a usual period, from which on their logarithm is followed
THIN = 20  # rows of a period, below which nothing is said of shares
LEAST = {LOG: 0.002, ROOT: 0.05, LAG: 0.05}  # deviations below which nothing is believed
ODD = {LOG: 0.5, ROOT: 10.0, LAG: 0.7, SHARE: 0.04}  # deviations of a kind of day that was not seen yet
MOMENT = 1 / 60  # hours, added to a lag


@dataclass(frozen=True, slots=True)
class Family:
    """Series [periods, series] on a scale of their own, with what each is called, and as people count them: rows, hours, shares."""

    aspect: str
    scale: str
    values: Floats
    plain: Floats
    floor: Floats
    names: tuple[str, ...]


def volume(rows: Floats) -> Family:
    """Of the rows of each period [periods]."""
    import numpy as np

    scale = LOG if np.median(rows) >= MANY else ROOT
    values = np.log(rows + 1) if scale == LOG else 2 * np.sqrt(rows + 0.375)
    return Family(
        "volume", scale, values[:, None], rows[:, None], np.full((len(rows), 1), LEAST[scale]), ("rows",)
    )


def freshness(hours: Floats) -> Family:
    """Of how old the newest row was at each refresh [refreshes], in hours."""
    import numpy as np

    values = np.log(np.maximum(hours, 0) + MOMENT)
    return Family(
        "freshness", LAG, values[:, None], hours[:, None], np.full((len(hours), 1), LEAST[LAG]), ("age",)
    )


def shares(aspect: str, counts: Floats, totals: Floats, names: Sequence[str]) -> Family:
    """Of counts [periods, series] among totals of the same shape."""
    import numpy as np

    values = np.arcsin(np.sqrt((counts + 0.375) / (totals + 0.75)))
    values[totals < THIN] = np.nan
    return Family(
        aspect, SHARE, values, counts / np.maximum(totals, 1), 0.5 / np.sqrt(totals + 1), tuple(names)
    )


def plain(scale: str, value: float) -> float:
    """A value of a scale as people count it: rows, hours or a share."""
    import math

    if scale == LOG:
        return max(math.exp(min(value, 700.0)) - 1, 0.0)
    if scale == ROOT:
        return max((max(value, 0.0) / 2) ** 2 - 0.375, 0.0)
    if scale == LAG:
        return max(math.exp(min(value, 700.0)) - MOMENT, 0.0)
    return math.sin(min(max(value, 0.0), math.pi / 2)) ** 2


@dataclass(frozen=True, slots=True)
class Judged:
    """A family followed. `chance` [periods, sides] and what each side may spend; `tests` independent series."""

    family: Family
    followed: Followed
    scores: Floats  # as of a normal law
    degrees: Floats
    chance: Floats
    spent: tuple[float, ...]
    tests: float

    def off(self, period: int) -> bool:
        """Whether the period is unusual."""
        return any(self.chance[period, side] < spent for side, spent in enumerate(self.spent))

    def known(self, period: int) -> bool:
        """Whether any series of the period has a value, and something was expected of it."""
        return bool(self._there(period).any())

    def worst(self, period: int) -> int:
        """The series that came out farthest, of those that were judged."""
        import numpy as np

        return int(np.where(self._there(period), np.abs(self.scores[period]), -1.0).argmax())

    def _there(self, period: int) -> npt.NDArray[np.bool_]:
        import numpy as np

        values, spread = self.family.values[period], self.followed.spread[period]
        there: npt.NDArray[np.bool_] = np.isfinite(values) & np.isfinite(spread)
        return there

    def bounds(self, period: int, series: int) -> tuple[float, float]:
        """Between which values of its scale the series is usual; infinite where one side is not judged, or nothing is known."""
        low, high = self._reach(period, series)
        centre, spread = self.followed.centre[period, series], self.followed.spread[period, series]
        return centre - low * spread, centre + high * spread

    def _reach(self, period: int, series: int) -> tuple[float, float]:
        """How many spreads there are to either side."""
        from scipy.special import stdtrit

        degrees = self.degrees[period, series]
        if self.family.aspect == "volume":
            return -stdtrit(degrees, self.spent[0]), -stdtrit(degrees, self.spent[1])
        if self.family.aspect == "freshness":
            return float("inf"), -stdtrit(degrees, self.spent[0])
        each = -stdtrit(degrees, -_expm1_root(self.spent[0], self.tests) / 2)
        return each, each

    def smallest(self, period: int, power: float = 1.2816) -> float:
        """The smallest share of the rows whose loss is seen nine times of ten."""
        low, _ = self._reach(period, 0)
        centre, spread = self.followed.centre[period, 0], self.followed.spread[period, 0]
        usual = plain(self.family.scale, centre)
        lost = plain(self.family.scale, centre - (low + power) * spread)
        return 1 - lost / usual if usual > 0 else 1.0


def _expm1_root(chance: float, tests: float) -> float:
    """The chance of one of so many tests, less than nothing, when that of any is `chance`."""
    import math

    return math.expm1(math.log1p(-chance) / tests)


def followed(family: Family, known: Known) -> Followed:
    """The family's series from the first period on; what was expected of each is of those before it alone."""
    return follow(family.values, known.effects, known.uneven, family.floor, ODD[family.scale])


def judged(family: Family, followed: Followed, first: int, budget: float) -> Judged:
    """The periods before `first` say how to judge; of those from `first` on one in 1/budget may go off."""
    import numpy as np
    from scipy.special import ndtr

    tails = chances.degrees_of(followed.score[:first])
    degrees = 1 / (1 / followed.degrees + 1 / tails)
    scores = chances.normal_scores(followed.score, degrees)
    tests = 1.0
    parts: tuple[float, ...] = (budget,)
    if family.aspect == "volume":
        sides = np.stack([ndtr(scores[:, 0]), ndtr(-scores[:, 0])], 1)
        parts = (budget * chances.FEWER, budget * (1 - chances.FEWER))
    elif family.aspect == "freshness":
        sides = ndtr(-scores[:, :1])
    else:
        chance, tests = chances.largest(scores, first)
        sides = chance[:, None]
    begun = int(np.isfinite(followed.spread).any(1).argmax())
    spent = tuple(
        part / chances.correction(sides[begun:first, side], part) for side, part in enumerate(parts)
    )
    return Judged(family, followed, scores, degrees, sides, spent, tests)
