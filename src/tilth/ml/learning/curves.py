"""Chooses what is done to scores: fits a calibration on the calibrate slice and keeps it only if later rows agree.

A share that drifts (a calm autumn before a stormy December) makes a calibration fitted on the newest rows worse than
none. So it is tried rolling forward: fitted on the older quarters, judged on the next one. The kinds of calibration
are in `calibration`, what is kept is a `Curve`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from tilth.ml.model.calibration import (
    Platt,
    Temperature,
    fit_platt,
    fit_temperature,
)
from tilth.ml.model.curve import Curve
from tilth.ml.model.metrics import log_loss

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

    Fit: TypeAlias = Callable[[Array, Array], Platt | Temperature]

LEAST_ROWS = 30
LEAST_OF_TWO = 500  # two numbers from fewer rows do more harm than good
PARTS = 4
GAIN = 0.02  # by what share of the log loss a calibration must help on later rows


def fit_curve(kind: str, y: Array, scores: Array, threshold: float) -> Curve:
    """The curve of a task from the calibrate slice, oldest row first; parts that too few rows support are left out.

    What a regression's intervals are made of is fitted in `intervals`.
    """
    rows = len(y)
    if kind == "regression":
        return Curve(rows=rows)
    if kind == "multiclass":
        useful = rows >= LEAST_ROWS and helps(fit_temperature, y, scores)
        return Curve(temperature=fit_temperature(y, scores) if useful else None, rows=rows)
    useful = rows >= LEAST_OF_TWO and 0 < y.sum() < rows and helps(fit_platt, y, scores)
    platt = fit_platt(y, scores) if useful else None
    keeps_order = platt is not None and platt.slope > 0
    return Curve(platt=platt if keeps_order else None, threshold=threshold, rows=rows)


def helps(fit: Fit, y: Array, scores: Array) -> bool:
    """Whether a calibration of older rows lowers the log loss of the next ones by enough, on average."""
    edges = [len(y) * part // PARTS for part in range(PARTS + 1)]
    before = after = 0.0
    for middle, end in itertools.pairwise(edges[1:]):
        older, newer = slice(0, middle), slice(middle, end)
        if len(set(y[older].tolist())) < 2:
            return False
        before += log_loss(y[newer], scores[newer])
        after += log_loss(y[newer], fit(y[older], scores[older]).apply(scores[newer]))
    return after < before * (1 - GAIN)
