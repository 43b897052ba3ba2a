"""The drill of drift: rows whose inputs have moved, more each day, until a condition of RETRAIN WHEN fires."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tilth.core.errors import DataError
from tilth.ml.data.drift import WINDOW
from tilth.ml.data.profile import Categorical, Numeric
from tilth.ml.watching.logged import Answers, Watched
from tilth.ml.watching.monitoring import drifts, overall_drift
from tilth.plan.policy import retrain_reason
from tilth.plan.snapshot import Signals
from tilth.runtime.drills.level import level
from tilth.runtime.drills.subject import Shown, Subject, answerable
from tilth.runtime.loading import version_of
from tilth.runtime.record.current import current

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.predictor import Predictor

    Array = npt.NDArray[np.float64]

LEAST_ROWS = 500
MOST = 0.8  # of the importance of all inputs that can be moved is in those that are
DAYS = 14  # for how long the drill looks ahead
VISIBLE = 0.1  # drift that people would call a shift


def drift(subject: Subject) -> Shown:
    """The newest rows, with the inputs that matter most moved, from tomorrow on: what the looks see, when the rule fires.

    Of a model that forecasts the drill of its level.
    """
    if subject.forecasts:
        return level(subject)
    watched, predictor = subject.watched(), version_of(subject.work, subject.model, subject.version)
    rows = answerable(subject.newest(), predictor)
    if rows.num_rows < LEAST_ROWS:
        raise DataError(
            f"The newest snapshot holds {rows.num_rows} rows that the model can answer; drift needs {LEAST_ROWS}.",
            hint=f"Collect more: REFRESH DATASET {subject.dataset.name}.",
        )
    shifted, moved = rows, list[str]()
    for one in watched:
        names = [name for name in _moved_inputs(one, rows) if name not in moved]
        shifted, moved = _shifted(shifted, one, names), [*moved, *names]
    mix = _Mixes([_Mix(subject, *one, rows, shifted) for one in zip(watched, predictor.parts, strict=True)])
    before, after = mix.look(0.0), mix.look(1.0)
    fired, rule = _fires(subject, mix)
    facts = {
        "rows": rows.num_rows,
        "inputs_moved": moved,
        "drift_before": before.drift,
        "drift_after": after.drift,
        "prediction_drift_before": before.prediction_drift,
        "prediction_drift_after": after.prediction_drift,
        "rule": rule,
        "fires_after_days": fired[0] if fired else None,
        "reason": fired[1] if fired else None,
    }
    seen = max(after.drift or 0.0, after.prediction_drift or 0.0) >= VISIBLE
    words = [
        (
            f"Moved {', '.join(moved)} of the {rows.num_rows:,} newest rows, in memory only: numbers by a standard "
            "deviation, half of the texts to the most frequent one."
        ),
        f"drift {_shown(before.drift)} -> {_shown(after.drift)}, prediction drift {_shown(before.prediction_drift)} -> {_shown(after.prediction_drift)}",
        _rule_words(rule, fired, seen=seen),
    ]
    return (fired is not None if rule else seen), words, facts


def _rule_words(rule: list[str], fired: tuple[int, str] | None, *, seen: bool) -> str:
    if fired is not None:
        return f"RETRAIN WHEN would fire {fired[0]} days after the shift begins: {fired[1]}."
    if rule:
        return f"RETRAIN WHEN {' OR '.join(rule)} would not fire within {DAYS} days: lower the limit."
    if seen:
        return "The looks would show it, but no RETRAIN WHEN drift > ... would act on it."
    return "Neither a look nor a rule would notice it: the moved inputs hardly matter to the model."


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _moved_inputs(watched: Watched, rows: pa.Table) -> list[str]:
    """The most important inputs that can be moved: as many as carry most of the importance of all of those."""
    weights = watched.weights or {}
    found = [
        c.column
        for c in watched.profile.columns
        if c.column != watched.score and c.column in rows.column_names and _can_move(c)
    ]
    found.sort(key=lambda name: (-weights.get(name, 0.0), name))
    goal, sum_ = MOST * sum(weights.get(name, 0.0) for name in found), 0.0
    out: list[str] = []
    for name in found:
        if out and sum_ >= goal:
            break
        out.append(name)
        sum_ += weights.get(name, 0.0)
    return out


def _can_move(column: Numeric | Categorical) -> bool:
    return bool(column.sd) if isinstance(column, Numeric) else bool(column.values)


def _shifted(rows: pa.Table, watched: Watched, names: list[str]) -> pa.Table:
    """Numbers a standard deviation larger; of texts, half of the rows take the most frequent one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        index, was = rows.column_names.index(name), watched.profile.find(name)
        values, kind = rows.column(index), rows.schema.field(index).type
        if isinstance(was, Numeric):
            moved = pc.add(values.cast(pa.float64(), safe=False), was.sd)
            moved = (pc.round(moved) if pa.types.is_integer(kind) else moved).cast(kind, safe=False)
        else:
            assert was is not None
            half = pa.array(np.arange(rows.num_rows) % 2 == 0)
            moved = pc.if_else(half, pa.scalar(was.values[0]).cast(kind), values)
        rows = rows.set_column(index, name, moved)
    return rows


class _Mix:
    """Windows of which a share is shifted. Both kinds of rows are scored once."""

    def __init__(
        self, subject: Subject, watched: Watched, predictor: Predictor, rows: pa.Table, shifted: pa.Table
    ) -> None:
        self._engine, self._watched = subject.work.engine, watched
        self._now = subject.work.clock.now()
        self._kept, self._moved = (_columns(watched, t) for t in (rows, shifted))
        self._scores = (predictor.scores(rows), predictor.scores(shifted))

    def look(self, share: float, days: int = 0) -> Signals:
        """What a look would say of a window whose newest rows, this share of them, are shifted."""
        import numpy as np
        import pyarrow as pa

        rows = self._kept.num_rows
        old = rows - round(rows * share)
        inputs = pa.concat_tables([self._kept.slice(0, old), self._moved.slice(old)])
        scores = np.concatenate([self._scores[0][:old], self._scores[1][old:]])
        said = pa.array(scores.tolist() if scores.ndim > 1 else scores)
        at = pa.chunked_array([pa.nulls(rows, pa.string())])
        when, none = pa.chunked_array([pa.nulls(rows, pa.int64())]), pa.chunked_array([], pa.string())
        answers = Answers(at, inputs, pa.chunked_array([said]), when, none)
        found = drifts(self._watched, answers, self._engine)
        mine = next((c for c in found if c.column == self._watched.score), None)
        others = [c for c in found if c.column != self._watched.score]
        when = self._now + timedelta(days=days)
        return Signals(when, overall_drift(self._watched, others), mine.score if mine else None)


class _Mixes:
    """Those of each target: what a look would say of the model."""

    def __init__(self, each: list[_Mix]) -> None:
        self._each = each

    def look(self, share: float, days: int = 0) -> Signals:
        """The greatest drift of any target."""
        found = [one.look(share, days) for one in self._each]
        drifts = [one.drift for one in found if one.drift is not None]
        answers = [one.prediction_drift for one in found if one.prediction_drift is not None]
        return Signals(found[0].at, max(drifts, default=None), max(answers, default=None))


def _columns(watched: Watched, rows: pa.Table) -> pa.Table:
    there = frozenset(rows.column_names)
    return rows.select([n for n in watched.types if n in there])


def _fires(subject: Subject, mix: _Mixes) -> tuple[tuple[int, str] | None, list[str]]:
    """(days after the shift begins, why) by the declared rule, and the conditions of the rule that are about drift.

    One look a day over a window of seven; cool-down and hysteresis are those of `plan.policy`, the looks so far count.
    """
    conditions = [c for c in subject.declared.retrain if c.signal in ("drift", "prediction_drift")]
    have = current(subject.work.state, subject.environment, serving=subject.work.serving)
    same = have.versions_of(subject.model, subject.pointer.recipe)
    trained = max((v.trained_at for v in same), default=subject.work.clock.now())
    looks = list(have.signals_of(subject.model))
    window = WINDOW.days
    for day in range(1, DAYS + 1):
        look = mix.look(min(1.0, day / window), day)
        looks.append(look)
        reason = retrain_reason(conditions, looks, trained, look.at)
        if reason is not None:
            return (day, reason), [_condition(c.signal, c.op, c.value) for c in conditions]
    return None, [_condition(c.signal, c.op, c.value) for c in conditions]


def _condition(signal: str, op: str, value: object) -> str:
    return f"{signal} {op} {value}"
