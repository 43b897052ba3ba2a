"""Which seasons a table's series have, of those that their step can have: found over all groups together, one or two.

A season is told by how alike values a season apart are once the trend is taken out (autocorrelation, against what luck
would give: Bartlett), and more alike than at other lags. A longer one is looked for in what a shorter one leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilth.ml.forecasting.members.decomposing import cycle, moving_mean
from tilth.ml.forecasting.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MOST = 200  # series that are looked at
LEAST = 0.1  # of autocorrelation that is worth a season
ABOVE = 0.05  # what a season's lag must have over others
POOLED = 9  # series whose agreement counts as independent


def found(panel: Panel, candidates: Sequence[int]) -> tuple[int, ...]:
    """The seasons, shortest first; empty where none is told from luck."""
    import numpy as np

    looked = panel.take(np.unique(np.linspace(0, len(panel) - 1, min(MOST, len(panel))).astype(np.int64)))
    out: list[int] = []
    for season in candidates:
        if _has(looked, season, out):
            out.append(season)
    return tuple(out[:2])


def long_enough(panel: Panel, season: int) -> bool:
    """Whether some tenth of the series, and one at least, has two cycles of the season."""
    return int((panel.lengths >= 2 * season).sum()) >= max(1, len(panel) // 10)


def _has(panel: Panel, season: int, shorter: Sequence[int]) -> bool:
    import numpy as np

    if not long_enough(panel, season):
        return False
    panel = panel.take(np.flatnonzero(panel.lengths >= 2 * season))
    strengths, limits, rivals = [], [], []
    for _, y in panel.blocks(200_000):
        rest = y
        for other in shorter:
            rest = rest - cycle(rest - moving_mean(rest, other), other)[1]
        rest = rest - moving_mean(rest, season)
        own, limit, rival = _alike(rest, season, shorter)
        strengths.append(own)
        limits.append(limit)
        rivals.append(rival)
    own, limit, rival = (np.concatenate(v) for v in (strengths, limits, rivals))
    told = ~np.isnan(own)
    if not told.any():
        return False
    bar = max(LEAST, float(limit[told].mean()) / min(POOLED, told.sum()) ** 0.5)
    return bool(own[told].mean() > bar and own[told].mean() > rival[told].mean() + ABOVE)


def _alike(y: Floats, season: int, shorter: Sequence[int]) -> tuple[Floats, Floats, Floats]:
    """Of each series: autocorrelation at the season, what luck gives at most, and the mean at lags that compete."""
    import numpy as np

    there = ~np.isnan(y)
    count = there.sum(axis=1)
    x = np.where(there, y - (np.nansum(y, axis=1) / np.maximum(count, 1))[:, None], 0.0)
    size = 1 << (2 * x.shape[1] - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(x, size, axis=1)) ** 2
    every = np.fft.irfft(spectrum, size, axis=1)[:, : season + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        every = (
            every / every[:, :1] * (count[:, None] / np.maximum(1, count[:, None] - np.arange(season + 1)))
        )
    before = every[:, 1:season]
    limit = 1.645 * np.sqrt((1 + 2 * (before**2).sum(axis=1)) / count)
    base = max(shorter, default=0)
    tells = base > 0 and season % base == 0
    lags = np.arange(base, season, base) if tells else np.array([max(1, season // 2)])
    flat = np.isnan(every[:, 0])
    return np.where(flat, np.nan, every[:, season]), limit, every[:, lags].mean(axis=1)
