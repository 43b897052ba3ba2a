"""The texts of a training as numbers that are too wide for the matrix X: one TF-IDF matrix a text column, rows named by X.

An engine that says `texts` gets them as `Task.texts`, and X with one column more for each: the number of the row's text. What
it learns of a text column is a weight a term and output; these are kept with the column, which then gives a raw score an
output at the end of the matrix. Every other engine sees X without either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """`tables`: scipy CSR [texts, terms] of float64, one a text column. `places`: columns of X that say the same in a few numbers."""

    tables: tuple[Any, ...]
    places: tuple[int, ...] = ()

    def rows(self, x: Matrix) -> list[Any]:
        """The TF-IDF matrix [rows, terms] of each text column, of rows that name their texts in their last columns."""
        import numpy as np

        first = x.shape[1] - len(self.tables)
        return [table[x[:, first + n].astype(np.intp)] for n, table in enumerate(self.tables)]

    def read(self, x: Matrix, weights: Sequence[Weights]) -> Matrix:
        """The rows with raw scores in place of the numbers of their texts: of each text column one an output of `weights`."""
        import numpy as np

        found = [rows @ w.astype(np.float64) for rows, w in zip(self.rows(x), weights, strict=True)]
        return np.ascontiguousarray(np.concatenate([x[:, : x.shape[1] - len(found)], *found], axis=1))


class Reading:
    """A scorer of rows that name their texts, by one that takes scores of them; see `ports.learning.Scorer`."""

    pandas = False

    def __init__(self, scorer: Any, texts: Texts, weights: Sequence[Weights]) -> None:
        self.scorer, self._texts, self._weights = scorer, texts, tuple(weights)

    def score(self, x: Matrix) -> Matrix:
        found: Matrix = self.scorer.score(self._texts.read(x, self._weights))
        return found

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        import numpy as np

        return tuple(self.score(np.frombuffer(row, dtype=np.float64)[None, :]).reshape(-1).tolist())

    def contributions(self, x: Matrix) -> None:
        """None: what serves tells them."""
        del x
