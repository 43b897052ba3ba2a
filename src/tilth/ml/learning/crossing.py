"""Fits of one candidate with parts of the rows left out, and what it says of rows that it did not see.

A fit passes many models (rounds, ridges, kinds); each row is answered by the one that the losses on the other parts chose,
so that nothing behind an answer has seen the row. What serves is fitted on all rows at the stage that all parts chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import ResourceLimitError, TrainingError
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.dealing import MORE_MEMORY
from tilth.ml.learning.losses import loss_of
from tilth.ml.learning.made import Tools
from tilth.ml.learning.rows import Rows
from tilth.ml.learning.taking import scorer_of, seen, unchanged
from tilth.ml.model.ensemble import heads
from tilth.ports.learning import Budget, Fitted, Path, Task, Weights, facts_of, tried

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]


EXPLORED = 2  # folds by which every kind is tried


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows that teach, as a mask of the rows before the window, and the parts that are asked."""

    teach: Mask
    parts: tuple[int, ...]


def folds_of(data: Rows, halves: bool = False) -> tuple[Fold, ...]:
    """Each part by the others. Where only some rows are asked, all of them at once before a window, whose twin is the second
    model of the kind; else, or with `halves`, the first and the second half of their parts.
    """
    import numpy as np

    part = data.part[: data.split.window]
    several = tuple(range(int(part.max()) + 1))
    if (part >= 0).all() and not halves:
        return tuple(Fold(part != one, (one,)) for one in several)
    if data.split.window < data.split.rows and not halves:
        return (Fold(part < 0, several),)
    half = len(several) // 2
    return tuple(Fold(~np.isin(part, group), group) for group in (several[:half], several[half:]))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that could serve: how it is called, its engine and the options that it is given."""

    name: str
    engine: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Crossed:
    """The fits of a candidate so far, by the number of the fold."""

    candidate: Candidate
    task: Task
    data: Rows
    folds: Sequence[Fold]
    ways: dict[int, Path] = field(default_factory=dict)
    seconds: float = 0.0  # of its longest fit
    spent: float = 0.0  # of all of them

    @property
    def cut_short(self) -> bool:
        """Whether the clock ended a fit, or left one out."""
        return len(self.ways) < len(self.folds) or any(w.stopped == "time limit" for w in self.ways.values())

    def losses(self) -> tuple[Array, npt.NDArray[np.int64]]:
        """[stages, parts] of the parts that were asked, and which these are; a fit that ended early keeps its last loss.

        Of folds whose stage the first ones chose, nothing is in it.
        """
        import numpy as np

        tables, asked = [], []
        longest = max(len(way.losses) for way in self.ways.values())
        for number, way in sorted(self.ways.items()):
            if self._kinds and number >= EXPLORED:
                continue
            table = way.losses
            tail = np.repeat(table[-1:], longest - len(table), axis=0)
            tables.append(np.concatenate([table, tail]))
            asked += list(self.folds[number].parts)
        return np.concatenate(tables, axis=1), np.array(asked)

    @property
    def _kinds(self) -> bool:
        """Whether stages are kinds of models, each a fit of its own: two folds tell which is best."""
        return bool(getattr(next(iter(self.ways.values())), "kinds", False))

    def stage(self, without: int | None = None) -> int:
        """The stage of least mean loss over the parts, but one where others were asked too."""
        import numpy as np

        table, asked = self.losses()
        rows = np.array([self._size(one) for one in asked])
        others = asked != without
        if others.any():
            table, rows = table[:, others], rows[others]
        return int((table @ rows).argmin())

    def answers(self) -> Array:
        """[asked rows, ...] by models that did not see them, chosen by other parts; NaN for parts that were not asked yet."""
        import numpy as np

        width = (self.task.classes,) if self.task.kind == "multiclass" else ()
        out = np.full((len(self.data.part), *width), np.nan)
        for number, way in self.ways.items():
            for place, part in enumerate(self.folds[number].parts):
                out[self.data.part == part] = way.scores(self.stage(part), place)
        return out[self.data.asked]

    def loss(self) -> float:
        """The least mean loss."""
        import numpy as np

        table, asked = self.losses()
        rows = np.array([self._size(one) for one in asked])
        return float((table @ rows).min() / rows.sum())

    def sizes(self) -> list[float]:
        """What the rows of each part count that `losses` tells of."""
        return [self._size(one) for one in self.losses()[1]]

    def _size(self, part: int) -> float:
        """What the rows of a part count together."""
        mine = self.data.part == part
        return float(mine.sum() if self.data.weight is None else self.data.weight[mine].sum())

    def _weights(self, teach: Any, stops: Sequence[Any] = ()) -> Weights | None:
        """Those of the rows at these places."""
        own = self.data.weight
        return None if own is None else Weights(own[teach], tuple(own[one] for one in stops))

    def answer(self, number: int, x: Array) -> Array:
        """What the model of a fold says of other rows, as `Rows.full` has them."""
        import numpy as np

        own = x if self._texts else np.ascontiguousarray(x[:, : self.data.x.shape[1]])
        return self.ways[number].answer(self.stage(), own)

    @property
    def _texts(self) -> bool:
        """Whether its engine learns from the terms of texts."""
        return any(e.texts for e in tried(self.candidate.engine))

    @property
    def _x(self) -> Array:
        """The rows as its engine reads them."""
        return self.data.full if self._texts else self.data.x

    def fit(self, number: int, tools: Tools, clock: Clock, share: float) -> None:
        """One more fold, within a share of the time that is left."""
        fold = self.folds[number]
        x, y = self._x, self.data.y
        teach = _places(fold.teach)
        asked = [self.data.part == part for part in fold.parts]
        stops = [(x[mine], y[mine]) for mine in asked]
        began = clock.now()
        budget = Budget(clock.deadline(share), tools.threads, tools.seed, self._weights(teach, asked))
        learner = tools.learners(self.candidate.engine)
        options = dict(self.candidate.options)
        if number >= EXPLORED and self._kinds:
            options |= self.ways[0].options(self.stage())
        self.ways[number] = path_of(learner, self.task, x[teach], y[teach], stops, budget, options, tools)
        self.seconds, self.spent = max(self.seconds, clock.now() - began), self.spent + clock.now() - began

    def fewer(self, tools: Tools, clock: Clock) -> float:
        """How many times larger the error was with three quarters of the rows that teach: what more rows are worth.

        Of a regression: the root of the mean squared error on the rows of the first fold.
        """
        import numpy as np

        fold = self.folds[0]
        teach = _places(fold.teach)
        teach = teach[np.arange(len(teach)) % 4 != 0]
        asked = [self.data.part == part for part in fold.parts]
        x = self._x
        stops = [(x[mine], self.data.y[mine]) for mine in asked]
        budget = Budget(clock.deadline(), tools.threads, tools.seed, self._weights(teach, asked))
        options = {**self.candidate.options, **(self.ways[0].options(self.stage()) if self._kinds else {})}
        learner = tools.learners(self.candidate.engine)
        way = path_of(learner, self.task, x[teach], self.data.y[teach], stops, budget, options, tools)
        before, after = float(way.losses.mean(axis=1).min()), float(self.ways[0].losses.mean(axis=1).min())
        return (before / after) ** 0.5 if after > 0 else 1.0

    def refit(self, rows: slice, tools: Tools, clock: Clock, share: float) -> tuple[Fitted, Any]:
        """The member fitted on these rows at its stage, and its scorer of rows as `Rows.full` has them."""
        import numpy as np

        way = self.ways[0]
        learner = tools.learners(self.candidate.engine)
        options = {**_fixed(self.candidate.options, learner), **way.options(self.stage())}
        x, y = np.ascontiguousarray(self._x[rows]), self.data.y[rows]
        few = slice(0, min(len(y), 256))
        own = self._weights(rows, [slice(rows.start, rows.start + few.stop)])
        budget = Budget(clock.deadline(share), tools.threads, tools.seed, own)
        if self._streams(learner, rows):
            made = self._streamed(learner, x, budget, options, tools)
        else:
            made = fit(learner, self.task, x, y, x[few], y[few], budget, options, tools)
        scorer = scorer_of(self.candidate.engine, made, self.task, tools.scorers, tools.threads, x[few])
        return made, heads(scorer, x.shape[1], self.data.full.shape[1])

    def _streams(self, learner: Any, rows: slice) -> bool:
        """Whether these rows stand for all of a tall table, and the engine takes all of them."""
        return self.data.tall is not None and rows.stop == self.data.split.rows and hasattr(learner, "stream")

    def _streamed(
        self, learner: Any, x: Array, budget: Budget, options: Mapping[str, object], tools: Tools
    ) -> Fitted:
        """One fit on every row of a tall table; `x` are those that were drawn."""
        every = self.data.tall
        assert every is not None
        made: Fitted = guarded(
            lambda: learner().stream(self.task, x, every.y, every.batches, budget, options, tools.report)
        )
        return made


def _places(mask: Mask) -> npt.NDArray[np.intp]:
    import numpy as np

    return np.flatnonzero(mask)


def _fixed(options: Mapping[str, object], learner: Any) -> dict[str, object]:
    """The options without those that say when to stop: for a fit that knows it."""
    stops = {option.name for option in facts_of(learner).options or () if option.stops}
    return {k: v for k, v in options.items() if k not in stops}


def fit(
    learner: Any,
    task: Task,
    x: Array,
    y: Array,
    x_stop: Array,
    y_stop: Array,
    budget: Budget,
    options: Mapping[str, object],
    tools: Tools,
) -> Fitted:
    """One fit, whose rows are looked at afterwards; its failures are told as ours."""
    before = seen(x, y, x_stop, y_stop)
    made = guarded(lambda: learner().fit(task, x, y, x_stop, y_stop, budget, options, tools.report))
    unchanged(facts_of(learner).name, before, x, y, x_stop, y_stop)
    return made  # type: ignore[no-any-return]


def guarded(run: Any) -> Any:
    import numpy as np

    try:
        return run()
    except MemoryError as error:
        raise ResourceLimitError("The training ran out of memory.", hint=MORE_MEMORY) from error
    except np.linalg.LinAlgError as error:
        raise TrainingError(f"The engine met numbers it cannot solve: {error}") from error


def path_of(
    learner: Any,
    task: Task,
    x: Array,
    y: Array,
    stops: Sequence[tuple[Array, Array]],
    budget: Budget,
    options: Mapping[str, object],
    tools: Tools,
) -> Path:
    """The learner's own path, or for one without any its one model, which finds by itself when to stop."""
    if not hasattr(learner, "path"):
        return Alone(learner, task, x, y, stops, budget, options, tools)
    before = seen(x, y, *[a for pair in stops for a in pair])
    way: Path = guarded(lambda: learner().path(task, x, y, stops, budget, options, tools.report))
    unchanged(facts_of(learner).name, before, x, y, *[a for pair in stops for a in pair])
    return way


class Alone:
    """The path of a learner that has none: a fifth of the rows that teach tell it when to stop, then all teach."""

    EVERY = 5

    def __init__(
        self,
        learner: Any,
        task: Task,
        x: Array,
        y: Array,
        stops: Sequence[tuple[Array, Array]],
        budget: Budget,
        options: Mapping[str, object],
        tools: Tools,
    ) -> None:
        import numpy as np

        aside = np.arange(len(y)) % self.EVERY == self.EVERY - 1
        own = budget.weights
        first, last = budget, budget
        if own is not None:
            first = replace(budget, weights=Weights(own.teach[~aside], (own.teach[aside],)))
            last = replace(budget, weights=Weights(own.teach, (own.teach[aside],)))
        by_itself = (
            facts_of(learner).options is None
        )  # an estimator of its own kind: no rows tell it when to stop
        if by_itself:
            one = fit(learner, task, x, y, x[aside], y[aside], last, options, tools)
        else:
            one = fit(learner, task, x[~aside], y[~aside], x[aside], y[aside], first, options, tools)
        notes = dict(one.notes)
        found = notes.get("refit")
        self._options: dict[str, object] = dict(found) if isinstance(found, dict) else {}
        if not by_itself and notes.get("stopped_by") != "time limit":
            given = {**_fixed(options, learner), **self._options}
            one = fit(learner, task, x, y, x[aside], y[aside], last, given, tools)
        self._scorer = scorer_of(facts_of(learner).name, one, task, tools.scorers, tools.threads, stops[0][0])
        self._scores = [self._scorer.score(np.ascontiguousarray(asked)) for asked, _ in stops]
        self.losses = np.array(
            [
                [
                    loss_of(task.kind, t, s, "", None if own is None else own.stops[n])
                    for n, ((_, t), s) in enumerate(zip(stops, self._scores, strict=True))
                ]
            ]
        )
        self.stopped = str(notes.get("stopped_by", "rounds"))

    def scores(self, stage: int, part: int) -> Array:
        del stage
        found: Array = self._scores[part]
        return found

    def answer(self, stage: int, x: Array) -> Array:
        del stage
        found: Array = self._scorer.score(x)
        return found

    def options(self, stage: float) -> Mapping[str, object]:
        del stage
        return self._options
