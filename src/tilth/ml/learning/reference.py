"""The reference that drift is measured against: how inputs and scores were distributed in training.

Made in the worker with numpy, in the form of `ml.data.profile`, so that `ml.data.drift` compares it with later rows.
Inputs are counted on the rows that tuned the model, scores on the judge rows, as the model meets them. `usual` is how
much single weeks of those rows differ from all of them, which is no drift.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tilth.ml.data.drift import WINDOW, compare
from tilth.ml.data.profile import BINS, TOP, Categorical, Numeric, Profile
from tilth.ml.judging.split import micros

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.rows import Rows

    Array = npt.NDArray[np.float64]

LEAST_WINDOW_ROWS = 100  # a week with fewer rows says nothing about the usual
USUAL = 0.9  # the share of weeks that differ no more than is usual
VAST = 1e100
SCORED = 20_000  # rows that are scored to learn how much the scores of weeks differ


def score_column(output: str) -> str:
    """The name under which the profile keeps the calibrated score of a target: P(1), the value, or the class.

    >>> score_column("late")
    'late_score'
    """
    return f"{output}_score"


def profile(data: Rows, scores: Array, output: str) -> Profile:
    """The profile of every input column that can have one, and of the score."""
    tuned = data.table
    columns: list[Numeric | Categorical] = []
    at = 0
    for column in data.preparation.columns:
        if column.kind == "number":
            columns.append(_numeric(column.name, data.x[:, at]))
        elif column.kind == "boolean" or column.coded:
            columns.append(_texts(column.name, tuned.column(column.name)))
        at += len(column.features)
    name = score_column(output)
    columns.append(
        _numeric(name, scores) if scores.ndim == 1 else _classes(name, data.target.classes, scores)
    )
    return Profile(data.split.rows, tuple(columns))


def usual(
    data: Rows, known: Profile, score: Callable[[Array], Array], output: str, event_time: str | None
) -> dict[str, float]:
    """For each column of the profile, and for the score, the PSI of a week against all rows that nine of ten weeks keep to.

    Empty for rows without an event time. `score` gives calibrated scores of matrix rows.
    """
    import numpy as np

    rows = data.split.rows
    if event_time is None or rows < LEAST_WINDOW_ROWS:
        return {}
    weeks = micros(data.table.slice(0, rows), event_time) // (WINDOW // timedelta(microseconds=1))
    out: dict[str, float] = {}
    for name, values in _inputs(data, rows):
        column = known.find(name)
        if column is not None:
            out[name] = _usual(_codes(values, column), weeks)
    picked = np.linspace(0, rows - 1, min(rows, SCORED)).astype(np.intp)
    scores = score(np.ascontiguousarray(data.x[picked]))
    made = _numeric("", scores) if scores.ndim == 1 else None
    codes = scores.argmax(axis=1) if made is None else _codes(scores, made)
    out[score_column(output)] = _usual(codes, weeks[picked])
    return {name: _rounded(value) for name, value in out.items()}


def _inputs(data: Rows, rows: int) -> list[tuple[str, Array]]:
    """The matrix column of each input that has one and can have a profile: numbers, flags and codes."""
    out, at = [], 0
    for column in data.preparation.columns:
        if column.kind in {"number", "boolean"} or column.coded:
            out.append((column.name, data.x[:rows, at]))
        at += len(column.features)
    return out


def _codes(values: Array, column: Numeric | Categorical) -> Any:
    """The bin of each row; codes of categories are their own bins. Rows without a value are the last bin."""
    import numpy as np

    known = np.isfinite(values)
    codes = (
        np.searchsorted(np.array(column.edges), values, side="left")
        if isinstance(column, Numeric)
        else np.minimum(np.where(known, values, 0), TOP)
    ).astype(np.int64)
    return np.where(known, codes, codes[known].max(initial=0) + 1)


def _usual(codes: Any, weeks: Any) -> float:
    """Of the PSI of each week against all of them, the value that nine of ten do not exceed."""
    import numpy as np

    _, which = np.unique(weeks, return_inverse=True)
    bins = int(codes.max()) + 1
    table = np.bincount(which * bins + codes, minlength=(int(which.max()) + 1) * bins).reshape(-1, bins)
    whole = table.sum(axis=0).tolist()
    found = [compare(whole, week)[0] for week in table.tolist() if sum(week) >= LEAST_WINDOW_ROWS]
    return float(np.quantile(found, USUAL, method="higher")) if found else 0.0


def _numeric(name: str, values: Array) -> Numeric:
    """Edges of about equal shares of the finite values, and the rows between them."""
    import numpy as np

    known = values[np.isfinite(values)]
    if not len(known):
        return Numeric(name, len(values), len(values), (0.0,), (0, 0))
    size = float(np.abs(known).max())
    size = size if size > VAST else 1.0  # squares of such numbers are beyond what a float holds
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
        mean=_rounded(float((known / size).mean() * size)),
        sd=_rounded(float((known / size).std() * size)),
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
