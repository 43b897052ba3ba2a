"""When a model is due for retraining: RETRAIN WHEN, with hysteresis and a cool-down, as pure functions.

A signal (drift, prediction drift, quality, new rows) fires when it holds in AGREE of the last WINDOWS looks that could
tell; after any candidate it rests for COOL_DOWN, twice as long after each further candidate that did not win, so that a
shift that training cannot mend does not train for ever. An age fires once it is reached, counted from the last candidate.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from tilth.core.figures import figure
from tilth.core.metrics import find
from tilth.core.time import Instant, show_duration
from tilth.plan.snapshot import Signals
from tilth.sql.language.statements import Condition

AGREE, WINDOWS = 2, 3
COOL_DOWN = timedelta(days=7)
MOST_DOUBLINGS = 3

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def retrain_reason(
    conditions: Sequence[Condition],
    looks: Sequence[Signals],
    trained_at: Instant,
    now: Instant,
    lost: int = 0,
) -> str | None:
    """Why the model is due, in words with the figures; None when it is not.

    `looks` are those since the champion began, oldest first; `trained_at` is when the last candidate was made; `lost` is
    how many candidates have not won against this champion.
    """
    rest = COOL_DOWN * 2 ** min(max(lost - 1, 0), MOST_DOUBLINGS)
    for condition in conditions:
        reason = (
            _aged(condition, trained_at, now)
            if condition.signal == "age"
            else _signalled(condition, looks, trained_at, now, rest)
        )
        if reason is not None:
            return reason
    return None


def _aged(condition: Condition, trained_at: Instant, now: Instant) -> str | None:
    age = now - trained_at
    if isinstance(condition.value, timedelta) and _COMPARE[condition.op](age, condition.value):
        return f"age {show_duration(_rounded(age))} {condition.op} {show_duration(condition.value)}"
    return None


def _rounded(age: timedelta) -> timedelta:
    """Whole days from two days on, below that hours, below that minutes."""
    size = next((s for s in (timedelta(days=1), timedelta(hours=1)) if age >= 2 * s), timedelta(minutes=1))
    return age // size * size


def _signalled(
    condition: Condition, looks: Sequence[Signals], trained_at: Instant, now: Instant, rest: timedelta
) -> str | None:
    if now - trained_at < rest:
        return None
    seen = [(getattr(look, condition.signal), look.metric) for look in looks if look.at > trained_at]
    known = [(v, metric) for v, metric in seen if v is not None][-WINDOWS:]
    firing = [compares(condition, v, metric) for v, metric in known]
    if sum(firing) < AGREE or not firing[-1]:
        return None
    value, metric = known[-1]
    way = way_of(condition, metric)
    less = f" (of {metric} less is better)" if way != condition.op else ""
    return f"{condition.signal} {figure(value, 3)} {way} {condition.value:g} in {sum(firing)} of the last {len(known)} looks{less}"


def compares(condition: Condition, value: float, metric: str = "") -> bool:
    """Whether a value is what a condition on a signal names; of a quality by its metric."""
    return _COMPARE[way_of(condition, metric)](value, condition.value)


def way_of(condition: Condition, metric: str) -> str:
    """How a value is compared: `quality < x` means that it is worse, so of an error that it is above x.

    >>> way_of(Condition("quality", "<", 0.9), "mase"), way_of(Condition("quality", "<", 0.9), "roc_auc")
    ('>', '<')
    """
    found = find(metric) if condition.signal == "quality" else None
    if found is None or found.higher or condition.op[0] == ">":
        return condition.op
    return f">{condition.op[1:]}"
