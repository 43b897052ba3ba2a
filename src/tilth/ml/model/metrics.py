"""The metrics that models are judged by, over numpy arrays, with nothing else needed.

Each takes the truth and the model's output; labels are made from probabilities here and nowhere else. The usual ones are
here, the others of scikit-learn's scorers in `measures`. How two models are compared is in `gates`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import DataError, ProjectError
from tilth.core.metrics import ALL, DECISIONS, HIGHER, NAMES, USUAL, quantile_of
from tilth.core.names import did_you_mean
from tilth.ml.model.losses import labels, log_losses
from tilth.ml.model.measures import MEASURES, value

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"
    Metric: TypeAlias = Callable[[Array, Array, Array | None], float]


def higher_is_better(metric: str) -> bool:
    """Whether more of this metric is better.

    >>> higher_is_better("roc_auc"), higher_is_better("rmse")
    (True, False)
    """
    _known(metric)
    return metric in HIGHER


def evaluate(
    metric: str, truth: Array, output: Array, threshold: float = 0.5, weight: Array | None = None
) -> float:
    """One metric by name; `output` is a value or P(1) per row, or one column a class. `weight`: what each row counts.

    Metrics of decisions take the decision that is served: yes where P(1) is above `threshold`.
    """
    _known(metric)
    if len(truth) == 0 or len(truth) != len(output):
        raise DataError(
            f"{metric} needs as many outputs as rows, and at least one; got {len(output)} for {len(truth)}.",
            hint="Widen the holdout so that it holds rows.",
        )
    if weight is not None and not weight.any():
        raise DataError(
            f"{metric} needs rows that count, and the weight of all {len(truth):,} is 0.",
            hint="Widen the holdout so that it holds rows that count, or leave weight out of OBJECTIVE.",
        )
    seen = decided(metric, output, threshold)
    if metric in (own := _usual()):
        return own[metric](truth, seen, weight)
    found = value(MEASURES[metric], truth, seen, weight)
    if not math.isfinite(found):
        raise DataError(
            f"{metric} is not defined on these {len(truth):,} rows: a class, or any difference, is missing.",
            hint="Widen the holdout, or write another metric in OBJECTIVE.",
        )
    return found


def measured(
    metric: str, y: Array, scores: Array, threshold: float = 0.5, weight: Array | None = None
) -> float | None:
    """The metric, or None where these rows do not define it."""
    try:
        return evaluate(metric, y, scores, threshold, weight)
    except DataError:
        return None


def evaluate_all(
    kind: str,
    truth: Array,
    output: Array,
    threshold: float = 0.5,
    asked: str | None = None,
    weight: Array | None = None,
) -> dict[str, float]:
    """The usual metrics of a kind of task, and the one that is asked for, as far as these rows allow them.

    No roc_auc of one class, no mape where a truth is 0.
    """
    import numpy as np

    counted = truth if weight is None else truth[weight > 0]
    undefined = {
        "roc_auc": kind == "binary" and len(np.unique(counted)) < 2,
        "mape": kind == "regression" and bool((truth == 0).any()),
    }
    found = {m: evaluate(m, truth, output, threshold, weight) for m in USUAL[kind] if not undefined.get(m)}
    if asked is not None and asked not in USUAL[kind]:
        own = measured(asked, truth, output, threshold, weight)
        found |= {} if own is None else {asked: own}
    return found


def decided(metric: str, output: Array, threshold: float = 0.5) -> Array:
    """The output as the metric looks at it: those of decisions see 0 and 1 in place of P(1); a gap stays one."""
    import numpy as np

    if metric not in DECISIONS or output.ndim > 1 or threshold == 0.5:
        return output
    made: Array = np.where(np.isnan(output), np.nan, output > threshold)
    return made


def roc_auc(truth: Array, score: Array, weight: Array | None = None) -> float:
    """The chance that a positive row scores above a negative one; a tie counts half."""
    import numpy as np

    positive = truth > 0.5
    own = np.ones(len(truth)) if weight is None else weight
    n_pos, n_neg = float(own[positive].sum()), float(own[~positive].sum())
    if n_pos == 0 or n_neg == 0:
        raise DataError(
            "roc_auc needs rows of both classes.", hint="Widen the holdout or gate on log_loss instead."
        )
    _, where = np.unique(score, return_inverse=True)
    zeros = np.bincount(where.reshape(-1), weights=own * ~positive)
    below = np.cumsum(zeros) - zeros / 2.0
    return float((own * below[where.reshape(-1)])[positive].sum()) / (n_pos * n_neg)


def log_loss(truth: Array, output: Array, weight: Array | None = None) -> float:
    """Mean of minus the log of the probability given to what happened."""
    return _mean(log_losses(truth, output), weight)


def accuracy(truth: Array, output: Array, weight: Array | None = None) -> float:
    """The share of rows whose most likely class is the true one."""
    return _mean(labels(output) == truth, weight)


def f1(truth: Array, output: Array, weight: Array | None = None) -> float:
    """F1 of the positive class; for several classes their plain mean. 0 where nothing was found."""
    import numpy as np

    found, own = labels(output), np.ones(len(truth)) if weight is None else weight
    if output.ndim == 1:
        return _f1_of(truth, found, 1.0, own)
    classes = np.union1d(truth[own > 0], found[own > 0])
    return float(np.mean([_f1_of(truth, found, float(c), own) for c in classes]))


def brier(truth: Array, output: Array, weight: Array | None = None) -> float:
    """Mean squared distance of the probabilities from what happened, summed over classes."""
    import numpy as np

    if output.ndim == 1:
        return _mean((output - truth) ** 2, weight)
    hot = np.arange(output.shape[1]) == truth[:, None]
    return _mean(((output - hot) ** 2).sum(axis=1), weight)


def rmse(truth: Array, output: Array, weight: Array | None = None) -> float:
    """Root of the mean squared error, in the target's unit."""
    return math.sqrt(_mean((truth - output) ** 2, weight))


def mae(truth: Array, output: Array, weight: Array | None = None) -> float:
    """Mean absolute error, in the target's unit."""
    import numpy as np

    return _mean(np.abs(truth - output), weight)


def r2(truth: Array, output: Array, weight: Array | None = None) -> float:
    """The share of the target's variance that is explained; 0 for a constant target unless it is hit."""
    import numpy as np

    own = np.ones(len(truth)) if weight is None else weight
    rest = float((own * (truth - output) ** 2).sum())
    whole = float((own * (truth - np.average(truth, weights=weight)) ** 2).sum())
    if whole == 0.0:
        return 1.0 if rest == 0.0 else 0.0
    return 1.0 - rest / whole


def mape(truth: Array, output: Array, weight: Array | None = None) -> float:
    """Mean absolute error as a share of the truth; a truth of nought makes it very large."""
    import numpy as np

    return _mean(np.abs(truth - output) / np.maximum(np.abs(truth), np.finfo(np.float64).eps), weight)


def _mean(rows: npt.NDArray[Any], weight: Array | None) -> float:
    import numpy as np

    return float(np.average(rows, weights=weight))


def _usual() -> dict[str, Metric]:
    return {
        "roc_auc": roc_auc,
        "log_loss": log_loss,
        "accuracy": accuracy,
        "f1": f1,
        "brier": brier,
        "rmse": rmse,
        "mae": mae,
        "mase": mae,  # of values in units of their series' movement
        "r2": r2,
        "mape": mape,
    }


def _known(metric: str) -> None:
    if metric not in NAMES and quantile_of(metric) is None:
        raise ProjectError(f"There is no metric `{metric}`.", hint=did_you_mean(metric, ALL, "metrics"))


def _f1_of(truth: Array, found: Array, label: float, own: Array) -> float:
    hits = float(own[(truth == label) & (found == label)].sum())
    both = float(own[truth == label].sum() + own[found == label].sum())
    return 2.0 * hits / both if both else 0.0
