"""How sure a difference of two models on the same rows is: the bootstrap of whole blocks, and Student's reach of it.

Blocks (days) are resampled, since rows of one day share their luck; a metric that is a function of sums, or of ranked
pairs, is summed a block once and then weighted. What is decided by it is in `gates`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from tilth.ml.judging.replicates import affordable, replicator
from tilth.ml.model.losses import labels, log_losses
from tilth.ml.model.measures import MEASURES
from tilth.ml.model.metrics import evaluate, higher_is_better

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"
    Replicator: TypeAlias = Callable[[Array], Array]

MOST_BLOCKS = 200
POWER = 0.8  # how often a difference must be seen to count as one that could have been


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference (positive: ours is better), the spread of it over resampled blocks (NaN: not to be measured), and
    Student's degrees of freedom.
    """

    value: float
    spread: float
    freedom: int

    def with_luck(self, share: float) -> Gain:
        """The same, with the variance larger by that share: what is known of rows, not of the luck of fitting."""
        return replace(self, spread=self.spread * math.sqrt(1.0 + share))

    def within(self, alpha: float) -> tuple[float, float]:
        """Its bounds, each of which is wrong with the chance `alpha`."""
        reach = student(self.freedom, 1.0 - alpha) * self.spread
        return self.value - reach, self.value + reach

    def detectable(self, alpha: float) -> float:
        """The true difference that would have been shown at `alpha` in four of five cases."""
        return (student(self.freedom, 1.0 - alpha) + student(self.freedom, POWER)) * self.spread

    @property
    def chance_if_not_worse(self) -> float:
        """The chance of so bad a difference, or a worse one, where ours is as good (one-sided)."""
        if self.spread == 0.0:
            return 0.0 if self.value < 0 else 1.0
        t = self.value / self.spread
        return 1.0 - _student_below(self.freedom, -t) if t < 0 else 1.0


def sign_of(metric: str) -> float:
    """1 where more of the metric is better, else -1."""
    return 1.0 if higher_is_better(metric) else -1.0


@cache
def student(freedom: int, share: float) -> float:
    """The quantile of Student's t, by bisection on its closed form for whole degrees (Abramowitz and Stegun 26.7.3).

    >>> round(student(9, 0.975), 4)
    2.2622
    """
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _student_below(freedom, middle) < share else (low, middle)
    return (low + high) / 2.0


def _student_below(freedom: int, t: float) -> float:
    """The chance of a value below t > 0."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 or not odd else 0.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= square * (k - 1) / k
        total += term
    within = (angle + sine * total) * 2.0 / math.pi if odd else sine * total
    return 0.5 + within / 2.0


def numbered(rows: int, blocks: npt.NDArray[np.generic] | None) -> tuple[npt.NDArray[np.intp], int]:
    """The block number of each row and how many there are; very many are merged: neighbours, or rows at random."""
    import numpy as np

    if blocks is None:
        block = np.arange(rows)
    else:
        _, block = np.unique(blocks, return_inverse=True)
        block = block.reshape(-1)
    count = int(block.max()) + 1 if rows else 0
    if count > MOST_BLOCKS:
        alone = blocks is None
        places = np.random.default_rng(0).permutation(count) if alone else np.arange(count)
        block = (places * MOST_BLOCKS // count)[block]
        count = MOST_BLOCKS
    return block, count


def alike(weight: Array) -> float:
    """How many rows that all count the same are worth these (Kish 1965); 0 where none counts.

    >>> import numpy as np
    >>> alike(np.array([2.0, 2.0, 0.0])), alike(np.zeros(3))
    (2.0, 0.0)
    """
    square = float((weight**2).sum())
    return float(weight.sum()) ** 2 / square if square else 0.0


def blocks_alike(block: npt.NDArray[np.intp], weight: Array) -> int:
    """How many blocks that all count the same those of these rows are worth."""
    import numpy as np

    heaps = np.asarray(np.bincount(block, weights=weight), dtype=np.float64)
    return int(alike(heaps) + 1e-9)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Rows with their truth, the block of each, and what each counts (None: all the same)."""

    metric: str
    truth: Array
    block: npt.NDArray[np.intp]
    replicates: int
    seed: int
    weight: Array | None = None

    def gain(self, ours: Array, theirs: Array) -> Gain:
        """By how much ours is better than theirs, and how sure that is."""
        import numpy as np

        sign = sign_of(self.metric)
        own, other = (evaluate(self.metric, self.truth, one, weight=self.weight) for one in (ours, theirs))
        gain = sign * (own - other)
        count = int(self.block.max()) + 1
        freedom = self._freedom(count)
        drawn = np.random.default_rng(self.seed).multinomial(
            count, np.full(count, 1.0 / count), affordable(self.metric, ours, self.replicates)
        )
        weights = drawn.astype(np.float64)
        gains = self._replicate(ours)(weights) - self._replicate(theirs)(weights)
        gains = gains[np.isfinite(gains)]
        if len(gains) < len(drawn) / 2:
            return Gain(gain, float("nan"), freedom)
        return Gain(gain, float(gains.std(ddof=1)) * ((freedom + 1) / freedom) ** 0.5, freedom)

    def _freedom(self, count: int) -> int:
        """Blocks that count alike, less one: a few that outweigh the others tell no more than so few."""
        if self.weight is None:
            return count - 1
        return max(1, blocks_alike(self.block, self.weight) - 1)

    def _replicate(self, output: Array) -> Replicator:
        import numpy as np

        if self.metric in MEASURES:
            return replicator(self.metric, self.truth, output, self.block, self.weight)
        own = np.ones(len(self.truth)) if self.weight is None else self.weight
        if self.metric == "roc_auc":
            return _auc_replicator(self.truth, output, self.block, own)
        rows, finish = _sums(self.metric, self.truth, output)
        return _sum_replicator(own[:, None] * rows, finish, self.block)


def _auc_replicator(truth: Array, score: Array, block: npt.NDArray[np.intp], own: Array) -> Replicator:
    """AUC under block weights: a bilinear form of the pairs that each two blocks rank rightly, counted once."""
    import numpy as np

    positive = truth > 0.5
    count = int(block.max()) + 1
    right = _pairs(score, positive, block, own)
    ones = np.bincount(block[positive], weights=own[positive], minlength=count)
    zeros = np.bincount(block[~positive], weights=own[~positive], minlength=count)

    def run(weights: Array) -> Array:
        pairs = (weights @ ones) * (weights @ zeros)
        ranked = ((weights @ right) * weights).sum(axis=1)
        out: Array = np.divide(ranked, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
        return out

    return run


def _pairs(score: Array, positive: npt.NDArray[np.bool_], block: npt.NDArray[np.intp], own: Array) -> Array:
    """[blocks, blocks]: positives of one block that score above negatives of the other; a tie is half, a pair its rows' product."""
    import numpy as np

    count = int(block.max()) + 1
    out = np.zeros((count, count))
    high, where, worth = score[positive], block[positive], own[positive]
    order = np.argsort(high, kind="stable")  # sorted needles are found several times faster
    high, where, worth = high[order], where[order], worth[order]
    low, low_block, low_own = score[~positive], block[~positive], own[~positive]
    for other in range(count):
        mine = low_block == other
        rising = np.argsort(low[mine], kind="stable")
        among, heap = low[mine][rising], np.concatenate([[0.0], np.cumsum(low_own[mine][rising])])
        below = heap[np.searchsorted(among, high, "left")] + heap[np.searchsorted(among, high, "right")]
        out[:, other] = np.bincount(where, weights=worth * below / 2.0, minlength=count)
    return out


def _sum_replicator(rows: Array, finish: Replicator, block: npt.NDArray[np.intp]) -> Replicator:
    """Metrics that are a function of sums over rows: summed a block once, then weighted."""
    import numpy as np

    count = int(block.max()) + 1
    columns = [np.bincount(block, weights=column, minlength=count) for column in rows.T]
    table = np.stack(columns, axis=1)
    return lambda weights: finish(weights @ table)


def _sums(metric: str, truth: Array, output: Array) -> tuple[Array, Replicator]:
    import numpy as np

    if metric in {"rmse", "r2"}:
        centred = truth - truth.mean()
        rows = np.stack([np.ones_like(truth), (truth - output) ** 2, centred, centred**2], axis=1)
        return rows, _rmse_of_sums if metric == "rmse" else _r2_of_sums
    if metric == "f1":
        found = labels(output)
        classes = np.array([1.0]) if output.ndim == 1 else np.union1d(truth, found)
        is_true, is_found = truth[:, None] == classes, found[:, None] == classes
        hits, both = (is_true & is_found).astype(np.float64), is_true.astype(np.float64) + is_found
        return np.concatenate([hits, both], axis=1), _f1_of_sums
    each: dict[str, Callable[[], Array]] = {
        "log_loss": lambda: log_losses(truth, output),
        "accuracy": lambda: (labels(output) == truth).astype(np.float64),
        "brier": lambda: _brier_rows(truth, output),
        "mae": lambda: np.abs(truth - output),
        "mase": lambda: np.abs(truth - output),  # of values in units of their series' movement
        "mape": lambda: np.abs(truth - output) / np.maximum(np.abs(truth), np.finfo(np.float64).eps),
    }
    loss = each[metric]()
    return np.stack([np.ones_like(truth), loss], axis=1), lambda sums: sums[:, 1] / sums[:, 0]


def _brier_rows(truth: Array, output: Array) -> Array:
    import numpy as np

    if output.ndim == 1:
        return (output - truth) ** 2
    rows: Array = ((output - (np.arange(output.shape[1]) == truth[:, None])) ** 2).sum(axis=1)
    return rows


def _rmse_of_sums(sums: Array) -> Array:
    root: Array = (sums[:, 1] / sums[:, 0]) ** 0.5
    return root


def _r2_of_sums(sums: Array) -> Array:
    import numpy as np

    whole = sums[:, 3] - sums[:, 2] ** 2 / sums[:, 0]
    share: Array = 1.0 - sums[:, 1] / np.where(whole > 0, whole, np.nan)
    return share


def _f1_of_sums(sums: Array) -> Array:
    import numpy as np

    half = sums.shape[1] // 2
    both = sums[:, half:]
    mean: Array = np.divide(2.0 * sums[:, :half], both, out=np.zeros_like(both), where=both > 0).mean(axis=1)
    return mean
