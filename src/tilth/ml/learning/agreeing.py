"""Whether what serves says what was judged: the refit on all rows against its twin, on rows whose labels neither saw.

Such rows are made: each takes some of its inputs from another row, so that nothing was ever known of its target. Models
that differ only in the fifth of the rows that each left out set the measure: nine and a half of ten rows may differ by
half as much again as theirs do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

ROWS = 2_000
SHARE = 0.95
SLACK = 1.5
LEAST = 1e-6  # differences below it are none


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the refit is from its twin in nine and a half of ten rows, and how far fold models are from each other.

    `usual` is None where the limits left one model only: there is no measure then.
    """

    rows: int
    apart: float
    usual: float | None

    @property
    def holds(self) -> bool:
        """Whether it is no further than half as much again as fold models are."""
        return self.usual is None or self.apart <= max(SLACK * self.usual, LEAST)

    def plain(self) -> dict[str, object]:
        """JSON-able values."""
        return {"rows": self.rows, "apart": self.apart, "usual": self.usual, "holds": self.holds}


def crossed_rows(x: Array, seed: int) -> Array:
    """Rows of the matrix, each with about half of its columns from another row."""
    import numpy as np

    random = np.random.default_rng(seed)
    rows = min(len(x), ROWS)
    first, second = (random.choice(len(x), rows, replace=len(x) < rows) for _ in range(2))
    return np.ascontiguousarray(np.where(random.random((rows, x.shape[1])) < 0.5, x[first], x[second]))


def agreement(
    x: Array, serves: Callable[[Array], Array], twins: Sequence[Callable[[Array], Array]], judged: int
) -> Agreement:
    """`twins` are models of some of the rows; the one at `judged` stands for what was judged, -1 for all of them."""
    answers = [twin(x) for twin in twins]
    pairs = [
        distance(answers[i], answers[j]) for i in range(len(answers)) for j in range(i + 1, len(answers))
    ]
    mine = serves(x)
    own = answers if judged < 0 else [answers[judged]]
    return Agreement(len(x), max(distance(mine, a) for a in own), max(pairs, default=None))


def distance(first: Array, second: Array) -> float:
    """How far apart the answers are in nine and a half of ten rows; of several classes, the furthest one."""
    import numpy as np

    apart = np.abs(first - second)
    return float(np.quantile(apart.max(axis=1) if apart.ndim > 1 else apart, SHARE))
