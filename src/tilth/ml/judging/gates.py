"""Whether a candidate may take the champion's place, decided on the same untouched rows.

The difference of the two is resampled by whole blocks of days (`evidence`). What an equal candidate may win by luck is
spent over all looks at mostly the same rows and never renewed: half of it at the first look, a sixth at the second, a
twelfth at the third, alpha / (k (k + 1)) at the k-th, which adds up to alpha. A candidate that wins on the whole and is
shown to be worse in a slice (Holm 1979 over all slices) is refused, and the slice is named. Where the data cannot tell,
the answer is to hold: a champion is replaced on evidence alone, or by what answers exactly as it does, as after a changed
EXPECT that held no row back. A first version has nothing to harm, so little data may carry it, and the reason says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import DataError, ProjectError
from tilth.core.figures import figure
from tilth.core.metrics import POSITIVE
from tilth.core.names import did_you_mean
from tilth.ml.judging.evidence import Evidence, Gain, alike, blocks_alike, numbered, sign_of
from tilth.ml.judging.replicates import affordable
from tilth.ml.model.metrics import evaluate, higher_is_better
from tilth.sql.language.statements import PromoteRule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
RULES = tuple(r.value for r in PromoteRule)
SAME = "The candidate answers every row as the champion does."
SLICE_ERROR = 0.05  # of refusing an equal candidate for a slice, over all slices
SLICE_VALUES = 50  # of a column, the most frequent


@dataclass(frozen=True, slots=True)
class Least:
    """What a holdout must hold: rows, rows of the rarer of two classes, blocks."""

    rows: int
    rarer: int
    blocks: int


ENOUGH = Least(200, 20, 5)  # to tell a candidate from a champion
FIRST = Least(50, 5, 3)  # to let a first version in
FEWEST = Least(30, 5, 3)  # where every row is judged by a model of the others
IN_A_SLICE = Least(50, 5, 5)
OF_CLASSES = frozenset({"roc_auc"}) | POSITIVE  # metrics that say nothing where one class is all but missing


@dataclass(frozen=True, slots=True)
class Rule:
    """What is asked of a candidate; `minimum` is a ceiling where less is better (an error, a loss).

    `confidence`: 0.95 spends 5 %, one-sided, over all looks at mostly the same rows; `targets` of one model share it.
    """

    metric: str
    kind: str = "better"
    margin: float = 0.0
    minimum: float | None = None
    confidence: float = 0.95
    targets: int = 1


@dataclass(frozen=True, slots=True)
class Holdout:
    """Rows that neither model saw: their truth, the block (day) of each or none, and how many looks at mostly these came before.

    `folds`: each row is answered by a model of the others. `slices`: the value of each row, by column. `luck`: how much more,
    as a share of the variance, two trainings differ than these rows tell. `weight`: what each row counts (None: all the same).
    `needs`: what must be there to let a first version in, and to tell two apart (None: what rows of tables need).
    """

    task: str
    truth: Array
    blocks: npt.NDArray[np.generic] | None = None
    uses: int = 0
    folds: bool = False
    slices: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    luck: float = 0.0
    weight: Array | None = None
    needs: tuple[Least, Least] | None = None

    def worth(self, rows: npt.NDArray[np.bool_] | None = None) -> int:
        """How many rows that all count the same these are worth, of all or of some."""
        if self.weight is None:
            return len(self.truth) if rows is None else int(rows.sum())
        return int(alike(self.weight if rows is None else self.weight[rows]) + 1e-9)

    def value(self, metric: str, output: Array) -> float:
        """The metric on them."""
        return evaluate(metric, self.truth, output, weight=self.weight)


@dataclass(frozen=True, slots=True)
class GateResult:
    """The outcome, why, and the evidence. `delta` is positive when the candidate is better, whatever the metric.

    Only `pass` may promote. `uses` counts this time too. `lower` and `upper` bound the delta at `confidence`, each with
    the error `spent`; a true difference of `detectable` would have been shown in four of five such looks. `worse` is the
    chance of so bad a delta where the candidate is as good; `sliced` says that a slice is shown to be worse.
    """

    outcome: str
    reasons: tuple[str, ...]
    rows: int
    blocks: int
    uses: int = 1
    confidence: float = 0.95
    spent: float = 0.025
    candidate_metric: float | None = None
    champion_metric: float | None = None
    baseline_metric: float | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    detectable: float | None = None
    worse: float | None = None
    sliced: bool = False

    @property
    def reason(self) -> str:
        """The reasons as one text."""
        return " ".join(self.reasons)


def spent(confidence: float, uses: int) -> float:
    """The one-sided error that a look may spend after `uses` earlier ones at mostly the same rows.

    >>> [round(spent(0.95, n), 5) for n in range(4)]
    [0.025, 0.00833, 0.00417, 0.0025]
    """
    return (1.0 - confidence) / ((uses + 1) * (uses + 2))


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

    The three outputs are on the holdout's rows: values, P(1), or one column a class; for metrics of decisions the
    decisions that are served (`evaluation.decided`).
    """
    if rule.kind not in RULES:
        raise ProjectError(
            f"There is no gate rule `{rule.kind}`.", hint=did_you_mean(rule.kind, RULES, "rules")
        )
    block, count = _blocks(holdout)
    alpha = spent(rule.confidence, holdout.uses) / rule.targets
    plain = Evidence(rule.metric, holdout.truth, block, replicates, seed, holdout.weight)
    look = _Look(rule, holdout, count, alpha, plain)
    if broken := _unusable(candidate, len(holdout.truth)):
        return look.result(FAIL, broken)
    first, enough = holdout.needs or ((FEWEST, FEWEST) if holdout.folds else (FIRST, ENOUGH))
    if few := _too_few(holdout, count, first if champion is None else enough):
        return look.result(INCONCLUSIVE, *few)
    little = ENOUGH if holdout.needs is None else enough
    absolute = _absolute(look, candidate, baseline, bool(_too_few(holdout, count, little)))
    if absolute.outcome != PASS:
        return absolute
    if champion is None:
        return _alone(look, absolute)
    return _compared(look, absolute, candidate, champion)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a holdout, under way."""

    rule: Rule
    holdout: Holdout
    blocks: int
    alpha: float
    evidence: Evidence

    def result(self, outcome: str, *reasons: str, **more: Any) -> GateResult:
        rows, uses = len(self.holdout.truth), self.holdout.uses + 1
        return GateResult(outcome, reasons, rows, self.blocks, uses, 1.0 - 2 * self.alpha, self.alpha, **more)


def _absolute(look: _Look, candidate: Array, baseline: Array | None, little: bool) -> GateResult:
    """Whether it is good enough whatever the champion: the floor, and a baseline that knows only the target."""
    rule, holdout = look.rule, look.holdout
    score = holdout.value(rule.metric, candidate)
    if rule.minimum is not None and (score - rule.minimum) * sign_of(rule.metric) < 0:
        bound = "minimum" if higher_is_better(rule.metric) else "maximum"
        words = f"{rule.metric} is {figure(score, 6)}; the {bound} is {figure(rule.minimum, 6)}."
        return look.result(FAIL, words, candidate_metric=score)
    if baseline is None:
        return look.result(PASS, candidate_metric=score)
    base = holdout.value(rule.metric, baseline)
    gain = look.evidence.gain(candidate, baseline)
    if not (gain.value if little else gain.within((1.0 - rule.confidence) / 2)[0]) > 0:
        words = f"{rule.metric} is {figure(score, 6)}, not {'' if little else 'surely '}better than the baseline's {figure(base, 6)}."
        return look.result(FAIL, words, candidate_metric=score, baseline_metric=base)
    return look.result(PASS, candidate_metric=score, baseline_metric=base)


def _alone(look: _Look, absolute: GateResult) -> GateResult:
    """A version with nothing to beat."""
    if look.rule.kind == "manual":
        return replace(
            absolute, outcome=INCONCLUSIVE, reasons=("The rule is manual: it waits for a person.",)
        )
    said = ["There is no champion to beat."]
    if look.holdout.folds:
        said.append(f"Judged by cross-validation: {_holds(look.holdout, look.blocks)}.")
    elif look.holdout.needs is None and _too_few(look.holdout, look.blocks, ENOUGH):
        said.append(f"This rests on little: {_holds(look.holdout, look.blocks)}.")
    return replace(absolute, reasons=tuple(said))


def _compared(look: _Look, absolute: GateResult, candidate: Array, champion: Array) -> GateResult:
    """The two on the same rows: on the whole, then slice by slice."""
    held = look.holdout.value(look.rule.metric, champion)
    seen = replace(absolute, champion_metric=held)
    if look.rule.kind != "manual" and _alike(candidate, champion):
        return replace(seen, reasons=(SAME,), delta=0.0, lower=0.0, upper=0.0)
    gain = look.evidence.gain(candidate, champion).with_luck(look.holdout.luck)
    low, high = gain.within(look.alpha)
    outcome, *reasons = _decide(look.rule, gain.value, low, high, 1.0 - 2 * look.alpha)
    if look.holdout.folds:
        reasons.append("Judged by cross-validation.")
    made = affordable(look.rule.metric, candidate, look.evidence.replicates)
    if made < look.evidence.replicates:
        reasons.append(f"Its rows were resampled {made} times.")
    sliced = False
    if look.holdout.slices and (outcome == PASS or (outcome == FAIL and look.rule.targets > 1)):
        found, said = _by_slice(look, candidate, champion)
        sliced, reasons = found == FAIL, [*reasons, *said]
        outcome = FAIL if sliced else outcome
    return replace(
        seen, outcome=outcome, reasons=tuple(reasons), delta=gain.value, lower=low, upper=high,
        detectable=gain.detectable(look.alpha), worse=gain.chance_if_not_worse, sliced=sliced,
    )  # fmt: skip


def _decide(rule: Rule, gain: float, low: float, high: float, confidence: float) -> tuple[str, str]:
    seen = f"gain in {rule.metric} {figure(gain, 6, signed=True)}, {confidence:.2%} interval {figure(low, 6, signed=True)} to {figure(high, 6, signed=True)}"
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


# --- slices ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Slice:
    """A value of a column, its rows, and the candidate's gain there."""

    column: str
    value: str
    rows: int
    gain: Gain


def _by_slice(look: _Look, candidate: Array, champion: Array) -> tuple[str, list[str]]:
    """FAIL where a slice is shown to be worse: one-sided, Holm's step-down over all slices that can be judged."""
    judged: list[_Slice] = []
    left: list[str] = []
    for column, values in look.holdout.slices.items():
        few = 0
        for value, rows in _values(values):
            gain = _within(look, rows, candidate, champion)
            if gain is None:
                few += 1
            else:
                judged.append(_Slice(column, value, int(rows.sum()), gain))
        if few:
            left.append(f"{few} of `{column}`")
    worse = _holm(judged)
    if worse:
        named = "; ".join(
            f"{s.column} = {s.value} (gain {figure(s.gain.value, 6, signed=True)} in {s.rows:,} rows)"
            for s in worse
        )
        return FAIL, [f"It is shown to be worse in {len(worse)} of {len(judged)} slices: {named}."]
    said = [f"In none of {len(judged)} slices is it shown to be worse."] if judged else []
    if left:
        said.append(f"Slices with too few rows to judge: {', '.join(left)}.")
    return PASS, said


def _values(values: npt.NDArray[Any]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """The values of a column with the rows of each, the most frequent first; beyond SLICE_VALUES they are one."""
    import numpy as np

    found, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.lexsort((found, -counts))
    out = [(str(found[i]), which == i) for i in order[:SLICE_VALUES]]
    if len(order) > SLICE_VALUES:
        out.append((f"any of {len(order) - SLICE_VALUES} others", np.isin(which, order[SLICE_VALUES:])))
    return out


def _within(look: _Look, rows: npt.NDArray[np.bool_], candidate: Array, champion: Array) -> Gain | None:
    """The gain in some of the rows; None where they are too few to tell."""
    holdout = look.holdout
    blocks = None if holdout.blocks is None else holdout.blocks[rows]
    own = None if holdout.weight is None else holdout.weight[rows]
    part = Holdout(holdout.task, holdout.truth[rows], blocks, weight=own)
    block, count = _blocks(part)
    if _too_few(part, count, IN_A_SLICE if look.rule.metric in OF_CLASSES else replace(IN_A_SLICE, rarer=0)):
        return None
    evidence = Evidence(
        look.rule.metric, part.truth, block, look.evidence.replicates, look.evidence.seed, own
    )
    try:
        gain = evidence.gain(candidate[rows], champion[rows]).with_luck(look.holdout.luck)
    except DataError:  # the metric is not defined here: of one class, say
        return None
    return None if gain.spread != gain.spread else gain


def _holm(judged: list[_Slice]) -> list[_Slice]:
    worse: list[_Slice] = []
    for place, one in enumerate(sorted(judged, key=lambda s: s.gain.chance_if_not_worse)):
        if one.gain.chance_if_not_worse > SLICE_ERROR / (len(judged) - place):
            break
        worse.append(one)
    return worse


# --- what a holdout holds ----------------------------------------------------------------------------------


def _alike(candidate: Array, champion: Array) -> bool:
    """Whether both answer all rows the same to the last bit: a definition changed, and not what was learnt."""
    import numpy as np

    return np.array_equal(candidate, champion)


def _unusable(output: Array, rows: int) -> str | None:
    import numpy as np

    if len(output) != rows:
        return f"The candidate gave {len(output)} outputs for {rows} rows."
    if not np.isfinite(output).all():
        return "The candidate gave outputs that are not finite numbers."
    return None


def _blocks(holdout: Holdout) -> tuple[npt.NDArray[np.intp], int]:
    """The block of each row, and how many there are, or how many that count the same they are worth."""
    block, count = numbered(len(holdout.truth), holdout.blocks)
    return block, count if holdout.weight is None else blocks_alike(block, holdout.weight)


def _too_few(holdout: Holdout, blocks: int, least: Least) -> list[str]:
    rows, rarer = holdout.worth(), _rarer(holdout)
    weighed = holdout.weight is not None
    has = "is worth" if weighed else "has"
    more = " that count the same" if weighed else ""
    short = [f"The holdout {has} {rows} rows{more}; {least.rows} are needed."] if rows < least.rows else []
    if rarer is not None and rarer < least.rarer:
        short.append(f"The rarer class {has} {rarer} rows{more} in the holdout; {least.rarer} are needed.")
    if blocks < least.blocks:
        short.append(
            f"The holdout spans {blocks} blocks ({_spans(holdout)}){more}; {least.blocks} are needed."
        )
    return short


def _spans(holdout: Holdout) -> str:
    """What a block is, in words."""
    return "cut-offs whose horizons lie apart" if holdout.task == "forecast" else "days, or groups of ids"


def _rarer(holdout: Holdout) -> int | None:
    """Rows of the rarer class, as `Holdout.worth` counts; None where there are not two."""
    if holdout.task != "binary":
        return None
    ones = holdout.truth > 0.5
    return min(holdout.worth(ones), holdout.worth(~ones))


def _holds(holdout: Holdout, blocks: int) -> str:
    rarer = _rarer(holdout)
    of_them = "" if rarer is None else f", {rarer:,} of the rarer class"
    rows = f"{len(holdout.truth):,} rows"
    if holdout.weight is not None:
        rows += f", worth {holdout.worth():,} that count the same"
    return f"{rows}{of_them}, {blocks} blocks ({_spans(holdout)})"
