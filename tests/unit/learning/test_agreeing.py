"""Whether what serves says what was judged: the measure, its limit, and the rows that it is taken on."""

from collections.abc import Callable

import numpy as np
import pytest

from tilth.ml.learning.agreeing import ROWS, Agreement, agreement, crossed_rows, distance

HOLDS = {
    "as far as fold models": (1.0, 1.0, True),
    "half as much again": (1.5, 1.0, True),
    "further": (1.51, 1.0, False),
    "nothing to measure by": (9.0, None, True),
    "rounding, of fold models that are alike": (1e-7, 0.0, True),
    "more than rounding": (1e-5, 0.0, False),
    "no number": (float("nan"), 1.0, False),
}


@pytest.mark.parametrize(("apart", "usual", "holds"), HOLDS.values(), ids=HOLDS)
def test_it_holds_where_it_is_no_further_than_half_as_much_again(
    apart: float, usual: float | None, holds: bool
) -> None:
    found = Agreement(9, apart, usual)
    assert found.holds is holds
    assert found.plain()["holds"] is holds
    assert found.plain()["usual"] == usual


def shifted(by: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x[:, 0] + by


X = np.arange(40.0).reshape(20, 2)
AGREE = {
    "all that judged": (0.0, (1.0, 2.0), -1, 2.0, 1.0),
    "the twin alone": (0.0, (4.0, 2.0, 1.0), 2, 1.0, 3.0),
    "one alone is no measure": (0.0, (3.0,), -1, 3.0, None),
}


@pytest.mark.parametrize(("serves", "twins", "judged", "apart", "usual"), AGREE.values(), ids=AGREE)
def test_what_serves_is_held_against_what_was_judged_and_those_against_each_other(
    serves: float, twins: tuple[float, ...], judged: int, apart: float, usual: float
) -> None:
    found = agreement(X, shifted(serves), [shifted(t) for t in twins], judged)
    assert (found.rows, found.apart, found.usual) == (20, pytest.approx(apart), pytest.approx(usual))


def test_a_row_of_twenty_may_be_far_off_and_of_classes_the_furthest_counts() -> None:
    first, second = np.zeros(100), np.r_[np.full(95, 0.1), np.full(5, 9.0)]
    assert distance(first, second) < 1.0
    assert distance(first, np.r_[np.full(90, 0.1), np.full(10, 9.0)]) == 9.0
    assert distance(np.zeros((3, 2)), np.tile([0.1, 0.7], (3, 1))) == pytest.approx(0.7)


def test_rows_are_made_of_two_each_so_that_none_was_known() -> None:
    x = np.arange(3000.0 * 6).reshape(3000, 6)
    made = crossed_rows(x, 1)
    assert made.shape == (ROWS, 6)
    assert np.array_equal(made % 6, np.tile(np.arange(6.0), (ROWS, 1)))  # a value stays in its column
    own = made // 6
    assert (own == own[:, :1]).all(axis=1).mean() < 0.1
    assert 0.45 < (own == np.sort(own, axis=1)[:, -1:]).mean() < 0.65
    assert np.array_equal(crossed_rows(x, 1), made)
    assert not np.array_equal(crossed_rows(x, 2), made)


def test_few_rows_make_as_many() -> None:
    assert crossed_rows(np.arange(10.0).reshape(5, 2), 0).shape == (5, 2)
