"""A table looked at once: what each column of a sample holds, and which columns know the target before it is known.

No row is kept and no value is shown, but for the few that a column of few values holds, and the ends of numbers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from typing import TYPE_CHECKING, Any

from tilth.core.schema import NUMERIC, TEMPORAL, DataType, Schema

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 50_000  # rows that are read
FEW = 12  # values that a check lists
TELLS = 0.995  # how much of the target one column alone should not know


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the sample. `values` are all there are, when they are few; `tells` is why it would give the target away."""

    name: str
    type: DataType
    rows: int
    nulls: int
    distinct: int
    low: Any = None
    high: Any = None
    values: tuple[str, ...] = ()
    tells: str | None = None


def columns(sample: pa.Table, schema: Schema, target: str) -> tuple[Column, ...]:
    """What each column holds, in order."""
    known = sample.filter(sample.column(target).is_valid())
    answers = known.column(target).to_pylist()
    out = []
    for field in schema:
        held = sample.column(field.name).to_pylist()
        there = [v for v in held if _there(v)]
        counted = Counter(map(repr, there))
        numbers = field.type in NUMERIC and field.type is not DataType.BOOLEAN and there
        few = field.type is DataType.STRING and len(counted) <= FEW and len(there) >= 20 * len(counted)
        tells = (
            None if field.name == target else told(known.column(field.name).to_pylist(), answers, field.type)
        )
        low, high = (min(there), max(there)) if numbers else (None, None)
        values = tuple(sorted(set(there))) if few else ()
        out.append(
            Column(
                field.name,
                field.type,
                len(held),
                len(held) - len(there),
                len(counted),
                low,
                high,
                values,
                tells,
            )
        )
    return tuple(out)


def _there(value: Any) -> bool:
    """Whether it is a value: neither NULL nor NaN."""
    return value is not None and not (isinstance(value, float) and isnan(value))


def told(column: Sequence[Any], answers: Sequence[Any], kind: DataType) -> str | None:
    """Why the column alone gives the answers away; None when it does not, or cannot be asked."""
    classes = len(set(map(repr, answers)))
    if len(answers) < 100 or classes < 2:
        return None
    if classes > 20:
        return (
            _follows(column, answers)
            if kind in NUMERIC and isinstance(answers[0], int | float | Decimal)
            else None
        )
    base = Counter(map(repr, answers)).most_common(1)[0][1] / len(answers)
    gaps = _known([v is None for v in column], answers)
    if gaps > _sure(base):
        return f"whether it is missing tells {gaps:.1%} of the answers"
    by_value = _known(column, answers)
    if by_value > _sure(base):
        return f"its value alone tells {by_value:.1%} of the answers"
    if classes == 2 and (kind in NUMERIC or kind in TEMPORAL):
        order = _ordered(column, answers)
        if order > TELLS:
            return f"its order alone tells the two answers apart ({order:.1%})"
    return None


def _sure(base: float) -> float:
    """The share of answers that counts as telling all, where guessing gets `base`."""
    return base + (1 - base) * 0.97


def _known(column: Sequence[Any], answers: Sequence[Any]) -> float:
    """The share of odd rows whose answer is that of most even rows of the same value; unseen values know nothing."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for value, answer in zip(column[::2], answers[::2], strict=True):
        seen[repr(value)][repr(answer)] += 1
    odd = list(zip(column[1::2], answers[1::2], strict=True))
    right = sum(seen[k].most_common(1)[0][0] == repr(a) for v, a in odd if (k := repr(v)) in seen)
    return right / len(odd)


def _ordered(column: Sequence[Any], answers: Sequence[Any]) -> float:
    """How well the order of a column parts two classes, either way round: 0.5 is not at all."""
    pairs = sorted(
        ((v, repr(a)) for v, a in zip(column, answers, strict=True) if _there(v)),
        key=lambda p: p[0],
    )
    first = max((a for _, a in pairs), default="")
    ones = sum(a == first for _, a in pairs)
    if len(pairs) < 100 or not 0 < ones < len(pairs):
        return 0.5
    ranks, at = 0.0, 0
    while at < len(pairs):
        end = at
        while end < len(pairs) and pairs[end][0] == pairs[at][0]:
            end += 1
        ranks += (at + end + 1) / 2 * sum(a == first for _, a in pairs[at:end])
        at = end
    area = (ranks - ones * (ones + 1) / 2) / (ones * (len(pairs) - ones))
    return max(area, 1 - area)


def _follows(column: Sequence[Any], answers: Sequence[Any]) -> str | None:
    """Whether a number is all but a straight line of the target."""
    import numpy as np

    pairs = [(float(v), float(a)) for v, a in zip(column, answers, strict=True) if _there(v)]
    if len(pairs) < 100:
        return None
    x, y = np.asarray(pairs).T
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or x.std() == 0 or y.std() == 0:
        return None
    found = abs(float(np.corrcoef(x, y)[0, 1]))
    return f"it follows the target on a straight line (correlation {found:.4f})" if found > TELLS else None
