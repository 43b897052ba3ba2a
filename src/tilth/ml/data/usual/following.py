"""Series followed step by step: what was expected of each period by those before it, how far it came out, and by what chance.

A linear model of level, slope and calendar is learned with discounts, as a dynamic linear model whose variances are in
units of the noise's (West and Harrison, Bayesian Forecasting and Dynamic Models, 1997, chapter 6). A period that comes
out far moves the model no further than one that comes out LEAP scales away, and when that lasts, its level jumps there. All series of a call share their periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

PACES = (
    0.75,
    0.88,
    0.94,
    0.97,
    0.99,
)  # discounts of the level: the share of what is known that a period leaves
SLOPE, CALENDAR = 0.995, 0.999  # discounts of the others
LEAP = 3.0  # scales
DIFFUSE = 1e5  # variance of what is not known yet
MEMORY = 150  # periods that a scale remembers
FIRST = 8  # periods of which a scale begins
PATIENCE = 2  # periods that come out far, from which on the level goes after them, and
JUMP = 0.5  # by this share
FEW = 5.0  # degrees of what is expected of a kind of day that was not seen yet
UNSURE = 6.0  # with more doubt than so many noises, that kind of day was not seen yet
UNEVEN = 5.0  # noises that an uneven effect is thought to come out by
BELIEF = 3  # errors that this weighs
STEEP = 0.02  # the scale of a slope before anything is known, in noises a period


@dataclass(frozen=True, slots=True)
class Followed:
    """[periods, series] each. `centre` and `spread` are of what was expected, one deviation; `degrees` those of its t law.

    `spread` is infinite where nothing could be expected yet.
    """

    centre: Floats
    spread: Floats
    score: Floats  # (value - centre) / spread; 0 where nothing could be expected
    degrees: Floats


def follow(values: Floats, calendar: Floats, uneven: Bools, floor: Floats, odd: float) -> Followed:
    """Follow `values` [periods, series] at each pace, and take for each series the pace that foretold it best.

    `calendar` is [periods, effects]; `uneven` [periods] are those whose effect is another each time, as of holidays;
    `floor` is the least deviation of each value [periods, series], `odd` that of a kind of day which was not seen yet. A
    value that is NaN is not there.
    """
    import numpy as np

    runs = [_run(values, calendar, uneven, floor, odd, pace) for pace in PACES]
    best = np.stack([_cost(run) for run in runs]).argmin(0)
    names = ("centre", "spread", "score", "degrees")
    found = (np.stack([getattr(run, name) for run in runs]) for name in names)
    return Followed(*(np.take_along_axis(each, best[None], 0)[0] for each in found))


def _cost(run: Followed) -> Floats:
    """How badly each value was foretold, added up over the periods before each."""
    import numpy as np

    known = np.isfinite(run.spread)
    spread = np.where(known, run.spread, 1.0)
    missed = np.abs(run.score)
    away = np.where(missed < LEAP, missed**2 / 2, LEAP * missed - LEAP**2 / 2)
    each = np.where(known, np.log(spread) + away, 0.0)
    total = np.cumsum(each, 0)
    return np.vstack([np.zeros((1, total.shape[1])), total[:-1]])


def _run(values: Floats, calendar: Floats, uneven: Bools, floor: Floats, odd: float, pace: float) -> Followed:
    import numpy as np

    periods, series = values.shape
    size = 2 + calendar.shape[1]
    state, known = np.zeros((size, series)), np.eye(size) * DIFFUSE
    state[0] = _middle(values[:FIRST])
    known[1, 1] = STEEP**2
    grown = np.sqrt(1 / np.array([pace, SLOPE, *[CALENDAR] * (size - 2)]))
    even, other = _Scale(series), _Scale(series)
    centre, spread, score, degrees = (np.zeros((periods, series)) for _ in range(4))
    lasting = np.zeros(series)
    for t in range(periods):
        if t:
            _step(state, known, grown)
        x = np.concatenate([[1.0, 0.0], calendar[t]])
        lean, noise = known @ x, (UNEVEN**2 if uneven[t] else 1.0)
        doubt = 1 + float(x @ lean) / noise
        scale = other if uneven[t] else even
        least = np.maximum(even.width, floor[t])
        if uneven[t]:
            scale.begin(least * UNEVEN)
        seen = doubt <= UNSURE
        width = np.maximum(scale.width, least) * np.sqrt(min(doubt, UNSURE))
        if not seen:
            width = np.hypot(width, odd)
        there = ~np.isnan(values[t])
        centre[t], degrees[t] = x @ state, scale.degrees if seen else FEW
        error = np.where(there, values[t] - centre[t], 0.0)
        spread[t], far = np.inf, error
        if even.ready:
            spread[t], score[t] = width, error / width
            lasting = _lasting(lasting, score[t])
            far = np.clip(error, -LEAP * width, LEAP * width) if seen else error
        if not there.any():
            continue
        gain = lean / (noise * doubt)
        state += np.outer(gain, far)
        state[0] += np.where(np.abs(lasting) > PATIENCE, (error - (x @ gain) * far) * JUMP, 0.0)
        known -= np.outer(gain, lean)
        if seen:
            scale.see(np.where(there, far / np.sqrt(doubt), scale.width))
    return Followed(centre, spread, score, degrees)


def _middle(values: Floats) -> Floats:
    """The median of each series, of the periods that have a value; 0 where none has."""
    import numpy as np

    there = ~np.isnan(values).all(0)
    middle = np.zeros(values.shape[1])
    middle[there] = np.nanmedian(values[:, there], 0)
    return middle


def _lasting(before: Floats, score: Floats) -> Floats:
    """For how many periods on end each series came out far, with the sign of where."""
    import numpy as np

    side = np.where(np.abs(score) > LEAP, np.sign(score), 0.0)
    return np.where(side * before > 0, before + side, side)


def _step(state: Floats, known: Floats, grown: Floats) -> None:
    """On to the next period: the level goes on by the slope, and all is known less well."""
    import numpy as np

    state[0] += state[1]
    known[0] += known[1]
    known[:, 0] += known[:, 1]
    more = np.minimum(grown, np.sqrt(DIFFUSE / np.maximum(np.diag(known), 1e-12)))
    known *= np.outer(more, more)
    known += known.T.copy()  # what differs by rounding would grow from period to period
    known /= 2


class _Scale:
    """The noise of each series, from errors that were expected to be as large as it."""

    def __init__(self, series: int) -> None:
        import numpy as np

        self._squares = np.zeros(series)
        self._weight = 0.0

    @property
    def ready(self) -> bool:
        return self._weight >= FIRST - 0.5

    @property
    def width(self) -> Floats:
        import numpy as np

        return np.sqrt(self._squares / max(self._weight, 1.0))

    @property
    def degrees(self) -> float:
        """What it is known from; old errors weigh little, so twice their weight in the end."""
        return max(self._weight, 1.0) * (1 + self._weight / MEMORY)

    def begin(self, width: Floats) -> None:
        """Believe in a width, with the weight of BELIEF errors, where nothing was seen."""
        if self._weight == 0:
            self._squares, self._weight = BELIEF * width**2, float(BELIEF)

    def see(self, errors: Floats) -> None:
        keep = 1 - 1 / MEMORY if self._weight > FIRST else 1.0
        self._squares = self._squares * keep + errors**2
        self._weight = self._weight * keep + 1
