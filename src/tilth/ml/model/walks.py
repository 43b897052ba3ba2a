"""What each input added to the output of a model that does not tell: it is asked with inputs set from a usual row's values
to the row's one after the other, in a few orders there and back (Castro, Gomez and Tejada 2009).

The mean over all orders would be Shapley's value; each walk sums to the difference of both outputs exactly. Rows are asked
together, and answered as each would be alone. Bounded: about `ASKED` rows for one, or one way there and back where it has
more inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from tilth.ports.learning import Scorer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"
    Places: TypeAlias = "npt.NDArray[np.intp]"

ASKED = 256  # rows
AT_ONCE, NUMBERS = 4096, 8_000_000  # rows, and numbers, of one matrix


class Walk:
    """From the usual row to others. `owner` is the number of each matrix column's input."""

    def __init__(self, scorer: Scorer, typical: Array, owner: Places, inputs: int) -> None:
        import numpy as np

        self._scorer, self._typical, self._inputs = scorer, typical, inputs
        self._columns = [np.flatnonzero(owner == place) for place in range(inputs)]
        self._owner = owner

    def of(self, x: Array, scores: Array, goals: Sequence[int]) -> list[tuple[Array, Array, int]]:
        """For each row: what each input added to its score `goal`, the scores of the usual row, and how many orders were walked."""
        import numpy as np

        base: Array = self._scorer.score(self._typical[None, :].copy()).reshape(1, -1)[0]
        moved = [self._moved(row) for row in x]
        said = iter(self._answers(x, moved, goals))
        out = []
        for row, goal in enumerate(goals):
            parts, orders = np.zeros(self._inputs), _orders(len(moved[row]))
            for order in orders:
                between = list(islice(said, len(order) - 1))
                parts[moved[row][order]] += np.diff([base[goal], *between, scores[row][goal]])
            out.append((parts / max(1, len(orders)), base, len(orders)))
        return out

    def _moved(self, row: Array) -> Places:
        """The inputs that are not as in the usual row."""
        import numpy as np

        typical = self._typical
        return np.unique(self._owner[~((row == typical) | (np.isnan(row) & np.isnan(typical)))])

    def _answers(self, x: Array, moved: list[Places], goals: Sequence[int]) -> Iterator[float]:
        """The score `goal` of each step of each walk, asked many at a time."""
        import numpy as np

        steps = self._steps(x, moved, goals)
        size = max(1, min(AT_ONCE, NUMBERS // max(1, x.shape[1])))
        while some := list(islice(steps, size)):
            found = self._scorer.score(np.stack([step for step, _ in some])).reshape(len(some), -1)
            yield from (float(row[goal]) for row, (_, goal) in zip(found, some, strict=True))

    def _steps(self, x: Array, moved: list[Places], goals: Sequence[int]) -> Iterator[tuple[Array, int]]:
        """Each row between the usual one and the last step, which is the row itself."""
        for row, places, goal in zip(x, moved, goals, strict=True):
            for order in _orders(len(places)):
                step = self._typical.copy()
                for place in places[order][:-1]:
                    step[self._columns[place]] = row[self._columns[place]]
                    yield step.copy(), goal


@cache
def _orders(inputs: int) -> tuple[Places, ...]:
    """Orders of so many inputs, each followed by its reverse; always the same."""
    import numpy as np

    if not inputs:
        return ()
    if inputs == 1:
        return (np.zeros(1, dtype=np.intp),)
    random = np.random.default_rng(0)
    there = [random.permutation(inputs) for _ in range(max(1, ASKED // (2 * inputs)))]
    return tuple(order for one in there for order in (one, one[::-1]))


def typical(x: Array, categorical: Sequence[int]) -> Array:
    """A usual row of a matrix: the median of each column, of codes the most frequent; NaN where most rows have none."""
    import numpy as np

    out = np.full(x.shape[1], np.nan)
    for index in range(x.shape[1]):
        known = x[~np.isnan(x[:, index]), index]
        if 2 * len(known) <= len(x):
            continue
        if index in categorical:
            values, counts = np.unique(known, return_counts=True)
            out[index] = values[counts.argmax()]
        else:
            out[index] = np.sort(known)[len(known) // 2]  # a value that occurs
    return out
