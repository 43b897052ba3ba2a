"""The rows that a fresh model is judged on while it is trained, as a value. What is measured on them is in `evaluation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows that the answers to them came without: their truth, calibrated scores, columns, and the matrix of them.

    `linear` are answers of the baseline; `part` is the part of each row where models of the other parts answered it.
    """

    y: Array
    scores: Array
    table: pa.Table
    x: Array
    linear: Array | None = None
    part: npt.NDArray[np.int64] | None = None
    weight: Array | None = None  # what each row counts
