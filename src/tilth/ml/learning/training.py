"""Makes a bundle's files from rows: deals them, fits, calibrates and judges. Runs inside a training worker.

Nothing here knows an engine (`fitting` asks for them by name). The same spec on the same rows writes the same bytes, so
durations and paths go into the returned facts and never into a file. Sealing is in `ml.bundles`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tilth.core.errors import TrainingError
from tilth.core.names import did_you_mean
from tilth.ml.bundles.manifest import bundle_digest
from tilth.ml.judging import answers
from tilth.ml.learning import (
    described,
    evaluation,
    intervals,
    labels,
    leaking,
    monotone,
    reading,
    retraining,
    valuing,
)
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.made import Getter, Made, Report, Tools
from tilth.ml.learning.rows import Rows, inputs, task_of
from tilth.ml.learning.told import told
from tilth.ml.learning.write import signature_of, write
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.jobs import NOTHING
from tilth.ports.learning import FULL, Task, engines, learning_of


def train(
    spec: TrainingSpec,
    files: Files,
    out: str,
    learners: Getter,
    scorers: Getter,
    report: Report,
    given: Mapping[str, str] = NOTHING,
) -> dict[str, object]:
    """Write the bundle's files into `out` and return facts: metrics, engine, files, their one digest (`artifact`), rows, seconds.

    `learners(name)` gives a learner class, `scorers(name)` a scorer class; `given` are the job's files by name, with those of a
    version to begin with. Raises TargetError, DataError, TrainingError or ResourceLimitError.
    """
    started = time.monotonic()
    _supported(spec)
    laps = _Laps()
    report("reading rows", 0.02)
    until = started + spec.time_limit
    tools = Tools(learners, scorers, report, spec.threads, spec.seed, until, keep_of(report))
    data, taken = retraining.began(spec, files, given, tools)
    laps.lap("prepare")
    task = replace(task_of(spec, data), monotone=monotone.of(spec, data))
    clock = Clock(started, spec.time_limit, spec.cpu_limit, spec.threads)
    made, taken = retraining.made_by(spec, task, data, tools, clock, taken)
    if made.searched is not None:
        tools = replace(tools, deadline=tools.deadline + made.searched.seconds)
    found_leaks, task = leaking.every(spec, data, tools), replace(task, texts=None)
    data, made = reading.served(data, made)
    made = _with_ends(spec, task, data, made, tools)
    laps.lap("fit")
    report("judging", 0.93)
    found = evaluation.metrics(spec, task, data, made, evaluation.judged(data, made), tools)
    metrics = found.metrics
    metrics["columns"] = described.columns(data)
    metrics["leaks"] = [leak.plain() for leak in found_leaks]
    metrics |= {} if made.searched is None else {"search": made.searched.plain()}
    metrics |= {} if spec.retrain == FULL else {"retraining": taken.plain()}
    report("writing the bundle", 0.97)
    written = _written(out, spec, files, data, made, metrics)
    laps.lap("judge and write")
    spent = {"cpu_seconds": laps.cpu, "fit_cpu_seconds": taken.cpu}
    worth = valuing.valued(task, data, valuing.days_of(spec, data), tools, laps.cpu)
    more = {"column_value": worth, "labels": labels.told(spec, files, data, made)}
    return {
        "metrics": {**found.clocked(), **spent, **more},
        "start": taken.begun,
        "engine": made.engine,
        "learning": learning_of(learners(made.engine)),
        "files": sorted(written),
        "artifact": bundle_digest(written),
        "rows": data.taught,
        "rows_without_label": data.dropped,
        "tuned_until": data.split.tuned_until,
        "dropped_columns": dict(data.preparation.dropped),
        "told": told(inputs(spec, data.table.schema.names), data, made, metrics),
        "notes": made.notes,
        "searched": sorted({t.about for t in made.searched.trials}) if made.searched else [],
        "seconds": {**laps.laps, "total": round(time.monotonic() - started, 3)},
    }


def _with_ends(spec: TrainingSpec, task: Task, data: Rows, made: Made, tools: Tools) -> Made:
    """Of a regression what was made, with how sure each answer is."""
    if data.target.kind != "regression":
        return made
    tools.report("learning how sure each answer is", 0.91)
    found = intervals.fit(spec, task, data, made, tools)
    return replace(made, interval=found, curve=replace(made.curve, conformal=found.conformal))


def _written(
    out: str, spec: TrainingSpec, files: Files, data: Rows, made: Made, metrics: dict[str, Any]
) -> dict[str, str]:
    """The bundle's files, written; the sha256 of each by name."""
    os.makedirs(out, exist_ok=True)
    told_by = answers.columns_of(signature_of(spec, data), files.schema().names)
    return write(out, spec, data, made, metrics, files.ids_at(data.places[made.judged.rows], told_by))


def keep_of(report: Report) -> Callable[[Mapping[str, object]], None]:
    """How what is found is told so that it outlives this training; to nobody where the runner keeps nothing."""
    found: Callable[[Mapping[str, object]], None] = getattr(report, "found", lambda _found: None)
    return found


class _Laps:
    """Durations of the stages, for the returned facts."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last, self._cpu = time.monotonic(), time.process_time()

    @property
    def cpu(self) -> float:
        """Seconds of all threads so far."""
        return round(time.process_time() - self._cpu, 3)

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self._last = round(now - self._last, 3), now


def _supported(spec: TrainingSpec) -> None:
    known = {engine.name: engine for engine in engines()}
    if spec.engine not in {"auto", *known}:
        raise TrainingError(
            f"There is no engine `{spec.engine}`.",
            hint=did_you_mean(spec.engine, {"auto", *known}, "engines"),
        )
    takes = [engine.name for engine in known.values() if engine.estimator]
    if spec.estimator and spec.engine not in takes:
        raise TrainingError(
            f"`estimator` belongs to engine = {' or '.join(map(repr, takes))}, and the engine is '{spec.engine}'.",
            hint=f"Write USING (engine = '{takes[0]}', estimator = '{spec.estimator}')." if takes else None,
        )
