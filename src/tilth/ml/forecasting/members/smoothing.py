"""Exponential smoothing of all series at once: level, damped trend, one season, on values or on their logarithms.

One pass carries some strengths side by side (a grid); at each origin the one goes on whose errors were smallest until then,
so that a pass answers every origin honestly. Nothing is kept of it: given other values, it is run again. Additive forms of
Hyndman et al. (2008); the logarithm stands for the multiplicative ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.ml.forecasting.members.decomposing import NEWEST, again, positive, taken_apart

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

SHORT = 60  # a longer season is no state of its own: see `decomposed`
FIRST = 6  # values that give the first level where there is no season
CELLS = 6_000_000  # of states at once


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Strengths side by side, [strengths, 1] each, and how many are fitted (for the penalty)."""

    alpha: Floats
    beta: Floats
    gamma: Floats
    phi: Floats
    fitted: Floats


def plain_grid() -> Grid:
    """Level alone, and with a damped trend."""
    level = [(a, 0.0, 0.0, 0.0, 1) for a in (0.02, 0.06, 0.12, 0.25, 0.4, 0.6, 0.8, 1.0)]
    trend = [(a, b, 0.0, p, 3) for a in (0.1, 0.3, 0.6, 0.9) for b in (0.05, 0.2) for p in (0.85, 0.97)]
    return _grid(level + trend)


def seasonal_grid() -> Grid:
    """The same with a season that moves."""
    rows = [
        (a, b, g, p, 2 if b == 0 else 4)
        for a in (0.03, 0.1, 0.25, 0.5, 0.8)
        for g in (0.02, 0.1, 0.3)
        for b, p in ((0.0, 0.0), (0.05, 0.9), (0.1, 0.98))
    ]
    return _grid(rows)


def _grid(rows: Sequence[tuple[float, ...]]) -> Grid:
    import numpy as np

    return Grid(*(np.array(c)[:, None] for c in zip(*rows, strict=True)))


def smoothing(y: Floats, offsets: Sequence[int], horizon: int, seasons: Sequence[int]) -> Floats:
    """[origins, series, horizon]: the form and strengths with the smallest penalised error until each origin."""
    import numpy as np

    season = next((s for s in seasons[:1] if s <= SHORT), 0)
    per = 96 * (2 + season)
    size = max(1, CELLS // per)
    parts = [_forms(y[i : i + size], offsets, horizon, season) for i in range(0, len(y), size)]
    return np.concatenate(parts, axis=1) if parts else np.empty((len(offsets), 0, horizon))


def _forms(y: Floats, offsets: Sequence[int], horizon: int, season: int) -> Floats:
    """The best of values and logarithms, with and without a season."""
    import numpy as np

    best = np.full((len(offsets), len(y)), np.inf)
    out = np.full((len(offsets), len(y), horizon), np.nan)
    logged = positive(y)
    logs = np.where(logged[:, None], np.log(np.where(logged[:, None], y, 1.0)), np.nan)
    for x, is_log in ((y, False), (logs, True)):
        if is_log and not logged.any():
            continue
        for length in (0, season) if season else (0,):
            answers, losses = _pass(x, y if is_log else None, offsets, horizon, length)
            better = losses < best
            best = np.where(better, losses, best)
            out = np.where(better[:, :, None], answers, out)
    return out


def _pass(
    x: Floats, raw: Floats | None, offsets: Sequence[int], horizon: int, season: int
) -> tuple[Floats, Floats]:
    """Answers and penalised losses at each origin of one form; `raw` are the values where x are their logarithms."""
    import numpy as np

    grid = seasonal_grid() if season else plain_grid()
    there = ~np.isnan(x)
    level, trend, states = _begin(x, there, season)
    size = len(grid.alpha)
    level, trend = np.tile(level, (size, 1)), np.tile(trend, (size, 1)) * (grid.phi > 0)
    states = np.tile(states, (size, 1, 1))
    loss = np.zeros((size, len(x)))
    at = {x.shape[1] - offset: k for k, offset in enumerate(offsets)}
    answers = np.full((len(offsets), len(x), horizon), np.nan)
    losses = np.full((len(offsets), len(x)), np.inf)
    count = np.zeros(len(x))
    pull, push = grid.alpha, grid.alpha * grid.beta
    for t in range(x.shape[1] + 1):
        if t in at:
            k = at[t]
            answers[k], losses[k] = _goes_on(
                grid, (level, trend, states, loss), count, t, horizon, raw is not None
            )
        if t == x.shape[1]:
            break
        onward = level + grid.phi * trend
        guess = onward + states[:, :, t % season] if season else onward
        error = np.where(there[:, t], x[:, t] - guess, 0.0)
        seen = (
            error if raw is None else np.where(there[:, t], raw[:, t] - np.exp(np.minimum(guess, 700)), 0.0)
        )
        loss += seen * seen
        level = np.where(there[:, t], onward + pull * error, level)
        trend = np.where(there[:, t], grid.phi * trend + push * error, trend)
        if season:
            states[:, :, t % season] += grid.gamma * (1 - grid.alpha) * error
        count += there[:, t]
    short = count < 0
    return answers, np.where(short, np.inf, losses)


def _begin(x: Floats, there: Mask, season: int) -> tuple[Floats, Floats, Floats]:
    """The first level and trend [series], and the season by place modulo its length [series, season]: of the first two cycles."""
    import numpy as np

    count = there.sum(axis=1)
    first = x.shape[1] - count
    width = min(x.shape[1], 2 * season or FIRST)
    place = np.minimum(first[:, None] + np.arange(width), max(0, x.shape[1] - 1))
    head = np.where(np.arange(width) < count[:, None], x[np.arange(len(x))[:, None], place], np.nan)
    number = (~np.isnan(head)).sum(axis=1)
    level = np.nansum(head, axis=1) / np.maximum(number, 1)
    states, trend = np.zeros((len(x), max(1, season))), np.zeros(len(x))
    if season and width == 2 * season:
        whole = count >= 2 * season
        trend = np.where(whole, (head[:, season:] - head[:, :season]).mean(axis=1) / season, 0.0)
        line = level[:, None] + trend[:, None] * (np.arange(width) - (width - 1) / 2)
        apart = np.where(whole[:, None], head - line, 0.0)
        phases = (apart[:, :season] + apart[:, season:]) / 2
        phases -= phases.mean(axis=1, keepdims=True)
        np.put_along_axis(states, place[:, :season] % season, phases, axis=1)
        level = np.where(whole, line[:, 0] - trend, level)
    return level, trend, states


def _goes_on(
    grid: Grid, state: tuple[Floats, Floats, Floats, Floats], count: Floats, t: int, horizon: int, logs: bool
) -> tuple[Floats, Floats]:
    """What the best strengths answer from here, and their loss with its penalty (AICc's)."""
    import numpy as np

    level, trend, states, loss = state
    season = states.shape[2]
    fitted = grid.fitted + (season if season > 1 else 0)
    room = np.maximum(count - fitted - 2, 0.5)
    with np.errstate(over="ignore"):
        penalised = np.log(loss / np.maximum(count, 1) + 1e-300) + 2 * (fitted + 1) / np.maximum(count, 1) * (
            count / room
        )
    best = penalised.argmin(axis=0)
    of = np.arange(len(best))
    phi = grid.phi[best, 0]
    damped = np.cumsum(phi[:, None] ** np.arange(1, horizon + 1), axis=1)
    out = level[best, of][:, None] + damped * trend[best, of][:, None]
    if season > 1:
        out = out + states[best, of][:, (t + np.arange(horizon)) % season]
    enough = count >= max(3, 2 * season if season > 1 else 3)
    out = np.exp(np.minimum(out, 700)) if logs else out
    return np.where(enough[:, None], out, np.nan), np.where(enough, penalised[best, of], np.inf)


def decomposed(y: Floats, offsets: Sequence[int], horizon: int, seasons: Sequence[int]) -> Floats:
    """[origins, series, horizon]: every season as it was lately, and the rest smoothed, in values or logarithms."""
    import numpy as np

    out = np.full((len(offsets), len(y), horizon), np.nan)
    for k, offset in enumerate(offsets):
        x = y[:, : y.shape[1] - offset]
        fitting = [s for s in seasons if 2 * s <= x.shape[1]]
        if not fitting:
            continue
        logged = positive(x)
        logs = np.log(np.where(logged[:, None], x, 1.0))
        plain, spread = _apart(x, horizon, fitting, False)
        if logged.any():
            other, less = _apart(logs, horizon, fitting, True)
            plain = np.where((logged & (less < spread))[:, None], other, plain)
        out[k] = plain
    return out


def _apart(x: Floats, horizon: int, seasons: Sequence[int], logs: bool) -> tuple[Floats, Floats]:
    """An answer from the parts, and how far values lie from trend and seasons."""
    import numpy as np

    from tilth.ml.forecasting.members.decomposing import moving_mean

    rest, phases = taken_apart(x, seasons)
    own = _pass(rest[:, -NEWEST:], None, [0], horizon, 0)[0][0] + sum(again(p, horizon) for p in phases)
    trend = moving_mean(rest, seasons[0])
    fitted = x - rest + trend
    if logs:
        own, fitted, x = np.exp(np.minimum(own, 700)), np.exp(fitted), np.exp(x)
    count = np.maximum(1, (~np.isnan(x)).sum(axis=1))
    return own, np.nansum(np.abs(x - fitted), axis=1) / count
