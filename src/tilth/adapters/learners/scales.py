"""Raw sums of trees and what they answer: values, probabilities, their losses, and the slopes that a leaf follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.learning import Task

    Matrix = npt.NDArray[np.float64]

LEAST = 1e-12


def answers(task: Task, z: Matrix) -> Matrix:
    """Of raw sums [rows, classes or 1]: [rows] values or probabilities, of several classes [rows, classes]."""
    import numpy as np

    if task.kind == "regression":
        return z[:, 0].copy()
    if task.kind == "binary":
        odds: Matrix = 1.0 / (1.0 + np.exp(-np.clip(z[:, 0], -500.0, 500.0)))
        return odds
    e = np.exp(z - z.max(axis=1, keepdims=True))
    shares: Matrix = e / e.sum(axis=1, keepdims=True)
    return shares


def slopes(task: Task, y: Matrix, z: Matrix, weight: Matrix | None) -> tuple[Matrix, Matrix]:
    """First and second derivatives of the loss as LightGBM has them, [rows, classes or 1]."""
    import numpy as np

    p = answers(task, z)
    if task.kind == "regression":
        first, second = (p - y)[:, None], np.ones((len(y), 1))
    elif task.kind == "binary":
        first, second = (p - y)[:, None], (p * (1.0 - p))[:, None]
    else:
        first = p.copy()
        first[np.arange(len(y)), y.astype(np.int64)] -= 1.0
        second = task.classes / (task.classes - 1.0) * p * (1.0 - p)
    if weight is None:
        return first, second
    return first * weight[:, None], second * weight[:, None]


def loss(task: Task, y: Matrix, scores: Matrix, weight: Matrix | None) -> float:
    """The mean loss that a path tells: the log loss, the squared error, or what the metric asks for."""
    import numpy as np

    own = weight if weight is not None and weight.any() else None
    if task.kind == "regression":
        off = np.abs(y - scores)
        if task.metric == "mape":
            off = off / np.maximum(np.abs(y), 1.0)  # as LightGBM has it
        return float(np.average(off if task.metric in ("mae", "mape") else off**2, weights=own))
    chance = (
        scores[np.arange(len(y)), y.astype(np.int64)]
        if scores.ndim > 1
        else np.where(y > 0.5, scores, 1.0 - scores)
    )
    return float(np.average(-np.log(np.maximum(chance, LEAST)), weights=own))
