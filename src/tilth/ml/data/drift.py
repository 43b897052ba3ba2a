"""How far rows have moved from a stored profile, as effect sizes and not as p-values.

PSI is given without its sampling noise: two samples of n and m rows from one distribution have a PSI of about
(B - 1)(1/n + 1/m) over B bins, which is taken off (not below 0). JS is the Jensen-Shannon distance to base 2 (0 to 1).
Rows without a value are a bin of their own, so that a column that goes missing drifts. A column's score is its PSI less
what a week of the reference differed from the whole of it (`usual`): a week of weather is never like four months of it.
It is None with fewer than 500 rows on either side. The overall score is the greatest of the columns' (0 to 1), or
their mean weighted by importance when importances are given; a column counts as wholly moved from a score of 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tilth.ml.data.profile import Categorical, Numeric, Profile, count_values, measure
from tilth.ports.engine import QueryEngine, Relation

if TYPE_CHECKING:
    import pyarrow as pa

ENOUGH = 500
IN_MEMORY = 200_000  # rows that are counted without the engine
WINDOW = timedelta(days=7)  # over which served rows are compared, and the usual variation is taken
WHOLLY = 1.0  # a score from which a column has nothing to do with what it was
_FLOOR = 1e-6  # a share of nothing, where a logarithm needs something


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """`score` is None when there are too few rows to say; `psi` has the sampling noise removed, `score` also the usual."""

    column: str
    psi: float
    js: float
    share_null_reference: float
    share_null_current: float
    rows: int
    score: float | None


def drift(reference: Profile, current: Relation, engine: QueryEngine) -> tuple[ColumnDrift, ...]:
    """The drift of each profiled column that the current rows (a table or Parquet files) have."""
    names = _names(current)
    numbers = {c.column: c.edges for c in reference.columns if isinstance(c, Numeric) and c.column in names}
    texts = {
        c.column: c.values for c in reference.columns if isinstance(c, Categorical) and c.column in names
    }
    now = _counted(current, numbers, texts)
    if now is None:
        now = {c.column: (c.counts, c.rows, c.nulls) for c in measure(current, numbers, engine)}
        for name, (counts, other, nulls) in count_values(current, texts, engine).items():
            now[name] = ((*counts, other), sum(counts) + other + nulls, nulls)
    return tuple(_column(c, *now[c.column]) for c in reference.columns if c.column in now)


Counts = tuple[tuple[int, ...], int, int]  # in each bin, rows, nulls


def _counted(
    current: Relation, numbers: Mapping[str, Sequence[float]], texts: Mapping[str, Sequence[str]]
) -> dict[str, Counts] | None:
    """The counts of few rows in memory, as the engine would give them, ten times quicker; None where it must be asked."""
    import pyarrow as pa
    import pyarrow.types as t

    if not isinstance(current, pa.Table) or current.num_rows > IN_MEMORY:
        return None
    kinds = [current.schema.field(name).type for name in texts]
    if not all(t.is_string(k) or t.is_boolean(k) or t.is_integer(k) for k in kinds):
        return None
    found = {name: _binned(current.column(name), edges) for name, edges in numbers.items()}
    return found | {name: _valued(current.column(name), values) for name, values in texts.items()}


def _binned(column: pa.ChunkedArray, edges: Sequence[float]) -> Counts:
    import numpy as np
    import pyarrow as pa

    values = column.cast(pa.float64()).to_numpy()
    known = values[np.isfinite(values)]
    cuts = np.asarray(edges or (0.0,))
    bins = np.bincount(np.searchsorted(cuts, known, side="left"), minlength=len(cuts) + 1)
    return tuple(bins.tolist()), len(values), len(values) - len(known)


def _valued(column: pa.ChunkedArray, values: Sequence[str]) -> Counts:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.value_counts(column.cast(pa.string())).to_pylist()
    seen = {one["values"]: one["counts"] for one in found}
    nulls = int(seen.pop(None, 0))
    counts = tuple(int(seen.pop(v, 0)) for v in values)
    return (*counts, sum(seen.values())), len(column), nulls


def prediction_drift(
    reference: Profile, current: Relation, engine: QueryEngine, column: str
) -> ColumnDrift | None:
    """The drift of one column of scores or predicted values; None when either side lacks it."""
    only = Profile(reference.rows, tuple(c for c in reference.columns if c.column == column))
    return next(iter(drift(only, current, engine)), None)


def overall(drifts: Iterable[ColumnDrift], weights: Mapping[str, float] | None = None) -> float:
    """One number from 0 to 1 for all columns: the greatest score; with weights (importances) their weighted mean.

    Columns without a score are left out; with none left it is 0.
    """
    known = [(d.column, min(d.score, WHOLLY)) for d in drifts if d.score is not None]
    if weights is None:
        return max((score for _, score in known), default=0.0)
    shares = [(max(weights.get(column, 0.0), 0.0), score) for column, score in known]
    total = sum(w for w, _ in shares)
    return sum(w * s for w, s in shares) / total if total else 0.0


def unusual(drifts: Iterable[ColumnDrift], usual: Mapping[str, float]) -> tuple[ColumnDrift, ...]:
    """The drifts with scores that leave out how much a column's weeks differ anyway."""
    return tuple(
        d if d.score is None else replace(d, score=max(0.0, d.psi - usual.get(d.column, 0.0))) for d in drifts
    )


def _names(current: Relation) -> set[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(current, pa.Table | pa.RecordBatchReader):
        return set(current.schema.names)
    return set(pq.read_schema(current[0]).names)


def _column(was: Numeric | Categorical, counts: Sequence[int], rows: int, nulls: int) -> ColumnDrift:
    before = [*was.counts, *([was.other] if isinstance(was, Categorical) else []), was.nulls]
    psi, js = compare(before, [*counts, nulls])
    enough = min(was.rows, rows) >= ENOUGH
    return ColumnDrift(
        was.column,
        psi,
        js,
        was.nulls / was.rows if was.rows else 0.0,
        nulls / rows if rows else 0.0,
        rows,
        psi if enough else None,
    )


def compare(before: Sequence[int], now: Sequence[int]) -> tuple[float, float]:
    """PSI without its noise, and Jensen-Shannon distance, of two counts over the same bins.

    >>> compare([50, 50], [50, 50])
    (0.0, 0.0)
    """
    pairs = [(a, b) for a, b in zip(before, now, strict=True) if a or b]
    n, m = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    if not n or not m:
        return 0.0, 0.0
    # Half a row in an empty bin: one stray row must not count like a tenth of them.
    shares = [(max(a, 0.5) / n, max(b, 0.5) / m) for a, b in pairs]
    psi = sum((p - q) * math.log(p / q) for p, q in shares)
    noise = (len(pairs) - 1) * (1 / n + 1 / m)
    return max(0.0, psi - noise), _jensen_shannon([(a / n, b / m) for a, b in pairs])


def _jensen_shannon(shares: Sequence[tuple[float, float]]) -> float:
    total = 0.0
    for p, q in shares:
        middle = (p + q) / 2
        total += sum(s * math.log2(s / middle) for s in (p, q) if s > _FLOOR) / 2
    return math.sqrt(max(0.0, total))
