"""Linear models whose lines rise, or fall, all the way: the slope between each two turns has a sign, and nothing else changes.

The unknowns are slopes instead of turns, so that the promise is a bound on each. A ridge regression under such bounds is a
small problem of non-negative least squares (Lawson and Hanson 1974), once what has no bound is eliminated; the logistic loss
is a few of them (projected Newton, Bertsekas 1982). Without bounds `linear_learner` solves it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Places = npt.NDArray[np.intp]

STEPS = 30
LEAST = 1e-6  # of the loss: a step that wins less is the last
HALF = 0.5  # a ridge of two classes, as one vector of weights: each class has half of it


class Sloped:
    """The rows as a design with a column of ones, solved for one ridge after the other; `ways`: 1, -1 or 0 a column."""

    def __init__(
        self,
        kind: str,
        design: Matrix,
        y: Matrix,
        weight: Matrix | None,
        turns: Sequence[tuple[Places, int]],
        deadline: float,
        bound_rows: int,
    ) -> None:
        import numpy as np

        self._kind, self._y, self._deadline = kind, y, deadline
        self._own = np.ones(len(y)) if weight is None else weight
        self._turns = [(places, way) for places, way in turns if way]
        self._full = np.concatenate([design, np.ones((len(design), 1))], axis=1)
        for places, _ in self._turns:
            self._full[:, places] = self._full[:, places] @ _to_turns(len(places))
        self._every = 1 if kind == "regression" else -(-len(y) // bound_rows)
        self._signs = np.zeros(self._full.shape[1])
        for places, way in self._turns:
            self._signs[places] = way
        self._found = np.zeros(self._full.shape[1])
        if kind == "regression":
            weighed = self._full * self._own[:, None]
            self._gram, self._pull = self._full.T @ weighed, weighed.T @ y

    def solve(self, ridge: float) -> tuple[Matrix, Matrix]:
        """Bias [1] and weights [parameters, 1], as the design without bounds has them."""
        import numpy as np

        penalty = self._penalty(ridge if self._kind == "regression" else HALF * ridge)
        if self._kind == "regression":
            self._found = least(self._gram + penalty, self._pull, self._signs)
        else:
            self._found = self._newton(self._found, penalty)
        weights = self._found.copy()
        for places, _ in self._turns:
            weights[places] = _to_turns(len(places)) @ weights[places]
        return np.array([weights[-1]]), weights[:-1, None]

    def _penalty(self, ridge: float) -> Matrix:
        """The ridge on turns, in terms of slopes."""
        import numpy as np

        size = self._full.shape[1]
        each = np.full(size, ridge)
        each[-1] = 1e-6
        out: Matrix = np.diag(each)
        for places, _ in self._turns:
            turn = _to_turns(len(places))
            out[np.ix_(places, places)] = ridge * (turn.T @ turn)
        return out

    def _value(self, at: Matrix, penalty: Matrix) -> tuple[float, Matrix, Matrix]:
        """The logistic loss with the ridge, its gradient, and P(1) of each row."""
        import numpy as np

        z = self._full @ at
        chance = np.where(z >= 0, 1.0, np.exp(-np.abs(z))) / (1.0 + np.exp(-np.abs(z)))
        each = np.maximum(z, 0.0) - z * self._y + np.log1p(np.exp(-np.abs(z)))
        loss = float((self._own * each).sum() + 0.5 * at @ penalty @ at)
        return loss, self._full.T @ (self._own * (chance - self._y)) + penalty @ at, chance

    def _newton(self, at: Matrix, penalty: Matrix) -> Matrix:
        some = self._full[:: self._every]
        loss, gradient, chance = self._value(at, penalty)
        for _ in range(STEPS):
            steep = (self._own * chance * (1.0 - chance))[:: self._every, None]
            bend = self._every * (some.T @ (some * steep)) + penalty
            way = least(bend, bend @ at - gradient, self._signs) - at
            slope, length = float(gradient @ way), 1.0
            new = self._value(at + way, penalty)
            while new[0] > loss + 1e-4 * length * slope and length > 1e-4:
                length *= 0.5
                new = self._value(at + length * way, penalty)
            if new[0] >= loss:
                break
            done = loss - new[0] < LEAST * loss or time.monotonic() > self._deadline
            at, (loss, gradient, chance) = at + length * way, new
            if done:
                break
        return at


def least(bend: Matrix, pull: Matrix, signs: Matrix) -> Matrix:
    """The x that makes x'Hx/2 - p'x least, where it is at least 0 at signs of 1, at most 0 at -1, and anything at 0."""
    import numpy as np
    from scipy.optimize import nnls

    held, free = np.flatnonzero(signs), np.flatnonzero(signs == 0)
    across = bend[np.ix_(free, held)]
    solved = np.linalg.solve(bend[np.ix_(free, free)], np.column_stack([across, pull[free]]))
    turn = signs[held]
    small = (bend[np.ix_(held, held)] - across.T @ solved[:, :-1]) * turn[:, None] * turn
    wanted = (pull[held] - across.T @ solved[:, -1]) * turn
    root = np.linalg.cholesky((small + small.T) / 2.0)
    found, _ = nnls(root.T, np.linalg.solve(root, wanted))
    out = np.zeros(len(signs))
    out[held] = found * turn
    out[free] = solved[:, -1] - solved[:, :-1] @ out[held]
    return out


def turns_of(
    layout: Sequence[Mapping[str, Any]], widths: Sequence[int], ways: Sequence[int]
) -> list[tuple[Places, int]]:
    """Of each column of numbers the places of its slope and turns in the design, and its way."""
    import numpy as np

    out, at = [], 0
    for column, width, way in zip(layout, widths, ways, strict=True):
        if "levels" not in column:
            first = at + 1 + int(column["gaps"])
            out.append((np.array([at, *range(first, at + width)], dtype=np.intp), way))
        at += width
    return out


def held(column: Mapping[str, Any], way: int) -> dict[str, Any]:
    """A rounded column whose slopes keep their sign: rounding may have turned one that is nearly flat."""
    total = column["weight"][0] if way * column["weight"][0] > 0 else 0.0
    slopes, weight = [], [total]
    for (turn,) in column["slopes"]:
        kept = turn if way * (total + turn) >= 0 else -total
        total += kept
        slopes.append([kept])
    return {**column, "weight": weight, "slopes": slopes}


def _to_turns(count: int) -> Matrix:
    """Slopes to the first slope and by how much each next one is steeper."""
    import numpy as np

    out: Matrix = np.eye(count) - np.eye(count, k=-1)
    return out
