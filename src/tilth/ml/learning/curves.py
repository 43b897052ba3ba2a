"""Chooses what is done to scores: fits a calibration and keeps it only where rows that it was not fitted on agree.

A share that drifts (a calm autumn before a stormy December) makes a calibration worse than none, so each part of the
rows is calibrated by the others. The kinds of calibration are in `calibration`, what is kept is a `Curve`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

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
LEAST_SHIFT = 0.5
GAIN = 0.02  # by what share of the log loss a calibration must help on rows that it was not fitted on


def fit_curve_folds(
    kind: str, y: Array, scores: Array, parts: npt.NDArray[np.int64], threshold: float
) -> tuple[Curve, Array]:
    """The curve of answers that came from models of the other parts, and these answers calibrated.

    `scores` are bare, `parts` is the number of each row's part. What calibrates a row's answer is fitted on the other parts
    alone; the curve is fitted on all rows, and kept only where calibrating so lowers the log loss by enough.
    """
    import numpy as np

    fit = _fits(kind, y)
    bare = Curve(threshold=threshold if kind == "binary" else 0.5, rows=len(y))
    if fit is None:
        return bare, scores
    crossed = np.empty_like(scores)
    for part in np.unique(parts):
        mine = parts == part
        if mine.all() or len(set(y[~mine].tolist())) < 2:
            return bare, scores
        crossed[mine] = fit(y[~mine], scores[~mine]).apply(scores[mine])
    if log_loss(y, crossed) >= log_loss(y, scores) * (1 - GAIN):
        return bare, scores
    found = fit(y, scores)
    if isinstance(found, Platt):
        return (replace(bare, platt=found), crossed) if found.slope > 0 else (bare, scores)
    return replace(bare, temperature=found), crossed


def _fits(kind: str, y: Array) -> Fit | None:
    """How scores of a kind of task are calibrated; None where there are too few rows, or nothing is."""
    if kind == "multiclass":
        return fit_temperature if len(y) >= LEAST_ROWS else None
    if kind == "binary" and len(y) >= LEAST_OF_TWO and 0 < y.sum() < len(y):
        return fit_platt
    return None


def shifted(
    curve: Curve, share: float, y: Array, raw: Array, part: Any, weight: Array | None = None
) -> tuple[Curve, Array]:
    """The curve with the shift by which `share` of the values are no greater than their answer, and each row's answer by that
    of the other parts: fitted quantiles promise more than they hold (Romano, Patterson and Candes 2019).
    """
    import numpy as np

    def moved(rows: Any) -> Curve:
        own = None if weight is None or not weight[rows].any() else weight[rows]
        off = np.quantile((y - raw)[rows], share, weights=own, method="inverted_cdf")
        return replace(curve, shift=float(off))

    scores = np.empty_like(raw)
    for one in np.unique(part):
        mine = part == one
        others = ~mine if not mine.all() else mine
        scores[mine] = moved(others).apply(raw[mine])
    return moved(np.ones(len(y), dtype=np.bool_)), scores


def lessened(curve: Curve, taught: int, more: int) -> Curve:
    """The curve of a model that learned from `more` rows, where those whose answers told the shift learned from `taught`.

    What a fit promises too much goes down with the rows that it learns from, about as their root: by the shift of four fifths
    of them, all of them were shifted too far (measured, of two generators: 0.85 to 0.95 of it is needed). At least half stays.
    """
    return replace(curve, shift=curve.shift * min(1.0, max(LEAST_SHIFT, (taught / more) ** 0.5)))
