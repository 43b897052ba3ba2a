"""The reference that drift is measured against: how inputs and scores were distributed in training.

Numbers keep the edges of ten equally full bins and the count in each; texts keep their most frequent values. Inputs are
counted on the rows that trained, scores on the judge rows, as the model meets them. Kept as `profile.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.training import Rows

    Array = npt.NDArray[np.float64]

BINS = 10
VALUES = 30


def profile(data: Rows, scores: Array) -> dict[str, Any]:
    """The reference of every input column, and of the calibrated score: P(1), the value, or the likeliest class."""
    import numpy as np

    tuned = data.table.slice(0, data.split.calibrate)
    columns: dict[str, Any] = {}
    at = 0
    for column in data.preparation.columns:
        if column.kind == "category":
            columns[column.name] = _texts(tuned.column(column.name))
        elif column.kind in {"number", "boolean"}:
            columns[column.name] = _numbers(data.x[: data.split.calibrate, at])
        at += len(column.features)
    if scores.ndim == 2:
        names = np.array([str(c) for c in data.target.classes])
        counts = np.bincount(scores.argmax(axis=1), minlength=len(names))
        score: dict[str, Any] = {"kind": "category", "rows": len(scores), "missing": 0,
                                 "values": {str(n): int(c) for n, c in zip(names, counts, strict=True)}, "other": 0}  # fmt: skip
    else:
        score = _numbers(scores)
    return {"format": 1, "columns": columns, "score": score}


def _numbers(values: Array) -> dict[str, Any]:
    """Inner edges of at most ten equally full bins; `counts` has one more entry than `edges`."""
    import numpy as np

    known = values[~np.isnan(values)]
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(known, inner, method="lower")) if len(known) else np.array([])
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return {
        "kind": "number",
        "rows": len(values),
        "missing": int(len(values) - len(known)),
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "mean": float(known.mean()) if len(known) else None,
        "deviation": float(known.std()) if len(known) else None,
    }


def _texts(values: Any) -> dict[str, Any]:
    """The counts of the most frequent values, and how many rows hold others."""
    import pyarrow.compute as pc

    counted = [(c["values"], c["counts"]) for c in pc.value_counts(values).to_pylist()]
    known = sorted(((-n, v) for v, n in counted if v is not None))
    kept = {v: -n for n, v in known[:VALUES]}
    rest = -sum(n for n, _ in known[VALUES:])
    return {
        "kind": "category",
        "rows": len(values),
        "missing": values.null_count,
        "values": kept,
        "other": rest,
    }
