"""How much worse answers become when one input's values are dealt to other rows, measured on judged rows, with how sure that is.

Each input is dealt anew several times, and whole blocks of rows are resampled (`resampled`). The work is counted in
scored rows, so that it is bounded and the same on every machine. What drift is weighed by is in `importance`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.ml.judging.resampled import CONFIDENCE, Blocks, told
from tilth.ml.model.losses import log_losses

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

DEALS = 3  # how often each input is dealt anew
INPUTS = 20  # that are measured, the most important ones
LEAST_WORK, MOST_WORK = 10_000, 100_000  # rows that are scored
MOST_ROWS = 2_000
NUMBERS = 8_000_000  # of a matrix that is scored


def permuted(
    kind: str,
    scores: Callable[[Array], Array],
    x: Array,
    y: Array,
    owners: Sequence[str],
    weights: Mapping[str, float],
    blocks: npt.NDArray[np.generic] | None,
    work: int,
) -> dict[str, Any]:
    """JSON-able: for each of the inputs that weigh most, by how much the loss rises. `work` is how many rows may be scored.

    The loss is the log loss, of numbers the root of the mean squared error.
    """
    import numpy as np

    names = [n for n, w in sorted(weights.items(), key=lambda item: (-item[1], item[0])) if w > 0][:INPUTS]
    allowed = min(max(work, LEAST_WORK), MOST_WORK) // max(1, DEALS * len(names) + 1)
    most = min(len(x), MOST_ROWS, max(50, allowed), max(50, NUMBERS // (DEALS * max(1, x.shape[1]))))
    rows = np.linspace(0, len(x) - 1, most).astype(np.intp)
    some, truth = np.ascontiguousarray(x[rows]), y[rows]
    drawn = Blocks.of(len(rows), None if blocks is None else blocks[rows])
    before = losses(kind, truth, scores(some))
    found = {}
    for name in names:
        places = [index for index, owner in enumerate(owners) if owner == name]
        after = _dealt(kind, scores, some, truth, places)
        found[name] = told(drawn.gain(np.stack([after, before], axis=1), RISES[kind]))
    return {
        "loss": LOSSES[kind],
        "rows": len(rows),
        "deals": DEALS,
        "confidence": CONFIDENCE,
        "inputs": found,
        "not_measured": len(weights) - len(names),
    }


def losses(kind: str, y: Array, scores: Array) -> Array:
    """The loss of each row: log loss, or the squared error."""
    return (y - scores) ** 2 if kind == "regression" else log_losses(y, scores)


def _dealt(kind: str, scores: Callable[[Array], Array], x: Array, y: Array, places: list[int]) -> Array:
    """The loss of each row with the values of other rows at these places, the mean over all deals."""
    import numpy as np

    other = np.concatenate([x] * DEALS)
    for deal in range(DEALS):
        order = np.random.default_rng(deal).permutation(len(x))
        other[deal * len(x) : (deal + 1) * len(x), places] = x[order][:, places]
    each: Array = losses(kind, np.concatenate([y] * DEALS), scores(other)).reshape(DEALS, -1).mean(axis=0)
    return each


def _rise(means: Array) -> Array:
    out: Array = means[:, 0] - means[:, 1]
    return out


def _root_rise(means: Array) -> Array:
    out: Array = means[:, 0] ** 0.5 - means[:, 1] ** 0.5
    return out


RISES = {"regression": _root_rise, "binary": _rise, "multiclass": _rise}
LOSSES = {"regression": "rmse", "binary": "log_loss", "multiclass": "log_loss"}
