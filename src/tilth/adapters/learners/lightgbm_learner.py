"""Grows gradient-boosted trees with LightGBM, through its shared library and inside a training worker.

Anytime: the best rounds so far are what a deadline leaves. Deterministic: fixed histogram layout, fixed seeds, and
a model text without thread counts, so that the same rows give the same bytes. Scoring is in `lightgbm_scorer`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tilth.adapters.scorers import lightgbm_c as c
from tilth.core.engines import Engine, Form, Option
from tilth.core.errors import TrainingError
from tilth.core.names import did_you_mean
from tilth.ports.learning import Budget, Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

OBJECTIVES = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
METRICS = {
    "mae": "l1",
    "mape": "mape",
}  # of ranks and decisions the loss is watched: they peak by luck after few rounds
MOST_BINS = 4095
RARE = 0.02  # the share of rows below which a class is rare
PATIENCE, LONG_PATIENCE, FEW_ROWS = (
    25,
    60,
    5_000,
)  # on few rows the loss of the stop slice wavers, and its first dip is luck
DEFAULT_METRIC = {"regression": "l2", "binary": "binary_logloss", "multiclass": "multi_logloss"}
OPTIONS = (
    Option("rounds", Form.WHOLE, 1, stops=True),
    Option("patience", Form.WHOLE, 1, stops=True),
    Option("learning_rate", least=0),
    Option("num_leaves", Form.WHOLE, 2),
    Option("max_depth", Form.WHOLE),
    Option("min_data_in_leaf", Form.WHOLE, 0),
    Option("lambda_l1", least=0),
    Option("lambda_l2", least=0),
    Option("bagging_fraction", least=0, most=1),
    Option("feature_fraction", least=0, most=1),
    Option("max_bin", Form.WHOLE, 2),
    Option("min_gain_to_split", least=0),
    Option("cat_smooth", least=0),
    Option("cat_l2", least=0),
    Option("max_cat_to_onehot", Form.WHOLE, 1),
    Option("min_sum_hessian_in_leaf", least=0),
    Option("extra_trees", Form.SWITCH),
    Option("scale_pos_weight", least=0),
)


class LightGBMLearner:
    """Implements `ports.learning.Learner`."""

    engine = Engine("lightgbm", "lightgbm", learning=3, options=OPTIONS, rank=2, spread=True, pandas=False)

    @staticmethod
    def warm() -> None:
        """Load the library."""
        c.library()

    @staticmethod
    def spread_options(rows: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Small trees, with leaves that hold enough errors to say how large they are."""
        leaf = max(20, min(200, rows // 25))
        trees = {"num_leaves": 8, "learning_rate": 0.05, "feature_fraction": 1.0, "min_data_in_leaf": leaf}
        return trees, {"rounds": 300, "patience": 20}

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
        _known(options)
        fixed = options.get("refit_rounds")
        given = {k: v for k, v in options.items() if k not in {"rounds", "patience", "refit_rounds"}}
        rounds = _whole(options, "rounds", 400)
        rounds = int(str(fixed)) if fixed is not None else rounds
        params = c.parameters(_defaults(task, len(x), _rarest(task, y), budget) | given)
        report("binning", None)
        data = c.Data(x, y, params)
        booster = c.Booster(data, params)
        if fixed is None:
            booster.watch(c.Data(x_stop, y_stop, params, data))
        grown = _grow(
            booster,
            rounds,
            _whole(options, "patience", PATIENCE if len(x) > FEW_ROWS else LONG_PATIENCE),
            budget.deadline,
            fixed is None,
            report,
        )
        return Fitted("lightgbm", "txt", _neutral(booster.text(grown.best)), grown.notes())


def _known(options: Mapping[str, object]) -> None:
    known = [option.name for option in OPTIONS]
    for name in options:
        if name not in known and name != "refit_rounds":
            raise TrainingError(
                f"LightGBM has no option `{name}` here.", hint=did_you_mean(name, known, "options")
            )


def _whole(options: Mapping[str, object], name: str, default: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TrainingError(f"The option `{name}` must be a whole number above 0, not {value!r}.")
    return value


def _rarest(task: Task, y: Matrix) -> int:
    """Rows of the rarest class that has some; all rows of a regression."""
    import numpy as np

    if task.kind == "regression":
        return len(y)
    counts = np.bincount(y.astype(np.int64))
    return int(counts[counts > 0].min())


def _defaults(task: Task, rows: int, rarest: int, budget: Budget) -> dict[str, object]:
    """Tuned defaults: leaves of at least a hundredth of the rows, up to 200; categories held back on large data.

    A rare class must fit into leaves, bins and groups of categories of its own: leaves and groups of at most half of its
    rows, bins of a quarter. Where all is one class but a few rows, a step of Newton's is too far, and the next one too far
    back, until probabilities are 0 and 1 side by side: a ridge on leaves holds the steps.
    """
    values: dict[str, object] = {
        "objective": OBJECTIVES[task.kind],
        "metric": METRICS.get(task.metric, DEFAULT_METRIC[task.kind])
        if task.kind != "multiclass"
        else DEFAULT_METRIC["multiclass"],
        "learning_rate": 0.08 if rows > 20_000 else 0.05,
        "num_leaves": 31,
        "min_data_in_leaf": max(5, min(200, rows // 100, rarest // 2)),
        "bagging_fraction": 0.75,
        "bagging_freq": 1,
        "feature_fraction": 0.8 if len(task.columns) < 10 else 0.7 if rows > 5_000 else 0.5,
        "cat_smooth": 100 if rows > 20_000 else 10,  # many-levelled categories overfit first
        "cat_l2": 50 if rows > 20_000 else 10,
        "max_cat_threshold": 8,
        "min_sum_hessian_in_leaf": 1e-3,
        "max_bin": max(255, min(MOST_BINS, 4 * rows // max(rarest, 10))),
        "seed": budget.seed,
        "num_threads": budget.threads,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    if task.kind == "multiclass":
        values["num_class"] = task.classes
    if task.categorical:
        values["categorical_feature"] = list(task.categorical)
    if rarest < RARE * rows:
        values |= {"lambda_l2": 1.0, "min_data_per_group": max(5, min(100, rarest // 2))}
    return values


class _Grown:
    """How the rounds went; `best` is the number of rounds to keep."""

    def __init__(self) -> None:
        self.best = 0
        self.value: float | None = None
        self.rounds = 0
        self.stopped = "rounds"

    def notes(self) -> tuple[tuple[str, object], ...]:
        return (
            ("rounds", self.best),
            ("stopped_by", self.stopped),
            ("refit", {"refit_rounds": self.best}),
        )


def _grow(
    booster: c.Booster,
    rounds: int,
    patience: int,
    deadline: float,
    watched: bool,
    report: Callable[[str, float | None], None],
) -> _Grown:
    """Add rounds until they are used up, the loss has not fallen for `patience` rounds, or the deadline."""
    grown = _Grown()
    for number in range(1, rounds + 1):
        finished = booster.grow()
        grown.rounds = number
        if watched:
            value = booster.metric()
            if grown.value is None or value < grown.value - 1e-9:
                grown.value, grown.best = value, number
        else:
            grown.best = number
        if finished:
            grown.stopped = "nothing to split"
        elif number - grown.best >= patience:
            grown.stopped = "early stopping"
        elif time.monotonic() > deadline:
            grown.stopped = "time limit"
        else:
            if number % 20 == 0:
                report(f"round {number}", number / rounds)
            continue
        break
    return grown


def _neutral(text: bytes) -> bytes:
    """The model text without what does not change predictions: thread count and verbosity."""
    return re.sub(rb"\[(num_threads|verbosity): [^\]]*\]\n", b"", text)
