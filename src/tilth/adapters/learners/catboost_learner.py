"""Grows oblivious trees with CatBoost, inside a training worker; they are written as a LightGBM text, which serves.

Anytime: the best rounds so far are what a deadline leaves. Deterministic: the same rows, options and seed give the same
bytes, on however many threads. CatBoost turns a category into figures of the target; those of one column alone are a
function of its code, so each of their splits is told as a set of codes. Figures of several columns together are not, and
are not asked for (`max_ctr_complexity` is 1).
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from tilth.adapters.learners import boosting
from tilth.adapters.learners.boosting import Asked, Base, Boosted
from tilth.adapters.scorers.lightgbm_trees import codes, number, up_to
from tilth.core.engines import Engine, Form, Option, Span
from tilth.core.errors import ResourceLimitError, TrainingError
from tilth.ports.learning import Budget, Task
from tilth.ports.portable import Tree

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Report = Callable[[str, float | None], None]

ROUNDS = 1_000
UNKNOWN = -1  # stands for a gap, or a code that is none
LOSSES = {"regression": "RMSE", "binary": "Logloss", "multiclass": "MultiClass"}
STEPS = {  # CatBoost's own steps for 1,000 rounds: exp(a log(rows) + b); it would choose others for other rounds
    "regression": (0.157, -4.062),
    "binary": (0.246, -5.127),
    "multiclass": (0.02, -2.364),
}
DEPTHS = ((3, 6), (10, 5), (100_000, 4))  # by the number of classes: each tree is written once a class
OPTIONS = (
    Option("rounds", Form.WHOLE, 1, stops=True),
    Option("patience", Form.WHOLE, 1, stops=True),
    Option("learning_rate", least=0, most=1, span=Span(0.02, 0.2, log=True)),
    Option("depth", Form.WHOLE, 1, 10, span=Span(3, 8)),
    Option("l2_leaf_reg", least=0, span=Span(0.1, 30, log=True)),
    Option("random_strength", least=0, span=Span(0.1, 10, log=True)),
    Option("bagging_temperature", least=0, span=Span(0, 2)),
    Option("rsm", least=0, most=1),
    Option("border_count", Form.WHOLE, 1),
    Option("one_hot_max_size", Form.WHOLE, 1),
    Option("scale_pos_weight", least=0),
)


class CatBoostLearner(Boosted):
    """Implements `ports.learning.Learner`; the extra `catboost` has the library."""

    engine = Engine(
        "catboost",
        "catboost",
        options=OPTIONS,
        best=True,
        monotone=True,
        weighs=True,
        teaches=True,
        fault=boosting.absent("catboost", "catboost"),
        mend=boosting.install("catboost"),
        seeded=True,
    )

    @staticmethod
    def warm() -> None:
        """Load the library."""
        boosting.require("catboost", "catboost")
        import catboost  # noqa: F401

    @staticmethod
    def run(asked: Asked) -> _Run:
        """One fit."""
        return _Run(asked)


class _Run:
    """One fit: CatBoost's model (none where there is nothing to split on), and the parts that were watched."""

    def __init__(self, asked: Asked) -> None:
        task, x, y, options = asked.task, asked.x, asked.y, asked.options
        boosting.check("CatBoost", OPTIONS, options)
        boosting.require("catboost", "catboost")
        own = asked.budget.weights
        self.task, self.base = task, _base(task, y, None if own is None else own.teach)
        self._seen = sorted({int(code) for code in set(y.tolist())}) if task.kind == "multiclass" else [0]
        self._threads = asked.budget.threads
        self._columns = _columns(task)
        self.pace = boosting.pace_of(options, len(x), ROUNDS, asked.budget.deadline)
        params = _parameters(task, len(x), asked.budget, self.pace.rounds) | boosting.given(options)
        self.rate = params["learning_rate"]
        watched = [None] * len(asked.stops) if own is None else own.stops
        self._weight = None if own is None else own.teach
        self._parts = [self._pool(*part, w) for part, w in zip(asked.stops, watched, strict=False)]
        self._sizes = [len(part[0]) for part in asked.stops]
        self.model = None if self.base.alone or _flat(task, x) else self._fitted(x, y, params, asked.report)
        if self.model is None:
            self.pace.ends([self.base.loss(task, y_stop) for _, y_stop in asked.stops], time.monotonic())

    def _fitted(self, x: Matrix, y: Matrix, params: Mapping[str, object], report: Report) -> Any:
        import catboost

        watch = _Watch(self.pace, len(self._parts), self.base.scale, str(params["eval_metric"]), report)
        model = catboost.CatBoost(dict(params))
        report("binning", None)
        try:
            with io.StringIO() as unheard:
                return model.fit(
                    self._pool(x, y, self._weight),
                    eval_set=self._parts or None,
                    callbacks=[watch],
                    log_cout=unheard,
                    log_cerr=unheard,
                )
        except (catboost.CatBoostError, MemoryError) as error:
            raise _told(error) from error

    def _pool(self, x: Matrix, y: Matrix | None, weight: Matrix | None = None) -> Any:
        import catboost
        import numpy as np

        numbers, texts = self._columns
        x = boosting.narrow(x)
        label = None if y is None else self.base.label(self.task, y)
        if label is not None and self.task.kind != "regression":
            label = label.astype(np.int64)
        data = catboost.FeaturesData(
            num_feature_data=np.ascontiguousarray(x[:, numbers], dtype=np.float32) if numbers else None,
            cat_feature_data=_texts(self.task, x, texts) if texts else None,
        )
        return catboost.Pool(data, label, weight=weight, thread_count=self._threads)

    def scores(self, rounds: int, part: int) -> Matrix:
        """The answers of a watched part after so many rounds."""
        return self._asked(rounds, self._parts[part], self._sizes[part])

    def answer(self, rounds: int, x: Matrix) -> Matrix:
        """The answers to other rows."""
        return self._asked(rounds, self._pool(x, None), len(x))

    def _asked(self, rounds: int, pool: Any, rows: int) -> Matrix:
        import numpy as np

        sums = np.zeros((rows, len(self.base.start)))
        if rounds and self.model is not None:
            found = self.model.predict(
                pool,
                prediction_type="RawFormulaVal",
                ntree_end=rounds,
                thread_count=self._threads,
            )
            sums[:, self._seen] = found.reshape(len(sums), -1)[:, self._seen]
        return self.base.scores(self.task, sums)

    def trees(self, rounds: int) -> list[Tree]:
        """The start and the trees of the first rounds."""
        if self.model is None:
            return self.base.trees()
        grown = _saved(self.model)["oblivious_trees"][:rounds]
        sides = _Sides(self, rounds)
        made = self.base.trees()
        for number_, one in enumerate(grown):
            made.append(_tree(one, self._leaves(one), self._columns[0], partial(sides.of, number_)))
        return made

    def _leaves(self, one: Mapping[str, Any]) -> list[float | tuple[float, ...]]:
        """The values of a tree's leaves; of several classes one a class, 0 for those without a row."""
        values = [self.base.scale * float(value) for value in one["leaf_values"]]
        if self.task.kind != "multiclass":
            return list(values)
        width = len(self._seen)
        places = [self._seen.index(code) if code in self._seen else None for code in range(self.task.classes)]
        return [
            tuple(0.0 if n is None else values[start + n] for n in places)
            for start in range(0, len(values), width)
        ]


def _base(task: Task, y: Matrix, weight: Matrix | None) -> Base:
    """CatBoost begins classes at even odds and has no figures for one without rows; the mean of values is told here."""
    found = Base.of(task, y, weight)
    if task.kind == "regression" or found.alone:
        return found
    there = {int(code) for code in set(y.tolist())} if task.kind == "multiclass" else {0}
    return Base(tuple(0.0 if code in there else start for code, start in enumerate(found.start)))


def _flat(task: Task, x: Matrix) -> bool:
    """Whether no column has two values, which CatBoost refuses."""
    import numpy as np

    return not any(len(np.unique(x[:, n])) > 1 for n in range(len(task.columns)))


def _columns(task: Task) -> tuple[list[int], list[int]]:
    """The places of numbers and of categories, in the order in which CatBoost counts them."""
    return [n for n in range(len(task.columns)) if n not in task.categorical], list(task.categorical)


def _parameters(task: Task, rows: int, budget: Budget, rounds: int) -> dict[str, object]:
    slope, level = STEPS[task.kind]
    values: dict[str, object] = {
        "loss_function": LOSSES[task.kind],
        "eval_metric": "MAE"
        if task.kind == "regression" and task.metric in {"mae", "mape"}
        else LOSSES[task.kind],
        "iterations": rounds,
        "depth": next(depth for most, depth in DEPTHS if task.classes <= most),
        "learning_rate": round(min(0.5, math.exp(slope * math.log(rows) + level)), 6),
        "max_ctr_complexity": 1,
        "use_best_model": False,
        "random_seed": budget.seed,
        "thread_count": budget.threads,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    if task.monotone:
        numbers, _ = _columns(task)
        values["monotone_constraints"] = [task.monotone[n] for n in numbers]
    if task.kind == "regression":
        values["boost_from_average"] = False
    if task.kind == "multiclass":
        values["classes_count"] = task.classes
    return values


def _texts(task: Task, x: Matrix, places: Sequence[int]) -> Any:
    """Codes as texts, as CatBoost takes categories; what is no code is `?`."""
    import numpy as np

    out = np.empty((len(x), len(places)), dtype=object)
    for n, (place, count) in enumerate(zip(places, task.cardinality, strict=True)):
        words = np.array([b"%d" % code for code in range(count)] + [b"?"], dtype=object)
        column = x[:, place]
        known = (column >= 0) & (column < count)
        out[:, n] = words[np.where(known, column, count).astype(np.int64)]
    return out


class _Watch:
    """Called by CatBoost after each round; says whether it shall go on."""

    def __init__(self, pace: boosting.Pace, parts: int, scale: float, metric: str, report: Report) -> None:
        names = ["validation"] if parts == 1 else [f"validation_{n}" for n in range(parts)]
        self._pace, self._names, self._scale, self._metric = pace, names, scale, metric
        self._report = report

    def after_iteration(self, info: Any) -> bool:
        losses = [self._scale * float(info.metrics[name][self._metric][-1]) for name in self._names]
        ended = self._pace.ends(losses, time.monotonic())
        count = len(self._pace.losses)
        if count % 20 == 0:
            self._report(f"round {count}", count / self._pace.rounds)
        return not ended


def _saved(model: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="catboost-") as folder:
        path = os.path.join(folder, "model.json")
        model.save_model(path, format="json")
        with open(path, "rb") as file:
            found: dict[str, Any] = json.load(file)
            return found


@dataclass(frozen=True, slots=True)
class _Sent:
    """What one split over a category sends on: these of the codes 0 .. count-1, and a gap or another code or not."""

    place: int
    count: int
    chosen: frozenset[int]  # UNKNOWN among them for a gap or another code


class _Sides:
    """Which codes each split over categories sends on, asked of CatBoost itself: in an oblivious tree the number of a row's
    leaf is the answers of the splits, one bit each. For each category, rows of all its codes, and one of none of them.
    """

    def __init__(self, run: _Run, rounds: int) -> None:
        import numpy as np

        task, model = run.task, run.model
        assert model is not None
        self._found: list[tuple[int, int, Any]] = []  # column, codes, leaves [codes + 1, trees]
        for place, count in zip(task.categorical, task.cardinality, strict=True):
            x = np.zeros((count + 1, len(task.columns)))
            x[:, list(task.categorical)] = np.nan
            x[:count, place] = np.arange(count)
            leaves = model.calc_leaf_indexes(run._pool(x, None), ntree_end=rounds, thread_count=1)  # noqa: SLF001
            self._found.append((place, count, leaves))

    def of(self, tree: int, bit: int) -> _Sent | bool:
        """What the split sends on; all or nothing where it tells no codes apart."""
        for place, count, leaves in self._found:
            answers = (leaves[:, tree] >> bit) & 1
            if answers.any() and not answers.all():
                sent = {UNKNOWN if code == count else int(code) for code in answers.nonzero()[0]}
                return _Sent(place, count, frozenset(sent))
        return bool((self._found[0][2][0, tree] >> bit) & 1)


Cut: TypeAlias = "tuple[int, float] | _Sent | bool"  # a column and its limit, a set of codes, or no choice


class _Oblivious:
    """One of CatBoost's trees: all nodes of a level split alike. What a row's way has decided already is left out."""

    def __init__(self, cuts: Sequence[Cut], values: Sequence[float | tuple[float, ...]]) -> None:
        self._cuts, self._values = cuts, values

    def tree(
        self,
        level: int = 0,
        leaf: int = 0,
        within: Mapping[int, tuple[float, float] | frozenset[int]] = MappingProxyType({}),
    ) -> Tree:
        """The tree below `leaf`, the bits so far; `within` is what is known of each column by then."""
        if level == len(self._cuts):
            return self._values[leaf]
        cut, on = self._cuts[level], leaf | 1 << level
        if isinstance(cut, bool):
            return self.tree(level + 1, on if cut else leaf, within)
        if isinstance(cut, _Sent):
            return self._coded(cut, level, leaf, within)
        place, limit = cut
        least, most = cast("tuple[float, float]", within.get(place, (-math.inf, math.inf)))
        if limit <= least or limit >= most:
            return self.tree(level + 1, on if limit <= least else leaf, within)
        low = self.tree(level + 1, leaf, {**within, place: (least, limit)})
        high = self.tree(level + 1, on, {**within, place: (limit, most)})
        return number(place, limit, low, high, gaps_low=True)

    def _coded(self, cut: _Sent, level: int, leaf: int, within: Mapping[int, Any]) -> Tree:
        left = within.get(cut.place, frozenset((*range(cut.count), UNKNOWN)))
        inside, outside, on = left & cut.chosen, left - cut.chosen, leaf | 1 << level
        if not inside or not outside:
            return self.tree(level + 1, on if inside else leaf, within)
        sent = self.tree(level + 1, on, {**within, cut.place: inside})
        kept = self.tree(level + 1, leaf, {**within, cut.place: outside})
        chosen = cut.chosen - {UNKNOWN}
        return codes(cut.place, chosen, sent, kept, unknown=UNKNOWN in cut.chosen, count=cut.count)


def _tree(
    one: Mapping[str, Any],
    leaves: Sequence[float | tuple[float, ...]],
    numbers: Sequence[int],
    side: Callable[[int], _Sent | bool],
) -> Tree:
    """One of CatBoost's trees."""
    cuts: list[Cut] = [
        (numbers[split["float_feature_index"]], up_to(split["border"]))
        if split["split_type"] == "FloatFeature"
        else side(bit)
        for bit, split in enumerate(one["splits"] or ())
    ]
    return _Oblivious(cuts, leaves).tree()


def _told(error: BaseException) -> Exception:
    words = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or "bad_alloc" in words or "bad allocation" in words:
        return ResourceLimitError(
            "CatBoost ran out of memory.",
            hint="Give the model more: USING memory = '8 GB', or fewer columns.",
        )
    return TrainingError(f"CatBoost refused: {words}", hint="Check the engine options in USING (...).")
