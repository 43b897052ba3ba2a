"""Making probabilities mean what they say, and values carry an interval.

A calibration is fitted on rows that the model did not learn from, is three numbers at most, and travels as plain
values inside the bundle. Whether it helps is measured by `evaluation`, not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tilth.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"

SMALLEST = 1e-12
STEPS = 50


@dataclass(frozen=True, slots=True)
class Platt:
    """P(1) -> sigmoid(slope * logit + shift); keeps the order of rows when the slope is positive."""

    slope: float = 1.0
    shift: float = 0.0

    def apply(self, chance: Array) -> Array:
        """Calibrated P(1) of each row."""
        return _sigmoid(self.slope * _logit(chance) + self.shift)

    def one(self, chance: float) -> float:
        """The same for one number, to the last bit: numpy's functions round differently from `math`."""
        import numpy as np

        p = min(max(chance, SMALLEST), 1.0 - SMALLEST)
        raw = self.slope * (np.log(p) - np.log1p(-p)) + self.shift
        return float(np.exp(-np.logaddexp(0.0, -raw)))


@dataclass(frozen=True, slots=True)
class Temperature:
    """Class probabilities -> softmax(log p / temperature); the likeliest class stays the likeliest."""

    temperature: float = 1.0

    def apply(self, spread: Array) -> Array:
        """Calibrated probabilities, one column a class."""
        return _cooled(spread, 1.0 / self.temperature)


@dataclass(frozen=True, slots=True)
class Conformal:
    """value -> value ± (radius + slope * spread), which covers a new exchangeable row with about this chance.

    The spread is what another model says of the row, and counts as 0 below that. Without a slope all widths are equal.
    """

    radius: float
    coverage: float
    slope: float = 0.0

    def half(self, spread: Array) -> Array:
        """Half the width for each row."""
        import numpy as np

        found: Array = self.radius + self.slope * np.maximum(spread, 0.0)
        return found

    def one(self, spread: float) -> float:
        """The same for one row, to the last bit."""
        return self.radius + self.slope * max(spread, 0.0)

    def ends(self, value: Array, half: Array, floor: float | None = None) -> tuple[Array, Array]:
        """Lower and upper ends for each row; none is below the floor, nor on the wrong side of its value."""
        import numpy as np

        low = value - half
        return (low if floor is None else np.minimum(np.maximum(low, floor), value)), value + half


def fit_platt(truth: Array, chance: Array) -> Platt:
    """Platt's scaling with his smoothed targets, by Newton's method with halved steps."""
    import numpy as np

    positive = truth > 0.5
    ones = int(positive.sum())
    zeros = len(truth) - ones
    if min(ones, zeros) == 0:
        raise DataError(
            "A calibration needs rows of both classes.",
            hint="Give the model more rows, or a longer label delay.",
        )
    goal = np.where(positive, (ones + 1.0) / (ones + 2.0), 1.0 / (zeros + 2.0))
    x = _logit(chance)

    def loss(at: Array) -> float:
        raw = at[0] * x + at[1]
        return float(np.sum(np.logaddexp(0.0, raw) - goal * raw)) + 0.5e-6 * float((at[0] - 1.0) ** 2)

    def step(at: Array) -> Array:
        p = _sigmoid(at[0] * x + at[1])
        w = np.maximum(p * (1.0 - p), 1e-12)
        cross = float((w * x).sum())
        slope = np.array([float(((p - goal) * x).sum()) + 1e-6 * (at[0] - 1.0), float((p - goal).sum())])
        curve = np.array([[float((w * x * x).sum()) + 1e-6, cross], [cross, float(w.sum()) + 1e-9]])
        return np.asarray(np.linalg.solve(curve, slope), dtype=np.float64)

    slope, shift = _newton(np.array([1.0, 0.0]), loss, step)
    return Platt(float(slope), float(shift))


def fit_temperature(truth: Array, spread: Array) -> Temperature:
    """The temperature with the least log loss, by golden section on its log between 1/20 and 20."""
    import numpy as np

    rows, codes = np.arange(len(truth)), truth.astype(np.intp)
    if len(truth) == 0:
        raise DataError("A calibration needs rows.", hint="Give the model more rows.")

    def loss(log_t: float) -> float:
        chosen = _cooled(spread, math.exp(-log_t))[rows, codes]
        return float(-np.log(np.maximum(chosen, SMALLEST)).mean())

    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    low, high = -math.log(20.0), math.log(20.0)
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(STEPS):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = loss(b)
    return Temperature(math.exp((low + high) / 2.0))


def fit_conformal(truth: Array, value: Array, coverage: float = 0.9) -> Conformal:
    """The split-conformal radius: the ceil((n + 1) * coverage)-th smallest absolute error."""
    import numpy as np

    if not 0.0 < coverage < 1.0:
        raise DataError(
            f"A coverage lies between 0 and 1, not at {coverage:g}.", hint="Write for example 0.9."
        )
    rank = math.ceil((len(truth) + 1) * coverage - 1e-9)
    if rank > len(truth):
        raise DataError(
            f"{len(truth)} rows cannot promise a coverage of {coverage:g}.",
            hint=f"Give at least {fewest_rows(coverage)} rows or ask for less.",
        )
    errors = np.sort(np.abs(truth - value))
    return Conformal(float(errors[rank - 1]), coverage)


def fewest_rows(coverage: float) -> int:
    """How many rows a coverage needs before it can be promised."""
    return math.ceil(coverage / (1.0 - coverage) - 1e-9)


def _newton(start: Array, loss: Callable[[Array], float], step: Callable[[Array], Array]) -> Array:
    at, now = start, loss(start)
    for _ in range(STEPS):
        move, size = step(at), 1.0
        while size > 1e-8 and not loss(at - size * move) <= now:
            size /= 2.0
        if size <= 1e-8:
            break
        at = at - size * move
        before, now = now, loss(at)
        if before - now < 1e-12 * (1.0 + abs(now)):
            break
    return at


def _logit(chance: Array) -> Array:
    import numpy as np

    p = np.clip(chance, SMALLEST, 1.0 - SMALLEST)
    out: Array = np.log(p) - np.log1p(-p)
    return out


def _sigmoid(raw: Array) -> Array:
    import numpy as np

    out: Array = np.exp(-np.logaddexp(0.0, -raw))
    return out


def _cooled(spread: Array, power: float) -> Array:
    import numpy as np

    raw = np.log(np.clip(spread, SMALLEST, 1.0)) * power
    grown = np.exp(raw - raw.max(axis=1, keepdims=True))
    out: Array = grown / grown.sum(axis=1, keepdims=True)
    return out
