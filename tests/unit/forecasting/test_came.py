"""What came against what was said: how far errors lie to one side, and figures by step."""

import numpy as np
import pytest

from tilth.ml.forecasting.came import LEAST, Came, figures, sided

RNG = np.random.default_rng(5)


def came(error: np.ndarray, series: int = 1) -> Came:
    number = len(error) // series
    owner = np.repeat(np.arange(series), number)
    step = np.tile(np.arange(1, number + 1), series)
    return Came(error, owner, step, np.abs(error) < 1.6)


NOISE = RNG.normal(size=400)
SIDED = {
    "noise of one series": (came(NOISE[:40]), 0.0, 0.15),
    "noise of twenty series": (came(NOISE, 20), 0.0, 0.1),
    "a level one unit higher": (came(NOISE[:40] + 1.0), 0.3, 1.1),
    "a level two units lower": (came(NOISE - 2.0, 20), 1.7, 2.1),
    "half of the series higher, half lower": (came(NOISE + np.repeat([3.0, -3.0], 200), 20), 0.0, 0.1),
    "all the same": (came(np.full(20, 0.7)), 0.7, 0.7),
}


@pytest.mark.parametrize("name", SIDED)
def test_drift_is_how_far_errors_lie_to_one_side_beyond_chance(name: str) -> None:
    found, least, most = SIDED[name]
    told = sided(found)
    assert told is not None
    assert least - 1e-9 <= told <= most + 1e-9


def test_of_too_few_values_nothing_is_said() -> None:
    few = came(np.ones(LEAST - 1))
    assert sided(few) is None
    told = figures(few)
    assert (told["outcomes"], told["quality"], told["bias"], told["coverage"]) == (
        LEAST - 1,
        None,
        None,
        None,
    )


def test_figures_are_those_of_numpy_whole_and_by_step() -> None:
    error = NOISE[:60] + 0.3
    told = figures(came(error, 20))
    assert told["quality"] == pytest.approx(np.abs(error).mean())
    assert told["bias"] == pytest.approx(-error.mean()), "too high is positive"
    assert told["coverage"] == pytest.approx((np.abs(error) < 1.6).mean())
    for place, one in enumerate(told["steps"]):
        own = error.reshape(20, 3)[:, place]
        assert (one["step"], one["outcomes"]) == (place + 1, 20)
        assert one["mase"] == pytest.approx(np.abs(own).mean())
        assert one["bias"] == pytest.approx(-own.mean())
