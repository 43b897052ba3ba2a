"""Whether a candidate may take the champion's place, decided on the same untouched rows.

The difference of the two is resampled by whole blocks (days), since rows of one day share their luck. The
interval is Student's over the bootstrap's spread, so that few blocks and high confidences stay honest, and it
widens with each use of the same holdout. Where the data cannot tell, the answer is to hold: a champion is replaced
on evidence alone, or by what answers exactly as it does, as after a changed EXPECT that held no row back. A first version has nothing to harm, so little data may carry it, and the reason says how little.
The metrics themselves are in `evaluation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from tilth.core.errors import ProjectError
from tilth.core.names import did_you_mean
from tilth.ml.learning.evaluation import evaluate, higher_is_better, labels, log_losses

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"
    Replicator: TypeAlias = Callable[[Array], Array]

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
RULES = ("better", "not_worse_by", "manual")
FEWEST_ROWS, FEWEST_POSITIVES, FEWEST_BLOCKS = 200, 20, 5
MOST_BLOCKS = 200
SAME = "The candidate answers every row as the champion does."


@dataclass(frozen=True, slots=True)
class Least:
    """What a holdout must hold: rows, rows of the rarer of two classes, blocks."""

    rows: int
    rarer: int
    blocks: int


ENOUGH = Least(FEWEST_ROWS, FEWEST_POSITIVES, FEWEST_BLOCKS)  # to tell a candidate from a champion
FIRST = Least(50, 5, 3)  # to let a first version in


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
    """The outcome, why, and the evidence. `delta` is positive when the candidate is better, whatever the metric.

    Only `pass` may promote. `uses` counts this time too. `lower` and `upper` bound the delta at `confidence`.
    """

    outcome: str
    reasons: tuple[str, ...]
    rows: int
    blocks: int
    uses: int = 1
    confidence: float = 0.95
    candidate_metric: float | None = None
    champion_metric: float | None = None
    baseline_metric: float | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None

    @property
    def reason(self) -> str:
        """The reasons as one text."""
        return " ".join(self.reasons)


def judge(
    rule: Rule,
    holdout: Holdout,
    candidate: Array,
    champion: Array | None = None,
    baseline: Array | None = None,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> GateResult:
    """Pass, fail, or inconclusive: too little data, or a rule that leaves it to a person.

    The three outputs are on the holdout's rows: values, P(1), or one column a class.
    """
    if rule.kind not in RULES:
        raise ProjectError(
            f"There is no gate rule `{rule.kind}`.", hint=did_you_mean(rule.kind, RULES, "rules")
        )
    block, count = _blocks(holdout)
    confidence = tightened(rule.confidence, holdout.uses)
    evidence = _Evidence(rule.metric, holdout.truth, block, confidence, replicates, seed)

    def result(outcome: str, *reasons: str, **more: float | None) -> GateResult:
        return GateResult(outcome, reasons, len(holdout.truth), count, holdout.uses + 1, confidence, **more)

    if broken := _unusable(candidate, len(holdout.truth)):
        return result(FAIL, broken)
    if few := _too_few(holdout, count, FIRST if champion is None else ENOUGH):
        return result(INCONCLUSIVE, *few)
    little = _too_few(holdout, count, ENOUGH)
    score = evaluate(rule.metric, holdout.truth, candidate)
    if rule.minimum is not None and (score - rule.minimum) * _sign(rule.metric) < 0:
        bound = "minimum" if higher_is_better(rule.metric) else "maximum"
        return result(
            FAIL, f"{rule.metric} is {score:.6g}; the {bound} is {rule.minimum:.6g}.", candidate_metric=score
        )
    base = None
    if baseline is not None:
        base = evaluate(rule.metric, holdout.truth, baseline)
        gain, low, _ = evidence.interval(candidate, baseline)
        if not (gain if little else low) > 0:
            words = f"{rule.metric} is {score:.6g}, not {'' if little else 'surely '}better than the baseline's {base:.6g}."
            return result(FAIL, words, candidate_metric=score, baseline_metric=base)
    if champion is None:
        if rule.kind == "manual":
            return result(
                INCONCLUSIVE,
                "The rule is manual: it waits for a person.",
                candidate_metric=score,
                baseline_metric=base,
            )
        said = ["There is no champion to beat."]
        said += [f"This rests on little: {_holds(holdout, count)}."] if little else []
        return result(PASS, *said, candidate_metric=score, baseline_metric=base)
    held = evaluate(rule.metric, holdout.truth, champion)
    if rule.kind != "manual" and _alike(candidate, champion):
        outcome, why, (delta, lower, upper) = PASS, SAME, (0.0, 0.0, 0.0)
    else:
        delta, lower, upper = evidence.interval(candidate, champion)
        outcome, why = _decide(rule, delta, lower, upper, confidence)
    return result(
        outcome, why, candidate_metric=score, champion_metric=held, baseline_metric=base,
        delta=delta, lower=lower, upper=upper,
    )  # fmt: skip


def tightened(confidence: float, uses: int) -> float:
    """The confidence that one more look at a holdout needs after `uses` of them (Bonferroni).

    >>> tightened(0.95, 0), round(tightened(0.95, 4), 4)
    (0.95, 0.99)
    """
    return confidence if uses <= 0 else 1.0 - (1.0 - confidence) / (uses + 1)


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


def _decide(rule: Rule, gain: float, low: float, high: float, confidence: float) -> tuple[str, str]:
    seen = f"gain in {rule.metric} {gain:+.6g}, {confidence:.2%} interval {low:+.6g} to {high:+.6g}"
    if low != low:  # noqa: PLR0124 - NaN: the resamples could not be measured
        return INCONCLUSIVE, f"The resampled blocks hold too few rows of a class; {seen}."
    if rule.kind == "manual":
        return INCONCLUSIVE, f"The rule is manual: it waits for a person; {seen}."
    if rule.kind == "better":
        if low > 0:
            return PASS, f"The candidate is better: {seen}."
        return FAIL, f"The candidate is not shown to be better: {seen}."
    if low > -rule.margin or (rule.margin == 0 and low == high == 0):
        return PASS, f"The candidate is not worse by {rule.margin:g}: {seen}."
    return FAIL, f"The candidate may be worse by more than {rule.margin:g}: {seen}."


def _alike(candidate: Array, champion: Array) -> bool:
    """Whether both answer all rows the same to the last bit: a definition changed, and not what was learnt."""
    import numpy as np

    return np.array_equal(candidate, champion)


def _sign(metric: str) -> float:
    return 1.0 if higher_is_better(metric) else -1.0


def _unusable(output: Array, rows: int) -> str | None:
    import numpy as np

    if len(output) != rows:
        return f"The candidate gave {len(output)} outputs for {rows} rows."
    if not np.isfinite(output).all():
        return "The candidate gave outputs that are not finite numbers."
    return None


def _too_few(holdout: Holdout, blocks: int, least: Least) -> list[str]:
    rows, rarer = len(holdout.truth), _rarer(holdout)
    short = [f"The holdout has {rows} rows; {least.rows} are needed."] if rows < least.rows else []
    if rarer is not None and rarer < least.rarer:
        short.append(f"The rarer class has {rarer} rows in the holdout; {least.rarer} are needed.")
    if blocks < least.blocks:
        short.append(f"The holdout spans {blocks} blocks (days); {least.blocks} are needed.")
    return short


def _rarer(holdout: Holdout) -> int | None:
    """Rows of the rarer class; None where there are not two."""
    if holdout.task != "binary":
        return None
    ones = int((holdout.truth > 0.5).sum())
    return min(ones, len(holdout.truth) - ones)


def _holds(holdout: Holdout, blocks: int) -> str:
    rarer = _rarer(holdout)
    of_them = "" if rarer is None else f", {rarer} of the rarer class"
    return f"{len(holdout.truth)} rows{of_them}, {blocks} blocks (days)"


def _blocks(holdout: Holdout) -> tuple[npt.NDArray[np.intp], int]:
    """The block number of each row and how many there are; very many are merged: neighbours, or rows at random."""
    import numpy as np

    rows = len(holdout.truth)
    if holdout.blocks is None:
        block = np.arange(rows)
    else:
        _, block = np.unique(holdout.blocks, return_inverse=True)
        block = block.reshape(-1)
    count = int(block.max()) + 1 if rows else 0
    if count > MOST_BLOCKS:
        alone = holdout.blocks is None
        places = np.random.default_rng(0).permutation(count) if alone else np.arange(count)
        block = (places * MOST_BLOCKS // count)[block]
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
        reach = student(count - 1, 0.5 + self.confidence / 2.0) * spread
        return gain, gain - reach, gain + reach

    def _replicate(self, output: Array) -> Replicator:
        if self.metric == "roc_auc":
            return _auc_replicator(self.truth, output, self.block)
        rows, finish = _sums(self.metric, self.truth, output)
        return _sum_replicator(rows, finish, self.block)


def _auc_replicator(truth: Array, score: Array, block: npt.NDArray[np.intp]) -> Replicator:
    """AUC under block weights: a bilinear form of the pairs that each two blocks rank rightly, counted once."""
    import numpy as np

    positive = truth > 0.5
    count = int(block.max()) + 1
    right = _pairs(score, positive, block, count)
    ones = np.bincount(block[positive], minlength=count).astype(np.float64)
    zeros = np.bincount(block[~positive], minlength=count).astype(np.float64)

    def run(weights: Array) -> Array:
        pairs = (weights @ ones) * (weights @ zeros)
        ranked = ((weights @ right) * weights).sum(axis=1)
        out: Array = np.divide(ranked, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
        return out

    return run


def _pairs(score: Array, positive: npt.NDArray[np.bool_], block: npt.NDArray[np.intp], count: int) -> Array:
    """[blocks, blocks]: positives of one block that score above negatives of the other; a tie is half."""
    import numpy as np

    out = np.zeros((count, count))
    high, where = score[positive], block[positive]
    order = np.argsort(high, kind="stable")  # sorted needles are found several times faster
    high, where = high[order], where[order]
    low, low_block = score[~positive], block[~positive]
    for other in range(count):
        among = np.sort(low[low_block == other])
        below = np.searchsorted(among, high, "left") + np.searchsorted(among, high, "right")
        out[:, other] = np.bincount(where, weights=below / 2.0, minlength=count)
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
