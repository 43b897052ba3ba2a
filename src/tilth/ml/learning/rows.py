"""The rows of a training as numbers: the table in order, the matrix made of it, and which of them judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.core.errors import TargetError, TrainingError
from tilth.ml.judging import split
from tilth.ml.learning import target, texts
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.spec import TrainingSpec, check_metric
from tilth.ports.learning import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.learning.tall import Everything
    from tilth.ports.texts import Texts

    Matrix = npt.NDArray[np.float64]


def _no_parts() -> npt.NDArray[np.int8]:
    import numpy as np

    return np.empty(0, np.int8)


def _no_places() -> npt.NDArray[np.int64]:
    import numpy as np

    return np.empty(0, np.int64)


def _no_matrix() -> Matrix:
    import numpy as np

    return np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class Rows:
    """Ordered rows: the table, the numbers made of it, where the judged window starts, and the part of each row."""

    table: pa.Table
    x: Matrix
    y: Matrix
    split: split.Split
    preparation: Preparation
    target: target.Target
    dropped: int = 0  # rows whose label is not due yet
    part: npt.NDArray[np.int8] = field(default_factory=_no_parts)  # -1: it is not asked before the window
    places: npt.NDArray[np.int64] = field(default_factory=_no_places)  # in the snapshot's files
    weight: Matrix | None = None  # what each row counts, 1 on average
    texts: Texts | None = None  # of engines that learn from terms, while members are fitted
    full: Matrix = field(
        default_factory=_no_matrix
    )  # the rows as models read them: with the numbers, or scores, of texts
    tall: Everything | None = None  # all rows, where these were drawn of them

    @property
    def taught(self) -> int:
        """The rows that what serves learned from."""
        return self.split.rows if self.tall is None else self.tall.rows

    def weighs(self, rows: npt.NDArray[np.intp]) -> Matrix | None:
        """What these rows count; None where all count alike."""
        return None if self.weight is None else self.weight[rows]

    @property
    def asked(self) -> npt.NDArray[np.intp]:
        """The rows before the window that are answered by models of the others."""
        import numpy as np

        return np.flatnonzero(self.part >= 0)

    @property
    def judging(self) -> npt.NDArray[np.intp]:
        """The rows that judge: the window, or without one those that are asked."""
        import numpy as np

        window = np.arange(self.split.window, self.split.rows)
        return window if len(window) else self.asked


def rows_of(
    spec: TrainingSpec,
    table: pa.Table,
    cut: split.Split,
    found: target.Target,
    dropped: int,
    part: npt.NDArray[np.int8],
    places: npt.NDArray[np.int64],
    weight: Matrix | None = None,
) -> Rows:
    """Ordered rows as numbers; the preparation is learned from all of them, but not from their target."""
    names = inputs(spec, table.schema.names)
    preparation = Preparation.fit(table, names, spec.event_time)
    if not preparation.columns:
        reasons = tuple(f"{name}: {why}" for name, why in preparation.dropped)
        raise TrainingError(
            f"The model `{spec.model}` has no column to learn from.",
            hint="Check FEATURES and the dataset's query.", detail=reasons,
        )  # fmt: skip
    y = target.encode(table.column(spec.target), found)
    _both_classes(found, y[: cut.window])
    x, known = preparation.matrix(table), texts.of(spec, table, preparation)
    full = texts.named(x, known)
    return Rows(table, x, y, cut, preparation, found, dropped, part, places, weight, known, full)


def inputs(spec: TrainingSpec, names: Sequence[str]) -> tuple[str, ...]:
    """The columns the model may learn from, in the order of the rows' columns."""
    weight = [spec.weight] if spec.weight else []
    out = {spec.target, *spec.beside, *spec.key, *spec.group, *spec.exclude, *weight}
    return tuple(n for n in names if n not in out and (not spec.include or n in spec.include))


def _both_classes(found: target.Target, y: Matrix) -> None:
    if found.kind == "binary" and (y[0] == y).all():
        raise TargetError(
            f"The target `{found.name}` is {found.classes[int(y[0])]!r} in all {len(y):,} rows but the newest tenth.",
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
        texts=data.texts,
    )
