"""Intervals by conformal scores: how far inner answers lay from the truth, by step, in units of each series' movement.

Scores of all groups and origins are pooled after the group's own size and the step's size are taken out; the quantile has
the correction for finite samples, for as many scores as are worth being called independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

OWN = 20.0  # scores as which those of all groups count beside a group's own
SMOOTH = 12.0  # scores of a step as which its neighbours and the line over all steps count


@dataclass(frozen=True, slots=True, eq=False)
class Widths:
    """Half the width of step j of group g: quantile * steps[j] * groups[g] * its movement; `pooled` for a group that is not known."""

    quantile: float
    steps: Floats
    groups: Floats
    pooled: float

    def at(self, horizon: int) -> Floats:
        """Sizes by step; beyond those that were judged they grow with the root of the step."""
        import numpy as np

        known = len(self.steps)
        more = np.sqrt(np.arange(known + 1, horizon + 1) / known)
        return np.concatenate([self.steps[:horizon], max(self.steps[-1], float(self.steps.mean())) * more])


def learned(scores: Floats, offsets: Sequence[int], confidence: float) -> Widths:
    """From [origins, groups, horizon] of absolute errors over movement, NaN where there is none."""
    import numpy as np

    there = ~np.isnan(scores)
    number = there.sum()
    if not number:
        return Widths(0.0, np.ones(scores.shape[2]), np.zeros(scores.shape[1]), 0.0)
    filled = np.where(there, scores, 0.0)
    pooled = float(filled.sum() / number)
    if pooled == 0:
        return Widths(0.0, np.ones(scores.shape[2]), np.zeros(scores.shape[1]), 0.0)
    count = there.sum(axis=(0, 2))
    groups = (filled.sum(axis=(0, 2)) + OWN * pooled) / (count + OWN)
    scaled = filled / groups[None, :, None]
    steps = _steps(scaled, there)
    unit = (scaled / steps[None, None, :])[there]
    return Widths(_quantile(unit, confidence, _worth(there, offsets)), steps, groups, pooled)


def _steps(scaled: Floats, there: Mask) -> Floats:
    """The mean score by step, drawn to a line over all steps as far as there are few."""
    import numpy as np

    count = there.sum(axis=(0, 1))
    mean = scaled.sum(axis=(0, 1)) / np.maximum(count, 1)
    at = np.arange(1, len(mean) + 1)
    if len(mean) > 2:
        slope, level = np.polyfit(np.sqrt(at), mean, 1, w=np.sqrt(np.maximum(count, 1e-9)))
        line = np.maximum(level + slope * np.sqrt(at), 0.2 * mean.mean())
    else:
        line = np.full(len(mean), mean.mean())
    out = (count * mean + SMOOTH * line) / (count + SMOOTH)
    floored: Floats = np.maximum(out, 0.05 * out.max())
    return floored


def _worth(there: Mask, offsets: Sequence[int]) -> float:
    """How many scores count as independent: windows that do not overlap, of each the root of its steps, which err together.

    Groups err together too, since they share the times: many of them count as their fourth root.
    """
    horizon = there.shape[2]
    windows = (max(offsets) - min(offsets)) / horizon + 1
    groups = int(there.any(axis=(0, 2)).sum())
    return float(windows * horizon**0.5 * groups**0.25)


def _quantile(scores: Floats, confidence: float, worth: float) -> float:
    import numpy as np

    level = min(1.0, confidence * (1 + 1 / max(worth, 1.0)))
    return float(np.quantile(scores, level, method="higher"))
