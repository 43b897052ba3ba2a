"""How steady a column is over time, and how much of it another column already says: both of codes of its values.

Numbers are cut at quantiles, gaps are a code of their own. Of time: the population stability index of the quarter that is
most unlike the others, less what luck makes of so few rows. Of others: Theil's U, the share of a column's entropy that one
other column takes away, less the bias of so many cells (Miller, 1955).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.ml.judging.resampled import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.int64]

BINS = 12
QUARTERS = 4
MOST_ROWS = 4_000
MOST_COLUMNS = 120  # of which pairs are looked at


@dataclass(frozen=True, slots=True)
class Twin:
    """The column that says most of another, and the share of it that it says, 0 to 1."""

    column: str
    share: float


def codes(values: Array, bins: int = BINS) -> Codes:
    """[rows] of codes from 0 without a gap; rows without a value have one of their own."""
    import numpy as np

    known = np.isfinite(values)
    levels, counts = np.unique(values[known], return_counts=True)
    if len(levels) > bins:
        heavy = levels[counts > len(values) / bins]
        edges = np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1])
        levels = np.unique(np.concatenate([heavy, edges]))
    code = np.searchsorted(levels, np.where(known, values, 0.0), side="left")
    code = np.where(known, code, len(levels) + 1)
    return np.unique(code, return_inverse=True)[1].reshape(-1).astype(np.int64)


def stability(values: Array) -> float | None:
    """The PSI of the quarter of the rows, which are in order of time, that is most unlike the others; None of few rows."""
    import numpy as np

    rows = len(values)
    if rows < QUARTERS * 50:
        return None
    code = codes(values)
    size, worst = int(code.max()) + 1, 0.0
    quarter = np.arange(rows) * QUARTERS // rows
    for one in range(QUARTERS):
        mine = np.bincount(code[quarter == one], minlength=size)
        rest = np.bincount(code[quarter != one], minlength=size)
        p, q = ((c + 0.5) / (c.sum() + 0.5 * size) for c in (mine, rest))
        luck = (size - 1) * (1 / mine.sum() + 1 / rest.sum())
        worst = max(worst, float(((p - q) * np.log(p / q)).sum()) - luck)
    return rounded(worst, 4)


def twins(x: Array, places: Mapping[str, Sequence[int]]) -> dict[str, Twin]:
    """For each column the one that says most of it. Of a column that becomes several features the first one counts."""
    import numpy as np

    names = list(places)[:MOST_COLUMNS]
    some = np.linspace(0, len(x) - 1, min(len(x), MOST_ROWS)).astype(np.intp)
    coded = {n: codes(x[some, places[n][0]]) for n in names}
    entropy = {n: _entropy(np.bincount(c), len(some)) for n, c in coded.items()}
    out: dict[str, Twin] = {}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = _entropy(_cells(coded[one], coded[other]), len(some))
            shared = entropy[one] + entropy[other] - both
            for mine, theirs in ((one, other), (other, one)):
                share = shared / entropy[mine] if entropy[mine] > 0 else 0.0
                if share > (out[mine].share if mine in out else 0.0):
                    out[mine] = Twin(theirs, float(min(1.0, share)))
    return out


def _cells(one: Codes, other: Codes) -> Codes:
    import numpy as np

    return np.bincount(one * (int(other.max()) + 1) + other)


def _entropy(counts: Codes, rows: int) -> float:
    """In nats, with Miller's correction of its bias."""
    import numpy as np

    there = counts[counts > 0]
    p = there / rows
    return float(-(p * np.log(p)).sum()) + (len(there) - 1) / (2 * rows)
