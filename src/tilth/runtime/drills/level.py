"""The drill of drift of a model that forecasts: what came of its newest inner window, on another level, until RETRAIN WHEN fires."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tilth.core.errors import DataError
from tilth.ml.forecasting.came import LEAST, METRIC, Came, sided
from tilth.ml.learning.forecast import ORIGINS
from tilth.plan.policy import retrain_reason
from tilth.plan.snapshot import Signals
from tilth.runtime.drills.subject import Shown, Subject
from tilth.runtime.loading import verified
from tilth.runtime.record import versions
from tilth.runtime.record.current import current
from tilth.sql.language.statements import Condition

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

SHIFT = 2.0  # in units of a series' movement from season to season
DAYS = 14  # for how long the drill looks ahead
SIGNALS = ("drift", "quality")


def level(subject: Subject) -> Shown:
    """What a look would say were all series on a higher level than what was said of them, and when the rule would fire."""
    found = _newest(subject)
    moved = Came(found.error + SHIFT, found.series, found.step, found.held)
    before, after = _seen(found), _seen(moved)
    conditions = [c for c in subject.declared.retrain if c.signal in SIGNALS]
    rule = [f"{c.signal} {c.op} {c.value}" for c in conditions]
    fired = _fires(subject, conditions, after)
    facts = {
        "values": len(found.error), "shift": SHIFT, "drift_before": before.drift, "drift_after": after.drift,
        "quality_before": before.quality, "quality_after": after.quality, "metric": METRIC, "rule": rule,
        "fires_after_days": fired[0] if fired else None, "reason": fired[1] if fired else None,
    }  # fmt: skip
    words = [
        f"Raised the {len(found.error):,} values of the newest inner window by {SHIFT:g} movements of their series, in memory only.",
        f"drift {_shown(before.drift)} -> {_shown(after.drift)}, {METRIC} {_shown(before.quality)} -> {_shown(after.quality)}",
        _words(rule, fired),
    ]
    return fired is not None if rule else (after.drift or 0.0) > (before.drift or 0.0), words, facts


def _words(rule: list[str], fired: tuple[int, str] | None) -> str:
    if fired is not None:
        return f"RETRAIN WHEN would fire {fired[0]} days after the shift begins: {fired[1]}."
    if rule:
        return f"RETRAIN WHEN {' OR '.join(rule)} would not fire within {DAYS} days: lower the limit."
    return "The looks would show it, but no RETRAIN WHEN drift > ... or quality < ... would act on it."


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _newest(subject: Subject) -> Came:
    """The errors of the newest inner window, in units of their series."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    row = versions.require(subject.work.state, subject.model, subject.version)
    table = pq.read_table(io.BytesIO(verified(subject.work, row).files[ORIGINS]))
    table = table.filter(pc.equal(table.column("origin"), pc.max(table.column("origin"))))
    actual, said, unit = (np.asarray(table.column(n).to_numpy()) for n in ("actual", "forecast", "unit"))
    names = [n for n in table.column_names if n not in _OWN]
    keys = list(zip(*(table.column(n).to_pylist() for n in ("target", *names)), strict=True))
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    able = unit > 0
    if int(able.sum()) < LEAST:
        raise DataError(
            f"The newest inner window holds {int(able.sum())} values of series that move; a look needs {LEAST}.",
            hint="Collect more rows, and train again.",
        )
    series = np.array([number[k] for k in keys], np.int64)
    held = (actual >= table.column("lower").to_numpy()) & (actual <= table.column("upper").to_numpy())
    step = np.asarray(table.column("step").to_numpy(), np.int64)
    return Came(((actual - said) / np.where(able, unit, 1.0))[able], series[able], step[able], held[able])


_OWN = frozenset(
    ("target", "origin", "step", "time", "actual", "forecast", "naive", "lower", "upper", "unit")
)


def _seen(found: Came) -> Signals:
    """What a look would say of it."""
    import numpy as np

    quality = float(np.abs(found.error).mean())
    return Signals(datetime.min.replace(tzinfo=UTC), sided(found), None, quality, None, METRIC)


def _fires(subject: Subject, conditions: Sequence[Condition], after: Signals) -> tuple[int, str] | None:
    """(days after the shift begins, why) by the declared rule, one look a day; the looks so far count."""
    have = current(subject.work.state, subject.environment, serving=subject.work.serving)
    same = have.versions_of(subject.model, subject.pointer.recipe)
    now = subject.work.clock.now()
    trained = max((v.trained_at for v in same), default=now)
    looks = list(have.signals_of(subject.model))
    for day in range(1, DAYS + 1):
        looks.append(replace(after, at=now + timedelta(days=day)))
        reason = retrain_reason(conditions, looks, trained, looks[-1].at)
        if reason is not None:
            return day, reason
    return None
