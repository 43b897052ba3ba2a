"""The gate's rules where they turn: at a bound, at just enough rows, at an equal model; and what the evidence behind them is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilth.ml.judging.evidence import Evidence, Gain, numbered, sign_of, student
from tilth.ml.judging.gates import GateResult, Holdout, Rule, _holm, _Slice, judge
from tilth.ml.model.metrics import evaluate

ROWS = 400
DAYS = np.repeat(np.arange(20), 20)
RNG = np.random.default_rng(8)
RAW = RNG.normal(size=ROWS)
TRUTH = (RAW + RNG.normal(0, 0.5, ROWS) > 0).astype(float)
GOOD = 1 / (1 + np.exp(-3 * RAW))
FAIR = 1 / (1 + np.exp(-(RAW + RNG.normal(0, 1, ROWS))))
FLAT = np.full(ROWS, TRUTH.mean())
ZERO = np.zeros(ROWS)
MAE, AUC = Rule("mae"), Rule("roc_auc")


def off(by: float) -> np.ndarray:
    """Answers that are wrong by so much in every row."""
    return np.full(ROWS, by)


def values(rule: Rule, candidate: Any, champion: Any = None, baseline: Any = None, **more: Any) -> GateResult:
    """What is said of answers to rows whose truth is 0."""
    return judge(
        rule, Holdout("regression", ZERO, DAYS, **more), candidate, champion, baseline, replicates=200
    )


EDGES = {
    "on the ceiling": (Rule("mae", minimum=0.5), off(0.5), off(1.0), None, "pass"),
    "over the ceiling": (Rule("mae", minimum=0.5), off(0.75), off(1.0), None, "fail"),
    "far below the ceiling": (Rule("mae", minimum=0.5), off(0.25), off(1.0), None, "pass"),
    "as good as the baseline": (MAE, off(1.0), None, off(-1.0), "fail"),
    "better than the baseline": (MAE, off(0.5), None, off(-1.0), "pass"),
    "worse by the very margin": (Rule("mae", "not_worse_by", 0.5), off(1.5), off(1.0), None, "fail"),
    "worse by less": (Rule("mae", "not_worse_by", 0.5), off(1.25), off(1.0), None, "pass"),
    "as good the other way": (Rule("mae", "not_worse_by"), off(-1.0), off(1.0), None, "pass"),
    "as good is not better": (MAE, off(-1.0), off(1.0), None, "fail"),
    "not a number in one row": (MAE, np.where(np.arange(ROWS) == 3, np.inf, 0.0), off(1.0), None, "fail"),
}


@pytest.mark.parametrize(("rule", "candidate", "champion", "baseline", "outcome"), EDGES.values(), ids=EDGES)
def test_a_bound_is_met_or_not(
    rule: Rule, candidate: Any, champion: Any, baseline: Any, outcome: str
) -> None:
    found = values(rule, candidate, champion, baseline)
    assert found.outcome == outcome, found


def test_a_floor_is_reached_by_what_is_on_it() -> None:
    score = evaluate("roc_auc", TRUTH, GOOD)
    for floor, outcome in ((score, "pass"), (np.nextafter(score, 1), "fail")):
        assert (
            judge(replace(AUC, minimum=floor), Holdout("binary", TRUTH, DAYS), GOOD, FAIR).outcome == outcome
        )


def enough(rows: int, rarer: int, blocks: int) -> Holdout:
    truth = (np.arange(rows) * 7 % rows < rarer).astype(float)
    return Holdout("binary", truth, np.arange(rows) % blocks)


FEW = {
    "just enough": (enough(200, 20, 5), True, False),
    "a row too few": (enough(199, 20, 5), True, True),
    "a yes too few": (enough(200, 19, 5), True, True),
    "a no too few": (enough(200, 181, 5), True, True),
    "a block too few": (enough(200, 20, 4), True, True),
    "just enough for a first": (enough(50, 5, 3), False, False),
    "a row too few for a first": (enough(49, 5, 3), False, True),
    "a yes too few for a first": (enough(50, 4, 3), False, True),
    "just enough by folds": (replace(enough(30, 5, 3), folds=True), True, False),
    "a row too few by folds": (replace(enough(29, 5, 3), folds=True), True, True),
}


@pytest.mark.parametrize(("holdout", "against", "few"), FEW.values(), ids=FEW)
def test_how_much_a_holdout_must_hold(holdout: Holdout, against: bool, few: bool) -> None:
    rows = len(holdout.truth)
    other = np.linspace(0.2, 0.8, rows) if against else None
    found = judge(AUC, holdout, 0.1 + 0.8 * holdout.truth, other, replicates=100)
    needed = [r for r in found.reasons if "needed" in r]
    assert (found.outcome == "inconclusive", bool(needed)) == (few, few), found
    assert len(needed) == few


@pytest.mark.parametrize(("rows", "little"), [(199, True), (200, False)])
def test_that_a_first_version_rests_on_little_is_said_of_little(rows: int, little: bool) -> None:
    holdout = enough(rows, 40, 8)
    found = judge(AUC, holdout, 0.1 + 0.8 * holdout.truth, None, np.full(rows, 0.2), replicates=100)
    assert (found.outcome, "rests on little" in found.reason) == ("pass", little)


def test_little_must_be_better_than_the_baseline_and_much_must_surely_be() -> None:
    """The candidate is better in 11 days of 20, by as much as it is worse in the others."""
    better = np.where(DAYS < 11, 0.9, 1.1)
    assert values(MAE, better, None, off(1.0)).outcome == "fail"
    part = np.isin(DAYS, [0, 1, 2, 11])
    little = Holdout("regression", ZERO[part], DAYS[part])
    assert judge(MAE, little, better[part], None, off(1.0)[part]).outcome == "pass"


def test_a_gain_that_may_be_nothing_is_none() -> None:
    better = np.where(DAYS < 11, 0.9, 1.1)
    found = values(MAE, better, off(1.0))
    assert found.outcome == "fail"
    assert found.lower is not None
    assert found.upper is not None
    assert found.delta is not None
    assert found.lower < 0 < found.delta < found.upper


@pytest.mark.parametrize(("uses", "spent"), [(0, 0.025), (1, 0.05 / 6), (2, 0.05 / 12), (3, 0.05 / 20)])
def test_what_a_look_spends_and_that_it_counts_itself(uses: int, spent: float) -> None:
    found = values(MAE, off(0.5), off(1.0), uses=uses)
    assert (found.uses, found.spent) == (uses + 1, pytest.approx(spent))


# --- slices ------------------------------------------------------------------------------------------------


def noisy(rows: int, seed: int) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).normal(1, 0.2, rows))


def test_slices_that_are_not_worse_do_not_let_in_what_did_not_win() -> None:
    place = np.repeat(["a", "b"], ROWS // 2)
    found = values(MAE, off(-1.0), off(1.0), slices={"place": place})
    assert (found.outcome, "slices" in found.reason) == ("fail", False)


def test_each_slice_has_its_part_of_one_error_and_the_next_ones_more() -> None:
    """Of ten slices the worst may be so by a chance of 0.05 / 10, the next one of 0.05 / 9, and so on until one is above it."""
    assert [round(student(99, 1 - p), 2) for p in (0.004, 0.0054, 0.02)] == [2.71, 2.6, 2.08]

    def slices(*t: float) -> list[_Slice]:
        return [_Slice("c", f"{n}", 100, Gain(-x, 1.0, 99)) for n, x in enumerate(t)]

    none = [0.0] * 7
    worse = [s.value for s in _holm(slices(2.08, 2.6, 2.71, *none))]
    assert worse == ["2", "1"], "the third has a chance of 0.02, and 0.05 / 8 for it"
    assert _holm(slices(2.5, 2.08, *none, 0.0)) == [], "0.007 is more than 0.05 / 10"


def test_values_beyond_the_fifty_most_frequent_are_one_slice() -> None:
    place = np.concatenate(
        [np.repeat([f"big{n:02}" for n in range(50)], 60), np.repeat([f"z{n}" for n in range(60)], 2)]
    )
    rows = len(place)
    worse = np.char.startswith(place.astype(str), "z")
    champion = noisy(rows, 3)
    candidate = np.where(
        worse, champion + 0.5 + np.random.default_rng(4).normal(0, 0.1, rows), champion * 0.8
    )
    found = judge(
        MAE,
        Holdout("regression", np.zeros(rows), slices={"place": place}),
        candidate,
        champion,
        replicates=200,
    )
    assert found.outcome == "fail"
    assert "shown to be worse in 1 of 51 slices: place = any of 60 others" in found.reason


@pytest.mark.parametrize(("metric", "judged"), [("roc_auc", 1), ("accuracy", 2)])
def test_a_slice_of_one_class_is_judged_where_the_metric_can(metric: str, judged: int) -> None:
    truth = np.concatenate([TRUTH, np.ones(100)])
    good, fair = (np.concatenate([s, np.full(100, p)]) for s, p in ((GOOD, 0.9), (FAIR, 0.8)))
    place = np.repeat(["mixed", "sure"], [ROWS, 100])
    holdout = Holdout("binary", truth, slices={"place": place})
    found = judge(Rule(metric, "not_worse_by", 0.9), holdout, good, fair, replicates=200)
    assert f"In none of {judged} slices" in found.reason


# --- evidence ----------------------------------------------------------------------------------------------


def test_the_spread_of_a_mean_is_its_standard_error_also_of_few_blocks() -> None:
    for count in (5, 100):
        gains = np.random.default_rng(count).normal(size=count)
        found = Evidence("mae", np.zeros(count), np.arange(count), 20_000, 0).gain(
            np.abs(5 - gains), off(5.0)[:count]
        )
        assert found.value == pytest.approx(gains.mean())
        assert found.spread == pytest.approx(gains.std(ddof=1) / count**0.5, rel=0.03)


def test_resamples_without_a_class_are_left_out_and_too_many_of_them_tell_nothing() -> None:
    truth = np.zeros(60)
    truth[:10] = 1
    block = np.repeat(np.arange(6), 10)
    one = Evidence("roc_auc", truth, block, 500, 0).gain(np.linspace(1, 0, 60), np.linspace(0, 1, 60))
    assert np.isfinite(one.spread), "the block of the only yes is drawn in two of three"
    none = Evidence("r2", np.ones(60), block, 500, 0).gain(np.ones(60), np.zeros(60))
    assert np.isnan(none.spread)


def test_what_cannot_be_resampled_is_inconclusive() -> None:
    holdout = Holdout("regression", np.ones(ROWS), DAYS)
    found = judge(Rule("r2"), holdout, np.ones(ROWS), np.zeros(ROWS))
    assert (found.outcome, "too few rows of a class" in found.reason) == ("inconclusive", True), found


CHANCES = [
    (0.0, 0.0, 1.0),
    (1.0, 0.0, 1.0),
    (-1.0, 0.0, 0.0),
    (1.0, 1.0, 1.0),
    (0.0, 1.0, 1.0),
    (-2.2622, 1.0, 0.025),
]


@pytest.mark.parametrize(("value", "spread", "chance"), CHANCES)
def test_how_likely_so_bad_a_difference_is_of_equals(value: float, spread: float, chance: float) -> None:
    assert Gain(value, spread, 9).chance_if_not_worse == pytest.approx(chance, abs=1e-4)


def test_bounds_lie_on_both_sides_and_what_could_be_seen_is_beyond_them() -> None:
    low, high = Gain(1.0, 2.0, 9).within(0.025)
    assert (low, high) == (pytest.approx(1 - 4.5243, abs=1e-3), pytest.approx(1 + 4.5243, abs=1e-3))
    assert Gain(1.0, 2.0, 9).detectable(0.025) == pytest.approx(4.5243 + 2 * 0.8834, abs=1e-3)


def test_more_is_better_of_some_metrics_and_less_of_others() -> None:
    assert (sign_of("roc_auc"), sign_of("mae")) == (1.0, -1.0)


def test_very_many_blocks_are_merged_with_their_neighbours_in_time() -> None:
    block, count = numbered(1000, np.repeat(np.arange(500), 2))
    assert count == 200
    assert block.tolist() == sorted(block.tolist())
    apart, count = numbered(1000, None)
    assert (count, set(np.bincount(apart))) == (200, {5})
    assert apart.tolist() != sorted(apart.tolist())
    assert numbered(6, np.array([7, 7, 3, 3, 9, 9]))[0].tolist() == [1, 1, 0, 0, 2, 2]


@pytest.mark.parametrize(("a", "sliced"), [(0.5, False), (0.9, True)], ids=["alike in all", "worse in one"])
def test_of_several_targets_slices_are_also_looked_at_where_one_did_not_win(a: float, sliced: bool) -> None:
    """The candidate gains in half of the rows what it may lose in the other half: on the whole it did not win."""
    half = np.where(np.arange(ROWS) % 2 == 0, "a", "b")
    noise = RNG.normal(0, 0.01, ROWS)
    candidate, champion = np.where(half == "a", a, 1.0 - a) + noise, off(0.5) + noise[::-1]
    found = values(replace(MAE, targets=2), candidate, champion, slices={"half": half})
    assert (found.outcome, found.sliced) == ("fail", sliced)
    alone = values(MAE, candidate, champion, slices={"half": half})
    assert (alone.outcome, alone.sliced) == ("fail", False)
    assert found.spent == alone.spent / 2
