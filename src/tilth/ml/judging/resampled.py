"""How sure a figure of judged rows is: whole blocks (days) are resampled, and Student's reach of the spread makes both ends.

For means of rows, and what is made of them; metrics of two models are compared in `evidence`, whose blocks these are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tilth.ml.judging.evidence import Gain, blocks_alike, numbered

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"

REPLICATES = 500
CONFIDENCE = 0.95
EACH_SIDE = (1.0 - CONFIDENCE) / 2.0


@dataclass(frozen=True, slots=True)
class Blocks:
    """The block number of each row, how many there are, how often each comes in each resample: [replicates, blocks], and
    what each row counts (None: all the same).
    """

    block: npt.NDArray[np.intp]
    count: int
    weights: Array
    own: Array | None = None

    @classmethod
    def of(
        cls, rows: int, blocks: npt.NDArray[np.generic] | None, seed: int = 0, own: Array | None = None
    ) -> Blocks:
        """`blocks` is the day of each row; None takes rows at random together."""
        import numpy as np

        block, count = numbered(rows, blocks)
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), REPLICATES)
        return cls(block, count, drawn.astype(np.float64), own if own is not None and own.any() else None)

    def sums(self, rows: Array) -> Array:
        """[blocks, columns] of [rows, columns]."""
        import numpy as np

        each = [np.bincount(self.block, weights=column, minlength=self.count) for column in rows.T]
        return np.stack(each, axis=1)

    def gain(self, rows: Array, finish: Callable[[Array], Array]) -> Gain:
        """`finish` of the means of the columns, [r, columns] to [r]: on all rows, and how it spreads over resamples."""
        import numpy as np

        if self.own is not None:
            rows = rows * self.own[:, None]
        whole = len(rows) if self.own is None else self.own.sum()
        value = float(finish((rows.sum(axis=0) / whole)[None, :])[0])
        if self.count < 2:
            return Gain(value, float("nan"), 1)
        sums, each = (
            self.sums(rows),
            np.bincount(self.block, weights=self.own, minlength=self.count).astype(np.float64),
        )
        heap = np.stack([(self.weights * column).sum(axis=1) for column in sums.T], axis=1)
        found = finish(heap / (self.weights * each).sum(axis=1)[:, None])
        found = found[np.isfinite(found)]
        if len(found) < REPLICATES / 2:
            return Gain(value, float("nan"), self.count - 1)
        freedom = self.count - 1 if self.own is None else max(1, blocks_alike(self.block, self.own) - 1)
        return Gain(value, float(found.std(ddof=1)) * ((freedom + 1) / freedom) ** 0.5, freedom)


def told(gain: Gain, digits: int = 6) -> dict[str, float | None]:
    """The value with both ends at CONFIDENCE, rounded; ends are None where they are not known."""
    low, high = gain.within(EACH_SIDE) if gain.spread == gain.spread else (None, None)
    return {"value": rounded(gain.value, digits), "low": rounded(low, digits), "high": rounded(high, digits)}


def rounded(value: float | None, digits: int = 6) -> float | None:
    """To so many digits; None for what is no finite number."""
    import math

    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
