"""Which members a panel has, by name, and their answers at origins: those that only look back, and those that learn first.

A member that looks back is run again on whatever values there are. One that learns is fitted on what lies before an
origin, at most `FITS` times over the origins, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tilth.ml.forecasting.known import Covariates
from tilth.ml.forecasting.members import decomposing, linear, naive, smoothing, trees
from tilth.ml.forecasting.members.features import Recipe, Seen
from tilth.ml.forecasting.members.linear import Lines
from tilth.ml.forecasting.members.trees import Engine, Grown
from tilth.ml.forecasting.panel import Panel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Back = Callable[[Floats, Sequence[int], int], Floats]

FITS = 4


def _none() -> Ints:
    import numpy as np

    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What members are told: seasons in steps, how far lags go back, the horizon they were fitted for, days that are holidays."""

    seasons: tuple[int, ...]
    horizon: int
    window: int | None
    cells: int
    holidays: Ints = field(default_factory=_none)


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What was fitted, by member: a matrix of lines, texts of trees with their columns."""

    lines: Lines | None = None
    grown: Mapping[str, Grown] = field(default_factory=dict)


def named(families: Sequence[str], seasons: Sequence[int]) -> tuple[str, ...]:
    """The members of these families: one a season where a family repeats or refers to one."""
    out: list[str] = []
    for family in families:
        if family in {"seasonal", "cycles", "trees_seasonal"}:
            out += [f"{family}_{s}" for s in seasons]
        elif family != "decomposed" or seasons:
            out.append(family)
    return tuple(out)


def season_of(name: str) -> int:
    """The season in a member's name; 0 for none."""
    tail = name.rpartition("_")[2]
    return int(tail) if tail.isdigit() else 0


def learns(name: str) -> bool:
    """Whether a member is fitted."""
    return name.startswith("trees") or name == "linear"


def back(name: str, seasons: Sequence[int]) -> Back:
    """The function of a member that only looks back."""
    season = season_of(name)
    if season:
        repeat = naive.seasonal if name.startswith("seasonal") else naive.cycles
        return lambda y, offsets, horizon: repeat(y, offsets, horizon, season)
    functions: dict[str, Any] = {
        "last": naive.last, "drift": naive.drift, "mean": naive.mean, "theta": decomposing.theta,
        "smoothing": smoothing.smoothing, "decomposed": smoothing.decomposed,
    }  # fmt: skip
    function = functions[name]
    return lambda y, offsets, horizon: function(y, offsets, horizon, seasons)


def looked_back(name: str, panel: Panel, offsets: Sequence[int], horizon: int, setting: Setting) -> Floats:
    """[origins, series, horizon] of a member that only looks back; an origin is so many points before the end."""
    import numpy as np

    out = np.full((len(offsets), len(panel), horizon), np.nan)
    answer = back(name, setting.seasons)
    with np.errstate(invalid="ignore"):
        for index, y in panel.blocks(setting.cells):
            out[:, index] = answer(y, offsets, horizon)
    return out


def recipe(name: str, setting: Setting) -> Recipe:
    """What the trees of that name see."""
    return Recipe(setting.seasons, season_of(name), setting.window, setting.holidays)


def fitted(
    name: str,
    panel: Panel,
    setting: Setting,
    covariates: Covariates,
    engine: Engine,
    rounds: int | None = None,
) -> Lines | Grown | None:
    """A member that learned from the whole panel; None where there is too little to learn from."""
    if name == "linear":
        shape = linear.width_of(panel, setting.seasons, setting.horizon, setting.window)
        return linear.fit(panel, setting.horizon, shape, engine.seed)
    return trees.grow(Seen(panel, recipe(name, setting), covariates), setting.horizon, engine, rounds)


def answered(
    name: str,
    model: Lines | Grown,
    panel: Panel,
    horizon: int,
    setting: Setting,
    covariates: Covariates,
    scorer: Any,
) -> Floats:
    """[series, horizon] of a fitted member after the end of each series."""
    if isinstance(model, Lines):
        return linear.answer(panel, model, horizon)
    return trees.answer(Seen(panel, recipe(name, setting), covariates), scorer(model), horizon)


def learned_back(
    name: str, panel: Panel, offsets: Sequence[int], setting: Setting, covariates: Covariates, engine: Engine
) -> tuple[Floats, int | None]:
    """[origins, series, horizon] of a member that learns: each origin by a fit on what lay before it or an older one; and its rounds."""
    import numpy as np

    out = np.full((len(offsets), len(panel), setting.horizon), np.nan)
    rounds: int | None = None
    load = partial(loaded, engine=engine)
    for chunk in np.array_split(np.argsort(-np.array(offsets), kind="stable"), min(FITS, len(offsets))):
        before = panel.without(max(offsets[k] for k in chunk))
        model = fitted(name, before, setting, covariates, engine, rounds)
        if model is None:
            continue
        rounds = model.rounds if isinstance(model, Grown) else None
        for k in chunk:
            part = panel.without(offsets[k])
            out[k] = answered(name, model, part, setting.horizon, setting, covariates, load)
    return out, rounds


def loaded(model: Grown, engine: Engine) -> Any:
    """The scorer of a text."""
    return engine.scorer.load(model.payload, model.task(), engine.threads)
