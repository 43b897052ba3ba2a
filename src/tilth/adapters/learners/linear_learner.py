"""Fits a regularised linear model with numpy alone: ridge regression, or multinomial logistic regression.

It is the honest baseline of every model and sometimes the best member. The logistic loss is minimised by L-BFGS
(`descent`) preconditioned with Boehning's bound on the Hessian (Boehning 1992). The strength of the ridge
is chosen on rows that do not teach. A number's line may turn at quantiles of its values (linear splines). Above 40,000 rows
an evenly spaced sample is used, and of these 8,000 for the bound. Scoring is in `linear_scorer`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.learners.descent import descended
from tilth.adapters.learners.slopes import Sloped, held, turns_of
from tilth.adapters.learners.watching import Stages
from tilth.adapters.learners.wide import Wide
from tilth.adapters.scorers.linear_scorer import CLIP, LinearScorer, softmax
from tilth.core.engines import Engine, Form, Option, Span
from tilth.core.errors import TrainingError
from tilth.core.names import did_you_mean
from tilth.ports.learning import Budget, Fitted, Task, Weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

MOST_ROWS = 40_000
BOUND_ROWS = (
    8_000  # that say how steep the logistic loss is at most: it leads to the same place by a cheaper way
)
MOST_LEVELS = 60
VAST = 1e100  # numbers beyond it are scaled before they are squared
MOST_PARAMETERS = 1_500  # beyond it lines do not turn
MOST_BOUND = 600  # where some must rise or fall, which takes several times as long
LEAST_RIDGE = 1e-6  # levels of a category are one too many without any
HINGES = 7  # places where the line of a number may turn
ROW_US, COLUMN_US, CLASSES_US = 15.0, 1.0, 3.0  # what one row costs, and each column of it, in microseconds
KNOWN = ("ridge", "hinges")
RIDGES = (100.0, 10.0, 1.0, 0.1)  # the strongest first: each solution starts the next
DIGITS = (
    10  # coefficients are kept to so many significant digits: last-bit noise of BLAS does not reach the file
)


class LinearLearner:
    """Implements `ports.learning.Learner` and `Paths`."""

    engine = Engine(
        "linear", "numpy", learning=4, options=(Option("ridge", least=0), Option("hinges", Form.WHOLE, 0, 50, span=Span(0, 20))),
        rank=1, weighs=True, spread=True, monotone=True, pandas=False,
    )  # fmt: skip

    @staticmethod
    def spread_options(rows: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Lines alone: errors are few and wild."""
        del rows
        return {"hinges": 0}, {}

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
        row = ROW_US + row_us(task, x.shape[1])
        return Fitted("linear", "json", way.payloads[best], way.notes(best, row))

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
        """One stage a ridge, the strongest first; see `ports.learning.Paths`."""
        for name in options:
            if name not in KNOWN:
                raise TrainingError(
                    f"The linear engine has no option `{name}`.", hint=did_you_mean(name, KNOWN, "options")
                )
        step = -(-len(x) // MOST_ROWS)
        x, y = x[::step], y[::step]
        weight = None if budget.weights is None else budget.weights.every(step)
        hinges = int(str(options.get("hinges", HINGES)))
        layout = [column_of(task, x, index, hinges) for index in range(x.shape[1])]
        most = MOST_BOUND if any(task.monotone) else MOST_PARAMETERS
        if sum(width_of(column) for column in layout) > most:
            layout = [column | {"edges": []} for column in layout]
        design = design_of(layout, x)
        problem, means = _problem(task, layout, design, y, weight, budget.deadline), design.mean(axis=0)
        ridges = (max(LEAST_RIDGE, float(str(options["ridge"]))),) if "ridge" in options else RIDGES
        way = Ridges(task, stops, budget.weights)
        for number, ridge in enumerate(ridges):
            report(f"ridge {ridge:g}", number / len(ridges))
            bias, weights = problem.solve(ridge)
            way.add(ridge, payload_of(layout, bias, weights, means, ways=task.monotone))
            if time.monotonic() > budget.deadline and number + 1 < len(ridges):
                way.stopped = "time limit"
                break
        return way


def row_us(task: Task, columns: int) -> float:
    """What the columns of one row cost, in microseconds."""
    return (CLASSES_US if task.kind == "multiclass" else COLUMN_US) * columns


class Ridged(Stages):
    """The models of one fit, one a ridge."""

    def __init__(
        self, task: Task, stops: Sequence[tuple[Matrix, Matrix]], weights: Weights | None = None
    ) -> None:
        super().__init__(task, stops, weights)
        self.ridges: list[float] = []

    def options(self, stage: float) -> Mapping[str, object]:
        """The ridge of the nearest stage."""
        return {"ridge": self.ridges[min(round(stage), len(self.ridges) - 1)]}

    def notes(self, best: int, row: float) -> tuple[tuple[str, object], ...]:
        """What is said of the model of a stage, a row of which costs so many microseconds."""
        return (
            ("ridge", self.ridges[best]), ("refit", self.options(best)), ("stopped_by", self.stopped), ("row_us", row),
        )  # fmt: skip


class Ridges(Ridged):
    """Those of lines and levels."""

    def __init__(
        self, task: Task, stops: Sequence[tuple[Matrix, Matrix]], weights: Weights | None = None
    ) -> None:
        super().__init__(task, stops, weights)
        self.kinds = task.kind == "multiclass"  # each is dear then: two folds tell which is best
        self.payloads: list[bytes] = []

    def add(self, ridge: float, payload: bytes) -> None:
        self.ask(LinearScorer.load(payload, self._task))
        self.ridges.append(ridge)
        self.payloads.append(payload)

    def options(self, stage: float) -> Mapping[str, object]:
        """A stage between two ridges is a ridge between them, as their logarithms lie."""
        low = min(int(stage), len(self.ridges) - 1)
        high = min(low + 1, len(self.ridges) - 1)
        share = stage - low
        return {"ridge": float(f"{self.ridges[low] ** (1 - share) * self.ridges[high] ** share:.4g}")}


def column_of(task: Task, x: Matrix, index: int, hinges: int) -> dict[str, Any]:
    """How one column enters: its levels, or its center and scale, whether it has gaps, and where its line may turn."""
    import numpy as np

    values = x[:, index]
    if index in task.categorical:
        cardinality = task.cardinality[task.categorical.index(index)]
        return {"levels": min(cardinality, MOST_LEVELS) + 1}
    known = values[~np.isnan(values)]
    center, scale = moments(known) if len(known) else (0.0, 1.0)
    fill = float(np.median(known)) if len(known) else 0.0
    gaps = len(known) < len(values)
    scale = scale if scale > 1e-12 else 1.0
    return {
        "center": center, "scale": scale, "fill": fill, "gaps": gaps, "edges": _edges(known, center, scale, hinges),
    }  # fmt: skip


def _edges(known: Matrix, center: float, scale: float, hinges: int) -> list[float]:
    """Where the line of a number may turn: quantiles of its standardised values, none of them an end."""
    import numpy as np

    if not hinges or not len(known):
        return []
    with np.errstate(over="ignore"):
        standard = np.clip((known - center) / scale, -CLIP, CLIP)
    found = np.unique(np.quantile(standard, np.arange(1, hinges + 1) / (hinges + 1), method="lower"))
    inner = found[(found > standard.min()) & (found < standard.max())]
    return [float(f"{edge:.{DIGITS}g}") for edge in inner.tolist()]


def width_of(column: Mapping[str, Any]) -> int:
    """How many parameters a column takes."""
    return int(column["levels"] if "levels" in column else 1 + column["gaps"] + len(column["edges"]))


def moments(values: Matrix) -> tuple[float, float]:
    """Mean and standard deviation, also of numbers whose sum or squares are beyond what a float holds."""
    import numpy as np

    if (size := float(np.abs(values).max())) < VAST:
        return float(np.mean(values)), float(np.std(values))
    part = values / size
    return float(np.mean(part) * size), float(np.std(part) * size)


def design_of(layout: list[dict[str, Any]], x: Matrix) -> Matrix:
    """[rows, parameters]: a standardised value, a gap indicator and the turns, or one column a level; float64."""
    import numpy as np

    out = np.zeros((len(x), sum(map(width_of, layout))))
    at = 0
    for index, column in enumerate(layout):
        values = x[:, index]
        gaps = np.isnan(values)
        if "levels" in column:
            count = column["levels"]
            code = np.where(gaps | (values >= count - 1), count - 1, values).astype(np.int64)
            out[np.arange(len(x)), at + code] = 1.0
        else:
            with np.errstate(over="ignore"):
                filled = np.where(gaps, column["fill"], values)
                out[:, at] = standard = np.clip((filled - column["center"]) / column["scale"], -CLIP, CLIP)
            first = at + 1 + column["gaps"]
            if column["gaps"]:
                out[:, at + 1] = gaps
            for place, edge in enumerate(column["edges"]):
                out[:, first + place] = np.maximum(standard - edge, 0.0)
        at += width_of(column)
    return out


def _problem(
    task: Task,
    layout: list[dict[str, Any]],
    design: Matrix,
    y: Matrix,
    weight: Matrix | None,
    deadline: float,
) -> _Problem | Sloped:
    """What is solved for each ridge; where lines must rise or fall, in terms of their slopes."""
    if not any(task.monotone):
        return _Problem(task, design, y, weight, deadline)
    turns = turns_of(layout, [width_of(column) for column in layout], task.monotone)
    return Sloped(task.kind, design, y, weight, turns, deadline, BOUND_ROWS)


class _Problem:
    """The rows as a design with a column of ones, solved for one ridge after the other."""

    def __init__(self, task: Task, design: Matrix, y: Matrix, weight: Matrix | None, deadline: float) -> None:
        import numpy as np

        self._kind = task.kind
        self._deadline = deadline
        self._full = np.concatenate([design, np.ones((len(design), 1))], axis=1)
        self._counts = None if weight is None else weight[:, None]
        every = 1 if task.kind == "regression" else -(-len(design) // BOUND_ROWS)
        some = self._full[::every]
        own = np.ones(len(some)) if weight is None else weight[::every]
        self._y = y
        self._wide: Wide | None = None
        self._gram: Matrix | None = None
        if some.shape[1] > len(some):
            self._wide = Wide(some, own * every)
        else:
            self._gram = every * ((some if weight is None else some * own[:, None]).T @ some)
        if task.kind != "regression":
            self._onehot = np.zeros((len(y), 2 if task.kind == "binary" else task.classes))
            self._onehot[np.arange(len(y)), y.astype(np.int64)] = 1.0
            self._weights = np.zeros((self._full.shape[1], self._onehot.shape[1]))

    def _weighed(self, rows: Matrix) -> Matrix:
        """Each row times what it counts."""
        return rows if self._counts is None else rows * self._counts

    def solve(self, ridge: float) -> tuple[Matrix, Matrix]:
        """Bias [outputs] and weights [parameters, outputs]; one output unless multiclass."""
        import numpy as np

        penalty = np.full(self._full.shape[1], ridge)
        penalty[-1] = 1e-6
        if self._kind == "regression" and self._wide is not None:
            return self._wide.solve(self._y, ridge)
        if self._kind == "regression" and self._gram is not None:
            found: Any = np.linalg.solve(
                self._gram + np.diag(penalty), self._full.T @ self._weighed(self._y[:, None])
            )
            return found[-1], found[:-1]
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
        each = self._weighed((total - (z * self._onehot).sum(axis=1))[:, None])
        loss = float(each.sum() + 0.5 * (penalty[:, None] * w * w).sum())
        return loss, self._full.T @ self._weighed(softmax(z) - self._onehot) + penalty[:, None] * w

    def _lbfgs(self, w: Matrix, penalty: Matrix) -> Matrix:
        """The weights of least value, [parameters, classes], from a start; what is reached at the deadline."""
        import numpy as np

        classes = w.shape[1]
        bound = 0.25 if classes == 2 else 0.5 * (1 - 1 / classes)
        if self._gram is None:
            assert self._wide is not None
            inverse: Any = self._wide.inverse(bound, penalty)
        else:
            inverse = np.linalg.inv(self._gram * bound + np.diag(penalty))
        return descended(lambda at: self._value(at, penalty), w, inverse, self._deadline)


def payload_of(
    layout: list[dict[str, Any]],
    bias: Matrix,
    weights: Matrix,
    means: Matrix,
    scores: Matrix | None = None,
    ways: Sequence[int] = (),
) -> bytes:
    """The model as canonical JSON, as `linear_scorer` reads it; on average each column adds nothing, and the bias all.

    `scores` are the means [texts, outputs] of what texts add, where there are any; `ways` are the signs of slopes.
    """
    import numpy as np

    columns: list[dict[str, object]] = []
    at = 0
    for column in layout:
        own = slice(at, at + width_of(column))
        mine, mean = weights[own], means[own] @ weights[own]
        bias = bias + mean
        at += width_of(column)
        if "levels" in column:
            columns.append({"levels": rounded(mine - mean)})
            continue
        edges, first = column["edges"], 1 + column["gaps"]
        filled = np.clip((column["fill"] - column["center"]) / column["scale"], -CLIP, CLIP)
        missing = mine[0] * filled - mean + (mine[1] if column["gaps"] else 0.0)
        missing = missing + np.maximum(filled - np.array(edges), 0.0) @ mine[first:]
        line = {
            "center": column["center"], "scale": column["scale"], "weight": rounded(mine[0]),
            "missing": rounded(missing), "start": rounded(-mean), "edges": edges, "slopes": rounded(mine[first:]),
        }  # fmt: skip
        way = ways[len(columns)] if ways else 0
        columns.append(held(line, way) if way else line)
    model: dict[str, object] = {"format": "tilth-linear-2", "columns": columns}
    if scores is not None:
        bias = bias + scores.sum(axis=0)
        model |= {"format": "tilth-linear-3", "scores": rounded(scores)}
    model["bias"] = rounded(bias)
    return json.dumps(model, sort_keys=True, separators=(",", ":")).encode()


def rounded(values: Matrix) -> object:
    def short(value: object) -> object:
        return [short(v) for v in value] if isinstance(value, list) else float(f"{value:.{DIGITS}g}")

    return short(values.tolist())
