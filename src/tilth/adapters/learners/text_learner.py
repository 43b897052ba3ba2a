"""Fits a linear model on the terms of texts (TF-IDF) beside the lines and levels of the other columns, with numpy and scipy.

A ridge on terms and a fixed one on the rest, by L-BFGS (`descent`); how strong the first is, rows that do not teach say. The
few directions that texts have in the matrix are left to other engines: the terms say the same. Sums over rows are scipy's sparse
ones, which no thread count changes. What was learned of texts is kept with their columns (`ports.texts`), the rest is scored
by `linear_scorer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tilth.adapters.learners.descent import descended
from tilth.adapters.learners.linear_learner import (
    MOST_PARAMETERS,
    Ridged,
    column_of,
    design_of,
    payload_of,
    row_us,
    width_of,
)
from tilth.adapters.scorers.linear_scorer import LinearScorer, sigmoid, softmax
from tilth.core.engines import Engine, Option
from tilth.core.errors import TrainingError
from tilth.core.names import did_you_mean
from tilth.ports.learning import Budget, Fitted, Task, Weights, scored
from tilth.ports.texts import Reading, Texts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Kept = npt.NDArray[np.float32]

MOST_ROWS = 40_000
RIDGES = (8.0, 2.0, 0.5, 0.1)  # on terms, the strongest first: each solution starts the next
LINES = 5.0  # the ridge on all else
STEPS, LEAST = 60, 1e-4
DIGITS = 5  # of a term's weight, against the largest one: noise of sums does not reach the file
ROW_US = 20.0  # what one row costs beside its columns, in microseconds


class TextLearner:
    """Implements `ports.learning.Learner` and `Paths`; takes `Task.texts`."""

    engine = Engine(
        "text", "scipy", options=(Option("ridge", least=0),), rank=4, weighs=True, pandas=False, texts=True
    )

    def fit(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        x_stop: Matrix,
        y_stop: Matrix,
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        way = self.path(task, x, y, [(x_stop, y_stop)], budget, options, report)
        best = int(way.losses[:, 0].argmin())
        payload, weights = way.models[best]
        row = ROW_US + row_us(task, x.shape[1])
        return Fitted("linear", "json", payload, way.notes(best, row), weights)

    def path(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        stops: Sequence[tuple[Matrix, Matrix]],
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Ridges:
        """One stage a ridge, the strongest first, until the next one is worse; see `ports.learning.Paths`."""
        for name in options:
            if name != "ridge":
                raise TrainingError(
                    f"The text engine has no option `{name}`.", hint=did_you_mean(name, ("ridge",), "options")
                )
        texts = _texts(task)
        step = -(-len(x) // MOST_ROWS)
        x, y = x[::step], y[::step]
        weight = None if budget.weights is None else budget.weights.every(step)
        problem = _Problem(task, texts, x, y, weight, budget.deadline)
        ridges = (float(str(options["ridge"])),) if "ridge" in options else RIDGES
        way = Ridges(task, texts, stops, budget.weights)
        for number, ridge in enumerate(ridges):
            report(f"ridge {ridge:g}", number / len(ridges))
            way.add(ridge, *problem.solve(ridge))
            if way.worse:
                break
            if time.monotonic() > budget.deadline and number + 1 < len(ridges):
                way.stopped = "time limit"
                break
        return way


def _texts(task: Task) -> Texts:
    if task.texts is None:
        raise TrainingError(
            "The engine `text` learns from texts, and no column is one.",
            hint="A text column has more than 40 different texts, worded or made of common parts. Use engine = 'auto'.",
        )
    return task.texts


class Ridges(Ridged):
    """The models of one fit: the file, and the weights of terms."""

    def __init__(
        self, task: Task, texts: Texts, stops: Sequence[tuple[Matrix, Matrix]], weights: Weights | None
    ) -> None:
        super().__init__(task, stops, weights)
        self._texts = texts
        self.models: list[tuple[bytes, tuple[Kept, ...]]] = []

    def add(self, ridge: float, payload: bytes, weights: tuple[Kept, ...]) -> None:
        scorer = LinearScorer.load(payload, scored(self._task, weights))
        self.ask(Reading(scorer, self._texts, weights))
        self.ridges.append(ridge)
        self.models.append((payload, weights))

    @property
    def worse(self) -> bool:
        """Whether the last ridge is worse than the one before."""
        table = self.losses.mean(axis=1)
        return len(table) > 1 and bool(table[-1] > table[-2])


class _Problem:
    """The rows as one sparse matrix: lines and levels, a column of ones, then the terms of all texts."""

    def __init__(
        self, task: Task, texts: Texts, x: Matrix, y: Matrix, weight: Matrix | None, deadline: float
    ) -> None:
        import numpy as np
        from scipy.sparse import csr_matrix, hstack

        self._kind, self._deadline = task.kind, deadline
        self._y, self._center, self._scale = _outputs(task, y, weight)
        heads = np.ascontiguousarray(x[:, : x.shape[1] - len(texts.tables)])
        heads[:, list(texts.places)] = 0.0
        self._layout = [column_of(task, heads, index, 0) for index in range(heads.shape[1])]
        if sum(map(width_of, self._layout)) > MOST_PARAMETERS:
            self._layout = [{"levels": 1} if "levels" in column else column for column in self._layout]
        plain = design_of(self._layout, heads)
        self._means = plain.mean(axis=0)
        ones = np.concatenate([plain, np.ones((len(x), 1))], axis=1)
        terms = texts.rows(x)
        self._sizes = [t.shape[1] for t in terms]
        self._shares = [np.asarray(t.mean(axis=0)).ravel() for t in terms]
        self._x = hstack([csr_matrix(ones), *terms], format="csr")
        self._turned = self._x.T.tocsr()
        self._counts = None if weight is None else weight[:, None]
        own = self._weighed(ones)
        self._gram = ones.T @ own
        counted = [t.multiply(t) if weight is None else t.multiply(t).multiply(self._counts) for t in terms]
        self._squares = np.concatenate([np.asarray(c.sum(axis=0)).ravel() for c in counted])
        self._at = np.zeros((self._x.shape[1], self._y.shape[1]))

    def _weighed(self, rows: Matrix) -> Matrix:
        """Each row times what it counts."""
        return rows if self._counts is None else rows * self._counts

    def solve(self, ridge: float) -> tuple[bytes, tuple[Kept, ...]]:
        """The file, and the weights [terms, outputs] of each text."""
        import numpy as np

        bound = {"regression": 1.0, "binary": 0.25}.get(self._kind, 0.5)
        first = len(self._gram)
        lines = np.full(first, LINES)
        lines[-1] = 1e-6
        penalty = np.concatenate([lines, np.full(len(self._squares), ridge)])[:, None]
        whole = np.asarray(np.linalg.inv(self._gram * bound + np.diag(lines)), dtype=np.float64)
        inverse = _Blocks(whole, self._squares * bound + ridge)
        self._at = descended(
            lambda at: self._value(at, penalty), self._at, inverse, self._deadline, STEPS, LEAST, scaled=True
        )
        at = self._at * self._scale
        weights = [_short(w) for w in np.split(at[first:], np.cumsum(self._sizes)[:-1])]
        means = np.stack(
            [share @ w.astype(np.float64) for share, w in zip(self._shares, weights, strict=True)]
        )
        bias = at[first - 1] + self._center
        return payload_of(self._layout, bias, at[: first - 1], self._means, means), tuple(weights)

    def _value(self, w: Matrix, penalty: Matrix) -> tuple[float, Matrix]:
        """The loss plus the ridge, and its gradient."""
        import numpy as np

        z = self._x @ w
        if self._kind == "regression":
            off = z - self._y
            each = 0.5 * off * off
        elif self._kind == "binary":
            off = sigmoid(z) - self._y
            each = np.logaddexp(0.0, np.where(self._y > 0.5, -z, z))
        else:
            z -= z.max(axis=1, keepdims=True)
            off = softmax(z) - self._y
            each = np.log(np.exp(z).sum(axis=1, keepdims=True)) - (z * self._y).sum(axis=1, keepdims=True)
        loss = float(self._weighed(each).sum() + 0.5 * (penalty * w * w).sum())
        return loss, self._turned @ self._weighed(off) + penalty * w


class _Blocks:
    """The inverse of what bounds the Hessian: of lines and levels whole, of terms the diagonal."""

    def __init__(self, lines: Matrix, terms: Matrix) -> None:
        self._lines, self._terms = lines, terms[:, None]

    def __matmul__(self, gradient: Matrix) -> Matrix:
        import numpy as np

        first = len(self._lines)
        return np.concatenate([self._lines @ gradient[:first], gradient[first:] / self._terms])


def _outputs(task: Task, y: Matrix, weight: Matrix | None) -> tuple[Matrix, float, float]:
    """The target [rows, outputs], of numbers in standard deviations from their mean; the mean, and the deviation."""
    import numpy as np

    if task.kind == "multiclass":
        return np.eye(task.classes)[y.astype(np.int64)], 0.0, 1.0
    if task.kind == "binary":
        return y[:, None], 0.0, 1.0
    center = float(np.average(y, weights=weight))
    scale = float(np.sqrt(np.average((y - center) ** 2, weights=weight))) or 1.0
    return ((y - center) / scale)[:, None], center, scale


def _short(weights: Matrix) -> Kept:
    """Float32 with as many digits after the point as the largest needs to have DIGITS."""
    import numpy as np

    largest = float(np.abs(weights).max(initial=0.0))
    if not largest:
        return weights.astype(np.float32)
    size = 10.0 ** (DIGITS - 1 - np.floor(np.log10(largest)))
    short: Kept = (np.round(weights * size) / size).astype(np.float32)
    return short
