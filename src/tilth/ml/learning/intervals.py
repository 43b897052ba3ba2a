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
from tilth.ml.learning.made import Honest, Interval, Made, Spread, Tools
from tilth.ml.learning.taking import scorer_of
from tilth.ml.model.calibration import Conformal, fewest_rows, fit_conformal
from tilth.ml.model.ensemble import heads
from tilth.ports.learning import BASELINE, Budget, Task, facts_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.spec import TrainingSpec

    Array = npt.NDArray[np.float64]

COVERAGE = 0.9  # without OBJECTIVE (coverage = ...)
TINY = 1e-300  # a mean error of nothing is no width to divide by
PARTS = 5  # of the rows: each is asked by what the others taught
MOST = 10_000  # errors of a slice that are looked at, spread over all
LEAST = 100  # errors that can tell rows apart
ENOUGH_NEWEST = (
    200  # of the window, from which on it alone says how wide an interval must be: the newest rows know best
)
SHARED = 0.1  # of the mean error goes into every width; the rest follows the row


@dataclass(frozen=True, slots=True)
class Errors:
    """Rows with the absolute error of a model that did not see them; `newest`: how many at the end are the window."""

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


def fit(spec: TrainingSpec, task: Task, data: Rows, made: Made, tools: Tools) -> Interval:
    """The intervals of a regression. DataError when the rows cannot promise the coverage that is asked for."""
    coverage = spec.coverage or COVERAGE
    errors = _errors(data, made)
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
    return _fitted(task, errors, coverage, made, tools, data)


def _fitted(task: Task, errors: Errors, coverage: float, made: Made, tools: Tools, data: Rows) -> Interval:
    import numpy as np

    able = [e for e in made.engines if facts_of(tools.learners(e)).spread and e != BASELINE]
    learner = able[0] if able else BASELINE
    asked = replace(task, kind="regression", classes=0, metric="rmse", monotone=())
    options = _options(learner, asked, errors, tools)

    def ratios(part: npt.NDArray[np.int64]) -> Array:
        """Each row's error by how large the errors of the other parts say that it is."""
        size = np.empty(len(part))
        for number in range(PARTS):
            mine = part == number
            found = _spread(learner, asked, errors.x[~mine], errors.size[~mine], options, tools)
            size[mine] = _width(
                errors.size[~mine].mean(), found.scorer.score(np.ascontiguousarray(errors.x[mine]))
            )
        return errors.size / size

    part = _parts(len(errors.size), data.split.by)
    ratio = ratios(part)
    # What serves has learned from newest errors how large they are, so they are asked by a spread that knows their time.
    told_by = ratios(_parts(len(errors.size), split.BY_FOLDS)) if data.split.by == split.BY_TWIN else ratio
    times = _times(told_by, errors.newest, coverage)
    mean = float(errors.size.mean())
    times *= made.worth
    conformal = Conformal(times * SHARED * mean, coverage, times * (1.0 - SHARED))
    spread = _spread(learner, asked, errors.x, errors.size, options, tools)
    spread = replace(spread, scorer=heads(spread.scorer, errors.x.shape[1], data.x.shape[1]))
    return Interval(conformal, spread, _covered(ratio, errors.newest, part, coverage))


def _times(ratio: Array, newest: int, coverage: float) -> float:
    """How many times its spread a row's error is at most, with the chance that is promised; told by the newest, if they are enough."""
    told_by = ratio[len(ratio) - newest :] if newest >= max(ENOUGH_NEWEST, fewest_rows(coverage)) else ratio
    return float(fit_conformal(told_by, told_by * 0.0, coverage).radius)


def _covered(ratio: Array, newest: int, part: npt.NDArray[np.int64], coverage: float) -> float:
    """The share of values within what other rows promised: the newest by the older ones, or each part by the others."""
    import numpy as np

    if newest and len(ratio) - newest >= fewest_rows(coverage):
        return float(
            (ratio[len(ratio) - newest :] <= _times(ratio[: len(ratio) - newest], 0, coverage)).mean()
        )
    if len(ratio) * (PARTS - 1) // PARTS < fewest_rows(coverage):
        return float((ratio <= _times(ratio, 0, coverage)).mean())
    held = [(ratio[part == n] <= _times(ratio[part != n], 0, coverage)).sum() for n in range(PARTS)]
    return float(np.sum(held) / len(ratio))


def _width(mean: float, spread: Array) -> Array:
    import numpy as np

    found: Array = SHARED * max(mean, TINY) + (1.0 - SHARED) * np.maximum(spread, 0.0)
    return found


# --- errors ------------------------------------------------------------------------------------------------


def _errors(data: Rows, made: Made) -> Errors:
    """Those of the rows that were asked, then those of the window."""
    import numpy as np

    x, size = _some(data, made.asked)
    if made.judged is made.asked:
        return Errors(x, size, 0)
    newer, newest = _some(data, made.judged)
    return Errors(np.concatenate([x, newer]), np.concatenate([size, newest]), len(newest))


def _some(data: Rows, told: Honest) -> tuple[Array, Array]:
    import numpy as np

    step = max(1, -(-len(told.rows) // MOST))
    rows, own = told.rows[::step], len(data.preparation.heads)
    return np.ascontiguousarray(data.x[rows][:, :own]), np.abs(data.y[rows] - told.scores[::step])


def _parts(rows: int, by: str) -> npt.NDArray[np.int64]:
    """The part of each row: blocks of time, or every fifth row where rows are in no order."""
    import numpy as np

    return np.arange(rows) * PARTS // rows if by == split.BY_TWIN else np.arange(rows) % PARTS


# --- the spread --------------------------------------------------------------------------------------------


def _options(learner: str, task: Task, errors: Errors, tools: Tools) -> dict[str, object]:
    """How the spread is fitted, with the rounds (or the ridge) that stopping has found on a fifth of the rows."""
    import numpy as np

    rows = len(errors.size)
    given, stopping = tools.learners(learner).spread_options(rows)
    stop = np.arange(rows) % PARTS == PARTS - 1
    first = tools.learners(learner)().fit(
        task, np.ascontiguousarray(errors.x[~stop]), errors.size[~stop], np.ascontiguousarray(errors.x[stop]),
        errors.size[stop], _budget(tools),
        {**given, **stopping}, lambda _w, _d: None,
    )  # fmt: skip
    return {**given, **dict(dict(first.notes)["refit"])}


def _budget(tools: Tools) -> Budget:
    """A minute of its own: small trees on few errors."""
    return Budget(time.monotonic() + 60.0, tools.threads, tools.seed)


def _spread(
    learner: str, task: Task, x: Array, size: Array, options: dict[str, object], tools: Tools
) -> Spread:
    import numpy as np

    x = np.ascontiguousarray(x)
    budget = _budget(tools)
    fitted = tools.learners(learner)().fit(task, x, size, x, size, budget, options, lambda _w, _d: None)
    return Spread(fitted, scorer_of(learner, fitted, task, tools.scorers, tools.threads, x))
