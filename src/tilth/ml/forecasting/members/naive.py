"""Members that repeat: the last value, its drift, the mean of the newest, the last cycle, the mean of some cycles.

Each takes [series, points] aligned at the right and gives [origins, series, horizon], NaN where a series is too short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

CYCLES = 5  # whose mean counts
NEWEST = 8  # points whose mean counts where there is no season
FADE = 0.8


def last(y: Floats, offsets: Sequence[int], horizon: int, _seasons: Sequence[int]) -> Floats:
    """The newest value."""
    return _each(y, offsets, horizon, lambda x: x[:, -1:])


def drift(y: Floats, offsets: Sequence[int], horizon: int, _seasons: Sequence[int]) -> Floats:
    """The newest value, and the mean step so far."""
    import numpy as np

    ahead = np.arange(1, horizon + 1)[None, :]

    def go_on(x: Floats) -> Floats:
        there = ~np.isnan(x)
        count = there.sum(axis=1)
        first = x[np.arange(len(x)), np.minimum(x.shape[1] - count, x.shape[1] - 1)]
        slope = (x[:, -1] - first) / np.maximum(count - 1, 1)
        return np.where((count >= 3)[:, None], x[:, -1:] + slope[:, None] * ahead, np.nan)

    return _each(y, offsets, horizon, go_on)


def mean(y: Floats, offsets: Sequence[int], horizon: int, seasons: Sequence[int]) -> Floats:
    """The mean of the newest values: of two cycles, or of eight points."""
    import numpy as np

    width = 2 * seasons[0] if seasons else NEWEST

    def newest(x: Floats) -> Floats:
        part = x[:, -width:]
        count = (~np.isnan(part)).sum(axis=1, keepdims=True)
        return np.where(count > 0, np.nansum(part, axis=1, keepdims=True) / np.maximum(count, 1), np.nan)

    return _each(y, offsets, horizon, newest)


def seasonal(y: Floats, offsets: Sequence[int], horizon: int, season: int) -> Floats:
    """The last cycle again."""
    import numpy as np

    phase = np.arange(horizon) % season

    def repeat(x: Floats) -> Floats:
        return x[:, -season:][:, phase] if x.shape[1] >= season else np.full((len(x), horizon), np.nan)

    return _each(y, offsets, horizon, repeat)


def cycles(y: Floats, offsets: Sequence[int], horizon: int, season: int) -> Floats:
    """The mean of the newest cycles, older ones counting less."""
    import numpy as np

    phase = np.arange(horizon) % season

    def meant(x: Floats) -> Floats:
        number = min(CYCLES, x.shape[1] // season)
        if number < 2:
            return np.full((len(x), horizon), np.nan)
        whole = x[:, -number * season :].reshape(len(x), number, season)
        weight = (FADE ** np.arange(number)[::-1])[None, :, None] * ~np.isnan(whole)
        total = weight.sum(axis=1)
        two = (~np.isnan(whole)).sum(axis=1) >= 2
        out = np.where(two, (weight * np.nan_to_num(whole)).sum(axis=1) / np.maximum(total, 1e-12), np.nan)
        return out[:, phase]

    return _each(y, offsets, horizon, meant)


def _each(y: Floats, offsets: Sequence[int], horizon: int, answer: object) -> Floats:
    """What `answer` says of the values before each origin."""
    import numpy as np

    out = np.full((len(offsets), len(y), horizon), np.nan)
    for k, offset in enumerate(offsets):
        x = y[:, : y.shape[1] - offset]
        if x.shape[1]:
            out[k] = answer(x)  # type: ignore[operator]
    return out
