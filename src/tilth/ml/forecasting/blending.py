"""How members become one answer: the median of the best three or a weighted mean, by errors at the inner origins.

Errors are told against the seasonal naive on the same windows, so that members that cannot answer all of them compare. A
group's own errors count as much as it has origins; all groups' count for the rest. Which way is taken, errors say that leave
the judged origin out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

BEST = 3
LOSES = 1.5  # of the naive's error, from which a member is dropped
POWER = 3.0
OWN = 4.0  # origins as which the errors of all groups count beside a group's own
FULLEST = 1e9


@dataclass(frozen=True, slots=True)
class Way:
    """`median` of the best three, or a mean by error; `own` how many origins the pooled errors stand for."""

    median: bool
    own: float

    @property
    def words(self) -> str:
        how = "the median of the best three" if self.median else "a mean weighted by error"
        return f"{how}, {'of each group' if self.own < FULLEST else 'of all groups together'}"


WAYS = (Way(True, FULLEST), Way(True, OWN), Way(False, FULLEST), Way(False, OWN))


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    """Inner errors: `errors` [members, groups, origins] in units of each group, NaN where there is no answer; `naive` [groups, origins]."""

    errors: Floats
    naive: Floats


def ratios(inner: Inner, origins: Sequence[int]) -> Floats:
    """[members]: the error of each against the naive's on the windows that it answered; infinite for none."""
    import numpy as np

    e, naive = inner.errors[:, :, origins], inner.naive[:, origins]
    both = ~np.isnan(e) & ~np.isnan(naive)[None]
    own = np.where(both, e, 0.0).sum(axis=(1, 2))
    base = np.where(both, naive[None], 0.0).sum(axis=(1, 2))
    flat = np.where(own > 0, np.inf, 1.0)
    return np.where(both.any(axis=(1, 2)), np.where(base > 0, own / np.maximum(base, 1e-300), flat), np.inf)


def expected(inner: Inner, origins: Sequence[int], own: float) -> Floats:
    """[members, groups]: what error to expect, against the group's naive: its own errors and those of all."""
    import numpy as np

    pooled = ratios(inner, origins)
    e, naive = inner.errors[:, :, origins], inner.naive[:, origins]
    both = ~np.isnan(e) & ~np.isnan(naive)[None]
    number = both.sum(axis=2)
    sums = np.where(both, e, 0.0).sum(axis=2)
    base = np.where(both, naive[None], 0.0).sum(axis=2)
    level = np.where(number > 0, base / np.maximum(number, 1), 1.0)
    level = np.where(level > 0, level, 1.0)
    with np.errstate(invalid="ignore"):
        out = (sums / level + own * pooled[:, None]) / (number + own)
    return np.where(np.isfinite(pooled)[:, None], out, np.inf)


def weights(error: Floats, pooled: Floats, way: Way) -> Floats:
    """[members, groups]: above 0 for those that count; of the median each counts alike."""
    import numpy as np

    error = np.where((pooled > LOSES)[:, None] & (pooled > pooled.min())[:, None], np.inf, error)
    with np.errstate(invalid="ignore"):
        error = np.where(error > LOSES * np.maximum(error.min(axis=0), 1e-12)[None] * 2, np.inf, error)
    if way.median:
        rank = np.argsort(np.argsort(error, axis=0, kind="stable"), axis=0)
        return ((rank < BEST) & np.isfinite(error)).astype(np.float64)
    raw = np.where(np.isfinite(error), np.maximum(error, 1e-3) ** -POWER, 0.0)
    total = raw.sum(axis=0, keepdims=True)
    share = raw / np.where(total > 0, total, 1.0)
    share = np.where(share < 0.02, 0.0, share)
    total = share.sum(axis=0, keepdims=True)
    return share / np.where(total > 0, total, 1.0)


def together(answers: Floats, weight: Floats, median: bool, spare: Floats) -> Floats:
    """[groups, horizon] of [members, groups, horizon]; `spare` answers where none of those that count does."""
    import numpy as np

    if not len(answers):
        return spare
    there = ~np.isnan(answers) & (weight > 0)[:, :, None]
    if median:
        number = there.sum(axis=0)
        ordered = np.sort(np.where(there, answers, np.inf), axis=0)
        low = np.take_along_axis(ordered, np.maximum((number - 1) // 2, 0)[None], axis=0)[0]
        high = np.take_along_axis(ordered, np.minimum(number // 2, len(answers) - 1)[None], axis=0)[0]
        with np.errstate(invalid="ignore"):
            return np.where(number > 0, (low + high) / 2, spare)
    w = np.where(there, weight[:, :, None], 0.0)
    total = w.sum(axis=0)
    mean = (w * np.where(there, answers, 0.0)).sum(axis=0) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, spare)


def left_out(inner: Inner, answers: Floats, spare: Floats, way: Way) -> Floats:
    """[origins, groups, horizon]: each origin answered with weights of the other ones (its own where it is the only one)."""
    import numpy as np

    number = inner.naive.shape[1]
    out = np.empty(answers.shape[1:])
    for k in range(number):
        others = [o for o in range(number) if o != k] or [k]
        weight = weights(expected(inner, others, way.own), ratios(inner, others), way)
        out[k] = together(answers[:, k], weight, way.median, spare[k])
    return out
