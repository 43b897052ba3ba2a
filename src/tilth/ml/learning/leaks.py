"""A first net for leaks: a column that tells the target too well to have been known before it.

Each input is asked alone, out of sample: how well does its value (or that it is missing) tell the target? A column that
equals or inverts the target, follows it step by step, or reaches what hardly any honest column does holds the model until
somebody says why it may stay: ACCEPT LEAK (column) BECAUSE '...'. Not asked are the event time, which is known, and,
but for a copy, the only input of a model: whoever declares one means it. What leaks through several columns together, or
a little, is not found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.rows import Rows

    Array = npt.NDArray[np.float64]

MOST_ROWS = 20_000  # looked at, spread over all that tuned the model
BINS = 64
VAST = 1e100
LEAST_ROWS = 100  # with fewer, what one column alone reaches says little
SURE = {"binary": 0.98, "multiclass": 0.95, "regression": 0.995}  # what one column alone should not reach
COPY = 0.9999
FEW = 3  # values of a column that could be another writing of a target of two classes, with one for gaps


@dataclass(frozen=True, slots=True)
class Leak:
    """A column ('' for the rows as a whole), how clearly it shows (0 to 1), and what was seen, in words.

    `kind` is power, or one of those of `leaking`; what `holds` holds the model until it is accepted, the rest is told.
    """

    column: str
    score: float
    seen: str
    kind: str = "power"
    holds: bool = True

    def plain(self) -> dict[str, object]:
        """JSON-able values."""
        return {
            "column": self.column,
            "score": round(self.score, 6),
            "seen": self.seen,
            "kind": self.kind,
            "holds": self.holds,
        }


def find(data: Rows) -> tuple[Leak, ...]:
    """The columns that tell the target too well, the best first."""
    import numpy as np

    rows = data.split.rows
    picked = np.linspace(0, rows - 1, min(rows, MOST_ROWS)).astype(np.intp)
    y, kind = data.y[picked], data.target.kind
    owners = data.preparation.owners()
    only = len(set(owners)) == 1
    found: dict[str, Leak] = {}
    for place, name in enumerate(owners):
        if name == data.preparation.event_time:
            continue
        leak = _asked(name, data.x[picked, place], y, kind, only)
        if leak is not None and (name not in found or leak.score > found[name].score):
            found[name] = leak
    return tuple(sorted(found.values(), key=lambda leak: (-leak.score, leak.column)))


def _asked(name: str, values: Array, y: Array, kind: str, only: bool) -> Leak | None:
    import numpy as np

    score = alone(values, y, kind)
    copied = kind != "regression" and len(np.unique(values)) <= max(FEW, int(y.max()) + 2)
    if score >= COPY and (copied or kind == "regression"):
        return Leak(name, score, "it equals the target, or is another writing of it")
    if only or len(y) < LEAST_ROWS or score < SURE[kind]:
        return None
    what = {
        "binary": f"alone it reaches an area under the curve of {score:.4f}",
        "multiclass": f"alone it avoids {score:.2%} of the errors",
        "regression": f"alone it explains {score:.2%} of the target",
    }[kind]
    return Leak(name, score, what)


def alone(values: Array, y: Array, kind: str) -> float:
    """How well one column tells the target in rows that were not looked at: AUC, or the share of variance or errors.

    Of a regression also as a line, and by rank: bins are coarse where a target has long tails.
    """
    import numpy as np

    from tilth.ml.data.identity import mixed
    from tilth.ml.model.metrics import roc_auc

    half = (
        mixed(np.arange(len(y), dtype=np.uint64)) % np.uint64(2) == 0
    )  # no rhythm of the rows falls in with it
    code = _binned(values)
    if kind == "multiclass":
        return _fewer_errors(code, y.astype(np.int64), half)
    told = np.empty(len(y))
    for mine in (half, ~half):
        told[~mine] = _means(code[mine], y[mine])[code[~mine]]
    if kind == "binary":
        return roc_auc(y, told) if 0 < y.sum() < len(y) else 0.0
    whole = float(((y - y.mean()) ** 2).sum())
    binned = 1.0 - float(((y - told) ** 2).sum()) / whole if whole > 0 else 0.0
    return max(binned, *_correlations(values, y))


def _binned(values: Array) -> npt.NDArray[np.int64]:
    """Values as codes: themselves where few differ, else by quantiles; the last is of rows without a value."""
    import numpy as np

    known = np.isfinite(values)
    levels = np.unique(values[known])
    if len(levels) > BINS:
        levels = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1]))
    code = np.searchsorted(levels, np.where(known, values, 0.0), side="left")
    return np.where(known, code, len(levels) + 1).astype(np.int64)


def _means(code: npt.NDArray[np.int64], y: Array) -> Array:
    """The mean target of each code, drawn to that of all where rows are few."""
    import numpy as np

    size = BINS + 3
    count = np.bincount(code, minlength=size)
    total = np.bincount(code, weights=y, minlength=size)
    found: Array = (total + y.mean()) / (count + 1)
    return found


def _fewer_errors(
    code: npt.NDArray[np.int64], y: npt.NDArray[np.int64], half: npt.NDArray[np.bool_]
) -> float:
    """The share of the errors of always saying the most frequent class that the code avoids."""
    import numpy as np

    classes, size = int(y.max()) + 1, BINS + 3
    told = np.empty(len(y), dtype=np.int64)
    for mine in (half, ~half):
        seen = np.bincount(code[mine] * classes + y[mine], minlength=size * classes).reshape(size, classes)
        told[~mine] = seen.argmax(axis=1)[code[~mine]]
    errors = 1.0 - np.bincount(y).max() / len(y)
    return 1.0 - float((told != y).mean()) / errors if errors > 0 else 0.0


def _correlations(values: Array, y: Array) -> tuple[float, float]:
    """The squares of Pearson's and Spearman's correlations over rows with a value; 0 where few have one, or few differ."""
    import numpy as np

    known = np.isfinite(values)
    if known.mean() < 0.9 or len(np.unique(values[known])) < BINS:
        return 0.0, 0.0
    ranks = [np.unique(v[known], return_inverse=True)[1].astype(np.float64) for v in (values, y)]
    vast = max(np.abs(values[known]).max(), np.abs(y[known]).max()) > VAST  # their squares are beyond a float
    pairs = ((ranks[0], ranks[1]) if vast else (values[known], y[known]), (ranks[0], ranks[1]))
    if any(v.std() == 0 for pair in pairs for v in pair):
        return 0.0, 0.0
    first, second = (float(np.corrcoef(a, b)[0, 1]) ** 2 for a, b in pairs)
    return first, second
