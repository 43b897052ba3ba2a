"""A calibration is kept where later rows agree, and left out where the share of positives only drifts."""

import numpy as np

from tilth.ml.learning.curves import fit_curve
from tilth.ml.model.curve import Curve, threshold

RNG = np.random.default_rng(0)
LOGIT = RNG.normal(0, 1.5, 8000)


def chance(raw: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-raw))


TRUTH = (RNG.random(8000) < chance(LOGIT)).astype(float)


def test_overconfident_scores_are_calibrated_and_good_ones_left_alone() -> None:
    curve = fit_curve("binary", TRUTH, chance(3 * LOGIT + 1), 0.5)
    assert curve.platt is not None
    assert abs(curve.platt.slope - 1 / 3) < 0.05
    assert fit_curve("binary", TRUTH, chance(LOGIT), 0.5).platt is None


def test_a_share_that_swings_is_not_chased() -> None:
    swing = np.repeat([1.2, -1.2, 1.2, -1.2], 2000)
    truth = (RNG.random(8000) < chance(LOGIT + swing)).astype(float)
    assert fit_curve("binary", truth, chance(LOGIT), 0.5).platt is None


def test_one_row_is_equal_to_the_batch_to_the_last_bit() -> None:
    scores = chance(3 * LOGIT + 1)
    curve = fit_curve("binary", TRUTH, scores, 0.5)
    assert [curve.one((s,))[0] for s in scores.tolist()] == curve.apply(scores).tolist()
    spread = RNG.dirichlet(np.ones(3) / 3, 2000)
    truth = np.array([RNG.choice(3, p=p**0.5 / (p**0.5).sum()) for p in spread]).astype(float)
    curve = fit_curve("multiclass", truth, spread, 0.5)
    assert curve.temperature is not None
    assert [list(curve.one(tuple(p))) for p in spread.tolist()] == curve.apply(spread).tolist()


def test_too_few_rows_or_one_class_leave_scores_as_they_are() -> None:
    assert fit_curve("binary", TRUTH[:20], chance(LOGIT[:20]), 0.5) == Curve(rows=20)
    assert fit_curve("binary", np.zeros(100), chance(LOGIT[:100]), 0.5).platt is None
    assert fit_curve("regression", TRUTH[:5], LOGIT[:5], 0.5).conformal is None


def test_the_threshold_follows_costs() -> None:
    assert threshold(None, None) == 0.5
    assert threshold(9.0, 1.0) == 0.1
    assert threshold(3.0, None) == 0.25


def test_it_reads_back_as_the_same_value() -> None:
    for curve in (
        fit_curve("binary", TRUTH, chance(3 * LOGIT), 0.2),
        fit_curve("regression", TRUTH, LOGIT, 0.5),
        Curve(),
    ):
        assert Curve.from_plain(curve.plain()) == curve
