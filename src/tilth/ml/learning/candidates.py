"""Which engines a training tries, with which options, and what it leaves out and why. `fitting` fits them."""

from __future__ import annotations

from tilth.core.engines import Engine
from tilth.core.metrics import canonical, quantile_of
from tilth.ml.learning.crossing import Candidate
from tilth.ml.learning.made import Remark
from tilth.ml.learning.starting import Start
from tilth.ml.learning.teaching import STUDENT
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import Task, engines, tried

SLOW = {
    "extra_trees": 50,
    "lightgbm": 100,
    "catboost": 100,
    "xgboost": 100,
    "text": 20,
}  # classes, above which `auto` does not try an engine: it learns each by itself


MORE: tuple[tuple[str, dict[str, object]], ...] = (
    ("lightgbm", {"learning_rate": 0.03, "num_leaves": 63, "feature_fraction": 0.6}),
)  # engines that preset = 'best' tries once more, with smaller steps


def candidates(spec: TrainingSpec, task: Task, start: Start | None = None) -> tuple[Candidate, ...]:
    """The engine that USING names, or with `auto` all that have a rank and can learn the task in time.

    Of a training that goes on from a version those that are its members: the others added nothing.
    """
    found = _wanted(spec, task)
    if spec.teacher:
        engine = next(e.name for e in tried(spec.engine, spec.preset) if e.student)
        found = (*found, Candidate(STUDENT, engine))
    return found if start is None else tuple(c for c in found if start.member(c.name) is not None)


def _wanted(spec: TrainingSpec, task: Task) -> tuple[Candidate, ...]:
    found = tried(spec.engine, spec.preset)
    if spec.engine != "auto":
        return tuple(Candidate(e.name, e.name, _options(spec, e)) for e in found)
    found = tuple(e for e in found if _fits(task, e) and lacking(spec, task, e) is None)
    out = [Candidate(e.name, e.name, _options(spec, e)) for e in found]
    if spec.preset == "best":
        own = {c.engine: c.options for c in out}
        out += [Candidate(f"{name}.slow", name, {**more, **own[name]}) for name, more in MORE if name in own]
    return tuple(out)


def _fits(task: Task, engine: Engine) -> bool:
    """Whether there is something for it to learn from."""
    return task.texts is not None or not engine.texts


def absent(spec: TrainingSpec) -> tuple[Remark, ...]:
    """The engines that the preset would try and cannot: what they say of it."""
    if spec.engine != "auto" or spec.preset != "best":
        return ()
    return tuple(
        Remark("engine", f"`{e.name}` was not tried. {e.fault}", e.mend)
        for e in engines()
        if e.best and e.fault
    )


def lacking(spec: TrainingSpec, task: Task, engine: Engine) -> tuple[str, str] | None:
    """What is asked for that the engine cannot do, or not in time, and what would have it tried; None where it can all."""
    if spec.weight is not None and not engine.weighs:
        return "takes no weights of rows", "Leave out weight of OBJECTIVE."
    if quantile_of(canonical(spec.metric or "")) is not None and not engine.quantiles:
        return "learns no quantiles", "Take a metric that is no pinball loss."
    if spec.monotone and not engine.monotone:
        return "cannot promise that answers rise or fall with a number", "Leave out monotone of OBJECTIVE."
    if task.classes > (most := SLOW.get(engine.name, task.classes)):
        words = f"learns each class by itself, and {task.classes:,} are more than the {most} that it is given time for"
        return words, f"Name it: USING (engine = '{engine.name}')."
    return None


def unable(spec: TrainingSpec, task: Task) -> tuple[Remark, ...]:
    """The engines that `auto` leaves out, why, and what to do about it."""
    if spec.engine != "auto":
        return ()
    return tuple(
        Remark("engine", f"`{e.name}` was not tried: it {found[0]}.", found[1])
        for e in tried(spec.engine, spec.preset)
        if _fits(task, e) and (found := lacking(spec, task, e)) is not None
    )


def _options(spec: TrainingSpec, engine: Engine) -> dict[str, object]:
    """What USING gives the engine; of a name with a point the head says for whom it is."""
    given: dict[str, object] = {}
    for name, value in spec.options:
        owner, _, option = name.rpartition(".")
        if (owner or spec.engine) == engine.name:
            given[option] = value
    if spec.estimator and engine.name == spec.engine:
        given |= {"estimator": spec.estimator, "estimators": spec.estimators or ""}
    return given
