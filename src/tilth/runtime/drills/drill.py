"""Rehearsals of mishaps on the real things: DRILL MODEL m (drift | rollback | bad_data | node_loss).

A drill asks what would happen, with the version that is served, the rows there are, and the rules as declared. It
changes nothing in production: it leaves a row in `runs` and its audit row. The loss of a serving process is in
`node_loss`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.ml.data import checks as checking
from tilth.ml.data import snapshots, spoiling
from tilth.ml.data.drift import WINDOW
from tilth.ml.data.profile import Categorical, Numeric
from tilth.ml.data.spoiling import Mishap
from tilth.ml.watching.logged import Answers, Watched
from tilth.ml.watching.monitoring import drifts, overall_drift
from tilth.plan.policy import retrain_reason
from tilth.plan.snapshot import Pointer, Signals
from tilth.ports.snapshots import Manifest
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.drills import node_loss
from tilth.runtime.loading import verified, version_of
from tilth.runtime.moving.promotion import promote
from tilth.runtime.moving.publishing import Move, publish, rollback
from tilth.runtime.record import endpoints, environments, runs, versions
from tilth.runtime.record.current import current
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.record.snapshots import manifest_of
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, DrillKind, Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.predictor import Predictor

    Array = npt.NDArray[np.float64]

ROWS = 20_000  # of the newest rows that a drill works on
LEAST_ROWS = 500
MOST = 0.8  # of the importance of all inputs that can be moved is in those that are
DAYS = 14  # for how long the drill of drift looks ahead
VISIBLE = 0.1  # drift that people would call a shift
SCRATCH = "drill-"


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill showed: `ok` when nothing would have gone unnoticed or been lost; facts for programs."""

    ok: bool
    text: str
    facts: dict[str, Any]


def drill(act: Act, graph: Graph, model: str, kind: DrillKind) -> Drilled:
    """Rehearse, and record that it was rehearsed. One drill at a time."""
    started, subject = time.monotonic(), _Subject(act, graph, model)
    with act.work.locks.hold("drill"):
        try:
            ok, words, facts = DRILLS[kind](subject)
        except TilthError as error:
            _record(subject, kind, "failed", error.message, time.monotonic() - started)
            raise
        seconds = time.monotonic() - started
        _record(subject, kind, "done" if ok else "refused", None if ok else words[-1], seconds)
    head = {"drill": kind.value, "model": model, "version": subject.version, "ok": ok}
    return Drilled(ok, "\n".join(words), {**head, **facts, "seconds": round(seconds, 3)})


Shown = tuple[bool, list[str], dict[str, Any]]


class _Subject:
    """The model that a drill is about, as the environment has it."""

    def __init__(self, act: Act, graph: Graph, model: str) -> None:
        work, environment = act.work, act.environment
        self.act, self.work, self.environment, self.graph, self.model = act, work, environment, graph, model
        self.number, self.pointers = environments.pointers_of(work.state, environment)
        known = {p.name: p for p in self.pointers if p.kind is Kind.MODEL and p.target is not None}
        if model not in known:
            raise UnknownNameError(
                f"There is no model `{model}` in `{environment}` to drill.",
                hint=did_you_mean(model, known, "models") if known else "Run `tilth apply` first.",
            )
        self.pointer = known[model]
        self.version = int(self.pointer.target or 0)

    @property
    def declared(self) -> CreateModel:
        return self.graph.get(self.model).as_(CreateModel)

    @property
    def dataset(self) -> CreateDataset:
        source = self.declared.source
        if not isinstance(source, DatasetRef):
            raise ProjectError(
                f"The model `{self.model}` reads its own query; there is no dataset whose rows could be used.",
                hint="Declare the query as a DATASET and write FROM it.",
            )
        return self.graph.get(source.name).as_(CreateDataset)

    def manifest(self) -> Manifest:
        name = self.dataset.name
        found = next((p.target for p in self.pointers if p.kind is Kind.DATASET and p.name == name), None)
        if found is None:
            raise DataError(f"Dataset `{name}` has no snapshot.", hint=f"Run REFRESH DATASET {name}.")
        return manifest_of(self.work.state, found)

    def watched(self) -> Watched:
        return Watched.of(
            verified(self.work, versions.require(self.work.state, self.model, self.version)).files
        )

    def newest(self, count: int = ROWS) -> pa.Table:
        """The last rows of the snapshot, which lie in the order of their event time."""
        import pyarrow as pa

        manifest, parts, have = self.manifest(), list[Any](), 0
        for part in reversed(manifest.parts):
            if have >= count:
                break
            parts.insert(0, snapshots.file_rows(self.work.blobs.path(part.blob)))
            have += part.rows
        table = pa.concat_tables(parts) if parts else snapshots.empty(manifest.schema)
        return table.slice(max(0, table.num_rows - count)).combine_chunks()


def _record(subject: _Subject, kind: DrillKind, status: str, error: str | None, seconds: float) -> None:
    now, begun = subject.act.now(), Begun("Drill", Kind.MODEL, subject.model, f"drill: {kind.value}")
    with subject.act.change(now) as change:
        number = runs.begin(change, subject.environment, begun, now)
        runs.end(change, number, Ended(status, seconds, error), now)
        change.audit(
            "drill", subject.model, {"kind": kind.value, "status": status, "version": subject.version}
        )


# --- drift -------------------------------------------------------------------------------------------------


def _drift(subject: _Subject) -> Shown:
    """The newest rows, with the inputs that matter most moved, from tomorrow on: what the looks see, when the rule fires."""
    watched, predictor = subject.watched(), version_of(subject.work, subject.model, subject.version)
    rows = _answerable(subject.newest(), predictor)
    if rows.num_rows < LEAST_ROWS:
        raise DataError(
            f"The newest snapshot holds {rows.num_rows} rows that the model can answer; drift needs {LEAST_ROWS}.",
            hint=f"Collect more: REFRESH DATASET {subject.dataset.name}.",
        )
    moved = _moved_inputs(watched, rows)
    mix = _Mix(subject, watched, predictor, rows, _shifted(rows, watched, moved))
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


def _answerable(rows: pa.Table, predictor: Predictor) -> pa.Table:
    """Rows that have a value in every input that is required."""
    import pyarrow.compute as pc

    for i in predictor.signature.inputs:
        if i.required and rows.column(i.name).null_count:
            rows = rows.filter(pc.is_valid(rows.column(i.name)))
    return rows


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
        self, subject: _Subject, watched: Watched, predictor: Predictor, rows: pa.Table, shifted: pa.Table
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


def _columns(watched: Watched, rows: pa.Table) -> pa.Table:
    return rows.select([n for n in watched.types if n in rows.column_names])


def _fires(subject: _Subject, mix: _Mix) -> tuple[tuple[int, str] | None, list[str]]:
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


# --- bad data ----------------------------------------------------------------------------------------------


def _bad_data(subject: _Subject) -> Shown:
    """The newest rows in another unit, with gaps and twice, through the dataset's own checks."""
    declared, rows, engine = subject.dataset, subject.newest(), subject.work.engine
    checks = checking.checks_of(declared, subject.manifest().schema, engine)
    if rows.num_rows == 0:
        raise DataError(f"Dataset `{declared.name}` holds no rows.", hint=f"REFRESH DATASET {declared.name}.")
    signature = subject.watched().signature
    mine = {n.lower() for n in (*signature.names, signature.target)}
    columns = [n for n in rows.column_names if n.lower() in mine]
    found = spoiling.rehearse(rows, checks, columns, engine, subject.work.clock.now())
    whole, single = [m for m in found if not m.column], [m for m in found if m.column]
    silent = [m for m in single if not m.noticed]
    facts = {
        "dataset": declared.name,
        "rows": rows.num_rows,
        "checks": len(checks.items),
        "not_rehearsed": [checking.label(checks.items[i]) for i in checks.references],
        "mishaps": [_mishap_facts(m) for m in found],
        "unnoticed": [f"{m.kind} {m.column}" for m in silent],
    }
    words = [f"{rows.num_rows:,} newest rows of {declared.name}, spoiled in memory; nothing is published."]
    words += [_mishap_words(m) for m in whole]
    if silent:
        listed = ", ".join(f"{m.column} ({m.kind})" for m in silent)
        words.append(f"In one column alone, no check would notice: {listed}.")
    ok = all(m.noticed for m in whole)
    missed = ", ".join(KINDS[m.kind] for m in whole if not m.noticed)
    words.append(
        "Every mishap to the whole feed is noticed."
        if ok
        else f"Unnoticed: {missed}. Add EXPECT checks, or a KEY, to {declared.name}."
    )
    return ok, words, facts


KINDS = {
    "scaled": "all numbers sixty times larger",
    "missing": "a tenth of all values missing",
    "repeated": "every row twice",
}


def _mishap_words(m: Mishap) -> str:
    if not m.noticed:
        return f"{KINDS[m.kind]}: no check notices it"
    what = "nothing would be published" if m.stopped else f"{m.quarantined:,} rows held back"
    more = f" and {len(m.caught) - 3} more" if len(m.caught) > 3 else ""
    return f"{KINDS[m.kind]}: {what}; caught by {', '.join(m.caught[:3])}{more}"


def _mishap_facts(m: Mishap) -> dict[str, Any]:
    return {
        "kind": m.kind,
        "column": m.column or None,
        "caught": list(m.caught),
        "quarantined": m.quarantined,
        "stopped": m.stopped,
    }


# --- rollback ----------------------------------------------------------------------------------------------


def _rollback(subject: _Subject) -> Shown:
    """A promotion and a rollback in a scratch environment that is dropped after; the pointers must come back equal."""
    work, by, name = subject.work, subject.act.by, SCRATCH + uuid.uuid4().hex[:12]
    for left in environments.names(work.state):
        if left.startswith(SCRATCH):  # left by a drill that was killed
            _drop(subject.act, left)
    now, before = work.clock.now(), _earlier(subject)
    try:
        first = publish(work.state, Move(name, 0, "drill", now), before, by)
        start = time.perf_counter()
        promote(work.state, subject.environment, name, by, now, work.serving)
        promoted = time.perf_counter()
        _, at_promotion = environments.pointers_of(work.state, name)
        middle = time.perf_counter()
        rollback(work.state, name, first, by, now)
        done = time.perf_counter()
        _, after = environments.pointers_of(work.state, name)
    finally:
        _drop(subject.act, name)
    equal = _plain(after) == _plain(before) and _plain(at_promotion) == _plain(subject.pointers)
    facts = {
        "pointers": len(after),
        "promotion_ms": round(1000 * (promoted - start), 2),
        "rollback_ms": round(1000 * (done - middle), 2),
        "pointers_equal": equal,
    }
    words = [
        f"Promoted {len(at_promotion)} pointers into a scratch environment in {facts['promotion_ms']} ms and rolled back in {facts['rollback_ms']} ms.",
        "All pointers stand where they stood." if equal else "The pointers are not what they were.",
    ]
    return equal, words, facts


def _earlier(subject: _Subject) -> tuple[Pointer, ...]:
    """The pointers of the generation before this one, if there is one; else the present ones."""
    state, environment = subject.work.state, subject.environment
    found = environments.generation(state, environment, subject.number)
    if found is None or found.parent is None:
        return subject.pointers
    return environments.pointers_at(state, environment, found.parent) or subject.pointers


def _plain(pointers: tuple[Pointer, ...]) -> list[tuple[str, ...]]:
    """What must be equal: endpoints have revisions of their own in each environment."""
    rows = [
        (p.kind.value, p.name, p.recipe, "" if p.kind is Kind.ENDPOINT else p.target or "") for p in pointers
    ]
    return sorted(rows)


def _drop(act: Act, name: str) -> None:
    """Remove a scratch environment with all that only it had."""
    assert name.startswith(SCRATCH)
    with act.change() as change:
        endpoints.forget(change, name)
        environments.forget(change, name)
        change.audit("drop", name, {"reason": "a drill has ended"})


# --- the loss of a node ------------------------------------------------------------------------------------


def _node_loss(subject: _Subject) -> Shown:
    rows = subject.newest(node_loss.ROWS)
    predictor = version_of(subject.work, subject.model, subject.version)
    endpoint = next(
        (r.name for r in subject.graph.of_kind(Kind.ENDPOINT) if subject.model in r.depends), None
    )
    if endpoint is None:
        raise ProjectError(
            f"No endpoint serves the model `{subject.model}`.",
            hint=f"Declare one: CREATE ENDPOINT {subject.model}_api FOR MODEL {subject.model}.",
        )
    asked = _answerable(rows, predictor)
    names = [i.name for i in (*predictor.signature.inputs, *predictor.signature.carried)]
    picked = asked.select([n for n in names if n in asked.column_names]).to_pylist()
    return node_loss.rehearse(subject.work, subject.environment, endpoint, picked)


DRILLS: Mapping[DrillKind, Callable[[_Subject], Shown]] = {
    DrillKind.DRIFT: _drift,
    DrillKind.ROLLBACK: _rollback,
    DrillKind.BAD_DATA: _bad_data,
    DrillKind.NODE_LOSS: _node_loss,
}
