"""How members become one answer: the median of the best five, by errors at the inner origins.

Errors are told against the seasonal naive on the same windows, so that members that cannot answer all of them compare. How
good a member is, is between what its errors sum to, which few bad windows rule, and the usual ratio of a window, which they
do not. Where all of it does not beat the naive in the usual window, however rare large errors add up, it is drawn half the
way to the naive: the evidence is a few windows. A group's own errors count as much as it has origins; all groups' count for the rest. A median of five was better
than one of three, than means weighted by error, and than choosing among these by errors that leave an origin out.
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

BEST = 5
LOSES = 1.25  # of the naive's error, from which a member is dropped
NEAR = 1.5  # of the best member's error, from which one has no vote: those that cannot see what it sees would outvote it
OWN = 4.0  # origins as which the errors of all groups count beside a group's own
WORST = 2.0  # of the logarithm of a window's ratio, either way
WORDS = f"the median of the best {BEST} by inner errors, of each group as far as it has its own"


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    """Inner errors: `errors` [members, groups, origins] in units of each group, NaN where there is no answer; `naive` [groups, origins]."""

    errors: Floats
    naive: Floats

    def at(self, origins: Sequence[int]) -> tuple[Floats, Floats, Mask]:
        """(errors, the naive's, whether both are there) at some origins; 0 where they are not."""
        import numpy as np

        e, naive = self.errors[:, :, origins], self.naive[None][:, :, origins]
        both = ~np.isnan(e) & ~np.isnan(naive)
        return np.where(both, e, 0.0), np.where(both, naive, 0.0), both


def ratios(inner: Inner, origins: Sequence[int]) -> Floats:
    """[members]: the error of each against the naive's on the windows that it answered; infinite for none."""
    import numpy as np

    own, naive, both = inner.at(origins)
    there: Mask = np.any(both, axis=1)
    summed, base = own.sum(axis=1), naive.sum(axis=1)  # of the groups of a window
    whole = np.where(summed.sum(axis=1) > 0, np.inf, 1.0)
    total = base.sum(axis=1)
    whole = np.where(total > 0, summed.sum(axis=1) / np.where(total > 0, total, 1.0), whole)
    tiny = 1e-9 * max(float(base.max(initial=0.0)), 1e-290)
    usual = np.clip(np.log(np.maximum(summed, tiny) / np.maximum(base, tiny)), -WORST, WORST)
    usual = np.exp(np.where(there, usual, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))
    return np.where(there.any(axis=1), np.sqrt(whole * usual), np.inf)


def expected(inner: Inner, origins: Sequence[int]) -> Floats:
    """[members, groups]: what error to expect, against the group's naive: its own errors and those of all."""
    import numpy as np

    pooled = ratios(inner, origins)
    own, naive, both = inner.at(origins)
    number = both.sum(axis=2)
    level = np.where(number > 0, naive.sum(axis=2) / np.maximum(number, 1), 1.0)
    level = np.where(level > 0, level, 1.0)
    finite = np.where(np.isfinite(pooled), pooled, 0.0)
    out = (own.sum(axis=2) / level + OWN * finite[:, None]) / (number + OWN)
    return np.where(np.isfinite(pooled)[:, None], out, np.inf)


def weights(error: Floats, pooled: Floats) -> Floats:
    """[members, groups]: 1 for those whose median is taken, 0 for the others."""
    import numpy as np

    if not len(error):
        return error
    lost = (pooled > LOSES) & (pooled > pooled.min())
    error = np.where(lost[:, None], np.inf, error)
    error = np.where(error > NEAR * error.min(axis=0), np.inf, error)
    rank = np.argsort(np.argsort(error, axis=0, kind="stable"), axis=0)
    return ((rank < BEST) & np.isfinite(error)).astype(np.float64)


def together(answers: Floats, weight: Floats, spare: Floats) -> Floats:
    """[groups, horizon] of [members, groups, horizon]; `spare` answers where none of those that count does."""
    import numpy as np

    if not len(answers):
        return spare
    there = ~np.isnan(answers) & (weight > 0)[:, :, None]
    number = there.sum(axis=0)
    ordered = np.sort(np.where(there, answers, np.inf), axis=0)
    low = np.take_along_axis(ordered, np.maximum((number - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(number // 2, len(answers) - 1)[None], axis=0)[0]
    return np.where(
        number > 0, np.where(number > 0, low, 0.0) / 2 + np.where(number > 0, high, 0.0) / 2, spare
    )


def unsure(said: Floats, naive: Floats) -> bool:
    """Whether errors [groups, origins] of the whole do not beat the naive's in the usual window."""
    import numpy as np

    both = ~np.isnan(said) & ~np.isnan(naive)
    own, base = np.where(both, said, 0.0).sum(axis=0), np.where(both, naive, 0.0).sum(axis=0)
    tiny = 1e-9 * max(float(base.max(initial=0.0)), 1e-290)
    ratio = np.log(np.maximum(own, tiny) / np.maximum(base, tiny))[both.any(axis=0)]
    return bool(len(ratio) and ratio.mean() > 0)


def left_out(inner: Inner, answers: Floats, spare: Floats) -> Floats:
    """[origins, groups, horizon]: each origin answered by members that the other ones choose (its own where it is the only one)."""
    import numpy as np

    number = inner.naive.shape[1]
    out = np.empty(answers.shape[1:])
    for k in range(number):
        others = [o for o in range(number) if o != k] or [k]
        weight = weights(expected(inner, others), ratios(inner, others))
        out[k] = together(answers[:, k], weight, spare[k])
    return out
