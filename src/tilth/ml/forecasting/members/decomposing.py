"""Series taken apart into trend, seasons and rest by moving means, and two members that go on with the parts.

`theta` (Assimakopoulos and Nikolopoulos 2000) takes half the slope and smooths the rest; `decomposed` goes on with each
season as it was lately, and with the rest as exponential smoothing does. Arrays are [series, points], aligned at the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

FADE = 0.85  # what a cycle counts against the next newer one
LONG = 60  # steps from which a season's phases are smoothed
ALPHAS = (0.03, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 0.95)
NEWEST = 400  # points that are smoothed


def moving_mean(y: Floats, width: int) -> Floats:
    """The centred mean over about `width` points, of those that are there; windows are cut at the ends."""
    import numpy as np

    there = ~np.isnan(y)
    level = np.nansum(y, axis=1, keepdims=True) / np.maximum(1, there.sum(axis=1, keepdims=True))
    zero = np.zeros((len(y), 1))
    sums = np.concatenate([zero, np.cumsum(np.where(there, y - level, 0.0), axis=1)], axis=1)
    counts = np.concatenate([zero, np.cumsum(there, axis=1)], axis=1)
    at = np.arange(y.shape[1])
    half = width // 2
    ends = (
        [(at - half, at + half + 1)]
        if width % 2
        else [(at - half, at + half), (at - half + 1, at + half + 1)]
    )
    total = number = 0.0
    for low, high in ends:
        first, after = np.clip(low, 0, y.shape[1]), np.clip(high, 0, y.shape[1])
        total = total + sums[:, after] - sums[:, first]
        number = number + counts[:, after] - counts[:, first]
    return np.where(there, total / np.maximum(number, 1) + level, np.nan)


def cycle(rest: Floats, season: int) -> tuple[Floats, Floats]:
    """(phases of the next cycle [series, season], the season at each point), of what is left without a trend."""
    import numpy as np

    width = rest.shape[1]
    cycles = -(-width // season)
    whole = np.concatenate([np.full((len(rest), cycles * season - width), np.nan), rest], axis=1)
    whole = whole.reshape(len(rest), cycles, season)
    weight = (FADE ** np.arange(cycles)[::-1])[None, :, None] * ~np.isnan(whole)
    total = weight.sum(axis=1)
    phases = np.where(total > 0, (weight * np.nan_to_num(whole)).sum(axis=1) / np.maximum(total, 1e-12), 0.0)
    if season >= LONG:
        phases = _rounded(phases, max(3, season // 24))
    phases = phases - phases.mean(axis=1, keepdims=True)
    return phases, np.tile(phases, (1, cycles))[:, cycles * season - width :]


def _rounded(phases: Floats, width: int) -> Floats:
    """Phases smoothed around the circle, where that takes out noise rather than form."""
    import numpy as np

    half = width // 2
    round_ = np.concatenate([phases[:, -half:], phases, phases[:, :half]], axis=1)
    sums = np.cumsum(np.concatenate([np.zeros((len(phases), 1)), round_], axis=1), axis=1)
    smooth = (sums[:, 2 * half + 1 :] - sums[:, : -(2 * half + 1)]) / (2 * half + 1)
    steps = np.abs(np.diff(phases, axis=1)).mean(axis=1)
    spread = np.abs(phases - phases.mean(axis=1, keepdims=True)).mean(axis=1)
    return np.where((steps > 0.25 * spread)[:, None] & _noisy(phases)[:, None], smooth, phases)


def _noisy(phases: Floats) -> Mask:
    """Whether neighbours say nothing of a form: their steps turn as often as chance has it."""
    import numpy as np

    step = np.diff(phases, axis=1)
    turns: Mask = (step[:, 1:] * step[:, :-1] < 0).mean(axis=1) > 0.5
    return turns


def taken_apart(y: Floats, seasons: Sequence[int]) -> tuple[Floats, list[Floats]]:
    """(the series without its seasons, the phases of each): of a series with less than two cycles a season is 0."""
    import numpy as np

    rest, out = y, []
    length = (~np.isnan(y)).sum(axis=1)
    for season in seasons:
        phases, at = cycle(rest - moving_mean(rest, season), season)
        enough = (length >= 2 * season)[:, None]
        out.append(np.where(enough, phases, 0.0))
        rest = np.where(enough, rest - at, rest)
    return rest, out


def again(phases: Floats, horizon: int) -> Floats:
    """The next steps of a cycle."""
    import numpy as np

    return phases[:, np.arange(horizon) % phases.shape[1]]


def positive(y: Floats) -> Mask:
    """Series whose values are all above 0."""
    import numpy as np

    out: Mask = ~np.any(np.where(np.isnan(y), 1.0, y) <= 0, axis=1)
    return out


def theta(y: Floats, offsets: Sequence[int], horizon: int, seasons: Sequence[int]) -> Floats:
    """[origins, series, horizon]: half the slope, the rest smoothed, times (or plus) the shortest season."""
    import numpy as np

    out = np.full((len(offsets), len(y), horizon), np.nan)
    for k, offset in enumerate(offsets):
        x = y[:, : y.shape[1] - offset]
        if not x.shape[1]:
            continue
        logged = positive(x)
        x = np.where(logged[:, None], np.log(np.where(logged[:, None], x, 1.0)), x)
        rest, phases = taken_apart(x, [s for s in seasons[:1] if 2 * s <= x.shape[1]])
        future = sum(again(p, horizon) for p in phases)
        rest = np.where(logged[:, None], np.exp(np.where(logged[:, None], rest, 0.0)), rest)[:, -NEWEST:]
        flat = _theta_line(rest, horizon)
        out[k] = np.where(
            logged[:, None], flat * np.exp(np.where(logged[:, None], future, 0.0)), flat + future
        )
    return out


def _theta_line(y: Floats, horizon: int) -> Floats:
    """Simple smoothing (the best of some strengths) plus half the slope."""
    import numpy as np

    there = ~np.isnan(y)
    count = there.sum(axis=1)
    at = np.where(there, np.arange(y.shape[1])[None, :] - (y.shape[1] - 1), 0.0)
    mean_t, mean_y = at.sum(axis=1) / np.maximum(count, 1), np.nansum(y, axis=1) / np.maximum(count, 1)
    moved = np.where(there, at - mean_t[:, None], 0.0)
    slope = (moved * np.nan_to_num(y)).sum(axis=1) / np.maximum((moved**2).sum(axis=1), 1e-12)
    first = y.shape[1] - count
    level = np.tile(mean_y + slope * (first - (y.shape[1] - 1) - mean_t), (len(ALPHAS), 1))
    alpha = np.array(ALPHAS)[:, None]
    loss = np.zeros_like(level)
    for t in range(y.shape[1]):
        error = np.where(there[:, t], y[:, t] - level - 0.0, 0.0)
        loss += error**2
        level = level + alpha * error
    best = loss.argmin(axis=0)
    chosen, level = np.array(ALPHAS)[best], level[best, np.arange(len(y))]
    ahead = np.arange(horizon)[None, :] + ((1 - (1 - chosen) ** count) / chosen)[:, None]
    line = level[:, None] + slope[:, None] / 2 * ahead
    return np.where((count >= 3)[:, None], line, np.nan)
