"""The rows of a training as numbers: the table in order, the matrix made of it, and where its slices end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import TargetError, TrainingError
from tilth.ml.judging import split
from tilth.ml.learning import target
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.spec import TrainingSpec, check_metric
from tilth.ports.learning import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Ordered rows: the table, the numbers made of it, and where the slices end."""

    table: pa.Table
    x: Matrix
    y: Matrix
    split: split.Split
    preparation: Preparation
    target: target.Target
    dropped: int = 0  # rows whose label is not due yet

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


def rows_of(
    spec: TrainingSpec, table: pa.Table, cuts: split.Split, found: target.Target, dropped: int = 0
) -> Rows:
    """Ordered rows as numbers; the preparation is learned on the fit slice."""
    names = inputs(spec, table.schema.names)
    preparation = Preparation.fit(table.slice(0, cuts.fit), names, spec.event_time)
    if not preparation.columns:
        reasons = tuple(f"{name}: {why}" for name, why in preparation.dropped)
        raise TrainingError(
            f"The model `{spec.model}` has no column to learn from.",
            hint="Check FEATURES and the dataset's query.", detail=reasons,
        )  # fmt: skip
    y = target.encode(table.column(spec.target), found)
    _both_classes(found, y[: cuts.fit])
    return Rows(table, preparation.matrix(table), y, cuts, preparation, found, dropped)


def inputs(spec: TrainingSpec, names: Sequence[str]) -> tuple[str, ...]:
    """The columns the model may learn from, in the order of the rows' columns."""
    out = {spec.target, *spec.key, *spec.exclude}
    return tuple(n for n in names if n not in out and (not spec.include or n in spec.include))


def _both_classes(found: target.Target, y: Matrix) -> None:
    if found.kind == "binary" and (y[0] == y).all():
        raise TargetError(
            f"The target `{found.name}` is {found.classes[int(y[0])]!r} in all {len(y):,} rows to fit on (the oldest 70 %).",
            hint="Collect a longer history, in which both values occur early.",
        )


def task_of(spec: TrainingSpec, data: Rows) -> Task:
    categorical = data.preparation.categorical
    return Task(
        kind=data.target.kind,
        classes=len(data.target.classes),
        columns=data.preparation.features,
        categorical=tuple(i for i, _ in categorical),
        cardinality=tuple(n for _, n in categorical),
        metric=check_metric(spec.metric, data.target.kind),
    )
