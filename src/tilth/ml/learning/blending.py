"""How much of each member goes into an answer: greedy selection with replacement (Caruana 2004) on rows nobody taught.

The answers of members are averaged as they are: probabilities, or values. A member with little weight is left out, since
it costs each row its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilth.ml.learning.losses import loss_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

STEPS = 25
LEAST = 0.08  # of the weight: less is not worth a member


def weights(
    kind: str, y: Array, answers: Sequence[Array], metric: str = "", weight: Array | None = None
) -> Array:
    """[members], which add up to 1; those with less than LEAST are 0.

    >>> import numpy as np
    >>> weights("binary", np.array([1.0, 0.0]), [np.array([0.9, 0.2]), np.array([0.1, 0.9])]).tolist()
    [1.0, 0.0]
    """
    import numpy as np

    found = _greedy(kind, y, answers, metric, weight)
    while (small := (found > 0) & (found < LEAST)).any():
        found[np.where(small, found, np.inf).argmin()] = 0.0
        kept = np.flatnonzero(found).tolist()
        again = np.zeros(len(answers))
        again[kept] = _greedy(kind, y, [answers[i] for i in kept], metric, weight)
        found = again
    return found


def _greedy(kind: str, y: Array, answers: Sequence[Array], metric: str, weight: Array | None) -> Array:
    import numpy as np

    counts, total = np.zeros(len(answers)), np.zeros_like(answers[0])
    for step in range(1, STEPS + 1):
        losses = [loss_of(kind, y, (total + one) / step, metric, weight) for one in answers]
        best = int(np.argmin(losses))
        counts[best] += 1
        total = total + answers[best]
    found: Array = counts / counts.sum()
    return found


def crossed(
    kind: str,
    y: Array,
    answers: Sequence[Array],
    part: npt.NDArray[np.int8],
    metric: str = "",
    weight: Array | None = None,
) -> Array:
    """The blended answer to each row, with the weights that the rows of the other parts chose."""
    import numpy as np

    out = np.zeros_like(answers[0])
    for one in np.unique(part):
        mine = part == one
        others = ~mine if not mine.all() else mine
        chosen = weights(
            kind, y[others], [a[others] for a in answers], metric, None if weight is None else weight[others]
        )
        out[mine] = mixed([a[mine] for a in answers], chosen)
    return out


def mixed(answers: Sequence[Array], chosen: Array) -> Array:
    """The weighted mean."""
    import numpy as np

    return np.asarray(sum(w * a for w, a in zip(chosen, answers, strict=True) if w), dtype=np.float64)
