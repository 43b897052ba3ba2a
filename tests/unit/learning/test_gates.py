"""The gate: its rules as a table, its replicates against plain resampling, and its error rates by simulation."""

from typing import Any

import numpy as np
import pytest

from tilth.core.errors import ProjectError
from tilth.core.metrics import BY_KIND
from tilth.ml.judging.evidence import Evidence, Gain
from tilth.ml.judging.gates import Holdout, Rule, judge, spent
from tilth.ml.model.metrics import evaluate

RNG = np.random.default_rng(5)
ROWS = 2000
DAYS = np.repeat(np.arange(40), 50)
HIDDEN = RNG.normal(0, 1.5, ROWS)
TRUTH = (RNG.random(ROWS) < 1 / (1 + np.exp(-HIDDEN))).astype(float)


def chance(noise: float, seed: int = 1) -> np.ndarray:
    return 1 / (1 + np.exp(-(HIDDEN + np.random.default_rng(seed).normal(0, noise, ROWS))))


GOOD, FAIR, POOR, FLAT = chance(0.2), chance(1.5), chance(6.0), np.full(ROWS, TRUTH.mean())
ALIKE = GOOD / 2  # other answers in the same order
BROKEN = np.where(np.arange(ROWS) == 7, np.nan, GOOD)
AUC, LOSS = Rule("roc_auc"), Rule("log_loss")
TABLE = {
    "better by auc": (AUC, GOOD, FAIR, None, "pass", "is better"),
    "better by loss": (LOSS, GOOD, FAIR, None, "pass", "is better"),
    "worse": (AUC, FAIR, GOOD, None, "fail", "not shown to be better"),
    "as good": (AUC, ALIKE, GOOD, None, "fail", "not shown to be better"),
    "as good is not worse": (Rule("roc_auc", "not_worse_by", 0.005), ALIKE, GOOD, None, "pass", "not worse"),
    "as good is not worse by nought": (
        Rule("roc_auc", "not_worse_by"),
        ALIKE,
        GOOD,
        None,
        "pass",
        "not worse",
    ),
    "worse by more": (Rule("roc_auc", "not_worse_by", 0.005), FAIR, GOOD, None, "fail", "may be worse"),
    "loss worse by more": (
        Rule("log_loss", "not_worse_by", 0.005),
        FAIR,
        GOOD,
        None,
        "fail",
        "may be worse",
    ),
    "the same answers": (AUC, GOOD, GOOD.copy(), FLAT, "pass", "as the champion does"),
    "the same answers, not good enough": (Rule("roc_auc", minimum=0.9), GOOD, GOOD, None, "fail", "minimum"),
    "the same answers, by hand": (
        Rule("roc_auc", "manual"),
        GOOD,
        GOOD,
        None,
        "inconclusive",
        "waits for a person",
    ),
    "manual": (Rule("roc_auc", "manual"), GOOD, FAIR, None, "inconclusive", "waits for a person"),
    "manual, the first": (Rule("roc_auc", "manual"), GOOD, None, None, "inconclusive", "waits for a person"),
    "below the floor": (Rule("roc_auc", minimum=0.9), GOOD, FAIR, None, "fail", "minimum is 0.9"),
    "below the floor, by hand": (
        Rule("roc_auc", "manual", minimum=0.9),
        GOOD,
        FAIR,
        None,
        "fail",
        "minimum",
    ),
    "above the ceiling": (Rule("log_loss", minimum=0.1), GOOD, FAIR, None, "fail", "maximum is 0.1"),
    "above the floor": (Rule("roc_auc", minimum=0.6), GOOD, FAIR, FLAT, "pass", "is better"),
    "no champion": (AUC, GOOD, None, FLAT, "pass", "no champion"),
    "no better than the baseline": (LOSS, POOR, None, FLAT, "fail", "baseline"),
    "not finite": (AUC, BROKEN, FAIR, None, "fail", "not finite"),
    "too few outputs": (AUC, GOOD[:9], FAIR, None, "fail", "9 outputs for 2000 rows"),
}


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_what_the_gate_decides(row: tuple) -> None:
    rule, candidate, champion, baseline, outcome, words = row
    found = judge(rule, Holdout("binary", TRUTH, DAYS), candidate, champion, baseline)
    assert (found.outcome, words in found.reasons[0]) == (outcome, True), found


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (slice(0, 199), "199 rows"),
        (np.r_[np.flatnonzero(TRUTH > 0)[:19], np.flatnonzero(TRUTH == 0)], "rarer class has 19"),
        (slice(0, 200), "4 blocks"),
    ],
)
def test_too_little_is_inconclusive_against_a_champion(part: object, words: str) -> None:
    holdout = Holdout("binary", TRUTH[part], DAYS[part])
    found = judge(AUC, holdout, GOOD[part], POOR[part])
    assert found.outcome == "inconclusive"
    assert any(words in r for r in found.reasons)


LITTLE = np.r_[0:30, 60:90, 110:140]  # 90 rows of three days
FEW_ONES = np.r_[np.flatnonzero(TRUTH > 0)[:4], np.flatnonzero(TRUTH == 0)]
FIRSTS = {
    "little, and better than the baseline": (LITTLE, GOOD, "pass", "rests on little: 90 rows"),
    "little, and no better": (LITTLE, 1 - GOOD, "fail", "not better than the baseline"),
    "49 rows": (slice(1, 2000, 41), GOOD, "inconclusive", "49 rows; 50 are needed"),
    "four of a class": (FEW_ONES, GOOD, "inconclusive", "4 rows in the holdout; 5 are needed"),
    "two days": (slice(0, 100), GOOD, "inconclusive", "2 blocks (days, or groups of ids); 3 are needed"),
}


@pytest.mark.parametrize(("part", "candidate", "outcome", "words"), FIRSTS.values(), ids=FIRSTS)
def test_a_first_version_needs_less(part: object, candidate: np.ndarray, outcome: str, words: str) -> None:
    found = judge(AUC, Holdout("binary", TRUTH[part], DAYS[part]), candidate[part], None, FLAT[part])
    assert (found.outcome, words in found.reason) == (outcome, True), found


def test_enough_rows_for_a_first_version_are_not_called_little() -> None:
    found = judge(AUC, Holdout("binary", TRUTH, DAYS), GOOD, None, FLAT)
    assert found.reason == "There is no champion to beat."


def test_luck_of_fitting_widens_what_rows_tell() -> None:
    """By the root of how much more the variance is; the difference itself stays."""
    plain, lucky = (judge(AUC, Holdout("binary", TRUTH, DAYS, luck=luck), GOOD, FAIR) for luck in (0.0, 1.25))
    assert lucky.delta == plain.delta
    assert lucky.upper - lucky.lower == pytest.approx(1.5 * (plain.upper - plain.lower))
    assert lucky.detectable == pytest.approx(1.5 * plain.detectable)
    assert Gain(0.2, 0.1, 9).with_luck(1.25) == Gain(0.2, pytest.approx(0.15), 9)
    assert Gain(0.2, 0.1, 9).with_luck(0.0) == Gain(0.2, 0.1, 9)


def test_what_rows_alone_would_show_luck_may_not() -> None:
    """A difference that is three times its spread over days, and once what two fits may differ."""
    truth, days = np.zeros(400), np.repeat(np.arange(40), 10)
    gain = np.random.default_rng(2).normal(0, 1, 400)
    gain = gain - gain.mean() + 3 * gain.std() / 20
    champion = np.full(400, 9.0)
    looks = [Holdout("regression", truth, days, luck=luck) for luck in (0.0, 8.0)]
    found = [judge(Rule("mae"), look, champion - gain, champion) for look in looks]
    assert [f.outcome for f in found] == ["pass", "fail"]


@pytest.mark.parametrize(("luck", "outcome"), [(0.0, "fail"), (8.0, "pass")])
def test_a_slice_is_judged_with_the_same_luck(luck: float, outcome: str) -> None:
    """What rows alone show to be worse in a slice, three times its spread, does not refuse where luck can explain it."""
    few = np.arange(ROWS) % 10 == 0
    gain = np.random.default_rng(3).normal(0, 1, ROWS)
    gain[few] = gain[few] - gain[few].mean() - 4 * gain[few].std() / few.sum() ** 0.5
    gain[~few] = 1 + gain[~few] / 10
    place = np.where(few, "few", "many")
    look = Holdout("regression", np.zeros(ROWS), DAYS, slices={"place": place}, luck=luck)
    found = judge(Rule("mae"), look, 9 - gain, np.full(ROWS, 9.0))
    assert found.outcome == outcome, found
    assert ("place = few" in found.reason) is (outcome == "fail")


def test_each_use_of_the_holdout_asks_for_more() -> None:
    widths = []
    for uses in (0, 1, 9):
        found = judge(AUC, Holdout("binary", TRUTH, DAYS, uses), GOOD, FAIR)
        widths.append(found.upper - found.lower)
        assert (found.spent, found.confidence) == (spent(0.95, uses), 1 - 2 * spent(0.95, uses))
    assert widths == sorted(widths)
    assert widths[0] < widths[2]


def test_a_little_better_than_the_baseline_by_luck_is_not_enough() -> None:
    """Guesses that happen to be above the baseline's score: 200 candidates, of which few may pass."""
    rng = np.random.default_rng(3)
    above, passed = 0, 0
    for _ in range(200):
        guess = rng.random(ROWS)
        found = judge(AUC, Holdout("binary", TRUTH, DAYS), guess, None, FLAT)
        lucky = evaluate("roc_auc", TRUTH, guess) > 0.5
        above, passed = above + lucky, passed + (found.outcome == "pass")
        assert lucky or found.outcome == "fail"
        if lucky and found.outcome == "fail":
            assert "not surely better than the baseline" in found.reasons[0]
    assert above > 60
    assert passed <= 12  # 2.5 % are declared, and 12 of 200 is what chance makes of them in one of a thousand


def test_an_unknown_rule_is_said() -> None:
    with pytest.raises(ProjectError, match="better"):
        judge(Rule("roc_auc", "beter"), Holdout("binary", TRUTH), GOOD)


@pytest.mark.parametrize(
    ("kind", "metric"), [(k, m) for k, names in BY_KIND.items() if k != "forecast" for m in names]
)
def test_a_replicate_equals_the_metric_on_the_resampled_rows(kind: str, metric: str) -> None:
    rng = np.random.default_rng(2)
    block, n = np.repeat(np.arange(8), 30), 240
    if kind == "regression":
        truth, output = rng.normal(5, 1, n), rng.normal(5, 1, n)
    elif kind == "binary":
        truth, output = (rng.random(n) < 0.4).astype(float), np.round(rng.uniform(0.1, 0.9, n), 1)
    else:
        truth, output = rng.integers(0, 3, n).astype(float), rng.dirichlet(np.ones(3), n)
    weights = rng.multinomial(8, np.full(8, 1 / 8), 20)
    found = Evidence(metric, truth, block, 20, 0)._replicate(output)(weights.astype(float))
    for weight, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(n), weight[block])
        assert value == pytest.approx(evaluate(metric, truth[rows], output[rows]), rel=1e-9)


# days, rows a day, noise of the champion's logit, noise of the candidate's, promoted at least, at most (share of runs)
RATES = {
    "equal models, 10 days": (10, 60, 1.0, 1.0, 0.0, 0.06),
    "equal models, 40 days": (40, 30, 1.0, 1.0, 0.0, 0.06),
    "a worse candidate": (40, 30, 0.5, 1.5, 0.0, 0.01),
    "a little better": (40, 30, 1.0, 0.8, 0.1, 0.9),
    "clearly better": (40, 30, 1.5, 0.5, 0.95, 1.0),
}


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
@pytest.mark.parametrize(("days", "size", "old", "new", "least", "most"), RATES.values(), ids=RATES)
def test_how_often_the_gate_promotes(
    metric: str, days: int, size: int, old: float, new: float, least: float, most: float
) -> None:
    rng, runs, promoted = np.random.default_rng(11), 200, 0
    block = np.repeat(np.arange(days), size)
    for _ in range(runs):
        hidden = rng.normal(0, 1.5, days * size) + rng.normal(0, 0.7, days)[block]
        truth = (rng.random(days * size) < 1 / (1 + np.exp(-hidden))).astype(float)
        shared = rng.normal(0, 0.5, (2, days))[:, block]  # each model has its bad days
        champion, candidate = (
            1 / (1 + np.exp(-(hidden + rng.normal(0, noise, days * size) + luck)))
            for noise, luck in zip((old, new), shared, strict=True)
        )
        found = judge(Rule(metric), Holdout("binary", truth, block), candidate, champion, replicates=200)
        promoted += found.outcome == "pass"
    assert least <= promoted / runs <= most


def paired_losses(
    rng: np.random.Generator, rows: int, lower: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and two outputs whose absolute errors are gamma, alike row by row; the second's are lower by a share."""
    base = rng.gamma(2, 1, rows)
    champion, candidate = (base * rng.lognormal(0, 0.2, rows) for _ in range(2))
    return np.zeros(rows), champion, candidate * (1 - lower)


@pytest.mark.parametrize("equals", [8, 100])
def test_the_best_of_many_equal_candidates_is_promoted_in_at_most_one_of_twenty_runs(equals: int) -> None:
    """All looks at the same 300 rows: the chance is spent, not renewed."""
    rng, runs, promoted = np.random.default_rng(3), 1000, 0
    reach = [Gain(0.0, 1.0, 199).within(spent(0.95, n))[1] for n in range(equals)]
    for _ in range(runs):
        base = rng.gamma(2, 1, 300)
        champion = base * rng.lognormal(0, 0.2, 300)
        losses = base * rng.lognormal(0, 0.2, (equals, 300))
        gains = champion - losses
        t = gains.mean(axis=1) / (gains.std(axis=1, ddof=1) / 300**0.5)
        promoted += bool((t > reach).any())
    assert promoted / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_a_first_look_at_2000_rows_sees_a_loss_that_is_lower_by_a_fiftieth() -> None:
    rng, runs, promoted = np.random.default_rng(4), 200, 0
    for _ in range(runs):
        truth, champion, candidate = paired_losses(rng, 2000, 0.02)
        found = judge(Rule("mae"), Holdout("regression", truth), candidate, champion, replicates=300)
        promoted += found.outcome == "pass"
    assert promoted / runs >= 0.70


def test_what_could_have_been_seen_is_seen_in_four_of_five_looks() -> None:
    rng, runs = np.random.default_rng(6), 200
    truth, champion, candidate = paired_losses(rng, 1000, 0.0)
    told = judge(Rule("mae"), Holdout("regression", truth), candidate, champion).detectable
    share = told / 2.04  # the mean loss
    seen = 0
    for _ in range(runs):
        truth, champion, candidate = paired_losses(rng, 1000, share)
        seen += (
            judge(Rule("mae"), Holdout("regression", truth), candidate, champion, replicates=300).outcome
            == "pass"
        )
    assert 0.70 <= seen / runs <= 0.90


def sliced(rng: np.random.Generator, worse: float) -> Any:
    """2,400 rows in eight slices of 300; the candidate is a little better, but in the first slice worse by a share."""
    truth, champion, candidate = paired_losses(rng, 2400, 0.05)
    place = np.repeat([f"p{n}" for n in range(8)], 300)
    mine = place == "p0"
    candidate[mine] *= (1 + worse) / 0.95
    if not worse:
        candidate[~mine] /= 0.95
    rule = Rule("mae", "not_worse_by", 1.0)
    return judge(
        rule, Holdout("regression", truth, slices={"place": place}), candidate, champion, replicates=200
    )


def test_a_slice_that_is_shown_to_be_worse_refuses_and_equal_ones_hardly_ever_do() -> None:
    rng, runs = np.random.default_rng(7), 100
    worse = [sliced(rng, 0.10) for _ in range(runs)]
    refused = [r for r in worse if r.outcome == "fail"]
    assert len(refused) / runs >= 0.8
    assert all("place = p0 (gain -" in r.reason and "in 300 rows" in r.reason for r in refused)
    equal = [sliced(rng, 0.0) for _ in range(runs)]
    assert sum(r.outcome == "fail" for r in equal) / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_slices_with_too_few_rows_are_not_judged_and_that_is_said() -> None:
    rng = np.random.default_rng(8)
    truth, champion, candidate = paired_losses(rng, 600, 0.1)
    place = np.array(["big"] * 520 + [f"p{n}" for n in range(8)] * 10)
    found = judge(Rule("mae"), Holdout("regression", truth, slices={"place": place}), candidate, champion)
    assert found.outcome == "pass"
    assert "In none of 1 slices" in found.reason
    assert "too few rows to judge: 8 of `place`" in found.reason


def test_decisions_are_judged_as_they_are_served() -> None:
    """At the threshold of 500 : 20 nearly all are called positive; at 0.5 the same scores decide otherwise."""
    limit = 20 / 520
    served = evaluate("accuracy", TRUTH, GOOD, limit)
    assert served == pytest.approx(((limit < GOOD) == (TRUTH > 0.5)).mean())
    assert served != evaluate("accuracy", TRUTH, GOOD)
    assert evaluate("log_loss", TRUTH, GOOD, limit) == evaluate("log_loss", TRUTH, GOOD)


def test_a_history_judged_by_folds_may_be_short_and_says_so() -> None:
    part = np.r_[0:20, 60:80, 110:130]
    found = judge(AUC, Holdout("binary", TRUTH[part], DAYS[part], folds=True), GOOD[part], None, FLAT[part])
    assert (found.outcome, "cross-validation: 60 rows" in found.reason) == ("pass", True), found
    against = judge(AUC, Holdout("binary", TRUTH[part], DAYS[part], folds=True), FAIR[part], GOOD[part])
    assert against.outcome == "fail"
