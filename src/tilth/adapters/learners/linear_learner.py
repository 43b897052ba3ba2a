"""Fits a regularised linear model with numpy alone: ridge regression, or multinomial logistic regression.

It is the honest baseline of every model and sometimes the best member. The logistic loss is minimised by L-BFGS
(Liu and Nocedal 1989) preconditioned with Boehning's bound on the Hessian (Boehning 1992). The strength of the ridge
is chosen on the stop slice. Above 40,000 rows an evenly spaced sample is used. Scoring is in `linear_scorer`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tilth.adapters.scorers.linear_scorer import CLIP, LinearScorer, softmax
from tilth.core.engines import Engine, Option
from tilth.core.errors import TrainingError
from tilth.core.names import did_you_mean
from tilth.ports.learning import Budget, Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

MOST_ROWS = 40_000
MOST_LEVELS = 60
VAST = 1e100  # numbers beyond it are scaled before they are squared
RIDGES = (300.0, 30.0, 3.0)  # the strongest first: each solution starts the next
DIGITS = (
    10  # coefficients are kept to so many significant digits: last-bit noise of BLAS does not reach the file
)


class LinearLearner:
    """Implements `ports.learning.Learner`."""

    engine = Engine(
        "linear", "numpy", learning=2, options=(Option("ridge", least=0),), rank=1, spread=True, pandas=False
    )

    @staticmethod
    def spread_options(rows: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """As it fits any other regression."""
        del rows
        return {}, {}

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
        for name in options:
            if name != "ridge":
                raise TrainingError(
                    f"The linear engine has no option `{name}`.",
                    hint=did_you_mean(name, ["ridge"], "options"),
                )
        step = -(-len(x) // MOST_ROWS)
        x, y = x[::step], y[::step]
        layout = [_column(task, x, index) for index in range(x.shape[1])]
        problem = _Problem(task, _design(layout, x), y, budget.deadline)
        ridges = (float(str(options["ridge"])),) if "ridge" in options else RIDGES
        best: tuple[float, float, bytes] | None = None
        for number, ridge in enumerate(ridges):
            report(f"ridge {ridge:g}", number / len(ridges))
            bias, weights = problem.solve(ridge)
            payload = _payload(layout, bias, weights)
            loss = _loss(task, payload, x_stop, y_stop)
            if best is not None and loss >= best[0]:
                break  # weaker ones fit the past closer still
            best = (loss, ridge, payload)
            if time.monotonic() > budget.deadline:
                break
        assert best is not None
        return Fitted("linear", "json", best[2], (("ridge", best[1]), ("refit", {"ridge": best[1]})))


def _column(task: Task, x: Matrix, index: int) -> dict[str, object]:
    """How one column enters: its levels, or its center and scale and whether it has gaps."""
    import numpy as np

    values = x[:, index]
    if index in task.categorical:
        cardinality = task.cardinality[task.categorical.index(index)]
        return {"levels": min(cardinality, MOST_LEVELS) + 1}
    known = values[~np.isnan(values)]
    center, scale = moments(known) if len(known) else (0.0, 1.0)
    fill = float(np.median(known)) if len(known) else 0.0
    gaps = len(known) < len(values)
    return {"center": center, "scale": scale if scale > 1e-12 else 1.0, "fill": fill, "gaps": gaps}


def moments(values: Matrix) -> tuple[float, float]:
    """Mean and standard deviation, also of numbers whose sum or squares are beyond what a float holds."""
    import numpy as np

    if (size := float(np.abs(values).max())) < VAST:
        return float(np.mean(values)), float(np.std(values))
    part = values / size
    return float(np.mean(part) * size), float(np.std(part) * size)


def _design(layout: list[dict[str, object]], x: Matrix) -> Matrix:
    """[rows, parameters]: a standardised value and a gap indicator, or one column a level; float64."""
    import numpy as np

    blocks = []
    for index, column in enumerate(layout):
        values = x[:, index]
        gaps = np.isnan(values)
        if "levels" in column:
            count = int(str(column["levels"]))
            code = np.where(gaps | (values >= count - 1), count - 1, values).astype(np.int64)
            block = np.zeros((len(x), count))
            block[np.arange(len(x)), code] = 1.0
        else:
            fill, center, scale = (float(str(column[name])) for name in ("fill", "center", "scale"))
            with np.errstate(over="ignore"):
                standard = np.clip((np.where(gaps, fill, values) - center) / scale, -CLIP, CLIP)
            block = (
                np.stack([standard, gaps.astype(np.float64)], axis=1) if column["gaps"] else standard[:, None]
            )
        blocks.append(block)
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((len(x), 0))


class _Problem:
    """The rows as a design with a column of ones, solved for one ridge after the other."""

    def __init__(self, task: Task, design: Matrix, y: Matrix, deadline: float) -> None:
        import numpy as np

        self._kind = task.kind
        self._deadline = deadline
        self._full = np.concatenate([design, np.ones((len(design), 1))], axis=1)
        self._gram = self._full.T @ self._full
        self._y = y
        if task.kind != "regression":
            self._onehot = np.zeros((len(y), 2 if task.kind == "binary" else task.classes))
            self._onehot[np.arange(len(y)), y.astype(np.int64)] = 1.0
            self._weights = np.zeros((self._full.shape[1], self._onehot.shape[1]))

    def solve(self, ridge: float) -> tuple[Matrix, Matrix]:
        """Bias [outputs] and weights [parameters, outputs]; one output unless multiclass."""
        import numpy as np

        penalty = np.full(len(self._gram), ridge)
        penalty[-1] = 1e-6
        if self._kind == "regression":
            weights = np.linalg.solve(self._gram + np.diag(penalty), self._full.T @ self._y)[:, None]
            return weights[-1], weights[:-1]
        weights = self._weights = self._lbfgs(self._weights, penalty)
        if self._kind == "binary":
            weights = (weights[:, 1] - weights[:, 0])[:, None]
        return weights[-1], weights[:-1]

    def _value(self, w: Matrix, penalty: Matrix) -> tuple[float, Matrix]:
        """Cross-entropy plus the ridge, and its gradient."""
        import numpy as np

        z = self._full @ w
        z -= z.max(axis=1, keepdims=True)
        total = np.log(np.exp(z).sum(axis=1))
        loss = float((total - (z * self._onehot).sum(axis=1)).sum() + 0.5 * (penalty[:, None] * w * w).sum())
        return loss, self._full.T @ (softmax(z) - self._onehot) + penalty[:, None] * w

    def _lbfgs(self, w: Matrix, penalty: Matrix, steps: int = 40) -> Matrix:
        """The weights of least value, [parameters, classes], from a start; what is reached at the deadline."""
        import numpy as np

        classes = w.shape[1]
        bound = 0.25 if classes == 2 else 0.5 * (1 - 1 / classes)
        inverse = np.linalg.inv(self._gram * bound + np.diag(penalty))
        loss, gradient = self._value(w, penalty)
        memory: list[tuple[Matrix, Matrix, float]] = []
        for _ in range(steps):
            direction = -_two_loop(gradient, memory, inverse)
            slope = float((gradient * direction).sum())
            length = 1.0
            new_loss, new_gradient = self._value(w + direction, penalty)
            while new_loss > loss + 1e-4 * length * slope and length > 1e-4:
                length *= 0.5
                new_loss, new_gradient = self._value(w + length * direction, penalty)
            if new_loss >= loss:
                break
            moved, changed = length * direction, new_gradient - gradient
            curvature = float((moved * changed).sum())
            if curvature > 1e-12:
                memory = [*memory[-9:], (moved, changed, 1.0 / curvature)]
            done = loss - new_loss < 1e-6 * loss or time.monotonic() > self._deadline
            w, loss, gradient = w + moved, new_loss, new_gradient
            if done:
                break
        return w


def _two_loop(gradient: Matrix, memory: list[tuple[Matrix, Matrix, float]], inverse: Matrix) -> Matrix:
    """L-BFGS's product of the inverse Hessian with the gradient, started from the given inverse."""
    q, alphas = gradient.copy(), []
    for moved, changed, rho in reversed(memory):
        alpha = rho * float((moved * q).sum())
        q = q - alpha * changed
        alphas.append(alpha)
    r: Matrix = inverse @ q
    for (moved, changed, rho), alpha in zip(memory, reversed(alphas), strict=True):
        r = r + (alpha - rho * float((changed * r).sum())) * moved
    return r


def _payload(layout: list[dict[str, object]], bias: Matrix, weights: Matrix) -> bytes:
    """The model as canonical JSON, as `linear_scorer` reads it."""
    columns: list[dict[str, object]] = []
    at = 0
    for column in layout:
        if "levels" in column:
            count = int(str(column["levels"]))
            columns.append({"levels": _rounded(weights[at : at + count])})
            at += count
            continue
        center, scale = float(str(column["center"])), float(str(column["scale"]))
        filled = (float(str(column["fill"])) - center) / scale
        missing = weights[at] * filled
        if column["gaps"]:
            missing = missing + weights[at + 1]
        columns.append(
            {"center": center, "scale": scale, "weight": _rounded(weights[at]), "missing": _rounded(missing)}
        )
        at += 2 if column["gaps"] else 1
    model = {"format": "tilth-linear-1", "bias": _rounded(bias), "columns": columns}
    return json.dumps(model, sort_keys=True, separators=(",", ":")).encode()


def _rounded(values: Matrix) -> object:
    def short(value: object) -> object:
        return [short(v) for v in value] if isinstance(value, list) else float(f"{value:.{DIGITS}g}")

    return short(values.tolist())


def _loss(task: Task, payload: bytes, x: Matrix, y: Matrix) -> float:
    """Log loss, or mean squared error, on the stop slice."""
    import numpy as np

    out = LinearScorer.load(payload, task).score(x)
    if task.kind == "regression":
        return float(np.mean((out - y) ** 2))
    right = (
        np.where(y == 1, out, 1 - out)
        if task.kind == "binary"
        else out[np.arange(len(y)), y.astype(np.int64)]
    )
    return float(-np.mean(np.log(np.clip(right, 1e-12, 1.0))))
