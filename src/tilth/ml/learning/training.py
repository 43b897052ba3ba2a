"""Makes a bundle's files from rows: splits, prepares, fits, calibrates and judges. Runs inside a training worker.

Nothing here knows an engine: learners and scorers come through callables. The same spec on the same rows writes the
same bytes, so durations and paths go into the returned facts and never into a file. Sealing is in `ml.bundles`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, ResourceLimitError, TargetError, TrainingError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.time import parse_instant
from tilth.ml.bundles.manifest import bundle_digest
from tilth.ml.learning import judging, split, target
from tilth.ml.learning.curves import fit_curve
from tilth.ml.learning.evaluation import higher_is_better
from tilth.ml.learning.output import write
from tilth.ml.learning.prepare import Preparation
from tilth.ml.learning.spec import ENGINES, TrainingSpec, check_metric
from tilth.ml.serving.curve import Curve, threshold
from tilth.ports.learning import Budget, Fitted, Learner, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Matrix = npt.NDArray[np.float64]

Report = Callable[[str, float | None], None]
Getter = Callable[[str], Any]
REFIT_ROWS = 20_000  # up to this many fit rows, the chosen engine is fitted again with the stop rows


@dataclass(slots=True)
class Member:
    """A fitted engine with its scores on every row after the fit slice."""

    engine: str
    fitted: Fitted
    scorer: Any
    stop_metric: float | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Ordered rows: the table, the numbers made of it, and where the slices end."""

    table: pa.Table
    x: Matrix
    y: Matrix
    split: split.Split
    preparation: Preparation
    target: target.Target
    dropped: int  # rows whose label is not due yet

    def part(self, which: str) -> tuple[Matrix, Matrix]:
        """Its x and y, of fit | stop | calibrate | judge; views, not copies."""
        s = self.split
        edges = {
            "fit": (0, s.fit),
            "stop": (s.fit, s.stop),
            "calibrate": (s.stop, s.calibrate),
            "judge": (s.calibrate, s.rows),
        }
        start, end = edges[which]
        return self.x[start:end], self.y[start:end]


def train(
    spec: TrainingSpec, rows: Sequence[str], out: str, learners: Getter, scorers: Getter, report: Report
) -> dict[str, object]:
    """Write the bundle's files into `out` and return facts: metrics, engine, files, their one digest (`artifact`), rows, seconds.

    `learners(name)` gives a learner class, `scorers(name)` a scorer class. Raises TargetError, DataError,
    TrainingError, UnsupportedError or ResourceLimitError.
    """
    started = time.monotonic()
    deadline = started + spec.time_limit
    _supported(spec)
    clock = _Clock()
    report("reading rows", 0.02)
    data = _ordered(spec, _read(spec, rows))
    clock.lap("prepare")
    task = _task(spec, data)
    members = _fit_members(spec, task, data, learners, scorers, deadline, report)
    clock.lap("fit")
    chosen = _choose(
        task.metric, members, "lightgbm" if spec.engine == "auto" else spec.engine, spec.engine == "auto"
    )
    chosen = _refit(spec, task, data, chosen, learners, scorers, deadline, report)
    report("calibrating", 0.9)
    curve = _calibrate(spec, data, chosen)
    report("judging on the newest rows", 0.93)
    metrics = judging.metrics(task, data, members, chosen, curve, spec.slices, spec.minimum)
    report("writing the bundle", 0.97)
    os.makedirs(out, exist_ok=True)
    files = write(out, spec, data, chosen, curve, metrics)
    clock.lap("judge and write")
    return {
        "metrics": metrics,
        "engine": chosen.engine,
        "files": sorted(files),
        "artifact": bundle_digest(files),
        "rows": data.split.rows,
        "rows_without_label": data.dropped,
        "tuned_until": data.split.tuned_until,
        "judge_overlap": data.split.overlap,
        "dropped_columns": dict(data.preparation.dropped),
        "notes": {k: v for k, v in chosen.fitted.notes if k != "refit"},
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
    if spec.engine not in ENGINES:
        raise TrainingError(
            f"There is no engine `{spec.engine}`.", hint=did_you_mean(spec.engine, ENGINES, "engines")
        )
    if spec.estimator and spec.engine != "sklearn":
        raise TrainingError(
            f"`estimator` belongs to engine = 'sklearn', and the engine is '{spec.engine}'.",
            hint=f"Write USING (engine = 'sklearn', estimator = '{spec.estimator}').",
        )


# --- rows --------------------------------------------------------------------------------------------------


def _read(spec: TrainingSpec, paths: Sequence[str]) -> pa.Table:
    """The columns that are needed, of all files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(paths[0]) if paths else pa.schema([])
    for name in (
        spec.target,
        *spec.key,
        *spec.include,
        *spec.slices,
        *([spec.event_time] if spec.event_time else []),
    ):
        if name not in schema.names:
            raise DataError(
                f"The rows have no column `{name}`.", hint=did_you_mean(name, schema.names, "columns")
            )
    used = set(inputs(spec, schema.names)) | {spec.target, *spec.key, *spec.slices}
    wanted = [n for n in schema.names if n in used or n == spec.event_time]
    try:
        return pa.concat_tables([pq.read_table(path, columns=wanted, memory_map=True) for path in paths])
    except pa.ArrowMemoryError as error:
        raise ResourceLimitError(f"The rows do not fit into memory: {error}", hint=MORE_MEMORY) from error


MORE_MEMORY = "Give the model more: USING (memory = '8 GB'), or train on fewer rows or columns."


def inputs(spec: TrainingSpec, names: Sequence[str]) -> tuple[str, ...]:
    """The columns the model may learn from, in the order of the rows' columns."""
    out = {spec.target, *spec.key, *spec.exclude}
    return tuple(n for n in names if n not in out and (not spec.include or n in spec.include))


def _ordered(spec: TrainingSpec, table: pa.Table) -> Rows:
    """Known rows in order, with their slices; the preparation is learned on the fit slice."""
    import pyarrow as pa

    known = target.known_rows(table.column(spec.target), spec.target, _young(spec, table))
    dropped = int((~known).sum())
    if dropped:
        table = table.filter(pa.array(known))
    found = target.inspect(table.column(spec.target), spec.target, spec.metric)
    check_metric(spec.metric, found.kind)
    index, values = split.order(table, spec.key, spec.event_time)
    table = table.take(pa.array(index)).combine_chunks()
    cuts = split.cut(values, spec.event_time, spec.judge_after)
    preparation = Preparation.fit(table.slice(0, cuts.fit), inputs(spec, table.schema.names), spec.event_time)
    if not preparation.columns:
        reasons = tuple(f"{name}: {why}" for name, why in preparation.dropped)
        raise TrainingError(
            f"The model `{spec.model}` has no column to learn from.",
            hint="Check FEATURES and the dataset's query.", detail=reasons,
        )  # fmt: skip
    y = target.encode(table.column(spec.target), found)
    _both_classes(found, y[: cuts.fit])
    return Rows(table, preparation.matrix(table), y, cuts, preparation, found, dropped)


def _young(spec: TrainingSpec, table: pa.Table) -> npt.NDArray[np.bool_] | None:
    """Rows whose label need not be known yet; None when nothing says how late labels come."""
    if not spec.label_delay or spec.event_time is None or spec.now is None:
        return None
    since = parse_instant(spec.now) - timedelta(seconds=spec.label_delay) - datetime.fromtimestamp(0, UTC)
    young: npt.NDArray[np.bool_] = split.micros(table, spec.event_time) > since / timedelta(microseconds=1)
    return young


def _both_classes(found: target.Target, y: Matrix) -> None:
    if found.kind == "binary" and (y[0] == y).all():
        raise TargetError(
            f"The target `{found.name}` is {found.classes[int(y[0])]!r} in all {len(y):,} rows to fit on (the oldest 70 %).",
            hint="Collect a longer history, in which both values occur early.",
        )


def _task(spec: TrainingSpec, data: Rows) -> Task:
    categorical = data.preparation.categorical
    return Task(
        kind=data.target.kind,
        classes=len(data.target.classes),
        columns=data.preparation.features,
        categorical=tuple(i for i, _ in categorical),
        cardinality=tuple(n for _, n in categorical),
        metric=check_metric(spec.metric, data.target.kind),
    )


# --- fitting -----------------------------------------------------------------------------------------------


def _fit_members(
    spec: TrainingSpec,
    task: Task,
    data: Rows,
    learners: Getter,
    scorers: Getter,
    deadline: float,
    report: Report,
) -> dict[str, Member]:
    """The linear baseline always, and the wanted engine; whatever is fitted when the time is up stays."""
    wanted = ["linear"] + [
        e for e in (["lightgbm"] if spec.engine == "auto" else [spec.engine]) if e != "linear"
    ]
    members: dict[str, Member] = {}
    for number, name in enumerate(wanted):
        low = 0.1 + 0.1 * number

        def tell(what: str, done: float | None, low: float = low, name: str = name) -> None:
            report(f"{name}: {what}", low + (0.6 if name != "linear" else 0.1) * (done or 0.0))

        asked = spec.engine == name or (spec.engine == "auto" and name != "linear")
        options = _options(spec) if asked else {}
        fitted = _fit(learners(name), task, data, spec, deadline, options, tell)
        members[name] = _member(name, fitted, task, data, spec, scorers)
    return members


def _options(spec: TrainingSpec) -> dict[str, object]:
    given: dict[str, object] = dict(spec.options)
    if spec.estimator:
        given |= {"estimator": spec.estimator, "estimators": spec.estimators or ""}
    return given


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
    try:
        return learner().fit(task, x, y, x_stop, y_stop, budget, options, report)
    except (MemoryError, np.linalg.LinAlgError) as error:
        if isinstance(error, MemoryError):
            raise ResourceLimitError("The training ran out of memory.", hint=MORE_MEMORY) from error
        raise TrainingError(f"The engine met numbers it cannot solve: {error}") from error


def _member(name: str, fitted: Fitted, task: Task, data: Rows, spec: TrainingSpec, scorers: Getter) -> Member:
    scorer = scorers(fitted.scorer).load(fitted.payload, task, spec.threads)
    x, y = data.part("stop")
    return Member(name, fitted, scorer, judging.measured(task.metric, y, scorer.score(x)))


def _choose(metric: str, members: dict[str, Member], asked: str, free: bool) -> Member:
    """The asked engine, or with `auto` the member that is best on the stop slice."""
    if not free:
        return members[asked]
    sign = 1.0 if higher_is_better(metric) else -1.0

    def rank(member: Member) -> float:
        return float("-inf") if member.stop_metric is None else sign * member.stop_metric

    return max(members.values(), key=rank)


def _refit(
    spec: TrainingSpec,
    task: Task,
    data: Rows,
    chosen: Member,
    learners: Getter,
    scorers: Getter,
    deadline: float,
    report: Report,
) -> Member:
    """On small data the stop rows are too precious to leave out: fit again with them, with what stopping has found."""
    found = dict(chosen.fitted.notes).get("refit")
    cut_short = dict(chosen.fitted.notes).get("stopped_by") == "time limit"
    if not isinstance(found, dict) or data.split.fit > REFIT_ROWS or cut_short or time.monotonic() > deadline:
        return chosen
    options = (
        {k: v for k, v in _options(spec).items() if k not in {"rounds", "patience"}}
        if spec.engine != "auto"
        else {}
    )
    report(f"{chosen.engine}: refitting with the stop rows", 0.85)
    fitted = _fit(
        learners(chosen.engine),
        task,
        data,
        spec,
        deadline,
        {**options, **found},
        lambda _w, _d: None,
        with_stop=True,
    )
    scorer = scorers(fitted.scorer).load(fitted.payload, task, spec.threads)
    return Member(chosen.engine, fitted, scorer, chosen.stop_metric)


def _calibrate(spec: TrainingSpec, data: Rows, chosen: Member) -> Curve:
    x, y = data.part("calibrate")
    limit = threshold(spec.cost_false_negative, spec.cost_false_positive)
    return fit_curve(data.target.kind, y, chosen.scorer.score(x), limit)
