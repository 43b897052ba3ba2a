"""The reference that drift is measured against: how inputs and scores were distributed in training.

Made in the worker with numpy, in the form of `ml.data.profile`, so that `ml.data.drift` compares it with later rows.
Inputs are counted on the rows that tuned the model, scores on the judge rows, as the model meets them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.ml.data.profile import BINS, TOP, Categorical, Numeric, Profile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.training import Rows

    Array = npt.NDArray[np.float64]


def score_column(output: str) -> str:
    """The name under which the profile keeps the calibrated score of a target: P(1), the value, or the class.

    >>> score_column("late")
    'late_score'
    """
    return f"{output}_score"


def profile(data: Rows, scores: Array, output: str) -> Profile:
    """The profile of every input column that can have one, and of the score."""
    tuned = data.table.slice(0, data.split.calibrate)
    columns: list[Numeric | Categorical] = []
    at = 0
    for column in data.preparation.columns:
        if column.kind == "number":
            columns.append(_numeric(column.name, data.x[: data.split.calibrate, at]))
        elif column.kind in {"category", "boolean"}:
            columns.append(_texts(column.name, tuned.column(column.name)))
        at += len(column.features)
    name = score_column(output)
    columns.append(
        _numeric(name, scores) if scores.ndim == 1 else _classes(name, data.target.classes, scores)
    )
    return Profile(data.split.calibrate, tuple(columns))


def _numeric(name: str, values: Array) -> Numeric:
    """Edges of about equal shares of the finite values, and the rows between them."""
    import numpy as np

    known = values[np.isfinite(values)]
    if not len(known):
        return Numeric(name, len(values), len(values), (0.0,), (0, 0))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return Numeric(
        column=name,
        rows=len(values),
        nulls=len(values) - len(known),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        minimum=float(known.min()),
        maximum=float(known.max()),
        mean=_rounded(float(known.mean())),
        sd=_rounded(float(known.std())),
    )


def _rounded(value: float) -> float:
    """Nine significant digits, as `ml.data.profile` keeps them."""
    return float(f"{value:.9g}")


def _texts(name: str, values: Any) -> Categorical:
    """The most frequent values as texts, ties by value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counted = pc.value_counts(pc.cast(values, pa.string())).to_pylist()
    known = sorted((-c["counts"], c["values"]) for c in counted if c["values"] is not None)
    kept = known[:TOP]
    return Categorical(
        column=name,
        rows=len(values),
        nulls=values.null_count,
        values=tuple(v for _, v in kept),
        counts=tuple(-n for n, _ in kept),
        other=-sum(n for n, _ in known[TOP:]),
    )


def _classes(name: str, classes: tuple[Any, ...], scores: Array) -> Categorical:
    """How often each class was the answer."""
    import numpy as np

    counts = np.bincount(scores.argmax(axis=1), minlength=len(classes)).tolist()
    return Categorical(name, len(scores), 0, tuple(map(str, classes)), tuple(counts))
