"""What is said about a fresh model on its judge rows: its metrics, those of the baselines, and those of slices.

The figures go into `metrics.json`. Whether a candidate takes a champion's place is decided later, in `gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.names import literal
from tilth.ml.judging.holdout import texts
from tilth.ml.learning.importance import importance
from tilth.ml.model.metrics import evaluate_all, higher_is_better, measured

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.learning.folding import Folds
    from tilth.ml.learning.made import Interval, Made
    from tilth.ml.learning.rows import Rows
    from tilth.ports.learning import Task

    Array = npt.NDArray[np.float64]

SLICE_ROWS = 50
SLICE_VALUES = 20


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows that the answers to them came without: their truth, calibrated scores, columns, and some as numbers."""

    y: Array
    scores: Array
    table: pa.Table
    x: Array
    linear: Array | None = None


def of_slice(data: Rows, made: Made) -> Judged:
    """The judge slice, answered by the model that serves."""
    x, y = data.part("judge")
    table = data.table.slice(data.split.calibrate)
    return Judged(y, made.scores(x), table, x, made.members["linear"].scorer.score(x))


def of_folds(folds: Folds, data: Rows) -> Judged:
    """All rows, each answered by a model of the other parts."""
    return Judged(folds.y, folds.scores, folds.table, data.preparation.matrix(folds.table))


def metrics(
    task: Task, data: Rows, made: Made, judged: Judged, slices: tuple[str, ...], minimum: float | None
) -> dict[str, Any]:
    """Everything measured on the judged rows, JSON-able."""
    y, chosen, limit = judged.y, made.chosen, made.curve.threshold
    blind = dummy(task.kind, task.classes, data.y, len(y), task.metric)  # as the gate's: of all due rows
    own = evaluate_all(task.kind, y, judged.scores, limit)
    baselines = {"dummy": evaluate_all(task.kind, y, blind, limit)}
    if judged.linear is not None:
        baselines["linear"] = evaluate_all(task.kind, y, judged.linear, limit)
    out: dict[str, Any] = {
        "metric": task.metric,
        "higher_is_better": higher_is_better(task.metric),
        "value": own.get(task.metric),
        "minimum": minimum,
        "metrics": own,
        "baselines": baselines,
        "engine": chosen.engine,
        "members": {name: member.stop_metric for name, member in made.members.items()},
        **{k: v for k, v in made.chosen.fitted.notes if k == "teacher"},
        "split": data.split.plain(),
        "importance": importance(chosen.scorer, judged.x, data.preparation.owners()),
        "slices": {
            name: by_slice(judged.table.column(name), y, judged.scores, task.metric, limit) for name in slices
        },
    }
    if task.kind != "regression":
        out["rare"] = rare(y, judged.scores, limit, data.target.classes)
    if made.interval is not None:
        out |= _covered(made.interval, judged, made.curve.floor)
    return out


def _covered(interval: Interval, judged: Judged, floor: float | None) -> dict[str, Any]:
    """How many of the judged values lie in their interval, and how wide it is; by folds, as the widths were found."""
    low, high = interval.conformal.ends(judged.scores, interval.half(judged.x), floor)
    inside = (
        interval.covered if judged.linear is None else float(((judged.y >= low) & (judged.y <= high)).mean())
    )
    return {"coverage": inside, "width": float((high - low).mean())}


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


def dummy(kind: str, classes: int, known: Array, rows: int, metric: str = "") -> Array:
    """What someone says who knows only the target: the mean (median for mae and mape), or the share of each class."""
    import numpy as np

    if kind == "regression":
        middle = np.median(known) if metric in {"mae", "mape"} else np.mean(known)
        return np.full(rows, float(middle))
    if kind == "binary":
        return np.full(rows, float(np.mean(known)))
    share = np.bincount(known.astype(np.int64), minlength=classes) / len(known)
    return np.repeat(share[None, :], rows, axis=0)


def by_slice(
    column: Any, y: Array, scores: Array, metric: str, threshold: float = 0.5
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
        value = measured(metric, y[rows], scores[rows], threshold)
        out.append({"value": str(found[index]), "rows": int(counts[index]), metric: value})
    return out
