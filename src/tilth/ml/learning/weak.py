"""Where a model is weak: slices of judged rows, by one column or by two, on which it loses surely more than on the rest.

Numbers and moments are cut at their quartiles, of other columns the frequent values are taken. The difference of mean
losses is tested one-sided, by blocks of rows, and Holm's step-down (1979) over all slices that were tested keeps the chance
of naming any that is not weak at 5 %. Slices that are weak only through clearer ones are not told. Slices of the declaration
are told whatever they show (`evaluation`), and a gate compares two models on them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.figures import edge
from tilth.core.names import in_query, literal
from tilth.ml.judging.evidence import Gain
from tilth.ml.judging.resampled import Blocks, rounded
from tilth.ml.model.losses import labels, log_losses
from tilth.ml.model.metrics import measured

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

MOST_ROWS = 5_000
COLUMNS, PAIRED = 12, 6  # columns that are looked at, and of which pairs are made
VALUES, CUTS = 8, 4  # of a column
LEAST_ROWS, LEAST_SHARE, LEAST_BLOCKS = 50, 0.01, 5
ERROR = 0.05  # the chance of naming any slice that is not weak
WORSE = 1.1  # a slice's loss as a multiple of the rest's that is worth telling
OVERLAP = 0.5  # of a slice's rows, which must be in none that was told before
TOLD = 8


@dataclass(frozen=True, slots=True)
class Cut:
    """Some rows by what they have in common: the condition as SQL has it, and the columns that it is about."""

    where: str
    columns: tuple[str, ...]
    rows: Mask


@dataclass(frozen=True, slots=True)
class _Tested:
    cut: Cut
    gap: float
    rest: float
    clear: float  # the gap in standard errors
    p: float


def weak(
    kind: str,
    metric: str,
    table: pa.Table,
    columns: Sequence[str],
    y: Array,
    scores: Array,
    blocks: npt.NDArray[np.generic] | None,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """JSON-able: the slices that are weak, the clearest first, and how many were tested.

    The loss is the log loss, of numbers the absolute error. `columns` are the most important first.
    """
    import numpy as np
    import pyarrow as pa

    rows = np.linspace(0, len(y) - 1, min(len(y), MOST_ROWS)).astype(np.intp)
    y, scores = y[rows], scores[rows]
    loss = np.abs(y - scores) if kind == "regression" else log_losses(y, scores)
    drawn = Blocks.of(len(rows), None if blocks is None else blocks[rows])
    some = table.select(list(dict.fromkeys(columns))[:COLUMNS]).take(pa.array(rows))
    tested = [t for cut in cuts(some) if (t := _test(cut, loss, drawn)) is not None]
    named = _apart([t for t in _holm(tested) if t.gap >= (WORSE - 1.0) * t.rest], loss)
    return {
        "loss": "mae" if kind == "regression" else "log_loss",
        "rows": len(rows),
        "tested": len(tested),
        "error": ERROR,
        "slices": [_plain(t, len(tested), kind, metric, y, scores, threshold) for t in named],
    }


def cuts(table: pa.Table) -> Iterator[Cut]:
    """All slices that hold enough rows: of single columns, then of pairs of the first ones."""
    least = max(LEAST_ROWS, int(LEAST_SHARE * table.num_rows))
    single = {
        name: [c for c in of_column(name, table.column(name)) if least <= c.rows.sum()]
        for name in table.column_names
    }
    for found in single.values():
        yield from found
    for one, other in itertools.combinations(table.column_names[:PAIRED], 2):
        for a, b in itertools.product(single[one], single[other]):
            both = a.rows & b.rows
            if both.sum() >= least:
                yield Cut(f"{a.where} AND {b.where}", (one, other), both)


def of_column(name: str, values: Any) -> list[Cut]:
    """The slices of one column, and the rows without a value."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column, kind = in_query(name), values.type
    missing = np.asarray(
        values.is_null(nan_is_null=pa.types.is_floating(kind)).to_numpy(zero_copy_only=False), np.bool_
    )
    out = [Cut(f"{column} IS NULL", (name,), missing)] if missing.any() else []
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind) and not pa.types.is_time(kind):
        return out + _ranges(name, values, missing)
    if (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)) and (
        len(pc.unique(values)) > VALUES
    ):
        return out + _ranges(name, values, missing)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return out
    texts = np.array(["" if v is None else _literal(v) for v in values.to_pylist()], dtype=object)
    found, counts = np.unique(texts[~missing].astype(str), return_counts=True)
    frequent = [str(found[i]) for i in np.lexsort((found, -counts))[:VALUES]]
    return out + [Cut(f"{column} = {v}", (name,), (texts == v) & ~missing) for v in frequent]


def _ranges(name: str, values: Any, missing: Mask) -> list[Cut]:
    """Quarters of the rows, by values that occur."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.ml.model.columns import floats, micros_of

    moments = pa.types.is_temporal(values.type)
    numbers = micros_of(values)[0].astype(np.float64) if moments else np.asarray(floats(values))
    known = np.sort(numbers[~missing])
    if not len(known):
        return []
    ends = np.unique(known[[len(known) * i // CUTS for i in range(1, CUTS)]])
    places = [int(np.flatnonzero((numbers == e) & ~missing)[0]) for e in ends]
    shown = [_literal(v) for v in pc.take(values, pa.array(places)).to_pylist()]
    column, out = in_query(name), []
    for low, high in itertools.pairwise([None, *range(len(ends)), None]):
        rows, said = ~missing, []
        if low is not None:
            rows, said = rows & (numbers >= ends[low]), [f"{column} >= {shown[low]}"]
        if high is not None:
            rows, said = rows & (numbers < ends[high]), [*said, f"{column} < {shown[high]}"]
        if said:
            out.append(Cut(" AND ".join(said), (name,), rows))
    return out


def _literal(value: Any) -> str:
    """The value as SQL has it."""
    from datetime import date, datetime

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ', timespec='seconds')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, float):
        return edge(value).replace(",", "")
    return literal(value) if isinstance(value, str) else str(value)


def _test(cut: Cut, loss: Array, drawn: Blocks) -> _Tested | None:
    """The gap between the slice's mean loss and the rest's, and the chance of so large a one where there is none.

    Each block's part in the difference is known, and blocks are independent: their squares make its variance.
    """
    import numpy as np

    inside, count = cut.rows, int(cut.rows.sum())
    if count == len(loss):
        return None
    seen = len(np.unique(drawn.block[inside]))
    if seen < LEAST_BLOCKS:
        return None
    mine, rest = float(loss[inside].mean()), float(loss[~inside].mean())
    part = np.where(inside, (loss - mine) / count, (rest - loss) / (len(loss) - count))
    heaps = np.bincount(drawn.block, weights=part, minlength=drawn.count)
    spread = float((float((heaps**2).sum()) * seen / (seen - 1)) ** 0.5)
    clear = (mine - rest) / spread if spread > 0 else 0.0
    return _Tested(cut, mine - rest, rest, clear, Gain(rest - mine, spread, seen - 1).chance_if_not_worse)


def _holm(tested: list[_Tested]) -> list[_Tested]:
    out = []
    for place, one in enumerate(sorted(tested, key=lambda t: t.p)):
        if one.p > ERROR / (len(tested) - place):
            break
        out.append(one)
    return out


def _apart(found: list[_Tested], loss: Array) -> list[_Tested]:
    """Those that are shown most clearly; each is weak mostly on rows that those before it do not hold."""
    import numpy as np

    out: list[_Tested] = []
    held = np.zeros(len(loss), dtype=np.bool_)
    for one in sorted(found, key=lambda t: (-t.clear, len(t.cut.columns), t.cut.where)):
        left = one.cut.rows & ~held
        if left.sum() >= OVERLAP * one.cut.rows.sum() and loss[left].mean() >= WORSE * one.rest:
            out.append(one)
            held |= one.cut.rows
    return out[:TOLD]


def _plain(
    one: _Tested, tested: int, kind: str, metric: str, y: Array, scores: Array, threshold: float
) -> dict[str, Any]:
    rows = one.cut.rows
    said, came = _said_and_came(kind, y[rows], scores[rows])
    return {
        "where": one.cut.where,
        "columns": list(one.cut.columns),
        "rows": int(rows.sum()),
        "loss": rounded(one.rest + one.gap),
        "rest": rounded(one.rest),
        "chance": rounded(min(1.0, one.p * tested), 3),
        metric: rounded(measured(metric, y[rows], scores[rows], threshold)),
        "said": rounded(said),
        "came": rounded(came),
    }


def _said_and_came(kind: str, y: Array, scores: Array) -> tuple[float, float]:
    """The mean answer and the mean truth; of several classes how sure, and how often right."""
    if kind == "multiclass":
        return float(scores.max(axis=1).mean()), float((labels(scores) == y).mean())
    return float(scores.mean()), float(y.mean())
