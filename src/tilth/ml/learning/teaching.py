"""A member that was taught: a teacher learns the rows, is asked about many rows that are made of them, and trees learn what it says.

Rows are made much as Bucila, Caruana and Niculescu-Mizil (2006) do: some of a row's values are another row's. (Values of near
rows kept more of a lead on one task and less on another.) The teacher answers rows of training too; its answers out of fold
were tried there, and the noise between two fits cost most of what was gained, since what is to be learned is one function.
A row is judged by a student of a teacher that did not see it; the teacher never serves. Neighbours: `crossing`, whose
candidates these are among; `fitting`, which takes the student where the blend is better with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.ml.learning.clock import Clock
from tilth.ml.learning.crossing import Alone, Crossed, guarded
from tilth.ml.learning.losses import loss_of
from tilth.ml.learning.made import Tools
from tilth.ml.learning.taking import scorer_of
from tilth.ml.model.ensemble import heads
from tilth.ports.learning import Budget, Fitted, facts_of, licence_of, version_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

STUDENT, STOPPED = "student", "stopped_by"
TIMES, LEAST, MOST = 20, 20_000, 200_000  # rows that are made: so many for each of training, within these
SWAPPED = 0.25  # of a made row's values are another row's
TEACHER = 0.6  # of a fit's time
TREE_US = 0.06  # of a row's time, a tree


@dataclass(slots=True, eq=False)
class Taught(Crossed):
    """The students of a teacher, one a fold, and what the teachers themselves say of the rows that they did not see."""

    teacher: str = ""
    row_us: float = 1_000.0
    said: dict[int, list[Array]] = field(default_factory=dict)

    def fit(self, number: int, tools: Tools, clock: Clock, share: float) -> None:
        """One more fold: a teacher of the rows that teach, and its student."""
        import numpy as np

        fold, x, y = self.folds[number], self.data.x, self.data.y
        teach = np.flatnonzero(fold.teach)
        asked = [np.flatnonzero(self.data.part == part) for part in fold.parts]
        stops = [(np.ascontiguousarray(x[rows]), y[rows]) for rows in asked]
        began = clock.now()
        weights = self._weights(teach, asked)
        budget = Budget(clock.deadline(TEACHER * share), tools.threads, tools.seed, weights)
        own = np.ascontiguousarray(x[teach]), y[teach]
        made = drawn(own[0], tools.seed)
        asks = [made, *[rows for rows, _ in stops]]
        answers, about = self._asked(*own, asks, budget, tools)
        self.said[number] = answers[1:]
        fitted, scorer = self._student(made, answers[0], clock.deadline(share), tools)
        scores = [scorer.score(rows) for rows, _ in stops]
        each = [None] * len(stops) if weights is None else list(weights.stops)
        losses = [
            loss_of(self.task.kind, t, s, "", w) for (_, t), s, w in zip(stops, scores, each, strict=True)
        ]
        self.ways[number] = One(scorer, scores, np.array([losses]), _stopped(fitted.notes, about))
        self.seconds, self.spent = max(self.seconds, clock.now() - began), self.spent + clock.now() - began

    def fewer(self, tools: Tools, clock: Clock) -> float:
        """Not told: it would take a teacher more."""
        del tools, clock
        return 1.0

    def refit(self, rows: slice, tools: Tools, clock: Clock, share: float) -> tuple[Fitted, Any]:
        """The student of a teacher of all these rows, and its scorer."""
        import numpy as np

        x, y = np.ascontiguousarray(self.data.x[rows]), self.data.y[rows]
        few = slice(rows.start, rows.start + min(len(y), 256))
        budget = Budget(
            clock.deadline(TEACHER * share), tools.threads, tools.seed, self._weights(rows, [few])
        )
        made = drawn(x, tools.seed)
        answers, about = self._asked(x, y, [made, x[:256]], budget, tools)
        fitted, scorer = self._student(made, answers[0], clock.deadline(share), tools)
        fitted = replace(
            fitted, notes=(*fitted.notes, ("teacher", {k: v for k, v in about.items() if k != STOPPED}))
        )
        return fitted, heads(scorer, x.shape[1], self.data.full.shape[1])

    def teacher_answers(self) -> Array:
        """As `answers`, of the teachers."""
        import numpy as np

        out = np.full_like(self.answers(), np.nan)
        part = self.data.part[self.data.asked]
        for number, of in self.said.items():
            for one, scores in zip(self.folds[number].parts, of, strict=True):
                out[part == one] = scores
        return out

    def _asked(
        self, x: Array, y: Array, asks: list[Array], budget: Budget, tools: Tools
    ) -> tuple[list[Array], Mapping[str, object]]:
        """What a teacher of these rows says of each of the others."""
        import numpy as np

        learner = tools.learners(self.teacher)
        if hasattr(learner, "taught"):
            every = np.ascontiguousarray(np.concatenate(asks))
            said, about = guarded(lambda: learner().taught(self.task, x, y, every, budget, tools.report))
            return np.split(said, np.cumsum([len(a) for a in asks])[:-1]), about
        truth = np.zeros(len(asks[-1]))
        own = budget.weights and replace(budget.weights, stops=(np.ones(len(truth)),))
        way = Alone(learner, self.task, x, y, [(asks[-1], truth)], replace(budget, weights=own), {}, tools)
        package = facts_of(learner).package
        about = {
            "name": self.teacher,
            "version": version_of(package),
            "license": licence_of(package),
            STOPPED: way.stopped,
        }
        return [way.answer(0, a) for a in asks], about

    def _student(self, x: Array, said: Array, until: float, tools: Tools) -> tuple[Fitted, Any]:
        """Trees that learned what was said, and their scorer."""
        learner = tools.learners(self.candidate.engine)
        options = {"trees": max(50, min(4_000, int(0.5 * self.row_us / TREE_US)))}
        budget = Budget(until, tools.threads, tools.seed)
        made = guarded(lambda: learner.student(self.task, x, said, budget, options, tools.report))
        return made, scorer_of(self.candidate.engine, made, self.task, tools.scorers, tools.threads, x[:256])


@dataclass(frozen=True, slots=True)
class One:
    """The path of what is not stopped anywhere: one model."""

    scorer: Any
    answered: list[Array]
    losses: Array
    stopped: str = "rounds"

    def scores(self, stage: int, part: int) -> Array:
        del stage
        return self.answered[part]

    def answer(self, stage: int, x: Array) -> Array:
        del stage
        found: Array = self.scorer.score(x)
        return found

    def options(self, stage: float) -> Mapping[str, object]:
        del stage
        return {}


def _stopped(notes: Iterable[tuple[str, object]], about: Mapping[str, object]) -> str:
    """What ended a fold: the clock where it ended the teacher or the student."""
    late = "time limit" in (dict(notes).get(STOPPED), about.get(STOPPED))
    return "time limit" if late else "rounds"


def drawn(x: Array, seed: int) -> Array:
    """Rows that are made of these, and each of them: some of a row's values are another row's. In no order."""
    import numpy as np

    random = np.random.default_rng(seed)
    rows = max(0, min(MOST, max(LEAST, TIMES * len(x))) - len(x))
    own, other = random.integers(0, len(x), rows), random.integers(0, len(x), rows)
    made = np.where(random.random((rows, x.shape[1])) < SWAPPED, x[other], x[own])
    every = np.concatenate([x, made])
    return np.ascontiguousarray(every[random.permutation(len(every))])
