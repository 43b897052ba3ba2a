"""How far series move: the unit in which errors of series of any size are told and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.ml.forecasting.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FLOOR = 0.3  # of the whole history's movement that the newest counts at least
NEWEST = 30  # points at least that say how far a series moves lately


def movement(panel: Panel, season: int, newest: int | None = None) -> Floats:
    """Of each series the mean distance of values a season apart (neighbours where it is too short), lately if `newest`; 0 for none."""
    import numpy as np

    long = panel.lengths >= season + 2
    out = np.where(long, _mean(panel, season, newest), _mean(panel, 1, newest))
    return out if newest is None else np.maximum(out, FLOOR * movement(panel, season))


def _mean(panel: Panel, lag: int, newest: int | None) -> Floats:
    import numpy as np

    values, size = panel.values, len(panel.values)
    moved = np.zeros(size)
    if size > lag:
        moved[lag:] = np.abs(values[lag:] - values[:-lag])
    within = np.arange(size) - np.repeat(panel.starts, panel.lengths)
    counted = within >= lag
    if newest is not None:
        counted &= within >= np.repeat(panel.lengths - newest, panel.lengths)
    owner = panel.owners()
    number = np.bincount(owner, weights=counted, minlength=len(panel))
    total = np.bincount(owner, weights=np.where(counted, moved, 0.0), minlength=len(panel))
    return np.where(number > 0, total / np.maximum(number, 1), 0.0)
