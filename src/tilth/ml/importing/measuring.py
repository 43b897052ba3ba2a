"""What a model that came from elsewhere answers to rows that are here. Which of them it has learned from nobody knows, and that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.ml.judging import split
from tilth.ml.learning import described, leaks
from tilth.ml.learning.evaluation import by_slice, rare
from tilth.ml.learning.importance import importance
from tilth.ml.learning.losses import dummy
from tilth.ml.model.metrics import evaluate_all, higher_is_better
from tilth.ml.model.spec import check_metric

if TYPE_CHECKING:
    from tilth.ml.importing.given import Given
    from tilth.ml.learning.rows import Rows
    from tilth.ml.learning.told import Told
    from tilth.ml.model.predictor import Predictor
    from tilth.ml.model.spec import TrainingSpec

MOST = 50_000  # rows that it is measured on, the newest of those with an event time


def measured(
    spec: TrainingSpec, data: Rows, model: Predictor, given: Given, engine: str
) -> tuple[dict[str, Any], list[Told]]:
    """The figures as `metrics.json` has them, and what is told of it."""
    import numpy as np
    import pyarrow as pa

    kind, first = data.target.kind, max(0, data.split.rows - MOST)
    metric = check_metric(spec.metric, kind)
    table, y, limit = data.table.slice(first), data.y[first:], model.threshold
    scores, can = model.answers(table)
    y, scores = y[can], scores[can]
    own = evaluate_all(kind, y, scores, limit, metric)
    blind = dummy(kind, len(data.target.classes), data.y, len(y), metric)
    x = np.ascontiguousarray(data.x[first:])
    made: dict[str, Any] = {
        "metric": metric,
        "higher_is_better": higher_is_better(metric),
        "value": own.get(metric),
        "minimum": spec.minimum,
        "metrics": own,
        "baselines": {"dummy": evaluate_all(kind, y, blind, limit, metric)},
        "engine": engine,
        "members": [{"name": given.flavor, "engine": engine, "loss": None, "weight": 1.0, "why": None}],
        "split": {
            "by": split.BY_IMPORT, "rows": data.split.rows, "judge": len(y), "tuned_until": None, "since": None, "ids": 1,
        },
        "imported": {"flavor": given.flavor, "digest": given.digest, "made_at": given.made_at},
        "importance": importance(_Bare(model), x, data.preparation.owners()),
        "slices": {
            name: by_slice(table.column(name).filter(pa.array(can)), y, scores, metric, limit) for name in spec.slices
        },
        "columns": described.columns(data),
        "leaks": [leak.plain() for leak in leaks.find(data)],
    }  # fmt: skip
    if kind != "regression":
        made["rare"] = rare(y, scores, limit, data.target.classes)
    return made, _told(spec, given, len(y), regression=kind == "regression")


class _Bare:
    """The members as one scorer that tells no contributions: importance is then found by moving inputs."""

    def __init__(self, model: Predictor) -> None:
        self.score = model.raw

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        """One row."""
        import numpy as np

        return tuple(np.atleast_1d(self.score(np.frombuffer(row)[None, :])[0]).tolist())

    def contributions(self, x: Any) -> None:
        """None."""
        del x


def _told(spec: TrainingSpec, given: Given, rows: int, *, regression: bool) -> list[Told]:
    out: list[Told] = [
        {
            "kind": "imported", "column": None,
            "text": f"It was not trained here: it came as a {given.flavor} model. Its figures are of {rows:,} rows that it may have learned from.",
            "option": f"To know better, train it here: RETRAIN MODEL {spec.model}.",
        }
    ]  # fmt: skip
    if regression and given.flavor != "tilth":
        out.append(
            {
                "kind": "interval", "column": spec.target,
                "text": f"Its values have no intervals: which rows can tell how far `{spec.target}` may be off is not known.",
                "option": f"RETRAIN MODEL {spec.model} makes one that has them.",
            }
        )  # fmt: skip
    return out
