"""Metrics beyond the usual ones under weights of blocks: what the bootstrap of `evidence` asks for.

A function of sums is summed a block once. What goes by ranks or medians is worked out anew for every resample, so that
many rows are resampled less often: never below `LEAST` times, and who asks is told how often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from tilth.ml.model.measures import MEASURES, Summed, in_parts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"

LEAST = 100  # a spread from so many is within a seventh of itself (two standard errors)
WORK = 20_000_000  # rows that are gone through in all


def replicator(
    metric: str, truth: Array, output: Array, block: npt.NDArray[np.intp], weight: Array | None = None
) -> Callable[[Array], Array]:
    """A function of weights of blocks [r, blocks] that gives the metric [r]; NaN where a resample does not define it."""
    import numpy as np

    measure = MEASURES[metric]
    if not isinstance(measure, Summed):
        return in_parts(measure, truth, output, block, weight)
    with np.errstate(all="ignore"):
        sums = measure.table(truth, output, block, int(block.max()) + 1, weight)

    def run(weights: Array) -> Array:
        with np.errstate(all="ignore"):
            return measure.finish(weights @ sums)

    return run


def affordable(metric: str, output: Array, asked: int) -> int:
    """How many resamples are made of the rows of `output` where `asked` are wanted."""
    measure = MEASURES.get(metric)
    if measure is None or isinstance(measure, Summed):
        return asked
    return min(asked, max(LEAST, WORK // (len(output) * measure.passes(output))))
