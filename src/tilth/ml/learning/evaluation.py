"""What is said about a fresh model on its judge rows: its metrics, those of the baselines, and those of slices.

The figures go into `metrics.json`. Whether a candidate takes a champion's place is decided later, in `gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.metrics import quantile_of
from tilth.core.names import literal
from tilth.ml.judging.curves import wilson
from tilth.ml.judging.evidence import alike
from tilth.ml.judging.holdout import texts
from tilth.ml.learning.importance import importance
from tilth.ml.learning.judged import Judged
from tilth.ml.learning.losses import dummy
from tilth.ml.learning.understanding import understood
from tilth.ml.model.metrics import evaluate_all, higher_is_better, measured

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.made import Interval, Made, Tools
    from tilth.ml.learning.rows import Rows
    from tilth.ml.learning.simpler import Simpler
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ports.learning import Task

    Array = npt.NDArray[np.float64]

SLICE_ROWS = 50
SLICE_VALUES = 20


@dataclass(frozen=True, slots=True)
class Found:
    """The figures as `metrics.json` has them, and the models whose time is measured beside it."""

    metrics: dict[str, Any]
    simpler: Simpler
    x: Array

    def clocked(self) -> dict[str, Any]:
        """The figures with how long a row takes, in microseconds: for the training's facts, and never for the bundle."""
        return {**self.metrics, "row_us": self.simpler.row_us(self.x)}


def judged(data: Rows, made: Made) -> Judged:
    """The rows that judge, each answered by what did not see it."""
    import numpy as np
    import pyarrow as pa

    rows = made.judged.rows
    table, x = data.table.take(pa.array(rows)), np.ascontiguousarray(data.x[rows])
    part = made.judged.part.astype(np.int64) if made.judged is made.asked else None
    return Judged(data.y[rows], made.judged.scores, table, x, made.judged.linear, part, data.weighs(rows))


def metrics(
    spec: TrainingSpec, task: Task, data: Rows, made: Made, judged: Judged, tools: Tools
) -> Found:  # fmt: skip
    """Everything measured on the judged rows."""
    y, limit, worth = judged.y, made.curve.threshold, judged.weight
    blind = dummy(
        task.kind, task.classes, data.y, len(y), task.metric, data.weight
    )  # as the gate's: of all due rows
    own = evaluate_all(task.kind, y, judged.scores, limit, task.metric, worth)
    baselines = {"dummy": evaluate_all(task.kind, y, blind, limit, task.metric, worth)}
    if judged.linear is not None:
        baselines["linear"] = evaluate_all(task.kind, y, judged.linear, limit, task.metric, worth)
    out: dict[str, Any] = {
        "metric": task.metric,
        "higher_is_better": higher_is_better(task.metric),
        "value": own.get(task.metric),
        "minimum": spec.minimum,
        "metrics": own,
        "baselines": baselines,
        "engine": made.engine,
        "members": members(made),
        **{k: v for m in made.members for k, v in m.fitted.notes if k == "teacher"},
        "agreement": made.agreement.plain() | {"twin": made.twin},
        "split": data.split.plain(len(y)),
        "importance": importance(made.scorer, judged.x, data.preparation.owners()),
        "slices": {
            name: by_slice(judged.table.column(name), y, judged.scores, task.metric, limit, worth)
            for name in spec.slices
        },
    }
    if made.lead is not None:
        out["teacher"] = {"name": made.lead.teacher} | out.get("teacher", {}) | made.lead.plain()
    if task.kind != "regression":
        out["rare"] = rare(y, judged.scores, limit, data.target.classes)
    if (share := quantile_of(task.metric)) is not None:
        out["quantile"] = below(y, judged.scores, share, worth)
    if made.interval is not None:
        out |= _covered(made.interval, judged, made.curve.floor)
    more, simpler = understood(spec, task, data, made, judged, out["importance"], tools)
    return Found(out | more, simpler, judged.x)


def members(made: Made) -> list[dict[str, object]]:
    """Every member that was tried: its loss on rows that it did not see, its weight, and why one has none."""
    return [
        {
            "name": t.name, "engine": t.engine, "loss": t.loss if t.loss == t.loss else None,
            "weight": t.weight, "why": t.why or None,
        }
        for t in made.tried
    ]  # fmt: skip


def _covered(interval: Interval, judged: Judged, floor: float | None) -> dict[str, Any]:
    """How many of the judged values lie in an interval that other rows promised, and how wide those that serve are."""
    low, high = interval.conformal.ends(judged.scores, interval.half(judged.x), floor)
    return {"coverage": interval.covered, "width": float((high - low).mean())}


def below(y: Array, scores: Array, share: float, weight: Array | None = None) -> dict[str, Any]:
    """How many of the judged values are no greater than their answer, with its interval, where `share` of them should be."""
    import numpy as np

    own = weight if weight is not None and weight.any() else None
    came = float(np.average(y <= scores, weights=own))
    low, high = wilson(came, len(y) if own is None else max(1, int(alike(own))))
    return {"wanted": share, "share": came, "low": low, "high": high, "rows": len(y)}


def rare(y: Array, scores: Array, threshold: float, classes: tuple[Any, ...]) -> dict[str, Any]:
    """Of the rarest class: its rows, how many the model finds, of how many rows it says so, and its share of all."""
    import numpy as np

    answers = scores.argmax(axis=1) if scores.ndim > 1 else scores > threshold
    code = int(np.bincount(y.astype(np.int64), minlength=len(classes)).argmin())
    said, true = answers == code, y == code
    name = classes[code]
    return {
        "label": literal(name) if isinstance(name, str) else str(name).lower(),
        "rows": int(true.sum()),
        "judged": len(y),
        "share": float(true.mean()),
        "found": int((said & true).sum()),
        "called": int(said.sum()),
    }


def by_slice(
    column: Any, y: Array, scores: Array, metric: str, threshold: float = 0.5, weight: Array | None = None
) -> list[dict[str, object]]:
    """The metric for each of the most frequent values of a column (at most 20, with at least 50 rows each)."""
    import numpy as np

    values = texts(column)
    found, counts = np.unique(values, return_counts=True)
    out: list[dict[str, object]] = []
    for index in np.lexsort((found, -counts))[:SLICE_VALUES]:
        if counts[index] < SLICE_ROWS:
            break
        rows = values == found[index]
        value = measured(metric, y[rows], scores[rows], threshold, None if weight is None else weight[rows])
        out.append({"value": str(found[index]), "rows": int(counts[index]), metric: value})
    return out
