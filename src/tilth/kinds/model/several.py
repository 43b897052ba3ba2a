"""What OBJECTIVE says of each target of a model, and what of CREATE MODEL needs more than one target says."""

from __future__ import annotations

from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.sql.language.statements import CreateModel, Options, PromoteRule, Target, Value

EACH = ("metric", "minimum")  # options that may have a value for each target, as {target: value}


def metric_of(d: CreateModel, target: Target) -> str | None:
    """The metric that OBJECTIVE names for a target; None where it names none."""
    found = _of(d.objective.get("metric"), target)
    return found if isinstance(found, str) else None


def minimum_of(d: CreateModel, target: Target) -> float | None:
    """The minimum of a target, if it has one."""
    found = _of(d.objective.get("minimum"), target)
    return found if isinstance(found, int | float) else None


def _of(value: Value, target: Target) -> Value:
    if not isinstance(value, Options):
        return value
    return next((v for k, v in value.items if k.lower() in _names(target)), None)


def _names(target: Target) -> tuple[str, str]:
    return target.column.lower(), target.output.lower()


def check(d: CreateModel) -> None:
    """Raise for a target that is none, and for a figure of which nothing says what it is of."""
    known = {name for t in d.targets for name in _names(t)}
    for option in EACH:
        found = d.objective.get(option)
        wrong = (
            next((k for k, _ in found.items if k.lower() not in known), None)
            if isinstance(found, Options)
            else None
        )
        if wrong is not None:
            raise UnknownNameError(
                f"`{option}` names `{wrong}`, which model `{d.name}` does not predict.",
                hint=did_you_mean(wrong, [t.column for t in d.targets], "targets"),
                where=d.position,
            )
    if len(d.targets) == 1 or isinstance(d.objective.get("metric"), str):
        return
    if (figure := _one_figure(d)) is not None:
        said, instead = figure
        raise ProjectError(
            f"Model `{d.name}` predicts {len(d.targets)} columns, and {said} is of one metric: nothing says of which.",
            hint=f"{instead} one metric that fits all of them: OBJECTIVE (metric = ...).",
            where=d.position,
        )


def _one_figure(d: CreateModel) -> tuple[str, str] | None:
    """What is a figure of one metric, and what may be written instead."""
    minimum = d.objective.get("minimum")
    if minimum is not None and not isinstance(minimum, Options):
        return (
            f"minimum = {minimum}",
            f"Write it for each, minimum = {{{d.targets[0].column}: {minimum}}}, or name",
        )
    if d.promote.rule is PromoteRule.NOT_WORSE_BY and d.promote.margin:
        return f"not_worse_by({d.promote.margin:g})", "Write PROMOTE IF better or not_worse_by(0), or name"
    if any(c.signal == "quality" for c in d.retrain):
        return "RETRAIN WHEN quality", "Leave it out, or name"
    return None
