"""What single rows lose by their answers, and the class that an answer means: what `metrics` and `measures` are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"

SMALLEST = 1e-15


def labels(output: Array) -> Array:
    """The class code of each row: the likelier of two, or the likeliest of several."""
    import numpy as np

    found = output > 0.5 if output.ndim == 1 else np.argmax(output, axis=1)
    return found.astype(np.float64)


def log_losses(truth: Array, output: Array) -> Array:
    """The log loss of each row."""
    import numpy as np

    chosen = np.where(truth > 0.5, output, 1.0 - output) if output.ndim == 1 else _of_truth(truth, output)
    losses: Array = -np.log(np.clip(chosen, SMALLEST, 1.0))
    return losses


def brier_rows(truth: Array, output: Array) -> Array:
    """The squared distance of each row's probabilities from what happened, summed over both or all classes."""
    import numpy as np

    if output.ndim == 1:
        return 2.0 * (output - truth) ** 2
    rows: Array = ((output - (np.arange(output.shape[1]) == truth[:, None])) ** 2).sum(axis=1)
    return rows


def _of_truth(truth: Array, output: Array) -> Array:
    import numpy as np

    return output[np.arange(len(truth)), truth.astype(np.intp)]


def pinball_rows(truth: Array, output: Array, share: float) -> Array:
    """What each row loses by an answer that a quantile of this share makes least: too low costs `share`, too high the rest."""
    import numpy as np

    off = truth - output
    out: Array = np.maximum(share * off, (share - 1.0) * off)
    return out
