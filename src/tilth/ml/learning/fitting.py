"""Fits the members of a model, chooses one and calibrates it. Runs inside a training worker.

Nothing here knows an engine: learners and scorers come through callables. Which rows there are, and what is written, is
in `training`; how short histories are judged in `folding`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tilth.core.engines import Engine
from tilth.core.errors import ResourceLimitError, TrainingError
from tilth.core.metrics import DECISIONS
from tilth.ml.learning.curves import fit_curve
from tilth.ml.learning.made import Getter, Made, Member, Report, Tools
from tilth.ml.learning.rows import Rows
from tilth.ml.learning.taking import scorer_of, seen, unchanged
from tilth.ml.model.curve import Curve, threshold
from tilth.ml.model.metrics import higher_is_better, measured
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import BASELINE, Budget, Fitted, Learner, Task, facts_of, tried

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

REFIT_ROWS = 20_000  # up to this many fit rows, the chosen engine is fitted again with the stop rows
MORE_MEMORY = "Give the model more: USING (memory = '8 GB'), or train on fewer rows or columns."


def fitted(spec: TrainingSpec, task: Task, data: Rows, tools: Tools, votes: Sequence[str] = ()) -> Made:
    """Fit the members, keep the best on the stop rows, refit it on small data, calibrate it.

    `votes` are the engines that were best on other parts of a short history: where the engine is free, most of them decide.
    """
    members = _fit_members(spec, task, data, tools)
    free = spec.engine == "auto"
    chosen = _choose(task, members, spec.engine, free, data.part("stop")[1])
    if free:
        chosen = members[agreed(chosen.engine, votes)]
    chosen = _refit(spec, task, data, chosen, tools)
    tools.report("calibrating", 0.9)
    own = _fixed(spec, facts_of(tools.learners(chosen.engine)))
    return Made(members, chosen, _calibrate(spec, data, chosen), options=own)


def _fit_members(spec: TrainingSpec, task: Task, data: Rows, tools: Tools) -> dict[str, Member]:
    """The baseline always, then the wanted engines; whatever is fitted when the time is up stays."""
    wanted = [e.name for e in tried(spec.engine) if e.name != BASELINE]
    members: dict[str, Member] = {}
    for number, name in enumerate((BASELINE, *wanted)):
        tell = _teller(tools.report, name, number, len(wanted))
        left = len(wanted) - number + 1  # engines that still have to be fitted, this one too
        until = _share(tools.deadline, left) if number and left > 1 else tools.deadline
        made = _fit(tools.learners(name), task, data, spec, until, _options(spec, name), tell)
        members[name] = _member(name, made, task, data, spec, tools.scorers)
    return members


def _teller(report: Report, name: str, number: int, wanted: int) -> Report:
    """Says how far the engine is: the baseline has the second tenth of the whole, the others share six more."""
    low, span = (0.1, 0.1) if number == 0 else (0.2 + 0.6 * (number - 1) / wanted, 0.6 / wanted)
    return lambda what, done: report(f"{name}: {what}", low + span * (done or 0.0))


def _share(deadline: float, left: int) -> float:
    """Until when an engine may go on, so that those after it have as much."""
    now = time.monotonic()
    return now + max(0.0, deadline - now) / left


def _options(spec: TrainingSpec, engine: str) -> dict[str, object]:
    """What USING gives the engine; of a name with a point the head says for whom it is."""
    given: dict[str, object] = {}
    for name, value in spec.options:
        owner, _, option = name.rpartition(".")
        if (owner or spec.engine) == engine:
            given[option] = value
    if spec.estimator and engine == spec.engine:
        given |= {"estimator": spec.estimator, "estimators": spec.estimators or ""}
    return given


def _fixed(spec: TrainingSpec, engine: Engine) -> dict[str, object]:
    """The options without those that say when to stop: for a fit that knows it."""
    stops = {option.name for option in engine.options or () if option.stops}
    return {k: v for k, v in _options(spec, engine.name).items() if k not in stops}


def _fit(
    learner: type[Learner],
    task: Task,
    data: Rows,
    spec: TrainingSpec,
    deadline: float,
    options: Mapping[str, object],
    report: Report,
    with_stop: bool = False,
) -> Fitted:
    import numpy as np

    x, y = data.part("fit")
    x_stop, y_stop = data.part("stop")
    if with_stop:
        x, y = data.x[: data.split.stop], data.y[: data.split.stop]
    budget = Budget(deadline, spec.threads, spec.seed)
    before = seen(x, y, x_stop, y_stop)
    try:
        made = learner().fit(task, x, y, x_stop, y_stop, budget, options, report)
    except (MemoryError, np.linalg.LinAlgError) as error:
        if isinstance(error, MemoryError):
            raise ResourceLimitError("The training ran out of memory.", hint=MORE_MEMORY) from error
        raise TrainingError(f"The engine met numbers it cannot solve: {error}") from error
    unchanged(facts_of(learner).name, before, x, y, x_stop, y_stop)
    return made


def _member(name: str, made: Fitted, task: Task, data: Rows, spec: TrainingSpec, scorers: Getter) -> Member:
    x, y = data.part("stop")
    scorer = scorer_of(name, made, task, scorers, spec.threads, x)
    scores = scorer.score(x)
    loss = measured("rmse" if task.kind == "regression" else "log_loss", y, scores)
    return Member(name, made, scorer, measured(task.metric, y, scores, _limit(spec)), loss)


def _limit(spec: TrainingSpec) -> float:
    """Above which probability the positive class will be the answer."""
    return threshold(spec.cost_false_negative, spec.cost_false_positive)


def _choose(task: Task, members: dict[str, Member], asked: str, free: bool, y: Matrix) -> Member:
    """The asked engine, or with `auto` the member that is best on the stop slice.

    A metric of ranks or decisions cannot tell members apart that order or decide alike; of those whose metric is within
    a standard error of the best, the one with the least loss is best.
    """
    if not free:
        return members[asked]
    sign = 1.0 if higher_is_better(task.metric) else -1.0

    def rank(member: Member) -> float:
        return float("-inf") if member.stop_metric is None else sign * member.stop_metric

    best = max(members.values(), key=rank)
    if task.metric not in (*DECISIONS, "roc_auc"):
        return best
    least = rank(best) - _noise(best.stop_metric, y, task.metric)
    alike = [m for m in members.values() if rank(m) >= least and m.stop_loss is not None]
    return min(alike, key=lambda m: m.stop_loss or 0.0, default=best)


def agreed(own: str, votes: Sequence[str]) -> str:
    """The engine with most votes, one of them its own, which breaks a tie: the stop rows of a short history are few.

    >>> agreed("linear", ["lightgbm", "lightgbm", "linear", "lightgbm", "lightgbm"]), agreed("linear", [])
    ('lightgbm', 'linear')
    """
    counted = Counter([own, *votes])
    return own if counted[own] == max(counted.values()) else counted.most_common(1)[0][0]


def _noise(value: float | None, y: Matrix, metric: str) -> float:
    """About the standard error of a share over these rows; of ranks and of f1, over those of the rarer class.

    Of few rows, all found do not prove that all are: one more is counted as found and one as not.
    """
    import numpy as np

    if value is None:
        return 0.0
    rows = len(y) if metric == "accuracy" else int(np.unique(y, return_counts=True)[1].min())
    share = (value * rows + 1.0) / (rows + 2.0)
    return float(np.sqrt(share * (1.0 - share) / rows))


def _refit(spec: TrainingSpec, task: Task, data: Rows, chosen: Member, tools: Tools) -> Member:
    """On small data the stop rows are too precious to leave out: fit again with them, with what stopping has found."""
    found = dict(chosen.fitted.notes).get("refit")
    cut_short = dict(chosen.fitted.notes).get("stopped_by") == "time limit"
    if (
        not isinstance(found, dict)
        or data.split.fit > REFIT_ROWS
        or cut_short
        or time.monotonic() > tools.deadline
    ):
        return chosen
    tools.report(f"{chosen.engine}: refitting with the stop rows", 0.85)
    learner = tools.learners(chosen.engine)
    given = {**_fixed(spec, facts_of(learner)), **found}
    again = _fit(learner, task, data, spec, tools.deadline, given, lambda _w, _d: None, with_stop=True)
    scorer = scorer_of(chosen.engine, again, task, tools.scorers, spec.threads, data.part("stop")[0])
    return Member(chosen.engine, again, scorer, chosen.stop_metric, chosen.stop_loss)


def _calibrate(spec: TrainingSpec, data: Rows, chosen: Member) -> Curve:
    x, y = data.part("calibrate")
    if data.target.kind == "regression":
        return floored(data.y[: data.split.calibrate])
    return fit_curve(data.target.kind, y, chosen.scorer.score(x), _limit(spec))


def floored(y: Matrix) -> Curve:
    """The curve of a regression: where no target was below 0, no value is."""
    return Curve(floor=0.0 if float(y.min()) >= 0.0 else None, rows=len(y))
