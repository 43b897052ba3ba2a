"""Whether a candidate may take the champion's place, decided on the same untouched rows.

The difference of the two is resampled by whole blocks (days), since rows of one day share their luck. The
interval is Student's over the bootstrap's spread, so that few blocks and high confidences stay honest, and it
widens with each use of the same holdout. Where the data cannot tell, the answer is to hold. The metrics
themselves are in `evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tilth.core.errors import ProjectError
from tilth.core.names import did_you_mean
from tilth.ml.learning.evaluation import evaluate, higher_is_better, labels, log_losses

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"
    Replicator: TypeAlias = Callable[[Array], Array]

PROMOTE, REFUSE, INCONCLUSIVE, MANUAL = "promote", "refuse", "inconclusive", "manual"
RULES = ("better", "not_worse_by", "manual")
FEWEST_ROWS, FEWEST_POSITIVES, FEWEST_BLOCKS = 200, 20, 5
MOST_BLOCKS = 1000


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked of a candidate; `minimum` is a ceiling where less is better (an error, a loss)."""

    metric: str
    kind: str = "better"
    margin: float = 0.0
    minimum: float | None = None
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Holdout:
    """The newest rows: their truth, the block (day) of each or none, and how often they judged before."""

    task: str
    truth: Array
    blocks: npt.NDArray[np.generic] | None = None
    uses: int = 0


@dataclass(frozen=True, slots=True)
class GateResult:
    """The decision, why, and the evidence. `gain` is positive when the candidate is better, whatever the metric."""

    decision: str
    reasons: tuple[str, ...]
    rows: int
    blocks: int
    candidate: float | None = None
    champion: float | None = None
    baseline: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95


def judge(
    rule: Rule,
    holdout: Holdout,
    candidate: Array,
    champion: Array | None = None,
    baseline: Array | None = None,
    *,
    replicates: int = 500,
    seed: int = 0,
) -> GateResult:
    """Promote, refuse, hold as inconclusive, or leave it to a person.

    The three outputs are on the holdout's rows: values, P(1), or one column a class.
    """
    if rule.kind not in RULES:
        raise ProjectError(
            f"There is no gate rule `{rule.kind}`.", hint=did_you_mean(rule.kind, RULES, "rules")
        )
    block, count = _blocks(holdout)
    confidence = tightened(rule.confidence, holdout.uses)
    evidence = _Evidence(rule.metric, holdout.truth, block, confidence, replicates, seed)

    def result(decision: str, *reasons: str, **more: float | None) -> GateResult:
        return GateResult(decision, reasons, len(holdout.truth), count, confidence=confidence, **more)

    if broken := _unusable(candidate, len(holdout.truth)):
        return result(REFUSE, broken)
    if few := _too_few(holdout, count):
        return result(INCONCLUSIVE, *few)
    score = evaluate(rule.metric, holdout.truth, candidate)
    if rule.minimum is not None and (score - rule.minimum) * _sign(rule.metric) < 0:
        bound = "minimum" if higher_is_better(rule.metric) else "maximum"
        return result(
            REFUSE, f"{rule.metric} is {score:.6g}; the {bound} is {rule.minimum:.6g}.", candidate=score
        )
    base = None
    if baseline is not None:
        base = evaluate(rule.metric, holdout.truth, baseline)
        _, low, _ = evidence.interval(candidate, baseline)
        if not low > 0:
            words = f"{rule.metric} is {score:.6g}, not surely better than the baseline's {base:.6g}."
            return result(REFUSE, words, candidate=score, baseline=base)
    if champion is None:
        if rule.kind == "manual":
            return result(MANUAL, "The rule is manual.", candidate=score, baseline=base)
        return result(PROMOTE, "There is no champion to beat.", candidate=score, baseline=base)
    held = evaluate(rule.metric, holdout.truth, champion)
    gain, low, high = evidence.interval(candidate, champion)
    decision, why = _decide(rule, gain, low, high, confidence)
    return result(decision, why, candidate=score, champion=held, baseline=base, gain=gain, low=low, high=high)


def tightened(confidence: float, uses: int) -> float:
    """The confidence that one more look at a holdout needs after `uses` of them (Bonferroni).

    >>> tightened(0.95, 0), round(tightened(0.95, 4), 4)
    (0.95, 0.99)
    """
    return confidence if uses <= 0 else 1.0 - (1.0 - confidence) / (uses + 1)


def _decide(rule: Rule, gain: float, low: float, high: float, confidence: float) -> tuple[str, str]:
    seen = f"gain in {rule.metric} {gain:+.6g}, {confidence:.2%} interval {low:+.6g} to {high:+.6g}"
    if low != low:  # noqa: PLR0124 - NaN: the resamples could not be measured
        return INCONCLUSIVE, f"The resampled blocks hold too few rows of a class; {seen}."
    if rule.kind == "manual":
        return MANUAL, f"The rule is manual; {seen}."
    if rule.kind == "better":
        if low > 0:
            return PROMOTE, f"The candidate is better: {seen}."
        return REFUSE, f"The candidate is not shown to be better: {seen}."
    if low > -rule.margin or (rule.margin == 0 and low == high == 0):
        return PROMOTE, f"The candidate is not worse by {rule.margin:g}: {seen}."
    return REFUSE, f"The candidate may be worse by more than {rule.margin:g}: {seen}."


def _sign(metric: str) -> float:
    return 1.0 if higher_is_better(metric) else -1.0


def _unusable(output: Array, rows: int) -> str | None:
    import numpy as np

    if len(output) != rows:
        return f"The candidate gave {len(output)} outputs for {rows} rows."
    if not np.isfinite(output).all():
        return "The candidate gave outputs that are not finite numbers."
    return None


def _too_few(holdout: Holdout, blocks: int) -> list[str]:
    rows = len(holdout.truth)
    short = [f"The holdout has {rows} rows; {FEWEST_ROWS} are needed."] if rows < FEWEST_ROWS else []
    if holdout.task == "binary":
        ones = int((holdout.truth > 0.5).sum())
        if min(ones, rows - ones) < FEWEST_POSITIVES:
            short.append(
                f"The rarer class has {min(ones, rows - ones)} rows in the holdout; {FEWEST_POSITIVES} are needed."
            )
    if blocks < FEWEST_BLOCKS:
        short.append(f"The holdout spans {blocks} blocks (days); {FEWEST_BLOCKS} are needed.")
    return short


def _blocks(holdout: Holdout) -> tuple[npt.NDArray[np.intp], int]:
    """The block number of each row and how many there are; very many are merged at random."""
    import numpy as np

    rows = len(holdout.truth)
    if holdout.blocks is None:
        block = np.arange(rows)
    else:
        _, block = np.unique(holdout.blocks, return_inverse=True)
        block = block.reshape(-1)
    count = int(block.max()) + 1 if rows else 0
    if count > MOST_BLOCKS:
        block = (np.random.default_rng(0).permutation(count) % MOST_BLOCKS)[block]
        count = MOST_BLOCKS
    return block, count


@dataclass(frozen=True, slots=True)
class _Evidence:
    metric: str
    truth: Array
    block: npt.NDArray[np.intp]
    confidence: float
    replicates: int
    seed: int

    def interval(self, ours: Array, theirs: Array) -> tuple[float, float, float]:
        """The gain of ours over theirs and its interval; NaN bounds when most resamples cannot be measured."""
        import numpy as np
        from scipy.special import stdtrit

        sign = _sign(self.metric)
        gain = sign * (evaluate(self.metric, self.truth, ours) - evaluate(self.metric, self.truth, theirs))
        count = int(self.block.max()) + 1
        drawn = np.random.default_rng(self.seed).multinomial(
            count, np.full(count, 1.0 / count), self.replicates
        )
        weights = drawn.astype(np.float64)
        gains = self._replicate(ours)(weights) - self._replicate(theirs)(weights)
        gains = sign * gains[np.isfinite(gains)]
        if len(gains) < self.replicates / 2:
            return gain, float("nan"), float("nan")
        spread = float(gains.std(ddof=1)) * (count / (count - 1)) ** 0.5
        reach = float(stdtrit(count - 1, 0.5 + self.confidence / 2.0)) * spread
        return gain, gain - reach, gain + reach

    def _replicate(self, output: Array) -> Replicator:
        if self.metric == "roc_auc":
            return _auc_replicator(self.truth, output, self.block)
        rows, finish = _sums(self.metric, self.truth, output)
        return _sum_replicator(rows, finish, self.block)


def _auc_replicator(truth: Array, score: Array, block: npt.NDArray[np.intp]) -> Replicator:
    """AUC under block weights, sorted once: each resample is one pass over the rows."""
    import numpy as np

    order = np.argsort(score, kind="stable")
    ranked, positive, where = score[order], (truth[order] > 0.5).astype(np.float64), block[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    tied = len(starts) < len(ranked)

    def run(weights: Array) -> Array:
        out = np.empty(len(weights))
        for i, weight in enumerate(weights):
            row = weight[where]
            pos = row * positive
            neg = row - pos
            if tied:
                pos, neg = np.add.reduceat(pos, starts), np.add.reduceat(neg, starts)
            below = np.cumsum(neg)
            pairs = pos.sum() * below[-1]
            out[i] = (pos @ (below - neg / 2.0)) / pairs if pairs else np.nan
        return out

    return run


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
    mean: Array = (2.0 * sums[:, :half] / np.maximum(sums[:, half:], 1.0)).mean(axis=1)
    return mean
