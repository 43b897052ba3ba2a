"""What a fitted forecast of one target is, and what it answers to series: the same function at training and when asked.

All of it is arrays, names and texts of trees; `files` writes and reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.ml.forecasting.blending import together
from tilth.ml.forecasting.intervals import Widths
from tilth.ml.forecasting.known import Covariates
from tilth.ml.forecasting.members import table
from tilth.ml.forecasting.members.linear import Lines
from tilth.ml.forecasting.members.table import Setting
from tilth.ml.forecasting.members.trees import Grown
from tilth.ml.forecasting.movement import NEWEST, movement
from tilth.ml.forecasting.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Of one target: `members` with `weights` [members, series of the panel] and `pooled` ones for a series that is not known.

    `unsure`: the answer is drawn half the way to the seasonal naive. `answers` and `halves` [series, horizon] are what is said from the end of each series, and half the interval's width.
    """

    target: str
    setting: Setting
    members: tuple[str, ...]
    unsure: bool
    weights: Floats
    pooled: Floats
    widths: Widths
    panel: Panel
    models: Mapping[str, Lines | Grown]
    answers: Floats
    halves: Floats


def limits(panel: Panel) -> tuple[Floats, Floats]:
    """[series, 1] each: no answer lies further beyond what was seen than the series has ranged, or below 0 if it never was."""
    import numpy as np

    low, high = np.zeros(len(panel)), np.zeros(len(panel))
    some = np.flatnonzero(panel.lengths > 0)
    if len(some):
        edges = panel.starts[some]
        low[some] = np.minimum.reduceat(panel.values, edges)
        high[some] = np.maximum.reduceat(panel.values, edges)
    span = high - low
    least = np.where(low >= 0, np.maximum(low - span, 0.0), low - span)
    return least[:, None], (high + span)[:, None]


def within(answers: Floats, panel: Panel) -> Floats:
    """[series, horizon] kept to `limits`; a series that never moved answers its value."""
    import numpy as np

    low, high = limits(panel)
    return np.where(np.isnan(answers), np.nan, np.clip(answers, low, high))


def answer(
    state: State,
    panel: Panel,
    weight: Floats,
    horizon: int,
    covariates: Covariates,
    scorer: Callable[[Grown], Any],
) -> Floats:
    """[series, horizon] after the end of each series of the panel, with these weights [members, series]."""
    import numpy as np

    each = np.full((len(state.members), len(panel), horizon), np.nan)
    for i, name in enumerate(state.members):
        used = np.flatnonzero(weight[i] > 0)
        if not len(used):
            continue
        part = panel if len(used) == len(panel) else panel.take(used)
        if table.learns(name):
            own = table.answered(name, state.models[name], part, horizon, state.setting, covariates, scorer)
        else:
            own = table.looked_back(name, part, [0], horizon, state.setting)[0]
        each[i, used] = within(own, part)
    spare = table.looked_back("last", panel, [0], horizon, state.setting)[0]
    out = together(each, weight, spare)
    if state.unsure:
        out = (out + naive(panel, [0], horizon, state.setting)[0]) / 2
    return within(out, panel)


def naive(panel: Panel, offsets: Sequence[int], horizon: int, setting: Setting) -> Floats:
    """[origins, series, horizon]: the cycle before, of the longest season that a series has; else the last value."""
    import numpy as np

    out = table.looked_back("last", panel, offsets, horizon, setting)
    for season in setting.seasons:
        own = table.looked_back(f"seasonal_{season}", panel, offsets, horizon, setting)
        out = np.where(np.isnan(own), out, own)
    return out


def half(state: State, panel: Panel, known: Ints, horizon: int) -> Floats:
    """[series, horizon]: half the width of intervals; `known` has the place of each series among the known ones, or -1."""
    import numpy as np

    widths = state.widths
    own = np.append(widths.groups, widths.pooled)[known]
    return (
        widths.quantile * widths.at(horizon)[None, :] * (own * moved(panel, state.setting.seasons))[:, None]
    )


def moved(panel: Panel, seasons: tuple[int, ...]) -> Floats:
    """The movement that intervals are told in: lately, of the shortest season."""
    season = seasons[0] if seasons else 1
    return movement(panel, season, max(NEWEST, 3 * season))
