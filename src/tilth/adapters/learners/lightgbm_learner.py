"""Grows gradient-boosted trees with LightGBM, through its shared library and inside a training worker.

Anytime: the best rounds so far are what a deadline leaves. Deterministic: fixed histogram layout, fixed seeds, and
a model text without thread counts, so that the same rows give the same bytes. Scoring is in `lightgbm_scorer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.learners import lightgbm_resumed, students
from tilth.adapters.learners.lightgbm_growing import (
    OPTIONS,
    ROUNDS,
    Grove,
    grow,
    grown,
    neutral,
    notes,
    parameters,
    planted,
    whole,
)
from tilth.adapters.scorers import lightgbm_c as c
from tilth.core.engines import Engine
from tilth.ports.learning import REFIT, WARM, Budget, Fitted, Path, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.adopting import Foreign

    Matrix = npt.NDArray[np.float64]


class LightGBMLearner:
    """Implements `ports.learning.Learner`."""

    engine = Engine(
        "lightgbm",
        "lightgbm",
        learning=4,
        options=OPTIONS,
        rank=2,
        monotone=True,
        weighs=True,
        spread=True,
        quantiles=True,
        student=True,
        pandas=False,
        seeded=True,
    )

    forks = True  # loading it starts no thread: a process may divide afterwards

    @staticmethod
    def warm() -> None:
        """Load the library."""
        c.library()

    student = staticmethod(students.student)
    resumes = frozenset((WARM, REFIT))

    @staticmethod
    def resumed(way: str, start: bytes, *given: Any) -> Path:
        """See `ports.learning.Resumes`."""
        return lightgbm_resumed.path(way, start, *given)

    @staticmethod
    def resumed_fit(way: str, start: bytes, *given: Any) -> Fitted:
        """See `ports.learning.Resumes`."""
        return lightgbm_resumed.fit(way, start, *given)

    @staticmethod
    def spread_options(rows: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Small trees, with leaves that hold enough errors to say how large they are."""
        leaf = max(20, min(200, rows // 25))
        trees = {"num_leaves": 8, "learning_rate": 0.05, "feature_fraction": 1.0, "min_data_in_leaf": leaf}
        return trees, {"rounds": 300, "patience": 20}

    @staticmethod
    def adopt(payload: bytes, about: Mapping[str, Any]) -> Foreign:
        """See `ports.adopting.Adopts`."""
        from tilth.adapters.learners import adopted

        return adopted.lightgbm(payload, about)

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
        fixed = options.get("refit_rounds")
        if fixed is None:
            grove = self.path(task, x, y, [(x_stop, y_stop)], budget, options, report)
            best = int(grove.losses[:, 0].argmin())
            return Fitted("lightgbm", "txt", grove.text(best), notes(task, best + 1, grove.stopped))
        booster = planted(task, x, y, (), budget, options)
        rounds, stopped = grow(booster, int(str(fixed)), budget.deadline, report)
        return Fitted("lightgbm", "txt", neutral(booster.text(rounds)), notes(task, rounds, stopped))

    def stream(
        self,
        task: Task,
        x: Matrix,
        y: npt.NDArray[np.float32],
        batches: Callable[[], Iterator[tuple[Matrix, Matrix | None]]],
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        """Bins of the rows that were drawn, then every row binned as it comes; see `ports.learning.Streams`."""
        report("binning", None)
        params = parameters(task, y, budget, options)
        booster = c.Booster(c.Streamed(x, y, batches(), params), params)
        rounds, stopped = grow(booster, whole(options, "refit_rounds", ROUNDS), budget.deadline, report)
        return Fitted("lightgbm", "txt", neutral(booster.text(rounds)), notes(task, rounds, stopped))

    def path(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        stops: Sequence[tuple[Matrix, Matrix]],
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Grove:
        """Rounds until the mean loss of the parts has not fallen for some; see `ports.learning.Paths`."""
        report("binning", None)
        return grown(task, x, y, stops, budget, options, report)
