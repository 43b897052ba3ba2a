"""What each input added to an answer, in the answer's own terms: with the base they sum to the value or probability that is served.

Engines tell contributions in a space of their own (log odds, say). They come to the answer by the rescale rule (DeepLIFT;
Shrikumar, Greenside and Kundaje 2017): the contributions of a member are scaled so that they sum to its output minus its
output at the base; for several classes that is their integral along the line from base to row (Sundararajan, Taly and Yan
2017), of which one number is the special case. Members are weighed as their outputs are, and the calibration is one more
rescale. A member that tells nothing is asked again (`walks`).

Each row is worked out alone, so that it gives the same numbers among others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tilth.ml.model.curve import Curve
from tilth.ml.model.walks import Walk
from tilth.ports.learning import Scorer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"

NODES = 16  # of the integral along the line
NEAR = 1e-4  # how far an engine's sum may be from its output, of which it is told in 32 bits
FLAT = 1e-6  # a sum that is smaller, as a share of its parts, is scaled by the slope


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
        several = self._kind == "multiclass"
        goals = [total.index(max(total)) if several else 0 for total in totals]
        scores = [scorer.score(x).reshape(len(x), -1) for scorer, _ in self._members]
        shares = [
            self._shares(scorer, x, score, goals)
            for (scorer, _), score in zip(self._members, scores, strict=True)
        ]
        return [
            self._whole([each[row] for each in shares], [each[row] for each in scores], total, goals[row])
            for row, total in enumerate(totals)
        ]

    def _shares(self, scorer: Scorer, x: Array, scores: Array, goals: list[int]) -> list[_Share | None]:
        """Of one member and all rows: what it tells, and what is found by asking it where it tells nothing that fits."""
        told = scorer.contributions(x)
        out: list[_Share | None] = [None] * len(x)
        if told is not None:
            for row, goal in enumerate(goals):
                raw = told[row].reshape(scores.shape[1], -1)
                out[row] = _linked(self._kind, self._by_input(raw[:, :-1]), raw[:, -1], scores[row], goal)
        left = [row for row, share in enumerate(out) if share is None]
        if left and self._typical is not None:
            walk = Walk(scorer, self._typical, self._owner, len(self.inputs))
            found = walk.of(x[left], scores[left], [goals[row] for row in left])
            for row, (parts, base, orders) in zip(left, found, strict=True):
                out[row] = _Share(parts, base, orders)
        return out

    def _by_input(self, parts: Array) -> Array:
        """[classes, inputs] of [classes, matrix columns]."""
        import numpy as np

        return np.stack([np.bincount(self._owner, weights=p, minlength=len(self.inputs)) for p in parts])

    def _whole(
        self, known: list[_Share | None], scores: list[Array], total: tuple[float, ...], goal: int
    ) -> Told | None:
        shares = [share for share in known if share is not None]
        if len(shares) < len(known):
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


def _mixed(weights: Sequence[float], each: Sequence[Array]) -> Array:
    import numpy as np

    out = np.zeros_like(each[0])
    for weight, one in zip(weights, each, strict=True):
        out += weight * one
    return out


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
