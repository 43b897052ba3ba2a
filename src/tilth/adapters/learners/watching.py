"""What fits that pass several models share: the loss of each on the parts of the stop rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tilth.ports.learning import Task, Weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]


class Asked(Protocol):
    """What answers rows, as a scorer does."""

    def score(self, x: Matrix) -> Matrix: ...


class Stages:
    """The answers of each stage to the parts (x, y) of the stop rows, and their losses."""

    def __init__(
        self, task: Task, stops: Sequence[tuple[Matrix, Matrix]], weights: Weights | None = None
    ) -> None:
        self._task, self._stops = task, stops
        self._weights = [None] * len(stops) if weights is None else list(weights.stops)
        self._scorers: list[Asked] = []
        self._scores: list[list[Matrix]] = []
        self._losses: list[list[float]] = []
        self.stopped = "rounds"

    def ask(self, scorer: Asked) -> None:
        """One more stage: the model that this scorer reads."""
        answers = [scorer.score(x) for x, _ in self._stops]
        asked = zip(answers, self._stops, self._weights, strict=True)
        self._losses.append([loss(self._task, a, y, w) for a, (_, y), w in asked])
        self._scores.append(answers)
        self._scorers.append(scorer)

    @property
    def losses(self) -> Matrix:
        """[stages, parts]"""
        import numpy as np

        return np.array(self._losses)

    def scores(self, stage: int, part: int) -> Matrix:
        """What the model of the stage answers to a part."""
        return self._scores[min(stage, len(self._scores) - 1)][part]

    def answer(self, stage: int, x: Matrix) -> Matrix:
        """What it answers to other rows."""
        return self._scorers[min(stage, len(self._scorers) - 1)].score(x)


def loss(task: Task, out: Matrix, y: Matrix, weight: Matrix | None = None) -> float:
    """Log loss, or mean squared error, of answers; `weight` is what each row counts."""
    import numpy as np

    if task.kind == "regression":
        return float(np.average((out - y) ** 2, weights=weight))
    right = (
        np.where(y == 1, out, 1 - out)
        if task.kind == "binary"
        else out[np.arange(len(y)), y.astype(np.int64)]
    )
    return float(-np.average(np.log(np.clip(right, 1e-12, 1.0)), weights=weight))
