"""Fits a forecast: rows to series, seasons, members at inner origins, their weights, intervals, and what is kept to answer.

Inner origins lie in the newest part of the history, each with the whole horizon behind it. What they said, each left out of
the weights that answered it, is kept as evidence (`evidence`), and is what intervals are made of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, InputError
from tilth.ml.forecasting import blending, columns, files, holidays, intervals, seasons, series, state
from tilth.ml.forecasting.evidence import Evidence, Trial
from tilth.ml.forecasting.forecaster import Forecaster
from tilth.ml.forecasting.known import Covariates
from tilth.ml.forecasting.members import table
from tilth.ml.forecasting.members.table import Setting
from tilth.ml.forecasting.members.trees import Engine, Grown
from tilth.ml.forecasting.movement import movement
from tilth.ml.forecasting.panel import Panel
from tilth.ml.forecasting.spec import Notice, Spec
from tilth.ml.forecasting.state import State
from tilth.ports import registry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]

SHARE = 0.4  # of the history, at most, that inner origins lie in
LARGE = 1_500_000  # values from which on four origins must do
MANY = 100  # series from which on half the origins say as much
FEW = 4  # origins below which it is said
ANSWERS = 20_000_000  # inner answers that are kept at once
LEAST_BEYOND = 3  # values beside the horizon that a series needs for an inner origin


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A forecaster and what is known of it."""

    forecaster: Forecaster
    evidence: Evidence

    def files(self) -> dict[str, bytes]:
        """The forecaster as files, none of which executes anything; `files.read` reads them."""
        return files.written(self.forecaster)


def fit(
    rows: pa.Table,
    spec: Spec,
    report: Callable[[str, float | None], None] = lambda _what, _done: None,
    trees: str = "lightgbm",
) -> Fitted:
    """A forecast of the rows; `trees` names the engine whose learner and scorer grow and score them.

    Raises InputError, DataError or TargetError for rows that no forecast can be made of; what concerns single groups is told
    in `evidence.notices`.
    """
    rows = columns.timed(rows, spec.time)
    read = series.read(rows, spec)
    covariates = Covariates.of(rows, read, spec.known, spec.static, {})
    limits = spec.limits
    learner, scorer = registry.load("tilth.learners", trees), registry.load("tilth.scorers", trees)
    engine = Engine(
        learner, scorer, limits.threads, time.monotonic() + limits.seconds, limits.pairs, spec.seed
    )
    notices, states, trials = list(read.notices), [], []
    for target in spec.targets:
        report(f"series of {target}", None)
        panel, told = series.panel(read, target, spec)
        notices += told
        _enough(panel, target, spec, told)
        made, trial, said = _target(panel, target, spec, covariates, engine, report)
        states.append(made)
        trials.append(trial)
        notices += said
    schema = rows.select([spec.time, *spec.groups]).schema
    forecaster = Forecaster(spec, read.groups, schema, read.step, tuple(states), covariates)
    return Fitted(forecaster, Evidence(spec, read.groups, tuple(trials), tuple(notices)))


def _enough(panel: Panel, target: str, spec: Spec, told: Sequence[Notice]) -> None:
    """DataError where no series is long enough for one inner origin."""
    need = spec.horizon + LEAST_BEYOND
    longest = int(panel.lengths.max()) if len(panel) else 0
    if longest >= need:
        return
    raise DataError(
        f"HORIZON {spec.horizon} needs a series of at least {need:,} values of `{target}`; the longest has {longest:,}.",
        hint=f"Write HORIZON {longest - LEAST_BEYOND} or less, or collect more rows."
        if longest > LEAST_BEYOND
        else "Collect more rows.",
        detail=tuple(n.text for n in told if n.left_out or n.reason == "long"),
    )


def origins(panel: Panel, spec: Spec, found: Sequence[int]) -> tuple[int, ...]:
    """How many points before the end of a series each inner origin lies, newest first: about the newest two fifths, and two seasons before them.

    They lie on a grid of places that does not move with the end, so that a version that is trained some steps later has
    them in common, and can be compared there.
    """
    import numpy as np

    horizon = spec.horizon
    long = int(np.quantile(panel.lengths, 0.75, method="higher"))
    longest = int(panel.lengths.max())
    long = longest if long < horizon + LEAST_BEYOND else long
    room = int(SHARE * long)
    shortest = found[0] if found else 1
    if long - room < 2 * shortest + 2:
        room = max(long - 2 * shortest - 2, 0)
    room = min(max(room, horizon), long - LEAST_BEYOND)
    most = spec.limits.origins if len(panel) <= MANY else -(-spec.limits.origins // 2)
    most = most if len(panel.values) <= LARGE else FEW
    most = min(most, max(1, ANSWERS // (len(panel) * horizon * len(spec.options.members))))
    if room == horizon or most == 1:
        return (horizon,)
    number = min(most, room - horizon + 1)
    stride = max(1, min(horizon, (room - horizon) // max(1, number - 1)))
    ends, times = np.unique(panel.ends, return_counts=True)
    first = horizon + (int(ends[times.argmax()]) - horizon) % stride
    farthest = min(room + stride - 1, long - LEAST_BEYOND)
    return tuple(o for o in range(first, first + stride * number, stride) if o <= farthest) or (horizon,)


def _target(
    panel: Panel,
    target: str,
    spec: Spec,
    covariates: Covariates,
    engine: Engine,
    report: Callable[[str, float | None], None],
) -> tuple[State, Trial, list[Notice]]:
    """One target: its seasons, members, weights and intervals."""
    import numpy as np

    said: list[Notice] = []
    looked = spec.options.seasons or seasons.found(panel, panel.step.seasons)
    if spec.options.seasons is None and not looked:
        usual = [s for s in panel.step.seasons if seasons.long_enough(panel, s)][:1]
        told = (
            f"; members of the usual one ({usual[0]} steps) are tried and judged as the others are"
            if usual
            else ""
        )
        if panel.step.seasons:
            said.append(
                Notice(
                    "season",
                    f"`{target}` shows no season of {' or '.join(map(str, panel.step.seasons))} steps{told}.",
                )
            )
        looked = tuple(usual)
    ends = np.concatenate([panel.step.instants(panel.begins), panel.step.instants(panel.ends)])
    free = holidays.days(spec.options.holidays, panel.step, ends)
    setting = Setting(tuple(looked), spec.horizon, spec.window, spec.limits.cells, free)
    offsets = origins(panel, spec, setting.seasons)
    if len(offsets) < FEW:
        said.append(
            Notice(
                "origins",
                f"The history of `{target}` has room for {len(offsets)} inner windows: weights and intervals rest on few.",
            )
        )
    trial, weight, pooled, late = _tried(panel, target, offsets, spec, setting, covariates, engine, report)
    if late:
        said.append(
            Notice(
                "time",
                f"The time was over before {', '.join(late)} of `{target}` could be fitted.",
                count=len(late),
            )
        )
    widths = intervals.learned(trial.scores(), trial.offsets, spec.confidence)
    report(f"fitting {target}", None)
    made = _kept(panel, target, setting, trial, (weight, pooled), widths, covariates, engine)
    return made, trial, said


def _tried(
    panel: Panel, target: str, offsets: Sequence[int], spec: Spec, setting: Setting, covariates: Covariates, engine: Engine,
    report: Callable[[str, float | None], None],
) -> tuple[Trial, Floats, Floats, list[str]]:  # fmt: skip
    """What members said at inner origins, the weights that follow, of each group and of one that is not known, and who came too late."""
    import numpy as np

    names = table.named(spec.options.members, setting.seasons)
    if not names:
        raise InputError(
            f"`members` names only such as repeat a season, and `{target}` has none.",
            hint="Name others beside them, for example 'last, smoothing', or write seasons = '7'.",
        )
    actual = actuals(panel, offsets, spec.horizon)
    parts = [panel.without(o) for o in offsets]
    answers, rounds, late = _answers(panel, target, offsets, names, setting, covariates, engine, report)
    every = np.stack([[state.within(a[k], p) for k, p in enumerate(parts)] for a in answers])
    spare = table.looked_back("last", panel, offsets, spec.horizon, setting)
    unit = movement(parts[-1], setting.seasons[0] if setting.seasons else 1)
    unit = np.where(unit > 0, unit, movement(panel, 1))
    naive = state.naive(panel, offsets, spec.horizon, setting)
    inner = blending.Inner(errors(every, actual, unit), errors(naive[None], actual, unit)[0])
    honest = blending.left_out(inner, every, spare)
    unsure = blending.unsure(errors(honest[None], actual, unit)[0], inner.naive)
    honest = (honest + naive) / 2 if unsure else honest
    everything = range(len(offsets))
    ratio = blending.ratios(inner, everything)
    weight = blending.weights(blending.expected(inner, everything), ratio)
    pooled = blending.weights(ratio[:, None], ratio)[:, 0]
    moved = np.stack([state.moved(p, setting.seasons) for p in parts])
    trial = Trial(target, panel, tuple(offsets), names, ratio, blending.WORDS, weight, actual, honest, naive, unit, moved,
                  {k: v for k, v in rounds.items() if v}, setting.seasons, unsure, spec.confidence)  # fmt: skip
    return trial, weight, pooled, late


def _answers(
    panel: Panel, target: str, offsets: Sequence[int], names: Sequence[str], setting: Setting, covariates: Covariates,
    engine: Engine, report: Callable[[str, float | None], None],
) -> tuple[list[Floats], dict[str, int | None], list[str]]:  # fmt: skip
    """[origins, series, horizon] of each member, rounds of those that have some, and which came too late to be fitted."""
    import numpy as np

    answers: list[Floats] = []
    rounds: dict[str, int | None] = {}
    late: list[str] = []
    for i, name in enumerate(names):
        report(f"{name} of {target} at {len(offsets)} inner windows", i / len(names))
        if not table.learns(name):
            answers.append(table.looked_back(name, panel, offsets, setting.horizon, setting))
        elif time.monotonic() > engine.deadline:
            late.append(name)
            answers.append(np.full((len(offsets), len(panel), setting.horizon), np.nan))
        else:
            own, rounds[name] = table.learned_back(name, panel, offsets, setting, covariates, engine)
            answers.append(own)
    return answers, rounds, late


def actuals(panel: Panel, offsets: Sequence[int], horizon: int) -> Floats:
    """[origins, series, horizon]: what came; NaN where a series has too little before an origin."""
    import numpy as np

    out = np.full((len(offsets), len(panel), horizon), np.nan)
    for k, offset in enumerate(offsets):
        able = np.flatnonzero(panel.lengths - offset >= LEAST_BEYOND)
        first = (panel.starts + panel.lengths)[able] - offset
        out[k, able] = panel.values[first[:, None] + np.arange(horizon)]
    return out


def errors(answers: Floats, actual: Floats, unit: Floats) -> Floats:
    """[members, groups, origins]: mean absolute errors in units of each group; NaN where a step has no answer or no unit."""
    import numpy as np

    own = np.abs(answers - actual[None]).mean(axis=3).transpose(0, 2, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((unit > 0)[None, :, None], own / unit[None, :, None], np.nan)


def _kept(
    panel: Panel, target: str, setting: Setting, trial: Trial, weights: tuple[Floats, Floats], widths: intervals.Widths,
    covariates: Covariates, engine: Engine,
) -> State:  # fmt: skip
    """The members that count, fitted on everything, and what they say from the end of each series."""
    from dataclasses import replace

    import numpy as np

    weight, pooled = weights
    models = {}
    used = (weight > 0).any(axis=1) | (pooled > 0)
    for i, name in enumerate(trial.members):
        if used[i] and table.learns(name):
            model = table.fitted(name, panel, setting, covariates, engine, trial.rounds.get(name))
            if model is None:
                used[i] = False
            else:
                models[name] = model
    members = tuple(n for n, so in zip(trial.members, used, strict=True) if so)
    empty = np.empty((0, setting.horizon))
    made = State(
        target,
        setting,
        members,
        trial.unsure,
        weight[used],
        pooled[used],
        widths,
        panel,
        models,
        empty,
        empty,
    )
    known = np.arange(len(panel))
    scorer = scorers(engine)
    if covariates.known and any(n.startswith("trees") for n in members):
        return made  # answers need values of the future: there are none to keep
    answers = state.answer(made, panel, made.weights, setting.horizon, covariates, scorer)
    return replace(made, answers=answers, halves=state.half(made, panel, known, setting.horizon))


def scorers(engine: Engine) -> Callable[[Grown], Any]:
    """What loads a text, each once."""
    found: dict[bytes, Any] = {}

    def load(model: Grown) -> Any:
        if model.payload not in found:
            found[model.payload] = table.loaded(model, engine)
        return found[model.payload]

    return load
