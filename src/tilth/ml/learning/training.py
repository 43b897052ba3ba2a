"""Makes a bundle's files from rows: deals them, fits, calibrates and judges. Runs inside a training worker.

Nothing here knows an engine (`fitting` asks for them by name). The same spec on the same rows writes the same bytes, so
durations and paths go into the returned facts and never into a file. Sealing is in `ml.bundles`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, ResourceLimitError, TargetError, TrainingError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.ml.bundles.manifest import bundle_digest
from tilth.ml.data import snapshots
from tilth.ml.judging import split
from tilth.ml.learning import evaluation, folding, intervals, leaks, target
from tilth.ml.learning.fitting import MORE_MEMORY, fitted
from tilth.ml.learning.made import Getter, Report, Tools
from tilth.ml.learning.rows import Rows, inputs, rows_of, task_of
from tilth.ml.learning.told import told
from tilth.ml.learning.write import write
from tilth.ml.model.curve import threshold
from tilth.ml.model.signature import outputs
from tilth.ml.model.spec import TrainingSpec, check_metric
from tilth.ports.learning import engines, learning_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Files:
    """The snapshot's Parquet files, and beside each the file with its rows' ids, or None where none was written."""

    rows: Sequence[str]
    ids: Sequence[str | None] = ()

    def ids_of(self, columns: Sequence[str]) -> Any:
        """uint64 of every row, in order; `columns` are what they are made of where no file keeps them."""
        import numpy as np

        kept = [*self.ids, *([None] * (len(self.rows) - len(self.ids)))]
        return np.concatenate(
            [snapshots.file_ids(r, i, columns) for r, i in zip(self.rows, kept, strict=True)]
        )


def train(
    spec: TrainingSpec, files: Files, out: str, learners: Getter, scorers: Getter, report: Report
) -> dict[str, object]:
    """Write the bundle's files into `out` and return facts: metrics, engine, files, their one digest (`artifact`), rows, seconds.

    `learners(name)` gives a learner class, `scorers(name)` a scorer class. Raises TargetError, DataError,
    TrainingError, UnsupportedError or ResourceLimitError.
    """
    started = time.monotonic()
    _supported(spec)
    clock = _Clock()
    report("reading rows", 0.02)
    tools = Tools(learners, scorers, started + spec.time_limit, report, spec.threads, spec.seed)
    dealt = _dealt(spec, files)
    clock.lap("prepare")
    data, folds = dealt.rows, None
    if dealt.ends:
        folds = folding.judged(spec, dealt.table, dealt.ends, data.target, tools)
        clock.lap("judge by parts")
    task = task_of(spec, data)
    made = fitted(spec, task, data, tools, folds.engines if folds else ())
    if folds is not None:
        limit = threshold(spec.cost_false_negative, spec.cost_false_positive)
        made = replace(made, curve=folding.curve_of(folds, data.target.kind, limit, made.chosen.engine))
    if data.target.kind == "regression":
        report("learning how sure each answer is", 0.91)
        found_ends = intervals.fit(spec, task, data, made, folds, tools)
        made = replace(made, interval=found_ends, curve=replace(made.curve, conformal=found_ends.conformal))
    clock.lap("fit")
    report("judging on the newest rows" if folds is None else "judging", 0.93)
    judged = evaluation.of_folds(folds, data) if folds is not None else evaluation.of_slice(data, made)
    found = evaluation.metrics(spec, task, data, made, judged, tools)
    metrics = found.metrics
    metrics["leaks"] = [leak.plain() for leak in leaks.find(data)]
    report("writing the bundle", 0.97)
    os.makedirs(out, exist_ok=True)
    written = write(out, spec, data, made, judged.scores, metrics, folds.plain() if folds else None)
    clock.lap("judge and write")
    return {
        "metrics": found.clocked(),
        "engine": made.chosen.engine,
        "learning": learning_of(learners(made.chosen.engine)),
        "files": sorted(written),
        "artifact": bundle_digest(written),
        "rows": data.split.rows,
        "rows_without_label": data.dropped,
        "tuned_until": data.split.tuned_until,
        "judge_overlap": data.split.overlap,
        "dropped_columns": dict(data.preparation.dropped),
        "told": told(inputs(spec, data.table.schema.names), data, made, metrics),
        "notes": {k: v for k, v in made.chosen.fitted.notes if k != "refit"},
        "seconds": {**clock.laps, "total": round(time.monotonic() - started, 3)},
    }


class _Clock:
    """Durations of the stages, for the returned facts."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self._last = round(now - self._last, 3), now


def _supported(spec: TrainingSpec) -> None:
    if len(spec.targets) > 1:
        raise UnsupportedError(
            f"The model `{spec.model}` predicts {len(spec.targets)} columns; one can be trained for now.",
            hint="Write one CREATE MODEL for each: " + ", ".join(spec.targets),
        )
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


# --- rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Dealt:
    """The rows to learn from, and where they are too few to keep some aside, all of them in order with the ends of parts."""

    rows: Rows
    table: pa.Table
    ends: tuple[int, ...] = ()


def _dealt(spec: TrainingSpec, files: Files) -> _Dealt:
    """The known and mature rows in order, dealt into slices, or into parts that judge each other."""
    import numpy as np
    import pyarrow as pa

    table = _read(files.rows, _used(spec, _schema(files.rows)))
    when = split.micros(table, spec.event_time) if spec.event_time else None
    mature = split.mature(when, spec.label_delay, spec.now)
    known = target.known_rows(table.column(spec.target), spec.target, mature)
    found = target.inspect(table.column(spec.target).filter(pa.array(known)), spec.target, spec.metric)
    check_metric(spec.metric, found.kind)
    intervals.check(spec, found.kind)
    found = target.with_positive(found, spec)
    _apart(spec, found, _schema(files.rows).names)
    ids = (
        files.ids_of(spec.identity or spec.key or sorted(_schema(files.rows).names))
        if _has_ids(spec)
        else None
    )
    index = np.flatnonzero(known)
    order, values = split.order(None if ids is None else ids[known], None if when is None else when[known])
    index = index[order]
    dropped, y = table.num_rows - len(index), target.encode(table.column(spec.target), found)[index]
    folding.check(y, found.kind, spec.target)
    target.bounded(y, found, spec.metric)
    cuts = None if len(y) < folding.SHORT else split.cut(values, spec.event_time)
    if cuts is None or folding.needed(y, cuts, found.kind):
        whole = _read(files.rows, _schema(files.rows).names).take(pa.array(index)).combine_chunks()
        ends = split.folded(values, spec.event_time)
        return _Dealt(folding.dealt(spec, whole, found, dropped), whole, ends)
    if spec.judge_after is not None:
        cuts = split.cut(values, spec.event_time, spec.judge_after)
    table = table.take(pa.array(index)).combine_chunks()
    return _Dealt(rows_of(spec, table, cuts, found, dropped), table)


def _apart(spec: TrainingSpec, found: target.Target, names: Sequence[str]) -> None:
    """TargetError when a column that the model takes is called as one of its outputs is: one would hide the other."""
    made = {o.name.lower(): o.name for o in outputs(spec.output, found.kind, found.type)}
    event = [spec.event_time] if spec.event_time else []
    for name in (*inputs(spec, names), *spec.key, *event):
        if name.lower() in made:
            raise TargetError(
                f"The column `{name}` is called as an output of the model `{spec.model}` is: one would hide the other.",
                hint=f"Give the prediction another name: PREDICT {spec.target} AS {spec.output}_predicted; or leave the "
                f"column out: FEATURES (* EXCEPT ({name})).",
            )


def _has_ids(spec: TrainingSpec) -> bool:
    """Whether rows are dealt or ordered by their ids: those without a key that have a time are not."""
    return bool(spec.key) or spec.event_time is None


def _schema(paths: Sequence[str]) -> pa.Schema:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_schema(paths[0]) if paths else pa.schema([])


def _used(spec: TrainingSpec, schema: pa.Schema) -> list[str]:
    """The columns that are needed; DataError with the nearest for one that is not there."""
    event = [spec.event_time] if spec.event_time else []
    for name in (spec.target, *spec.key, *spec.include, *spec.slices, *event):
        if name not in schema.names:
            raise DataError(
                f"The rows have no column `{name}`.", hint=did_you_mean(name, schema.names, "columns")
            )
    used = {*inputs(spec, schema.names), spec.target, *spec.key, *spec.slices, *event}
    return [n for n in schema.names if n in used]


def _read(paths: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """The columns, of all files."""
    import pyarrow as pa

    try:
        return pa.concat_tables([snapshots.file_rows(path, columns, mapped=True) for path in paths])
    except pa.ArrowMemoryError as error:
        raise ResourceLimitError(f"The rows do not fit into memory: {error}", hint=MORE_MEMORY) from error
