"""How LightGBM's trees are grown: its options and tuned defaults, a booster that is planted, and the rounds of one fit.

Neighbours: `lightgbm_learner`, the engine; `lightgbm_resumed`, which goes on from trees that were grown before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tilth.adapters.scorers import lightgbm_c as c
from tilth.core.engines import Form, Option, Span
from tilth.core.errors import TrainingError
from tilth.core.metrics import quantile_of
from tilth.core.names import did_you_mean
from tilth.ports.learning import Budget, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

OBJECTIVES = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
METRICS = {
    "mae": "l1",
    "mape": "mape",
}  # losses too; of ranks and decisions the log loss is watched: they peak by luck
MOST_BINS = 4095
RARE = 0.02  # the share of rows below which a class is rare
ROUNDS, PATIENCE = 1_000, 20
MANY_ROWS = 20_000  # from which on threads pay, and trees may be coarser
ROW_US, TREE_US = 8.0, 0.06  # what one row costs, and each tree of it, in microseconds
DEFAULT_METRIC = {"regression": "l2", "binary": "binary_logloss", "multiclass": "multi_logloss"}
OPTIONS = (
    Option("rounds", Form.WHOLE, 1, stops=True),
    Option("patience", Form.WHOLE, 1, stops=True),
    Option("learning_rate", least=0, span=Span(0.02, 0.2, log=True)),
    Option("num_leaves", Form.WHOLE, 2, span=Span(4, 128, log=True)),
    Option("max_depth", Form.WHOLE),
    Option("min_data_in_leaf", Form.WHOLE, 0, span=Span(2, 100, log=True)),
    Option("lambda_l1", least=0, span=Span(1e-3, 10, log=True)),
    Option("lambda_l2", least=0, span=Span(1e-3, 100, log=True)),
    Option("bagging_fraction", least=0, most=1, span=Span(0.5, 1)),
    Option("feature_fraction", least=0, most=1, span=Span(0.3, 1)),
    Option("max_bin", Form.WHOLE, 2),
    Option("min_gain_to_split", least=0, span=Span(1e-3, 1, log=True)),
    Option("cat_smooth", least=0),
    Option("cat_l2", least=0),
    Option("max_cat_to_onehot", Form.WHOLE, 1),
    Option("min_sum_hessian_in_leaf", least=0),
    Option("extra_trees", Form.SWITCH),
    Option("scale_pos_weight", least=0),
)


def notes(task: Task, rounds: int, stopped: str) -> tuple[tuple[str, object], ...]:
    trees = rounds * (task.classes if task.kind == "multiclass" else 1)
    return (
        ("rounds", rounds), ("stopped_by", stopped), ("refit", {"refit_rounds": rounds}),
        ("row_us", ROW_US + TREE_US * trees),
    )  # fmt: skip


def parameters(
    task: Task, y: Matrix | npt.NDArray[np.float32], budget: Budget, options: Mapping[str, object]
) -> bytes:
    """What LightGBM is told for rows with these targets."""
    _known(options)
    given = {k: v for k, v in options.items() if k not in {"rounds", "patience", "refit_rounds"}}
    return c.parameters(_defaults(task, len(y), _rarest(task, y), budget) | given)


def planted(
    task: Task,
    x: Matrix,
    y: Matrix,
    stops: Sequence[tuple[Matrix, Matrix]],
    budget: Budget,
    options: Mapping[str, object],
    raw: Callable[[Matrix], Matrix] | None = None,
) -> c.Booster:
    """A booster without a round yet, that watches the stop rows; `raw` says where the sum of each row begins."""
    params = parameters(task, y, budget, options)
    own = budget.weights
    data = c.Data(x, y, params, None, None if own is None else own.teach, raw and raw(x))
    booster = c.Booster(data, params)
    for part, (x_stop, y_stop) in enumerate(stops):
        weight = None if own is None else own.stops[part]
        booster.watch(c.Data(x_stop, y_stop, params, data, weight, raw and raw(x_stop)))
    return booster


def grown(
    task: Task,
    x: Matrix,
    y: Matrix,
    stops: Sequence[tuple[Matrix, Matrix]],
    budget: Budget,
    options: Mapping[str, object],
    report: Callable[[str, float | None], None] = lambda _what, _done: None,
) -> Grove:
    """Rounds until the mean loss of the stop rows has not fallen for some."""
    booster = planted(task, x, y, stops, budget, options)
    most, patience = whole(options, "rounds", ROUNDS), whole(options, "patience", PATIENCE)
    return Grove.grown(booster, task, stops, (most, patience), budget, report)


class Grove:
    """The rounds of one fit; a stage is their number less one."""

    def __init__(
        self,
        booster: c.Booster,
        task: Task,
        stops: Sequence[tuple[Matrix, Matrix]],
        losses: Matrix,
        stopped: str,
    ) -> None:
        self._booster, self._stops = booster, stops
        self._width = task.classes if task.kind == "multiclass" else 1
        self.losses, self.stopped = losses, stopped

    @classmethod
    def grown(
        cls,
        booster: c.Booster,
        task: Task,
        stops: Sequence[tuple[Matrix, Matrix]],
        ends: tuple[int, int],
        budget: Budget,
        report: Callable[[str, float | None], None],
    ) -> Grove:
        """Rounds until there are `ends[0]`, the loss has not fallen for `ends[1]`, or the deadline."""
        import numpy as np

        most, patience = ends
        own = budget.weights
        weights = np.array([len(y) for _, y in stops] if own is None else [w.sum() for w in own.stops], float)
        losses: list[list[float]] = []
        best, least = 0, float("inf")
        stopped = "rounds"
        for number in range(most):
            finished = booster.grow()
            losses.append([booster.metric(part) for part in range(len(stops))])
            mean = float(np.average(losses[-1], weights=weights))
            if mean < least - 1e-9:
                best, least = number, mean
            if finished:
                stopped = "nothing to split"
            elif number - best >= patience:
                stopped = "early stopping"
            elif time.monotonic() > budget.deadline:
                stopped = "time limit"
            else:
                if number % 20 == 19:
                    report(f"round {number + 1}", number / most)
                continue
            break
        return cls(booster, task, stops, np.array(losses), stopped)

    def scores(self, stage: int, part: int) -> Matrix:
        """What the first rounds, up to the stage, answer to a part of the stop rows."""
        return self.answer(stage, self._stops[part][0])

    def answer(self, stage: int, x: Matrix) -> Matrix:
        """What they answer to other rows."""
        out = self._booster.predict(x, c.NORMAL, self._width, b"num_threads=1", stage + 1)
        return out[:, 0] if self._width == 1 else out

    def options(self, stage: float) -> Mapping[str, object]:
        return {"refit_rounds": max(1, round(stage) + 1)}

    def text(self, stage: int) -> bytes:
        """The model file of the first rounds."""
        return neutral(self._booster.text(stage + 1))


def grow(
    booster: c.Booster, rounds: int, deadline: float, report: Callable[[str, float | None], None]
) -> tuple[int, str]:
    """Add so many rounds, or as many as the time allows; how many, and what ended them."""
    for number in range(1, rounds + 1):
        if booster.grow():
            return number, "nothing to split"
        if time.monotonic() > deadline:
            return number, "time limit" if number < rounds else "rounds"
        if number % 20 == 0:
            report(f"round {number}", number / rounds)
    return rounds, "rounds"


def _known(options: Mapping[str, object]) -> None:
    known = [option.name for option in OPTIONS]
    for name in options:
        if name not in known and name != "refit_rounds":
            raise TrainingError(
                f"LightGBM has no option `{name}` here.", hint=did_you_mean(name, known, "options")
            )


def whole(options: Mapping[str, object], name: str, default: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TrainingError(f"The option `{name}` must be a whole number above 0, not {value!r}.")
    return value


def _rarest(task: Task, y: Matrix | npt.NDArray[np.float32]) -> int:
    """Rows of the rarest class that has some; all rows of a regression."""
    import numpy as np

    if task.kind == "regression":
        return len(y)
    counts = np.bincount(y.astype(np.int64))
    return int(counts[counts > 0].min())


def _defaults(task: Task, rows: int, rarest: int, budget: Budget) -> dict[str, object]:
    """Tuned defaults: leaves of at least a two-hundredth of the rows, 5 to 40; categories held back on large data.

    A rare class must fit into leaves, bins and groups of categories of its own: leaves and groups of at most half of its
    rows, bins of a quarter. Where all is one class but a few rows, a step of Newton's is too far, and the next one too far
    back, until probabilities are 0 and 1 side by side: a ridge on leaves holds the steps.
    """
    values: dict[str, object] = {
        "objective": OBJECTIVES[task.kind],
        "metric": METRICS.get(task.metric, DEFAULT_METRIC[task.kind])
        if task.kind != "multiclass"
        else DEFAULT_METRIC["multiclass"],
        "learning_rate": 0.1,
        "num_leaves": 31,
        "min_data_in_leaf": max(5, min(40, rows // 200, rarest // 2)),
        "bagging_fraction": 0.75,
        "bagging_freq": 1,
        "feature_fraction": 0.8 if len(task.columns) < 10 else 0.7 if rows > 5_000 else 0.5,
        "cat_smooth": 100 if rows > MANY_ROWS else 10,  # many-levelled categories overfit first
        "cat_l2": 50 if rows > MANY_ROWS else 10,
        "max_cat_threshold": 8,
        "min_sum_hessian_in_leaf": 1e-3,
        "max_bin": max(255, min(MOST_BINS, 4 * rows // max(rarest, 10))),
        "seed": budget.seed,
        "num_threads": budget.threads if rows > MANY_ROWS else 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    if (share := quantile_of(task.metric)) is not None:
        values |= {"objective": "quantile", "metric": "quantile", "alpha": share}
    if task.kind == "multiclass":
        values["num_class"] = task.classes
    if task.categorical:
        values["categorical_feature"] = list(task.categorical)
    if task.monotone:
        values["monotone_constraints"] = list(task.monotone)
    if rarest < RARE * rows:
        values |= {"lambda_l2": 1.0, "min_data_per_group": max(5, min(100, rarest // 2))}
    return values


def neutral(text: bytes) -> bytes:
    """The model text without what does not change predictions: thread count, verbosity, and what held the trees."""
    text = re.sub(rb"^monotone_constraints=[^\n]*\n", b"", text, count=1, flags=re.MULTILINE)
    return re.sub(rb"\[(num_threads|verbosity): [^\]]*\]\n", b"", text)
