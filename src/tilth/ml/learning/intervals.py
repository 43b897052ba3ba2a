"""How far a value may be off, for each row: a spread is learned from errors on rows that did not teach, and made to cover.

Normalised split-conformal intervals (Papadopoulos 2002; Lei 2018): the half-width of a row is a part that all rows share
and a part that follows a small model of the absolute error, drawn to the mean so that no row is promised too much. How
large both are is read off errors that neither the model nor the spread has seen. Where rows are too few to tell rows
apart, all share one width, and that is said. What is kept is a `Conformal`, and the spread's file, which a scorer reads.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilth.core.errors import DataError, TargetError
from tilth.ml.judging import split
from tilth.ml.learning.made import Interval, Made, Spread, Tools
from tilth.ml.learning.taking import scorer_of
from tilth.ml.model.calibration import Conformal, fewest_rows, fit_conformal
from tilth.ports.learning import BASELINE, Budget, Task, facts_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.folding import Folds
    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.spec import TrainingSpec

    Array = npt.NDArray[np.float64]

COVERAGE = 0.9  # without OBJECTIVE (coverage = ...)
TINY = 1e-300  # a mean error of nothing is no width to divide by
PARTS = 5  # of the rows: each is asked by what the others taught
SMALL = 6_000  # rows to fit on, up to which their errors are asked of models of the other parts
MOST = 10_000  # errors of a slice that are looked at, spread over all
LEAST = 100  # errors that can tell rows apart
ENOUGH = 1_000  # of the calibrate slice, from which on it alone says how wide an interval must be
ENOUGH_NEWEST = 200  # the same where slices follow time: the newest rows know best
SHARED = 0.1  # of the mean error goes into every width; the rest follows the row


@dataclass(frozen=True, slots=True)
class Errors:
    """Rows with the absolute error of a model that did not see them; `newest`: how many at the end are the calibrate slice."""

    x: Array
    size: Array
    newest: int


def check(spec: TrainingSpec, kind: str) -> None:
    """TargetError for OBJECTIVE (coverage = ...) of a target that has no intervals."""
    if spec.coverage is not None and kind != "regression":
        raise TargetError(
            f"`coverage` is how many values lie in their interval, and `{spec.target}` is a {kind} target without any.",
            hint="Leave coverage out of OBJECTIVE; the probabilities are calibrated by themselves.",
        )


def fit(
    spec: TrainingSpec, task: Task, data: Rows, made: Made, folds: Folds | None, tools: Tools
) -> Interval:
    """The intervals of a regression. DataError when the rows cannot promise the coverage that is asked for."""
    coverage = spec.coverage or COVERAGE
    errors = _of_folds(data, folds) if folds is not None else _of_slices(task, data, made, tools)
    if len(errors.size) < fewest_rows(coverage):
        raise DataError(
            f"{len(errors.size)} rows cannot promise a coverage of {coverage:g}.",
            hint=f"Give at least {fewest_rows(coverage)} rows that judge, or ask for less: OBJECTIVE (coverage = 0.9).",
        )
    if len(errors.size) < LEAST:
        found = fit_conformal(errors.size, errors.size * 0.0, coverage)
        covered = float((errors.size <= found.radius).mean())
        words = f"All intervals of `{spec.target}` are of one width: {len(errors.size)} rows are too few to tell where it is less sure."
        return Interval(found, None, covered, words)
    return _fitted(task, made.chosen.engine, errors, coverage, tools, data.split.by)


def _fitted(task: Task, engine: str, errors: Errors, coverage: float, tools: Tools, by: str) -> Interval:
    import numpy as np

    learner = engine if facts_of(tools.learners(engine)).spread else BASELINE
    asked = replace(task, kind="regression", classes=0, metric="rmse")
    part = _parts(len(errors.size), by)
    options = _options(learner, asked, errors, tools)
    size = np.empty(len(part))
    for number in range(PARTS):
        mine = part == number
        found = _spread(learner, asked, errors.x[~mine], errors.size[~mine], options, tools)
        size[mine] = _width(
            errors.size[~mine].mean(), found.scorer.score(np.ascontiguousarray(errors.x[mine]))
        )
    ratio = errors.size / size
    enough = errors.newest >= max(ENOUGH_NEWEST if by == split.BY_TIME else ENOUGH, fewest_rows(coverage))
    told_by = ratio[len(ratio) - errors.newest :] if enough else ratio
    times = fit_conformal(told_by, told_by * 0.0, coverage).radius
    mean = float(errors.size.mean())
    conformal = Conformal(times * SHARED * mean, coverage, times * (1.0 - SHARED))
    spread = _spread(learner, asked, errors.x, errors.size, options, tools)
    return Interval(conformal, spread, float((ratio <= times).mean()))


def _width(mean: float, spread: Array) -> Array:
    import numpy as np

    found: Array = SHARED * max(mean, TINY) + (1.0 - SHARED) * np.maximum(spread, 0.0)
    return found


# --- errors ------------------------------------------------------------------------------------------------


def _of_folds(data: Rows, folds: Folds) -> Errors:
    import numpy as np

    return Errors(data.preparation.matrix(folds.table), np.abs(folds.y - folds.scores), 0)


def _of_slices(task: Task, data: Rows, made: Made, tools: Tools) -> Errors:
    """Those of the calibrate slice, after those of the rows before: asked of other models where the last learned from them."""
    import numpy as np

    x, y = _some(*data.part("calibrate"))
    newest = np.abs(y - made.scores(x))
    found = dict(made.chosen.fitted.notes).get("refit")
    if isinstance(found, dict) and data.split.fit <= SMALL and time.monotonic() < tools.deadline:
        before, size = _of_others(task, data, made, found, tools)
    else:  # the member as it was before it learned from the stop rows, too
        before, y = _some(*data.part("stop"))
        size = np.abs(y - made.curve.apply(made.members[made.chosen.engine].scorer.score(before)))
    return Errors(np.concatenate([before, x]), np.concatenate([size, newest]), len(newest))


def _some(x: Array, y: Array) -> tuple[Array, Array]:
    import numpy as np

    step = max(1, -(-len(y) // MOST))
    return np.ascontiguousarray(x[::step]), y[::step]


def _of_others(
    task: Task, data: Rows, made: Made, options: dict[str, object], tools: Tools
) -> tuple[Array, Array]:
    """The fit and stop rows, each asked of a model that the other parts of them taught in the same way."""
    import numpy as np

    x, y = data.x[: data.split.stop], data.y[: data.split.stop]
    part, size = _parts(len(y), data.split.by), np.empty(len(y))
    for number in range(PARTS):
        mine = part == number
        fitted = tools.learners(made.chosen.engine)().fit(
            task, np.ascontiguousarray(x[~mine]), y[~mine], np.ascontiguousarray(x[mine]), y[mine],
            Budget(tools.deadline, tools.threads, tools.seed), {**made.options, **options}, lambda _w, _d: None,
        )  # fmt: skip
        others = np.ascontiguousarray(x[mine])
        scorer = scorer_of(made.chosen.engine, fitted, task, tools.scorers, tools.threads, others)
        size[mine] = np.abs(y[mine] - made.curve.apply(scorer.score(others)))
    return np.ascontiguousarray(x), size


def _parts(rows: int, by: str) -> npt.NDArray[np.int64]:
    """The part of each row: blocks of time, or every fifth row where rows are in no order."""
    import numpy as np

    return np.arange(rows) * PARTS // rows if by == split.BY_TIME else np.arange(rows) % PARTS


# --- the spread --------------------------------------------------------------------------------------------


def _options(learner: str, task: Task, errors: Errors, tools: Tools) -> dict[str, object]:
    """How the spread is fitted, with the rounds (or the ridge) that stopping has found on a fifth of the rows."""
    import numpy as np

    rows = len(errors.size)
    given, stopping = tools.learners(learner).spread_options(rows)
    stop = np.arange(rows) % PARTS == PARTS - 1
    first = tools.learners(learner)().fit(
        task, np.ascontiguousarray(errors.x[~stop]), errors.size[~stop], np.ascontiguousarray(errors.x[stop]),
        errors.size[stop], Budget(tools.deadline, tools.threads, tools.seed),
        {**given, **stopping}, lambda _w, _d: None,
    )  # fmt: skip
    return {**given, **dict(dict(first.notes)["refit"])}


def _spread(
    learner: str, task: Task, x: Array, size: Array, options: dict[str, object], tools: Tools
) -> Spread:
    import numpy as np

    x = np.ascontiguousarray(x)
    budget = Budget(tools.deadline, tools.threads, tools.seed)
    fitted = tools.learners(learner)().fit(task, x, size, x, size, budget, options, lambda _w, _d: None)
    return Spread(fitted, scorer_of(learner, fitted, task, tools.scorers, tools.threads, x))
