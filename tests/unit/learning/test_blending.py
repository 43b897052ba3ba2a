"""How much of each member goes into an answer, on answers that are made by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from tilth.ml.learning import blending

FOUR = np.array([0.0, 0.0, 0.0, 10.0])
NONE, LOW, HIGH = np.zeros(4), np.array([3.0, 3.0, 3.0, 7.0]), np.full(4, 2.5)
YES = np.array([1.0, 0.0, 1.0, 0.0])
SURE, UNSURE = np.array([0.9, 0.1, 0.8, 0.2]), np.array([0.6, 0.4, 0.6, 0.4])
CLASSES = np.array([0.0, 1.0, 2.0])
RIGHT = np.full((3, 3), 0.1) + 0.7 * np.eye(3)


def constant(*values: float) -> tuple[np.ndarray, ...]:
    return tuple(np.full(4, v) for v in values)


@dataclass(frozen=True)
class Blend:
    kind: str
    y: np.ndarray
    answers: tuple[np.ndarray, ...]
    weights: list[float]
    metric: str = ""


BLENDS = {
    "one is all there is": Blend("binary", YES, (UNSURE,), [1.0]),
    "the surer of two that are right": Blend("binary", YES, (UNSURE, SURE), [0.0, 1.0]),
    "of equals the first": Blend("binary", YES, (SURE, SURE.copy()), [1.0, 0.0]),
    "those that are off to both sides": Blend("regression", 0 * FOUR, constant(1, -1), [0.52, 0.48]),
    "three times of 25": Blend("regression", 0 * FOUR, constant(1, -8), [0.88, 0.12]),
    "twice is just enough": Blend("regression", 0 * FOUR, constant(1, -12), [0.92, 0.08]),
    "once is left out": Blend("regression", 0 * FOUR, constant(1, -24), [1.0, 0.0]),
    "squares mind the far one": Blend("regression", FOUR, (NONE, LOW), [0.08, 0.92], "rmse"),
    "absolute errors do not": Blend("regression", FOUR, (NONE, LOW), [1.0, 0.0], "mae"),
    "several classes": Blend("multiclass", CLASSES, (np.full((3, 3), 1 / 3), RIGHT), [0.0, 1.0]),
}


@pytest.mark.parametrize("case", BLENDS.values(), ids=BLENDS)
def test_weights_are_those_of_the_least_loss_and_none_is_small(case: Blend) -> None:
    found = blending.weights(case.kind, case.y, case.answers, case.metric)
    assert found.tolist() == pytest.approx(case.weights)
    assert found.sum() == pytest.approx(1.0)


def test_what_has_no_weight_is_not_in_the_mean() -> None:
    gaps = np.full(4, np.nan)
    assert blending.mixed([LOW, gaps, HIGH], np.array([0.5, 0.0, 0.5])).tolist() == [2.75, 2.75, 2.75, 4.75]


RNG = np.random.default_rng(6)
PART = (np.arange(200) % 5).astype(np.int8)
HIDDEN = RNG.normal(size=200)
TRUTH = (HIDDEN + RNG.normal(0, 0.5, 200) > 0).astype(float)
MEMBERS = [1 / (1 + np.exp(-(s * HIDDEN + RNG.normal(0, 1.0, 200)))) for s in (1.0, 2.0, 3.0)]


@pytest.mark.parametrize("part", range(5))
def test_labels_of_a_part_do_not_weigh_its_own_answers(part: int) -> None:
    own = part == PART
    turned = np.where(own, 1 - TRUTH, TRUTH)
    before, after = (blending.crossed("binary", y, MEMBERS, PART) for y in (TRUTH, turned))
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before[~own], after[~own])


def test_an_answer_is_the_blend_that_the_other_parts_chose() -> None:
    found = blending.crossed("binary", TRUTH, MEMBERS, PART)
    for part in range(5):
        own, others = part == PART, part != PART
        chosen = blending.weights("binary", TRUTH[others], [a[others] for a in MEMBERS])
        assert np.array_equal(found[own], blending.mixed([a[own] for a in MEMBERS], chosen))


def test_of_one_part_all_rows_choose() -> None:
    found = blending.crossed("binary", TRUTH, MEMBERS, np.zeros(200, np.int8))
    assert np.array_equal(found, blending.mixed(MEMBERS, blending.weights("binary", TRUTH, MEMBERS)))
