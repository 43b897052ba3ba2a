"""Grows extremely randomised trees (Geurts, Ernst and Wehenkel 2006) with scikit-learn, inside a training worker.

What comes out are arrays: splits and leaf values, no estimator. Codes of categories are split as the ordered numbers that
they are, the most frequent first; gaps go to the side that fits them better. Of two classes the share of the positive one
is learned, of several the share of each. Scoring is in `extra_trees_scorer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tilth.adapters.learners import growing
from tilth.adapters.learners.growing import Grown, Way
from tilth.adapters.learners.watching import Stages
from tilth.adapters.scorers.extra_trees_scorer import ExtraTreesScorer, drawn, packed
from tilth.core.engines import Engine, Form, Option, Span
from tilth.core.errors import ResourceLimitError, TrainingError
from tilth.core.names import did_you_mean
from tilth.ports.learning import Budget, Fitted, Task, Weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

TREES, WATCHED = 100, 30  # of a model that serves, and of one that only tells which kind is best
MOST_VALUES = 150_000  # in all leaves: what keeps a bundle small and a row quick
MOST_ROWS = 20_000
ROW_US, TREE_US = 12.0, 0.3  # what one row costs, and each tree of it, in microseconds
STEP, AT_ONCE = 10, 300_000  # trees between two looks at the clock: so many, or of so many rows in all
WIDEST = 3.0e38  # scikit-learn's trees keep numbers in 32 bits
KINDS: tuple[dict[str, object], ...] = (
    {"min_data_in_leaf": 5, "feature_fraction": 0.0},
    {"min_data_in_leaf": 3, "feature_fraction": 0.6},
    {"min_data_in_leaf": 2, "feature_fraction": 1.0},
)  # the smoothest first; a fraction of 0 is the square root of the number of columns
OPTIONS = (
    Option("trees", Form.WHOLE, 1, 1_000),
    Option("min_data_in_leaf", Form.WHOLE, 1, span=Span(1, 20, log=True)),
    Option("feature_fraction", least=0, most=1, span=Span(0.1, 1)),
    Option("max_leaves", Form.WHOLE, 2),
)


class ExtraTreesLearner:
    """Implements `ports.learning.Learner` and `Paths`."""

    engine = Engine(
        "extra_trees", "scikit-learn", options=OPTIONS, rank=3, explains=True, monotone=True, weighs=True, pandas=False,
    )  # fmt: skip

    forks = True  # loading it starts no thread: a process may divide afterwards

    @staticmethod
    def warm() -> None:
        """Load the libraries."""
        growing.load()
        ExtraTreesScorer.warm()

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
        known = {"min_data_in_leaf", "feature_fraction"} & set(options)
        if not known:
            kinds = self.path(task, x, y, [(x_stop, y_stop)], budget, options, report)
            options = {**options, **kinds.options(int(kinds.losses[:, 0].argmin()))}
        count = int(str(options.get("trees", TREES)))
        forest, cut = _grown(task, x, y, budget, options, count, report)
        held = {k: options[k] for k in ("min_data_in_leaf", "feature_fraction") if k in options}
        stopped, trees = "time limit" if cut else "rounds", len(forest.trees)
        return Fitted(
            "extra_trees", "trees", packed([(tree, forest.classes) for tree in forest.trees], task),
            (
                ("trees", trees), ("stopped_by", stopped), ("refit", held),
                ("row_us", ROW_US + TREE_US * trees * (task.classes if task.kind == "multiclass" else 1)),
            ),
        )  # fmt: skip

    def path(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        stops: Sequence[tuple[Matrix, Matrix]],
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Forests:
        """One stage a kind of forest; see `ports.learning.Paths`."""
        for name in options:
            if all(name != option.name for option in OPTIONS):
                known = [option.name for option in OPTIONS]
                raise TrainingError(
                    f"Extra trees have no option `{name}`.", hint=did_you_mean(name, known, "options")
                )
        kinds = KINDS
        if {"min_data_in_leaf", "feature_fraction"} & set(options):
            kinds = ({},)
        found = Forests(task, stops, budget.weights)
        for number, kind in enumerate(kinds):
            report(f"forest {number + 1} of {len(kinds)}", number / len(kinds))
            forest, cut = _grown(task, x, y, budget, {**kind, **options}, WATCHED, lambda _w, _d: None)
            found.add(kind, _Asked(forest, task))
            if cut or (time.monotonic() > budget.deadline and number + 1 < len(kinds)):
                found.stopped = "time limit"
                break
        return found


class _Asked:
    """A forest that only tells how good its kind is: asked as it was grown, and never kept."""

    def __init__(self, forest: Grown, task: Task) -> None:
        self._forest, self._task = forest, task

    def score(self, x: Matrix) -> Matrix:
        import numpy as np

        narrow = np.clip(x, -WIDEST, WIDEST).astype(np.float32)
        found = self._forest.predict(narrow)
        if self._forest.classes is None:
            return drawn(found, 2) if self._task.kind == "binary" else found
        out = np.zeros((len(x), self._task.classes))
        out[:, self._forest.classes] = found
        return drawn(out, self._task.classes)


class Forests(Stages):
    """The kinds of forest that one fit has tried; a stage is the number of a kind."""

    kinds = True

    def __init__(
        self, task: Task, stops: Sequence[tuple[Matrix, Matrix]], weights: Weights | None = None
    ) -> None:
        super().__init__(task, stops, weights)
        self._kinds: list[dict[str, object]] = []

    def add(self, kind: dict[str, object], forest: _Asked) -> None:
        self.ask(forest)
        self._kinds.append(kind)

    def options(self, stage: float) -> Mapping[str, object]:
        return self._kinds[min(round(stage), len(self._kinds) - 1)]


def _grown(
    task: Task,
    x: Matrix,
    y: Matrix,
    budget: Budget,
    options: Mapping[str, object],
    count: int,
    report: Callable[[str, float | None], None],
) -> tuple[Grown, bool]:
    """The forest, and whether the time cut it short."""
    import numpy as np

    every = -(-len(x) // MOST_ROWS)
    x, y = x[::every], y[::every]
    weight = None if budget.weights is None else budget.weights.every(every)
    narrow = np.clip(x, -WIDEST, WIDEST).astype(np.float32)
    forest = Grown.of(
        narrow, y, weight, _way(task, len(x), x.shape[1], budget, options), task.kind == "multiclass"
    )
    try:
        step = max(STEP, AT_ONCE // len(x))
        for trees in range(step, count + step, step):
            forest.grow(min(trees, count))
            report(f"{min(trees, count)} trees", min(trees, count) / count)
            if time.monotonic() > budget.deadline and trees < count:
                return forest, True
    except MemoryError as error:
        raise ResourceLimitError(
            "The forest does not fit into memory.", hint="Give the model more: USING (memory = '8 GB')."
        ) from error
    return forest, False


def _way(task: Task, rows: int, columns: int, budget: Budget, options: Mapping[str, object]) -> Way:
    """How a tree is grown: none has more leaves than the whole may have."""
    share = float(str(options.get("feature_fraction", 0.0)))
    width = max(1, round(columns * share)) if share else max(1, round(columns**0.5))
    if task.kind == "regression":
        width = max(width, -(-columns * 6 // 10))
    values = task.classes if task.kind == "multiclass" else 1
    most = max(8, MOST_VALUES // (TREES * values))
    leaf = int(str(options.get("min_data_in_leaf", 3)))
    asked = int(str(options.get("max_leaves", most)))
    if rows // leaf > asked:  # leaves of the best first: slower, and not always needed
        leaf = max(leaf, -(-rows // (2 * asked)))
    return Way(leaf, width, budget.seed, tuple(task.monotone))
