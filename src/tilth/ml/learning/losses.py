"""What fits are steered by: the log loss, the squared error, the absolute one or a pinball loss where the metric is of that kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.metrics import TO_THE_MIDDLE, quantile_of
from tilth.ml.model.losses import log_losses, pinball_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


def losses_of(kind: str, y: Array, scores: Array, metric: str = "") -> Array:
    """The loss of each row."""
    import numpy as np

    if kind != "regression":
        return log_losses(y, scores)
    if (share := quantile_of(metric)) is not None:
        return pinball_rows(y, scores, share)
    if metric == "mae":
        return np.abs(y - scores)
    if metric == "mape":
        return np.abs(y - scores) / np.maximum(np.abs(y), np.finfo(np.float64).eps)
    return (y - scores) ** 2


def loss_of(kind: str, y: Array, scores: Array, metric: str = "", weight: Array | None = None) -> float:
    """Their mean, of rows that count as `weight` says; rows that count nothing are counted alike."""
    import numpy as np

    own = weight if weight is not None and weight.any() else None
    return float(np.average(losses_of(kind, y, scores, metric), weights=own))


def dummy(
    kind: str, classes: int, known: Array, rows: int, metric: str = "", weight: Array | None = None
) -> Array:
    """What someone says who knows only the target: the mean (median or quantile for what that is best at), or the share of each class."""
    import numpy as np

    own = weight if weight is not None and weight.any() else None
    if kind == "regression":
        wanted = quantile_of(metric) or (0.5 if metric in TO_THE_MIDDLE else None)
        if wanted is None:
            middle = np.average(known, weights=own)
        elif own is None:
            middle = np.quantile(known, wanted)
        else:
            middle = np.quantile(known, wanted, weights=own, method="inverted_cdf")
        return np.full(rows, float(middle))
    if kind == "binary":
        return np.full(rows, float(np.average(known, weights=own)))
    heap = np.bincount(known.astype(np.int64), weights=own, minlength=classes)
    return np.repeat((heap / heap.sum())[None, :], rows, axis=0)
