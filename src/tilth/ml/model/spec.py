"""What to train, as one frozen value that travels to the worker as JSON.

It says everything that decides what comes out, except the rows. Neighbours: `training` performs it, `resources`
makes the declaration it is built from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tilth.core.errors import ProjectError
from tilth.core.metrics import BY_KIND, METRICS, find
from tilth.core.names import did_you_mean, nearest


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """A training. Times are ISO 8601 texts in UTC; `label_delay` and `time_limit` are seconds.

    `include` empty means every column but target, key and `exclude`. `options` go to the engine (rounds, num_leaves, ...); with
    `auto` each is named with its engine's name before it (lightgbm.rounds).
    """

    model: str
    targets: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    event_time: str | None = None
    metric: str | None = None
    minimum: float | None = None
    label_delay: float = 0.0
    slices: tuple[str, ...] = ()
    cost_false_negative: float | None = None
    cost_false_positive: float | None = None
    engine: str = "auto"
    estimator: str | None = None
    estimators: str | None = None  # the folder of own estimators, where the training runs
    preset: str = "fast"  # or best: more members, larger ones, and more time for each
    time_limit: float = 60.0
    cpu_limit: float | None = None  # seconds of all threads together
    max_row_time: float | None = None  # microseconds of counted work; None: the preset's
    max_bundle: int | None = None  # bytes of all members; None: 9.6 MB
    seed: int = 7
    threads: int = 2
    options: tuple[tuple[str, Any], ...] = ()
    now: str | None = None
    identity: tuple[str, ...] = ()  # the columns that rows' ids are made of where no file keeps them
    positive: Any = None  # the class that PREDICT ... POSITIVE names
    coverage: float | None = None  # the share of values that are to lie in their interval; None: nine of ten
    weight: str | None = None  # the column that says what a row counts
    monotone: tuple[tuple[str, str], ...] = ()  # number columns with up or down
    group: tuple[str, ...] = ()  # the columns of GROUP KEY
    search: str = ""  # new: options of engines are searched; kept: those that were found before are asked about these rows
    budget: float = 600.0  # seconds that the trials of a search take together, beyond the time limit
    trials: int = 50  # of a search, of all engines together
    known: tuple[str, ...] = ()  # trials that were made before, as JSON
    teacher: str = ""  # an engine that is asked about rows that are made, and never serves
    retrain: str = (
        "full"  # or warm, refit: go on from the version `start_version`; auto: try all three and take one
    )
    start_version: int = 0  # 0: there is none, and `no_start` says why
    start_digest: str = ""  # of its bundle
    no_start: str = ""
    strict: bool = False  # what is served refuses a row without an input that never was missing in training
    positives: tuple[Any, ...] = ()  # of several targets: what POSITIVE names for each
    metrics: tuple[tuple[str, str], ...] = ()  # and the metric that OBJECTIVE names for one
    minimums: tuple[tuple[str, float], ...] = ()
    forecast: str = ""  # what a forecast is asked to be (`ml.forecasting.spec.Spec`), as JSON; empty: rows are predicted one by one
    beside: tuple[
        str, ...
    ] = ()  # the other targets of the model: no inputs, and rows that have one may lack this one

    def of_each(self) -> tuple[TrainingSpec, ...]:
        """A training for each target, which are learned one by one; itself where there is one."""
        if len(self.targets) == 1:
            return (self,)
        return tuple(
            replace(
                self, targets=(target,), outputs=(output,), positive=positive, positives=(), metrics=(), minimums=(),
                metric=dict(self.metrics).get(target, self.metric),
                minimum=dict(self.minimums).get(target, self.minimum),
                beside=tuple(t for t in self.targets if t != target),
            )
            for target, output, positive in zip(self.targets, self.outputs, self.positives, strict=True)
        )  # fmt: skip

    @property
    def target(self) -> str:
        return self.targets[0]

    @property
    def output(self) -> str:
        """What the prediction is called."""
        return self.outputs[0] if self.outputs else self.targets[0]

    def plain(self) -> dict[str, object]:
        """JSON-able values; `from_plain` reads them back."""
        out: dict[str, object] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            out[f.name] = (
                [list(v) if isinstance(v, tuple) else v for v in value] if isinstance(value, tuple) else value
            )
        return out

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> TrainingSpec:
        known = {f.name: f for f in fields(cls)}
        for name in values:
            if name not in known:
                raise ProjectError(
                    f"A training has no field `{name}`.", hint=did_you_mean(name, known, "fields")
                )
        given: dict[str, Any] = {
            name: tuple(tuple(v) if isinstance(v, list) else v for v in value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
        }
        return cls(**given)


def check_metric(metric: str | None, kind: str) -> str:
    """The metric to optimise, by its own name: the given one if it fits the kind of task, else the kind's first."""
    if metric is None:
        return BY_KIND[kind][0]
    found = find(metric)
    if found is None:
        raise ProjectError(
            f"There is no metric `{metric}`.", hint=did_you_mean(metric, _called(kind), "metrics")
        )
    if kind not in found.kinds:
        mean = f"{found.name}_macro"
        near = mean if mean in BY_KIND[kind] else nearest(found.name, BY_KIND[kind])
        meant = f"Did you mean `{near}`? " if near else ""
        hint = f"{meant}Metrics for {kind}: {', '.join(BY_KIND[kind])}."
        raise ProjectError(f"The metric `{metric}` does not fit a {kind} target.", hint=hint)
    return found.name


def _called(kind: str) -> tuple[str, ...]:
    """All names of the metrics of a kind of task."""
    return tuple(name for m in METRICS if kind in m.kinds for name in (m.name, *m.also))
