"""By what chance a period comes out as far as it did, and how the declared false alarms are spent over all that is judged.

A score follows a t law, whose degrees are those of its scale and of how heavy the tails of the scores before were. The
largest of many scores is judged as the largest of so many independent ones as its median over the history says. What a
family of scores may spend is weighed, and the whole is corrected by how often it went off over the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LIGHT, HEAVY = 400.0, 3.0  # degrees of tails: as a normal law's, and the heaviest
PRIOR = 60.0  # scores that the belief in light tails weighs
WEIGHTS: Mapping[str, float] = {"volume": 0.7, "freshness": 0.08, "nulls": 0.08, "distribution": 0.14}
FEWER = 0.8  # of what volume may spend, what is for too few rows
LOOSE = 8.0  # times what may be spent: where the history is counted to correct it
TRUST = 6.0  # alarms that the belief in the laws weighs
LEAST, MOST = 0.2, 4.0  # of a correction


def degrees_of(scores: Floats) -> Floats:
    """The degrees of the t law whose tails are as heavy as those of the scores [periods, series], drawn to light ones."""
    import numpy as np

    seen = scores != 0
    count = seen.sum(0)
    bounded = np.clip(scores, -6, 6)
    even = np.sqrt(np.maximum((bounded**2).sum(0) / np.maximum(count, 1), 1e-12))
    fourth = ((bounded / even) ** 4 * seen).sum(0)
    excess = (fourth + PRIOR * 3.0) / (count + PRIOR) - 3.0 - np.sqrt(24 / (count + PRIOR))
    found: Floats = np.clip(4 + 6 / np.maximum(excess, 1e-9), HEAVY, LIGHT)
    return found


def normal_scores(scores: Floats, degrees: Floats) -> Floats:
    """Scores of t laws as those of a normal law with the same chances."""
    import numpy as np
    from scipy.special import ndtri_exp, stdtr

    tail = stdtr(degrees, -np.abs(scores))
    found: Floats = -np.sign(scores) * ndtri_exp(np.log(np.maximum(tail, 1e-300)))
    return found


def largest(scores: Floats, known: int) -> tuple[Floats, float]:
    """The chance of each period's largest score [periods, series], and of how many independent scores it is the largest.

    That is said by the median of the `known` first periods.
    """
    import numpy as np
    from scipy.special import ndtr

    peaks = np.abs(scores).max(1)
    seen = peaks[:known][peaks[:known] > 0]
    tests = 1.0
    if scores.shape[1] > 1 and len(seen):
        middle = float(np.median(seen))
        inside = 1 - 2 * ndtr(-middle)
        tests = float(np.clip(np.log(0.5) / np.log(max(inside, 1e-12)), 1.0, scores.shape[1]))
    return -np.expm1(tests * np.log1p(-2 * ndtr(-peaks).clip(0, 0.4999999999))), tests


def correction(chances: Floats, spent: float) -> float:
    """What to divide the spending by: how often the history [periods, sides] went off at a looser level, over how often it should."""
    import numpy as np

    level = min(LOOSE * spent, 0.2)
    return float(np.clip((TRUST + (chances < level).sum()) / (TRUST + chances.size * level), LEAST, MOST))
