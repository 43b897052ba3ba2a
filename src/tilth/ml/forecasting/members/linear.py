"""Lines over all series at once: each step ahead as a weighted sum of the newest values (a direct ridge).

Values are told as distances from the newest mean, in units of the series' movement. How strong the ridge is, the newest
windows say. What is kept is a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.ml.forecasting.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

MOST, ROWS = 200, 20_000  # newest values that are weighed; windows that teach
RIDGES = (1e-3, 1e-2, 1e-1, 1.0)  # of the mean square
FAR = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """`weights` [inputs + 1, horizon]; inputs are the newest `width` values, then those a long `season` before each step."""

    width: int
    season: int
    weights: Floats


def width_of(panel: Panel, seasons: Sequence[int], horizon: int, window: int | None) -> tuple[int, int]:
    """How many newest values, and which long season: as far as most series are long enough."""
    import numpy as np

    long = int(np.quantile(panel.lengths, 0.5)) if len(panel) else 0
    short = seasons[0] if seasons and seasons[0] <= MOST // 2 else 8
    width = min(2 * short, MOST, max(2, (long - horizon) // 3))
    if len(seasons) > 1 and seasons[1] + short <= MOST and long > 4 * seasons[1]:
        width = seasons[1] + short
    season = next((s for s in seasons if s > width and s >= horizon and long > 3 * s), 0)
    return (width if window is None else max(1, min(width, window))), season


def fit(panel: Panel, horizon: int, shape: tuple[int, int], seed: int) -> Lines | None:
    """The weights; None where there are too few windows."""
    import numpy as np

    width, season = shape
    back = max(width, season)
    windows = np.maximum(panel.lengths - back - horizon + 1, 0)
    total = int(windows.sum())
    if total < 12:
        return None
    random = np.random.default_rng(seed)
    flat = np.arange(total) if total <= ROWS else np.sort(random.choice(total, ROWS, replace=False))
    ends = np.cumsum(windows)
    group = np.searchsorted(ends, flat, side="right")
    known = back + flat - (ends - windows)[group]
    x, level, unit = _inputs(panel, group, known, width, season, horizon)
    at = (panel.starts[group] + known)[:, None] + np.arange(horizon)
    y = np.clip((panel.values[at] - level[:, None]) / unit[:, None], -FAR, FAR)
    behind = panel.lengths[group] - known
    newest = behind <= np.quantile(behind, 0.2)
    older = behind > np.quantile(behind, 0.2) + horizon
    ridge = RIDGES[-1]
    if older.sum() >= 12:
        ridge = min(
            RIDGES, key=lambda r: float(np.abs(x[newest] @ _solved(x[older], y[older], r) - y[newest]).mean())
        )
    return Lines(width, season, _solved(x, y, ridge))


def _solved(x: Floats, y: Floats, ridge: float) -> Floats:
    import numpy as np

    square = x.T @ x / len(x)
    amount = np.full(len(square), ridge * float(np.trace(square)) / len(square) + 1e-9)
    amount[-1] *= 1e-3  # the constant
    return np.linalg.solve(square + np.diag(amount), x.T @ y / len(x)).astype(np.float64)


def _inputs(
    panel: Panel, group: Ints, known: Ints, width: int, season: int, horizon: int
) -> tuple[Floats, Floats, Floats]:
    """(inputs, levels, units) of windows that end after `known` points."""
    import numpy as np

    end = panel.starts[group] + known
    values = panel.values[end[:, None] - width + np.arange(width)]
    level = values.mean(axis=1)
    moved: Floats = np.abs(np.diff(values, axis=1)).sum(axis=1) / float(max(1, width - 1))
    unit = np.where(moved > 0, moved, np.where(level != 0, np.abs(level), 1.0))
    parts = [values]
    if season:
        parts.append(panel.values[end[:, None] - season + np.arange(horizon)])
    told = [(p - level[:, None]) / unit[:, None] for p in parts]
    x = np.clip(np.concatenate([*told, np.ones((len(values), 1))], axis=1), -FAR, FAR)
    return x, level, unit


def answer(panel: Panel, lines: Lines, horizon: int) -> Floats:
    """[series, horizon]; NaN for a series that is shorter than the weights look back."""
    import numpy as np

    out = np.full((len(panel), horizon), np.nan)
    able = np.flatnonzero(panel.lengths >= max(lines.width, lines.season))
    if not len(able):
        return out
    steps = lines.weights.shape[1]
    x, level, unit = _inputs(panel, able, panel.lengths[able], lines.width, lines.season, steps)
    told = level[:, None] + unit[:, None] * (x @ lines.weights)
    out[able, : min(steps, horizon)] = told[:, :horizon]
    return out
