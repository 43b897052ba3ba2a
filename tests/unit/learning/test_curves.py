"""A calibration is kept where later rows agree, and left out where the share of positives only drifts."""

import numpy as np
import pytest

from tilth.ml.judging.curves import reliability
from tilth.ml.learning.curves import fit_curve_folds
from tilth.ml.model.curve import Curve, threshold

RNG = np.random.default_rng(0)
LOGIT = RNG.normal(0, 1.5, 8000)


def chance(raw: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-raw))


TRUTH = (RNG.random(8000) < chance(LOGIT)).astype(float)
PARTS = np.arange(8000) * 5 // 8000


def test_one_row_is_equal_to_the_batch_to_the_last_bit() -> None:
    scores = chance(3 * LOGIT + 1)
    curve, _ = fit_curve_folds("binary", TRUTH, scores, PARTS, 0.5)
    assert curve.platt is not None
    assert [curve.one((s,))[0] for s in scores.tolist()] == curve.apply(scores).tolist()
    spread = RNG.dirichlet(np.ones(3) / 3, 2000)
    truth = np.array([RNG.choice(3, p=p**0.5 / (p**0.5).sum()) for p in spread]).astype(float)
    curve, _ = fit_curve_folds("multiclass", truth, spread, np.arange(2000) % 5, 0.5)
    assert curve.temperature is not None
    assert [list(curve.one(tuple(p))) for p in spread.tolist()] == curve.apply(spread).tolist()


def test_too_few_rows_or_one_class_leave_scores_as_they_are() -> None:
    few, parts = chance(3 * LOGIT[:20]), np.arange(20) % 5
    curve, said = fit_curve_folds("binary", TRUTH[:20], few, parts, 0.5)
    assert curve == Curve(rows=20)
    assert said is few
    scores = chance(3 * LOGIT + 1)
    for truth in (
        np.zeros(8000),
        np.where(PARTS == 2, TRUTH, 1.0),
    ):  # the others of a part have one class only
        curve, said = fit_curve_folds("binary", truth, scores, PARTS, 0.5)
        assert curve.platt is None
        assert said is scores
    assert fit_curve_folds("regression", TRUTH, LOGIT, PARTS, 0.5)[0] == Curve(rows=8000)


def test_the_threshold_follows_costs() -> None:
    assert threshold(None, None) == 0.5
    assert threshold(9.0, 1.0) == 0.1
    assert threshold(3.0, None) == 0.25


def test_it_reads_back_as_the_same_value() -> None:
    for curve in (
        fit_curve_folds("binary", TRUTH, chance(3 * LOGIT), PARTS, 0.2)[0],
        fit_curve_folds("regression", TRUTH, LOGIT, PARTS, 0.5)[0],
        Curve(),
    ):
        assert Curve.from_plain(curve.plain()) == curve


SWING = np.repeat([1.2, -1.2, 1.2, -1.2, 1.2], 1600)
CROSSED = {  # the logits that are said, rows, the truth, whether they are calibrated
    "overconfident": (3 * LOGIT + 1, 8000, TRUTH, True),
    "as they should be": (LOGIT, 8000, TRUTH, False),
    "few rows": (3 * LOGIT + 1, 499, TRUTH, False),
    "a share that swings": (LOGIT, 8000, (RNG.random(8000) < chance(LOGIT + SWING)).astype(float), False),
    "the wrong way round": (-3 * LOGIT, 8000, TRUTH, False),
}


@pytest.mark.parametrize("case", CROSSED.values(), ids=CROSSED)
def test_answers_of_parts_are_calibrated_by_the_other_parts_where_that_helps(case: tuple) -> None:
    said, rows, truth, calibrated = case
    y, scores, parts = (
        truth[:rows],
        chance(said[:rows]),
        PARTS[:rows] if rows == 8000 else np.arange(rows) % 5,
    )
    curve, crossed = fit_curve_folds("binary", y, scores, parts, 0.3)
    assert curve.threshold == 0.3
    assert (curve.platt is not None) is calibrated
    if not calibrated:
        assert crossed is scores
        return
    other = y.copy()
    other[parts == 2] = 1 - other[parts == 2]
    again = fit_curve_folds("binary", other, scores, parts, 0.3)[1]
    assert (again[parts == 2] == crossed[parts == 2]).all() or again is scores  # its own truth says nothing
    assert reliability(y, crossed)["ece"] < 0.3 * reliability(y, scores)["ece"]


def test_several_classes_are_cooled_by_the_other_parts() -> None:
    spread = RNG.dirichlet(np.ones(3) / 3, 2000)
    truth = np.array([RNG.choice(3, p=p**0.5 / (p**0.5).sum()) for p in spread]).astype(float)
    curve, crossed = fit_curve_folds("multiclass", truth, spread, np.arange(2000) % 5, 0.5)
    assert curve.temperature is not None
    assert crossed.sum(axis=1) == pytest.approx(1.0)


def test_without_fault_ece_is_what_luck_makes_of_few_rows_and_nothing_without_it() -> None:
    found = [reliability(TRUTH[at : at + 400], chance(LOGIT[at : at + 400])) for at in range(0, 8000, 400)]
    means = {k: np.mean([f[k] for f in found]) for k in ("ece", "luck", "debiased")}
    assert means["ece"] == pytest.approx(means["luck"], rel=0.2)
    assert means["debiased"] < 0.5 * means["ece"]
    wrong = reliability(TRUTH, np.clip(chance(LOGIT) + 0.1, 0, 1))
    assert wrong["debiased"] == pytest.approx(0.1, abs=0.02)
    assert len(wrong["bins"]) == 10
    assert len(reliability(TRUTH[:90], chance(LOGIT[:90]))["bins"]) == 3
