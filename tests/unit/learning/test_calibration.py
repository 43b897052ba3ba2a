"""Calibrations find what was done to the probabilities, and conformal intervals cover what they promise."""

import numpy as np
import pytest

from tilth.core.errors import DataError
from tilth.ml.model.calibration import Platt, Temperature, fit_conformal, fit_platt, fit_temperature
from tilth.ml.model.metrics import log_loss, roc_auc

RNG = np.random.default_rng(9)
RAW = RNG.normal(-1, 1.5, 20_000)
TRUTH = (RNG.random(20_000) < 1 / (1 + np.exp(-RAW))).astype(float)


def test_platt_undoes_a_stretched_and_shifted_logit() -> None:
    bent = 1 / (1 + np.exp(-(2 * RAW + 1)))
    found = fit_platt(TRUTH, bent)
    assert (found.slope, found.shift) == (pytest.approx(0.5, abs=0.03), pytest.approx(-0.5, abs=0.05))
    mended = found.apply(bent)
    assert log_loss(TRUTH, mended) < log_loss(TRUTH, bent)
    assert roc_auc(TRUTH, mended) == pytest.approx(roc_auc(TRUTH, bent), abs=1e-12)
    assert mended.mean() == pytest.approx(TRUTH.mean(), abs=1e-3)


def test_platt_equals_scikit_learns_sigmoid() -> None:
    from sklearn.calibration import _SigmoidCalibration

    chance = np.clip(1 / (1 + np.exp(-(2 * RAW[:2000] + 1))), 1e-6, 1 - 1e-6)
    theirs = _SigmoidCalibration().fit(np.log(chance / (1 - chance)), TRUTH[:2000])
    ours = fit_platt(TRUTH[:2000], chance)
    assert (ours.slope, ours.shift) == (
        pytest.approx(-theirs.a_, abs=1e-3),
        pytest.approx(-theirs.b_, abs=1e-3),
    )


def test_platt_on_one_number_is_platt_on_an_array() -> None:
    edges = np.array([0.0, 1e-300, 0.2, 0.5, 1.0])
    for found in (Platt(0.7, -0.3), Platt(40.0, 0.0), Platt(-40.0, 0.0)):
        assert [found.one(float(p)) for p in edges] == pytest.approx(list(found.apply(edges)), rel=1e-9)


@pytest.mark.parametrize("separable", [True, False])
def test_platt_stays_finite(separable: bool) -> None:
    truth = np.r_[np.zeros(50), np.ones(50)]
    chance = truth.copy() if separable else np.full(100, 0.5)
    found = fit_platt(truth, chance)
    assert np.isfinite([found.slope, found.shift]).all()
    assert np.isfinite(found.apply(chance)).all()


def test_platt_needs_both_classes() -> None:
    with pytest.raises(DataError, match="both classes"):
        fit_platt(np.ones(9), np.ones(9))


def test_temperature_undoes_overconfidence_and_keeps_the_label() -> None:
    logits = RNG.normal(0, 1.5, (20_000, 4))
    spread = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (RNG.random(20_000)[:, None] > spread.cumsum(1)).sum(1).clip(0, 3).astype(float)
    hot = Temperature(1 / 3).apply(spread)
    found = fit_temperature(truth, hot)
    mended = found.apply(hot)
    assert found.temperature == pytest.approx(3.0, abs=0.1)
    assert (mended.argmax(1) == hot.argmax(1)).all()
    assert mended.sum(1) == pytest.approx(np.ones(20_000))
    assert log_loss(truth, mended) < log_loss(truth, hot)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_conformal_intervals_cover_what_they_promise(coverage: float) -> None:
    covered = []
    for _ in range(400):
        noise = RNG.standard_t(3, 150)
        found = fit_conformal(noise[:50], np.zeros(50), coverage)
        low, high = found.ends(np.zeros(100), np.full(100, found.radius))
        covered.append(((noise[50:] >= low) & (noise[50:] <= high)).mean())
    assert coverage - 0.01 <= np.mean(covered) <= coverage + 1 / 51 + 0.01


def test_too_few_rows_for_a_coverage_are_said() -> None:
    assert fit_conformal(np.arange(9.0), np.zeros(9), 0.9).radius == 8.0
    with pytest.raises(DataError, match="at least 9 rows"):
        fit_conformal(np.arange(8.0), np.zeros(8), 0.9)
    with pytest.raises(DataError, match="between 0 and 1"):
        fit_conformal(np.arange(8.0), np.zeros(8), 90)
