"""Judges a short history by cross-validation: five blocks of rows, each answered by a model of the other four.

Below the holdout's minimum a tenth of the rows says nothing, and without a version there is nothing to serve. So every
row is judged by the answer of a model that did not see it, made by the same recipe as the one that serves, which learns
from all of them. Blocks are of time where there is one, else of ids, so that rows that look alike stay together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TargetError
from tilth.ml.data.identity import row_ids
from tilth.ml.judging import split
from tilth.ml.judging.gates import FEWEST, FIRST
from tilth.ml.learning.curves import fit_curve
from tilth.ml.learning.fitting import fitted, floored
from tilth.ml.learning.made import Tools
from tilth.ml.learning.rows import Rows, rows_of, task_of
from tilth.ml.learning.target import Target, encode
from tilth.ml.model.curve import Curve
from tilth.ml.model.spec import TrainingSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]

FILE = "folds.json"  # what `output.write` calls the answers in a bundle
SHORT = 10 * FIRST.rows  # rows of which a tenth is below what a first version needs
SLOTS = 10  # eight of them fit, one stops, one calibrates


@dataclass(frozen=True, slots=True)
class Folds:
    """The rows in their order with the answer of a model that did not see each, calibrated and as it came.

    `engines` is that of each part's model, and `part` the part of each row.
    """

    table: pa.Table
    y: Array
    scores: Array
    raw: Array
    engines: tuple[str, ...] = ()
    part: npt.NDArray[np.int64] | None = None

    def of(self, engine: str) -> npt.NDArray[np.bool_]:
        """Which rows a model of this engine has answered."""
        import numpy as np

        if self.part is None:
            return np.ones(len(self.y), dtype=np.bool_)
        return np.array([e == engine for e in self.engines])[self.part]

    def plain(self) -> dict[str, object]:
        """JSON-able: the answers by the id that all columns of a row give."""
        ids = row_ids(self.table, sorted(self.table.schema.names))
        return {"ids": [f"{int(i):016x}" for i in ids], "scores": self.scores.tolist()}


def needed(y: Array, cuts: split.Split, kind: str) -> bool:
    """Whether the judge slice is below what even a first version needs."""
    import numpy as np

    judged = y[cuts.calibrate :]
    if len(judged) < FIRST.rows:
        return True
    return kind == "binary" and int(np.bincount(judged.astype(np.int64), minlength=2).min()) < FIRST.rarer


def check(y: Array, kind: str, name: str) -> None:
    """TargetError for a history that is too short even for this."""
    import numpy as np

    rarer = int(np.bincount(y.astype(np.int64), minlength=2).min()) if kind == "binary" else FEWEST.rarer
    if len(y) >= FEWEST.rows and rarer >= FEWEST.rarer:
        return
    have = f"{len(y)} rows" + (f", {rarer} of the rarer class" if kind == "binary" else "")
    raise TargetError(
        f"There are {have} with a known `{name}`; a model needs {FEWEST.rows}, and {FEWEST.rarer} of the rarer class.",
        hint="Collect more rows, or check the WHERE of the dataset's query.",
    )


def dealt(spec: TrainingSpec, table: pa.Table, found: Target, dropped: int = 0) -> Rows:
    """All rows, none kept aside to judge: of each class (or level of the target) the oldest fit, the newest calibrate."""
    import numpy as np
    import pyarrow as pa

    y = encode(table.column(spec.target), found)
    level = y if found.kind != "regression" else np.zeros(len(y))
    slots = np.empty(len(y), dtype=np.int64)
    for value in np.unique(level):
        rows = np.flatnonzero(level == value)
        slots[rows] = np.arange(len(rows)) * SLOTS // len(rows)
    order = np.argsort(np.maximum(slots, SLOTS - 3), kind="stable")
    fit, stop = int((slots < SLOTS - 2).sum()), int((slots < SLOTS - 1).sum())
    cuts = split.Split(fit, stop, len(y), len(y), split.BY_FOLDS, _newest(spec, table))
    return rows_of(spec, table.take(pa.array(order)), cuts, found, dropped)


def _newest(spec: TrainingSpec, table: pa.Table) -> str | None:
    return None if spec.event_time is None else split.newest(table, spec.event_time)


def judged(spec: TrainingSpec, table: pa.Table, ends: tuple[int, ...], found: Target, tools: Tools) -> Folds:
    """Answer every block by a model of the others; `table` is ordered, blocks end at `ends`."""
    import numpy as np
    import pyarrow as pa

    y = encode(table.column(spec.target), found)
    scores = raw = np.empty(0)
    engines, part = [], np.zeros(len(y), dtype=np.int64)
    for number, (start, end) in enumerate(zip((0, *ends), ends, strict=False)):
        tools.report(f"judging part {number + 1} of {len(ends)} by the others", 0.1 + 0.1 * number)
        mine = np.zeros(table.num_rows, dtype=np.bool_)
        mine[start:end] = True
        data = dealt(spec, table.filter(pa.array(~mine)), found)
        made = fitted(spec, task_of(spec, data), data, tools.quiet)
        x = data.preparation.matrix(table.filter(pa.array(mine)))
        bare = made.chosen.scorer.score(x)
        engines.append(made.chosen.engine)
        part[mine] = number
        if number == 0:
            raw, scores = np.empty((len(y), *bare.shape[1:])), np.empty((len(y), *bare.shape[1:]))
        raw[mine], scores[mine] = bare, made.curve.apply(bare)
    return Folds(table, y, scores, raw, tuple(engines), part)


def curve_of(folds: Folds, kind: str, limit: float, engine: str) -> Curve:
    """The calibration of the model that serves: from the answers of its engine, each by a model that did not see the row."""
    mine = folds.of(engine)
    return (
        floored(folds.y) if kind == "regression" else fit_curve(kind, folds.y[mine], folds.raw[mine], limit)
    )


def answers(kept: Any) -> dict[int, Any]:
    """What `plain` has written, by id."""
    return {int(i, 16): score for i, score in zip(kept["ids"], kept["scores"], strict=True)}
