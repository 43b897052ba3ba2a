"""A member that is gone on from: `crossing.Crossed`, whose fits begin at the member that a version has.

Leaves are told of the new rows; more rounds are grown on the new rows and as many old ones, so that what was learned is not
unlearned. What answers a new row began at a member that never saw it, and was told of others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.ml.learning.clock import Clock
from tilth.ml.learning.crossing import Crossed, guarded
from tilth.ml.learning.made import Tools
from tilth.ml.learning.starting import Kept, Start, chosen
from tilth.ml.learning.taking import scorer_of, seen, unchanged
from tilth.ml.model.ensemble import heads
from tilth.ports.learning import WARM, Budget, Fitted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class Resumed(Crossed):
    """The fits of a member that is gone on from."""

    start: Start | None = field(default=None)

    @property
    def _kept(self) -> Kept:
        assert self.start is not None
        found = self.start.member(self.candidate.name)
        assert found is not None, "only members of the version are gone on from"
        return found

    def _told(self, teach: Mask) -> npt.NDArray[np.intp]:
        assert self.start is not None
        return chosen(self.start.fresh[: len(teach)], teach, self.start.way == WARM)

    def fit(self, number: int, tools: Tools, clock: Clock, share: float) -> None:
        """One more fold, begun at the member and told of the rows that teach."""
        assert self.start is not None
        fold, x, y = self.folds[number], self.data.x, self.data.y
        teach = self._told(fold.teach)
        asked = [self.data.part == part for part in fold.parts]
        stops = [(x[mine], y[mine]) for mine in asked]
        began = clock.now()
        budget = Budget(clock.deadline(share), tools.threads, tools.seed, self._weights(teach, asked))
        given, learner = (x[teach], y[teach]), tools.learners(self.candidate.engine)
        arrays = [*given, *[a for pair in stops for a in pair]]
        before = seen(*arrays)
        self.ways[number] = guarded(
            lambda: learner.resumed(
                self.start and self.start.way, self._kept.payload, self.task, *given, stops, budget,
                self.candidate.options, tools.report,
            )
        )  # fmt: skip
        unchanged(self.candidate.engine, before, *arrays)
        self.seconds, self.spent = max(self.seconds, clock.now() - began), self.spent + clock.now() - began

    def fewer(self, tools: Tools, clock: Clock) -> float:
        """What more rows are worth is not told by fits that begin where others ended."""
        del tools, clock
        return 1.0

    def refit(self, rows: slice, tools: Tools, clock: Clock, share: float) -> tuple[Fitted, Any]:
        """The member after all new ones of these rows, at its stage, and its scorer."""
        import numpy as np

        assert self.start is not None
        mask = np.zeros(rows.stop, np.bool_)
        mask[rows] = True
        teach = self._told(mask)
        learner = tools.learners(self.candidate.engine)
        x, y = np.ascontiguousarray(self.data.x[teach]), self.data.y[teach]
        budget = Budget(clock.deadline(share), tools.threads, tools.seed, self._weights(teach))
        options = {**self.candidate.options, **self.ways[0].options(self.stage())}
        before = seen(x, y)
        made = guarded(
            lambda: learner.resumed_fit(
                self.start and self.start.way,
                self._kept.payload,
                self.task,
                x,
                y,
                budget,
                options,
                tools.report,
            )
        )
        unchanged(self.candidate.engine, before, x, y)
        few = x[: min(len(y), 256)]
        scorer = scorer_of(self.candidate.engine, made, self.task, tools.scorers, tools.threads, few)
        return made, heads(scorer, x.shape[1], self.data.full.shape[1])
