"""Trees that learn what another model says of many rows: of a value the value, of classes the log odds, by squares.

What is learned is a function, and more rows of it can be had for the asking; so trees are many, their leaves small, and nothing
of a row is left to chance. Neighbours: `lightgbm_learner`, whose trees they are; `autogluon_learner`, whose models cannot serve.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING

from tilth.adapters.learners import lightgbm_growing as growing
from tilth.adapters.scorers.lightgbm_read import read
from tilth.adapters.scorers.lightgbm_trees import written
from tilth.ports.learning import Budget, Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.portable import Tree

    Matrix = npt.NDArray[np.float64]
    Report = Callable[[str, float | None], None]

LATE = "time limit"
SURE = 1e-6  # no probability is nearer to 0 or 1
HELD = 20  # one of so many rows says when the trees have learned enough
ROUNDS, MOST_TREES = 2_000, 4_000  # of all classes together
TREES: Mapping[str, object] = {
    "num_leaves": 31, "learning_rate": 0.1, "min_data_in_leaf": 5, "patience": 30, "bagging_fraction": 1.0,
    "feature_fraction": 1.0, "cat_smooth": 1, "cat_l2": 1, "max_bin": 1023,
}  # fmt: skip


def goals(task: Task, said: Matrix) -> Matrix:
    """What trees learn of answers, [rows, width]: values, the log odds of the positive class, or logs of the shares about 0."""
    import numpy as np

    if task.kind == "regression":
        return said.reshape(len(said), 1)
    shares = np.clip(said if said.ndim > 1 else np.column_stack((1.0 - said, said)), SURE, 1.0 - SURE)
    logs = np.log(shares)
    if task.kind == "binary":
        odds: Matrix = logs[:, 1:] - logs[:, :1]
        return odds
    centred: Matrix = logs - logs.mean(axis=1, keepdims=True)
    return centred


def student(
    task: Task, x: Matrix, said: Matrix, budget: Budget, options: Mapping[str, object], report: Report
) -> Fitted:
    """See `ports.learning.Students`."""
    wanted = goals(task, said)
    width, kept = wanted.shape[1], max(1, len(x) // HELD)
    rounds = min(ROUNDS, growing.whole(options, "trees", MOST_TREES) // width)
    own = {**TREES, "rounds": max(1, rounds)}
    report("trees learn what it says", None)
    found, stopped = trees(task, x[kept:], wanted[kept:], x[:kept], wanted[:kept], budget, own)
    return Fitted(
        "lightgbm", "txt", written(task, found, x), growing.notes(task, len(found) // width, stopped)
    )


def trees(
    task: Task,
    x: Matrix,
    wanted: Matrix,
    x_stop: Matrix,
    y_stop: Matrix,
    budget: Budget,
    options: Mapping[str, object],
) -> tuple[list[Tree], str]:
    """Trees for each column of the goals, side by side, and what ended them; the deadline is shared among those that are left."""
    values = Task(
        "regression",
        0,
        task.columns,
        task.categorical,
        task.cardinality,
        monotone=task.monotone,
        metric="rmse",
    )
    found: list[tuple[Tree, ...]] = []
    stopped = "rounds"
    for n in range(wanted.shape[1]):
        left = budget.deadline - time.monotonic()
        until = time.monotonic() + max(0.0, left) / (wanted.shape[1] - n)
        share = Budget(until, budget.threads, budget.seed)
        grove = growing.grown(values, x, wanted[:, n], [(x_stop, y_stop[:, n])], share, options)
        stopped = grove.stopped if grove.stopped == LATE else stopped
        found.append(read(grove.text(int(grove.losses[:, 0].argmin())), values).trees)
    return [tree for round_ in zip_longest(*found, fillvalue=0.0) for tree in round_], stopped
