"""What came of a forecast against what was said: its error, and how far it lies to one side.

A look reads it of a snapshot, a drill of an inner window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

METRIC = "mase"
LEAST = 5  # values that came, below which nothing is said


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one target after the training: the error of each value in units of its series, its series, step and whether its
    interval held it.
    """

    error: Array
    series: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    held: npt.NDArray[np.bool_]


def figures(found: Came) -> dict[str, Any]:
    """MASE, drift, bias and coverage of what came, whole and by step ahead."""
    import numpy as np

    enough = len(found.error) >= LEAST
    steps = [
        {
            "step": int(step), "outcomes": int((own := found.step == step).sum()), "mase": float(np.abs(found.error[own]).mean()),
            "bias": float(-found.error[own].mean()), "coverage": float(found.held[own].mean()),
        }
        for step in np.unique(found.step)
    ]  # fmt: skip
    return {
        "outcomes": len(found.error), "quality": float(np.abs(found.error).mean()) if enough else None, "drift": sided(found),
        "bias": float(-found.error.mean()) if enough else None, "coverage": float(found.held.mean()) if enough else None,
        "steps": steps,
    }  # fmt: skip


def sided(found: Came) -> float | None:
    """How far the errors lie to one side beyond what chance explains; None where too few came."""
    import numpy as np

    if len(found.error) < LEAST:
        return None
    means = np.array([found.error[found.series == s].mean() for s in np.unique(found.series)])
    middle = abs(float(found.error.mean()))
    if len(means) > 1:
        doubt = 2.0 * float(means.std(ddof=1)) / float(np.sqrt(len(means)))
    else:
        doubt = 2.0 * float(found.error.std(ddof=1)) / float(np.sqrt(len(found.error)))
    return max(0.0, middle - doubt)
