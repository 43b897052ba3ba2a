"""What each input added to an answer, in the answer's own terms: with the base they sum to the value or probability that is served.

Engines tell contributions in a space of their own (log odds, say). They come to the answer by the rescale rule (DeepLIFT;
Shrikumar, Greenside and Kundaje 2017): the contributions of a member are scaled so that they sum to its output minus its
output at the base; for several classes that is their integral along the line from base to row (Sundararajan, Taly and Yan
2017), of which one number is the special case. Members are weighed as their outputs are, and the calibration is one more
rescale. A member that tells nothing is asked again, with inputs set to the usual row's one after the other, in a few
orders there and back (Castro, Gomez and Tejada 2009): such walks sum to the difference exactly.

Each row is worked out alone, so that it gives the same numbers among others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from tilth.ml.model.curve import Curve
from tilth.ports.learning import Scorer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"

NODES = 16  # of the integral along the line
NEAR = 1e-4  # how far an engine's sum may be from its output, of which it is told in 32 bits
FLAT = 1e-6  # a sum that is smaller, as a share of its parts, is scaled by the slope
ASKED = 256  # rows that a walk may ask for, unless one way there and back needs more
AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Told:
    """Of one row: what each input added, in the order of the inputs, and the base; `orders` of inputs that were walked, if any."""

    parts: Array
    base: float
    orders: int = 0


@dataclass(frozen=True, slots=True)
class _Share:
    """Of one member and one row: what each input added to its output, and its output at the base, one number a class."""

    parts: Array
    base: Array
    orders: int = 0


class Contributions:
    """Of a model: its members with their weights, whose weighted mean is calibrated by `curve`.

    `owners` names the input of each matrix column, `typical` is a usual row of the matrix; without it a member that tells
    nothing makes the whole tell nothing.
    """

    def __init__(
        self,
        kind: str,
        owners: tuple[str, ...],
        members: Sequence[tuple[Scorer, float]],
        curve: Curve,
        typical: Array | None = None,
    ) -> None:
        import numpy as np

        self.inputs = tuple(dict.fromkeys(owners))
        self._kind = kind
        self._owner = np.array([self.inputs.index(o) for o in owners], dtype=np.intp)
        whole = sum(weight for _, weight in members)
        self._members = [(scorer, weight / whole) for scorer, weight in members]
        self._curve = curve
        self._typical = typical

    def of(self, x: Array, totals: Sequence[tuple[float, ...]]) -> list[Told | None]:
        """For each row of the matrix what adds up to its answer; None where that cannot be told.

        `totals` are the calibrated scores: a value, P(1), or one number a class, of which the greatest is explained.
        """
        said = [(scorer.score(x).reshape(len(x), -1), scorer.contributions(x)) for scorer, _ in self._members]
        out: list[Told | None] = []
        for row, total in enumerate(totals):
            goal = total.index(max(total)) if self._kind == "multiclass" else 0
            shares = [
                self._share(scorer, x[row], score[row], None if told is None else told[row], goal)
                for (scorer, _), (score, told) in zip(self._members, said, strict=True)
            ]
            out.append(
                self._whole([s for s in shares if s is not None], [s[row] for s, _ in said], total, goal)
            )
        return out

    def _share(self, scorer: Scorer, x: Array, score: Array, told: Array | None, goal: int) -> _Share | None:
        if told is not None:
            raw = told.reshape(len(score), -1)
            found = _linked(self._kind, self._by_input(raw[:, :-1]), raw[:, -1], score, goal)
            if found is not None:
                return found
        return None if self._typical is None else self._walked(scorer, x, score, goal)

    def _by_input(self, parts: Array) -> Array:
        """[classes, inputs] of [classes, matrix columns]."""
        import numpy as np

        return np.stack([np.bincount(self._owner, weights=p, minlength=len(self.inputs)) for p in parts])

    def _whole(
        self, shares: list[_Share], scores: list[Array], total: tuple[float, ...], goal: int
    ) -> Told | None:
        if len(shares) < len(self._members):
            return None
        weights = [weight for _, weight in self._members]
        parts = _mixed(weights, [s.parts for s in shares])
        base, score = _mixed(weights, [s.base for s in shares]), _mixed(weights, scores)
        start = self._curve.one(tuple(base.tolist()))[goal]
        before, after = float(score[goal] - base[goal]), total[goal] - start
        moved = base.copy()
        moved[goal] += FLAT
        slope = (self._curve.one(tuple(moved.tolist()))[goal] - start) / FLAT
        return Told(_rescaled(parts, before, after, slope), start, max(s.orders for s in shares))

    # --- members that tell nothing -------------------------------------------------------------------------

    def _walked(self, scorer: Scorer, x: Array, score: Array, goal: int) -> _Share:
        """From the usual row to this one, an input at a time, in several orders; the mean of what each step added."""
        import numpy as np

        typical = self._typical
        assert typical is not None
        differs = ~((x == typical) | (np.isnan(x) & np.isnan(typical)))
        moved = np.unique(self._owner[differs])
        base = _asked(scorer, typical[None, :])[0]
        parts = np.zeros(len(self.inputs))
        orders = _orders(len(moved))
        for order in orders:
            steps = np.repeat(typical[None, :], len(moved), axis=0)
            for step, place in enumerate(moved[order]):
                columns = self._owner == place
                steps[step:, columns] = x[columns]
            between = _asked(scorer, steps[:-1])[:, goal].tolist() if len(moved) > 1 else []
            values = [base[goal], *between, score[goal]]
            parts[moved[order]] += np.diff(values)
        return _Share(parts / max(1, len(orders)), base, len(orders))


def _mixed(weights: Sequence[float], each: Sequence[Array]) -> Array:
    import numpy as np

    out = np.zeros_like(each[0])
    for weight, one in zip(weights, each, strict=True):
        out += weight * one
    return out


def _asked(scorer: Scorer, rows: Array) -> Array:
    """[rows, classes], some at a time."""
    import numpy as np

    parts = [
        scorer.score(np.ascontiguousarray(rows[at : at + AT_ONCE])).reshape(len(rows[at : at + AT_ONCE]), -1)
        for at in range(0, len(rows), AT_ONCE)
    ]
    return np.concatenate(parts)


@cache
def _orders(inputs: int) -> tuple[npt.NDArray[np.intp], ...]:
    """Orders of so many inputs, each followed by its reverse; always the same."""
    import numpy as np

    if not inputs:
        return ()
    random = np.random.default_rng(0)
    pairs = max(1, min(math.factorial(min(inputs, 6)) // 2, ASKED // (2 * inputs)))
    there = [random.permutation(inputs) for _ in range(pairs)]
    return tuple(order for one in there for order in (one, one[::-1]))


# --- from an engine's space to its output ------------------------------------------------------------------


def _linked(kind: str, parts: Array, bias: Array, score: Array, goal: int) -> _Share | None:
    """The first way from the sum to the output that gives the output; None where none does."""
    import numpy as np

    raw = bias + np.array([math.fsum(p) for p in parts])
    for link in _LINKS[kind]:
        with np.errstate(over="ignore"):
            near = np.allclose(link(raw), score, rtol=NEAR, atol=NEAR)
        if near:
            base = link(bias)
            if link is _softmax:
                inside = _along(parts, bias, raw, goal)
                return _Share(
                    _rescaled(inside, math.fsum(inside), float(score[goal] - base[goal]), 1.0), base
                )
            slope = (
                1.0 if link is _same else float(base[0] * (1.0 - base[0]) if link is _sigmoid else base[0])
            )
            before, after = float(raw[goal] - bias[goal]), float(score[goal] - base[goal])
            return _Share(_rescaled(parts[goal], before, after, slope), base)
    return None


def _along(parts: Array, bias: Array, raw: Array, goal: int) -> Array:
    """What each input adds to the probability of a class: the integral of its gradient along the line from base to row."""
    import numpy as np

    places, widths = np.polynomial.legendre.leggauss(NODES)
    out = np.zeros(parts.shape[1])
    for place, width in zip((places + 1.0) / 2.0, widths / 2.0, strict=True):
        share = _softmax(bias + place * (raw - bias))
        out += width * share[goal] * (parts[goal] - (share[:, None] * parts).sum(axis=0))
    return out


def _rescaled(parts: Array, before: float, after: float, slope: float) -> Array:
    """The parts, which sum to `before`, scaled to sum to `after`; where they cancel out, by the slope.

    What scaling cannot close (a sum of the other sign, or of nothing) is shared out by size.
    """
    import numpy as np

    size = float(np.abs(parts).sum())
    factor = after / before if abs(before) > FLAT * size else slope
    out: Array = parts * (factor if factor >= 0 else slope)
    left = after - math.fsum(out)
    grown = float(np.abs(out).sum())
    if grown > 0 and left:
        out = out + left * (np.abs(out) / grown)
    return out


def _same(raw: Array) -> Array:
    return raw


def _sigmoid(raw: Array) -> Array:
    import numpy as np

    return 1.0 / (1.0 + np.exp(-np.clip(raw, -500.0, 500.0)))


def _softmax(raw: Array) -> Array:
    import numpy as np

    grown = np.exp(raw - raw.max())
    out: Array = grown / grown.sum()
    return out


def _power(raw: Array) -> Array:
    import numpy as np

    out: Array = np.exp(raw)
    return out


_LINKS: dict[str, tuple[Callable[[Array], Array], ...]] = {
    "regression": (_same, _power),
    "binary": (_sigmoid, _same),
    "multiclass": (_softmax, _same),
}


def typical(x: Array, categorical: Sequence[int]) -> Array:
    """A usual row of a matrix: the median of each column, of codes the most frequent; NaN where most rows have none."""
    import numpy as np

    out = np.full(x.shape[1], np.nan)
    for index in range(x.shape[1]):
        known = x[~np.isnan(x[:, index]), index]
        if 2 * len(known) <= len(x):
            continue
        if index in categorical:
            values, counts = np.unique(known, return_counts=True)
            out[index] = values[counts.argmax()]
        else:
            out[index] = np.sort(known)[len(known) // 2]  # a value that occurs
    return out
