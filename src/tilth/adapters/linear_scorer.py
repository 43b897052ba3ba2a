"""Scores with a linear model kept as JSON: one addition per input column, in the same order for one row and many.

A numeric column gives a standardised value and, where training saw gaps, a term for being missing; a category gives
the weight of its level. Training is in `linear_learner`; there is no library behind this but numpy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from tilth.core.errors import TamperError
from tilth.ports.learning import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

CLIP = 6.0  # standard deviations beyond which a numeric value says no more


class LinearScorer:
    """A loaded linear model: immutable, so threads may share it."""

    def __init__(self, terms: list[Term], bias: Matrix, kind: str) -> None:
        self._terms = terms
        self._bias = bias
        self._kind = kind

    @classmethod
    def load(cls, payload: bytes, task: Task, threads: int | None = None) -> Self:  # noqa: ARG003 - the port has it
        """Read `member.json`. `threads` is taken for the sake of the port and not used."""
        import numpy as np

        model = json.loads(payload)
        if model.get("format") != "tilth-linear-1" or len(model["columns"]) != len(task.columns):
            raise TamperError(
                "The linear model's file does not fit its signature.", hint="Train the model again."
            )
        terms = [Term(column) for column in model["columns"]]
        return cls(terms, np.asarray(model["bias"], dtype=np.float64), task.kind)

    def score(self, x: Matrix) -> Matrix:
        import numpy as np

        total = np.repeat(self._bias[None, :], len(x), axis=0)
        for index, term in enumerate(self._terms):
            total += term.weigh(x[:, index])
        if self._kind == "multiclass":
            return softmax(total)
        return sigmoid(total[:, 0]) if self._kind == "binary" else total[:, 0]

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        import numpy as np

        out = self.score(np.frombuffer(row, dtype=np.float64)[None, :])
        return tuple(out.ravel().tolist())

    def contributions(self, x: Matrix) -> Matrix | None:
        """What each column adds to the raw score, the bias last; [rows, classes * (columns + 1)]."""
        import numpy as np

        parts = [term.weigh(x[:, index]) for index, term in enumerate(self._terms)]
        parts.append(np.repeat(self._bias[None, :], len(x), axis=0))
        stacked = np.stack(parts, axis=2)  # rows, classes, columns + 1
        return stacked.reshape(len(x), -1)


class Term:
    """One column's part of the sum."""

    def __init__(self, column: dict[str, object]) -> None:
        import numpy as np

        self.center = float(str(column.get("center", 0.0)))
        self.scale = float(str(column.get("scale", 1.0)))
        self.levels = None if column.get("levels") is None else np.asarray(column["levels"], dtype=np.float64)
        self.weight = np.asarray(column.get("weight", [0.0]), dtype=np.float64)
        self.missing = np.asarray(column.get("missing", [0.0]), dtype=np.float64)

    def weigh(self, values: Matrix) -> Matrix:
        """[rows, classes] for one column of the matrix."""
        import numpy as np

        gaps = np.isnan(values)
        if self.levels is not None:  # the last row of `levels` is for rare, unseen and missing
            last = len(self.levels) - 1
            code = np.where(gaps | (values < 0) | (values >= last), last, values).astype(np.int64)
            return self.levels[code]
        standard = np.clip((values - self.center) / self.scale, -CLIP, CLIP)
        return np.where(gaps[:, None], self.missing[None, :], standard[:, None] * self.weight[None, :])


def sigmoid(z: Matrix) -> Matrix:
    """1 / (1 + e^-z), without overflow."""
    import numpy as np

    return 1.0 / (1.0 + np.exp(-np.clip(z, -500.0, 500.0)))


def softmax(z: Matrix) -> Matrix:
    """Rows that sum to one."""
    import numpy as np

    e = np.exp(z - z.max(axis=1, keepdims=True))
    out: Matrix = e / e.sum(axis=1, keepdims=True)
    return out
