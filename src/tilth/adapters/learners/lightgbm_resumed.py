"""Goes on from the trees of a LightGBM text: leaves learned anew on other rows, or more rounds after the last one.

Leaves are refitted in the order of the trees, each by its own Newton step: what the leaf knows (its value, by the sum of
hessians that the text keeps) counts `OLD` times as much as what it is told now, so a leaf that few rows meet stays as it was.
Unlike LightGBM's own refit, whose one rate of decay is for all leaves, and which forgets where a sum began. More rounds are
LightGBM's own, from the raw scores of the text. Neighbours: `lightgbm_growing`, where trees are grown from nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.adapters.learners import lightgbm_growing as own
from tilth.adapters.learners.scales import answers, loss, slopes
from tilth.adapters.scorers import lightgbm_c as c
from tilth.core.errors import TrainingError
from tilth.core.metrics import quantile_of
from tilth.ports.learning import REFIT, Budget, Fitted, Path, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Leaves = npt.NDArray[np.int32]
    Report = Callable[[str, float | None], None]

OLD = (float("inf"), 8.0, 2.0, 0.5, 0.125)  # how much what leaves know counts; without end they stay
MOST_ROWS = 50_000  # that leaves are refitted on; of more, evenly spaced ones
ROUNDS = 200  # that a text grows by at most
TREE = re.compile(rb"(?=^Tree=\d+$)", re.MULTILINE)


def path(
    way: str,
    start: bytes,
    task: Task,
    x: Matrix,
    y: Matrix,
    stops: Sequence[tuple[Matrix, Matrix]],
    budget: Budget,
    options: Mapping[str, object],
    report: Report,
) -> Path:
    """See `ports.learning.Resumes`."""
    if quantile_of(task.metric) is not None and way == REFIT:
        raise TrainingError(
            "Leaves of a quantile are not refitted.", hint="Write retrain = 'warm' or 'full'."
        )
    if way == REFIT:
        return Leafed(_Forest.read(start, task), task, x, y, stops, budget)
    report("binning", None)
    planted = _planted(start, task, x, y, stops, budget, options)
    grown = own.Grove.grown(planted.booster, task, stops, (ROUNDS, own.PATIENCE), budget, report)
    return More(grown, planted.rounds)


def fit(
    way: str,
    start: bytes,
    task: Task,
    x: Matrix,
    y: Matrix,
    budget: Budget,
    options: Mapping[str, object],
    report: Report,
) -> Fitted:
    """See `ports.learning.Resumes`; `options` hold a stage, as its path said."""
    if way == REFIT:
        forest = _Forest.read(start, task)
        values, weights = forest.taught(task, x, y, float(str(options["refit_old"])), budget)
        text, rounds = forest.written(values, weights), len(values) // forest.width
        return Fitted("lightgbm", "txt", text, own.notes(task, rounds, "leaves refitted"))
    given = {k: v for k, v in options.items() if k != "refit_rounds"}
    planted = _planted(start, task, x, y, (), budget, given)
    grown, stopped = own.grow(planted.booster, int(str(options["refit_rounds"])), budget.deadline, report)
    text = own.neutral(planted.booster.text(planted.rounds + grown))
    return Fitted("lightgbm", "txt", text, own.notes(task, planted.rounds + grown, stopped))


# --- more rounds -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Planted:
    """A booster that begins with the rounds of a text."""

    booster: c.Booster
    rounds: int


def _planted(
    start: bytes,
    task: Task,
    x: Matrix,
    y: Matrix,
    stops: Sequence[tuple[Matrix, Matrix]],
    budget: Budget,
    options: Mapping[str, object],
) -> _Planted:
    read = c.Booster(None, b"", start)
    width = _width(task)

    def raw(rows: Matrix) -> Matrix:
        return read.predict(rows, c.RAW, width, b"num_threads=%d" % budget.threads)

    booster = own.planted(task, x, y, stops, budget, options, raw)
    booster.merge(read)
    return _Planted(booster, len(TREE.findall(start)) // width)


class More:
    """The rounds after those of the text; a stage is their number less one."""

    def __init__(self, grown: own.Grove, before: int) -> None:
        self._grown, self._before = grown, before
        self.losses, self.stopped = grown.losses, grown.stopped

    def scores(self, stage: int, part: int) -> Matrix:
        return self._grown.scores(min(stage, len(self.losses) - 1) + self._before, part)

    def answer(self, stage: int, x: Matrix) -> Matrix:
        return self._grown.answer(min(stage, len(self.losses) - 1) + self._before, x)

    def options(self, stage: float) -> Mapping[str, object]:
        return {"refit_rounds": max(1, round(stage) + 1)}


# --- leaves ------------------------------------------------------------------------------------------------


class Leafed:
    """The leaves of a text, taught with what they know counting as OLD says; a stage is a place there."""

    def __init__(
        self,
        forest: _Forest,
        task: Task,
        x: Matrix,
        y: Matrix,
        stops: Sequence[tuple[Matrix, Matrix]],
        budget: Budget,
    ) -> None:
        import numpy as np

        self._forest, self._task = forest, task
        self._values = [forest.taught(task, x, y, old, budget)[0] for old in OLD]
        leaves = [forest.leaves(rows) for rows, _ in stops]
        self._scores = [[forest.scores(v, at, task) for at in leaves] for v in self._values]
        weigh = budget.weights
        self.losses = np.array(
            [
                [
                    loss(task, y_stop, s, None if weigh is None else weigh.stops[n])
                    for n, ((_, y_stop), s) in enumerate(zip(stops, of, strict=True))
                ]
                for of in self._scores
            ]
        )
        self.stopped = "rounds"

    def scores(self, stage: int, part: int) -> Matrix:
        return self._scores[stage][part]

    def answer(self, stage: int, x: Matrix) -> Matrix:
        return self._forest.scores(self._values[stage], self._forest.leaves(x), self._task)

    def options(self, stage: float) -> Mapping[str, object]:
        return {"refit_old": OLD[min(round(stage), len(OLD) - 1)]}


@dataclass(frozen=True, slots=True)
class _Forest:
    """The trees of a text: what their leaves say, and by how much weight."""

    text: bytes
    booster: c.Booster
    width: int  # trees a round
    values: tuple[Matrix, ...]
    weights: tuple[Matrix, ...]
    rate: float
    start: Matrix  # where the sum of each class begins

    @classmethod
    def read(cls, text: bytes, task: Task) -> _Forest:
        import numpy as np

        width = _width(task)
        values, weights, rates = [], [], []
        for tree in TREE.split(text)[1:]:
            values.append(_line(tree, b"leaf_value"))
            found = _line(tree, b"leaf_weight")
            weights.append(found if len(found) == len(values[-1]) else np.zeros(len(values[-1])))
            rates.append(float(_line(tree, b"shrinkage")[0]))
        later = [r for r in rates[width:] if 0 < r < 1] or [0.1]
        begins = [
            float(np.average(v, weights=w if w.any() else None))
            for v, w in zip(values[:width], weights, strict=False)
        ]
        return cls(
            text, c.Booster(None, b"", text), width, tuple(values), tuple(weights), later[0], np.array(begins)
        )

    def leaves(self, x: Matrix) -> Leaves:
        """[rows, trees]: the leaf of each row."""
        import numpy as np

        found: Leaves = self.booster.predict(x, c.LEAF, len(self.values), b"num_threads=1").astype(np.int32)
        return found

    def scores(self, values: Sequence[Matrix], leaves: Leaves, task: Task) -> Matrix:
        """The answers with these leaves."""
        import numpy as np

        z = np.zeros((len(leaves), self.width))
        for number, of in enumerate(values):
            z[:, number % self.width] += of[leaves[:, number]]
        return answers(task, z)

    def taught(
        self, task: Task, x: Matrix, y: Matrix, old: float, budget: Budget
    ) -> tuple[list[Matrix], list[Matrix]]:
        """Values and weights of all leaves after these rows."""
        import numpy as np

        if old == float("inf") or not len(y):
            return list(self.values), list(self.weights)
        step = -(-len(y) // MOST_ROWS)
        leaves, y = self.leaves(np.ascontiguousarray(x[::step])), y[::step]
        own_weight = None if budget.weights is None else budget.weights.every(step)
        z = np.tile(self.start, (len(y), 1))
        values, weights = [], []
        for number, before in enumerate(self.values):
            place = number % self.width
            if place == 0:
                first, second = (step * s for s in slopes(task, y, z, own_weight))
            begin = self.start[place] if number < self.width else 0.0
            at, many = leaves[:, number], len(before)
            g = np.bincount(at, first[:, place], many)
            h = np.bincount(at, second[:, place], many)
            known = old * self.weights[number]
            total = known + h
            with np.errstate(divide="ignore", invalid="ignore"):
                now = (known * (before - begin) - self.rate * g) / total
            now = np.where(total > 1e-9, now, before - begin) + begin
            values.append(now)
            weights.append(np.where(total > 1e-9, total, self.weights[number]))
            z[:, place] += now[at] - begin
        return values, weights

    def written(self, values: Sequence[Matrix], weights: Sequence[Matrix]) -> bytes:
        """The text with these leaves."""
        head, *trees = TREE.split(self.text)
        *body, last = trees
        tail = last.index(b"end of trees")
        made = []
        for tree, v, w in zip([*body, last[:tail]], values, weights, strict=True):
            found = _with_line(tree, b"leaf_value", v)
            made.append(_with_line(found, b"leaf_weight", w) if _line(tree, b"leaf_weight").size else found)
        sizes = b" ".join(b"%d" % len(tree) for tree in made)
        head = re.sub(rb"^tree_sizes=.*$", b"tree_sizes=" + sizes, head, count=1, flags=re.MULTILINE)
        return head + b"".join(made) + last[tail:]


def _width(task: Task) -> int:
    return task.classes if task.kind == "multiclass" else 1


def _line(tree: bytes, name: bytes) -> Matrix:
    """The numbers of a line; none where it is empty."""
    import numpy as np

    found = re.search(rb"^%s=(.*)$" % name, tree, re.MULTILINE)
    return np.array(found[1].split() if found else [], dtype=np.float64)


def _with_line(tree: bytes, name: bytes, numbers: Matrix) -> bytes:
    line = name + b"=" + b" ".join(repr(float(n)).encode() for n in numbers)
    return re.sub(rb"^%s=.*$" % name, line, tree, count=1, flags=re.MULTILINE)
