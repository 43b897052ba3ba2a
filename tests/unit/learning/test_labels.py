"""Labels that are probably wrong, by hand and among planted ones."""

import numpy as np
import pytest

from tilth.ml.learning.labels import suspicious


@pytest.mark.parametrize("classes", [2, 3])
def test_planted_wrong_labels_come_first(classes: int) -> None:
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, 2000)
    p = np.full((2000, classes), 0.1)
    p[np.arange(2000), truth] = 1.0
    p = p + rng.uniform(0, 0.3, p.shape)
    p /= p.sum(axis=1, keepdims=True)
    given, wrong = truth.copy(), rng.choice(2000, 60, replace=False)
    given[wrong] = (truth[wrong] + 1) % classes
    found, likely, more = suspicious(given.astype(float), p[:, 1] if classes == 2 else p)
    assert set(found) <= set(wrong)
    assert len(found) >= 20  # those above the mean of their class
    assert (likely == truth[found]).all()
    assert (np.diff(more) <= 0).all()


def test_answers_that_know_nothing_suspect_nobody_far_and_a_rare_class_has_no_threshold() -> None:
    y = np.repeat([0.0, 1.0], [990, 10])
    found, _, more = suspicious(y, np.full(1000, 0.01))
    assert len(found) == 10 or not len(found)
    assert suspicious(np.repeat([0.0, 1.0], [995, 5]), np.full(1000, 0.9))[0].size == 0
    assert (more <= 1).all()
