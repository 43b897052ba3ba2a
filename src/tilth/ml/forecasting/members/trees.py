"""Gradient-boosted trees over all series at once, by the engine that the project has: LightGBM's learner and scorer.

Rows are drawn of all (series, origin, step); `features` says what they see. The model is a text of the engine's own
format; nothing else is kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.ml.forecasting.members.features import Seen
from tilth.ports.learning import Budget, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

OPTIONS = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
}
ROUNDS, LEAST_ROUNDS, LEAST_ROWS = 300, 40, 60
STOP = 0.2  # of the rows, the newest, that say how many rounds
FAR = 20.0  # units from the reference that teach at most


@dataclass(frozen=True, slots=True)
class Engine:
    """Who fits and who scores, how much at once, and until when (monotonic seconds)."""

    learner: Any
    scorer: Any
    threads: int
    deadline: float
    pairs: int
    seed: int


@dataclass(frozen=True, slots=True)
class Grown:
    """A fitted model as its text, its task's columns, and how many rounds it took."""

    payload: bytes
    columns: tuple[str, ...]
    rounds: int

    def task(self) -> Task:
        return task(self.columns)


def task(names: tuple[str, ...]) -> Task:
    """What the engine is told; the absolute error is what forecasts are judged by."""
    return Task("regression", columns=names, metric="mae")


def drawn(seen: Seen, horizon: int, pairs: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """(series, points known, step) of the rows that teach: all, or so many of them by the seed."""
    import numpy as np

    lengths = seen.panel.lengths
    least = np.minimum(
        np.maximum(seen.recipe.lags // 2, (seen.recipe.reference or 1) + 1), np.maximum(lengths // 2, 2)
    )
    origins = np.maximum(lengths - least, 0)
    total = int(origins.sum())
    if not total:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    random = np.random.default_rng(seed)
    if total * horizon <= pairs:
        flat, step = np.divmod(np.arange(total * horizon), horizon)
        step = step + 1
    else:
        flat = random.integers(0, total, pairs)
        step = random.integers(1, horizon + 1, pairs)
    ends = np.cumsum(origins)
    group = np.searchsorted(ends, flat, side="right")
    known = least[group] + flat - (ends - origins)[group]
    inside = known + step <= lengths[group]
    return group[inside], known[inside], step[inside]


def grow(seen: Seen, horizon: int, engine: Engine, rounds: int | None = None) -> Grown | None:
    """Trees on the rows of a panel; `rounds` None: as many as the newest rows say. None where there is too little to learn from."""
    import numpy as np

    group, known, step = drawn(seen, horizon, engine.pairs, engine.seed)
    if len(group) < LEAST_ROWS:
        return None
    x, reference, unit = seen.matrix(group, known, step)
    truth = seen.panel.values[seen.panel.starts[group] + known + step - 1]
    y = np.clip((truth - reference) / unit, -FAR, FAR)
    if not y.any():
        return None
    behind = seen.panel.lengths[group] - known - step
    told = task(seen.names)
    budget = Budget(max(engine.deadline, time.monotonic() + 1), engine.threads, engine.seed)
    options = {**OPTIONS, "min_data_in_leaf": int(np.clip(len(y) // 200, 5, 100))}
    if rounds is None:
        newest = behind <= np.quantile(behind, STOP)
        older = behind > np.quantile(behind, STOP) + horizon
        if older.sum() >= LEAST_ROWS and newest.any():
            grown = engine.learner().fit(
                told,
                x[older],
                y[older],
                x[newest],
                y[newest],
                budget,
                {**options, "rounds": ROUNDS, "patience": 30},
                _silent,
            )
            rounds = max(LEAST_ROUNDS, int(str(dict(grown.notes)["rounds"])))
        else:
            rounds = LEAST_ROUNDS
    fitted = engine.learner().fit(
        told, x, y, x[:0], y[:0], budget, {**options, "refit_rounds": rounds}, _silent
    )
    return Grown(fitted.payload, seen.names, rounds)


def _silent(_what: str, _done: float | None) -> None:
    pass


def answer(seen: Seen, scorer: Any, horizon: int) -> Floats:
    """[series, horizon]: what the loaded trees say after the end of each series; NaN for one without a value."""
    import numpy as np

    out = np.full((len(seen.panel), horizon), np.nan)
    able = np.flatnonzero(seen.panel.lengths >= 2)
    size = max(1, 200_000 // horizon)
    for start in range(0, len(able), size):
        part = able[start : start + size]
        group = np.repeat(part, horizon)
        step = np.tile(np.arange(1, horizon + 1), len(part))
        x, reference, unit = seen.matrix(group, seen.panel.lengths[group], step)
        out[part] = (reference + unit * scorer.score(x)).reshape(len(part), horizon)
    return out
