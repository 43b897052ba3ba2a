"""L-BFGS (Liu and Nocedal 1989) for convex losses of linear models, preconditioned with what bounds the Hessian."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Value = Callable[[Matrix], tuple[float, Matrix]]

KEPT = 10  # moves that are remembered


def descended(
    value: Value,
    w: Matrix,
    inverse: Any,
    deadline: float,
    steps: int = 40,
    least: float = 1e-6,
    scaled: bool = False,
) -> Matrix:
    """The weights [parameters, outputs] of least value, from a start; what is reached at the deadline.

    `value` gives a loss and its gradient; `inverse @ gradient` is a step that overshoots nowhere. It ends when a step wins less
    than the share `least` of the loss. `scaled`: the inverse is so only up to a factor, which the last move tells.
    """
    loss, gradient = value(w)
    memory: list[tuple[Matrix, Matrix, float]] = []
    for _ in range(steps):
        direction = -_two_loop(gradient, memory, inverse, scaled)
        slope = float((gradient * direction).sum())
        length = 1.0
        new_loss, new_gradient = value(w + direction)
        while new_loss > loss + 1e-4 * length * slope and length > 1e-4:
            length *= 0.5
            new_loss, new_gradient = value(w + length * direction)
        if new_loss >= loss:
            break
        moved, changed = length * direction, new_gradient - gradient
        curvature = float((moved * changed).sum())
        if curvature > 1e-12:
            memory = [*memory[1 - KEPT :], (moved, changed, 1.0 / curvature)]
        done = loss - new_loss < least * loss or time.monotonic() > deadline
        w, loss, gradient = w + moved, new_loss, new_gradient
        if done:
            break
    return w


def _two_loop(
    gradient: Matrix, memory: list[tuple[Matrix, Matrix, float]], inverse: Any, scaled: bool
) -> Matrix:
    """L-BFGS's product of the inverse Hessian with the gradient, started from the given inverse."""
    q, alphas = gradient.copy(), []
    for moved, changed, rho in reversed(memory):
        alpha = rho * float((moved * q).sum())
        q = q - alpha * changed
        alphas.append(alpha)
    r: Matrix = inverse @ q
    if scaled and memory:
        _, changed, rho = memory[-1]
        r = r / (rho * float((changed * (inverse @ changed)).sum()))
    for (moved, changed, rho), alpha in zip(memory, reversed(alphas), strict=True):
        r = r + (alpha - rho * float((changed * r).sum())) * moved
    return r
