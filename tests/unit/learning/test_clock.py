"""The time that a training may take, on clocks that a test sets."""

from types import SimpleNamespace

import pytest

from tilth.ml.learning import clock
from tilth.ml.learning.clock import Clock


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The wall's and the process's seconds."""
    now = SimpleNamespace(wall=100.0, cpu=7.0)
    monkeypatch.setattr(
        clock, "time", SimpleNamespace(monotonic=lambda: now.wall, process_time=lambda: now.cpu)
    )
    return now


LEFT = {
    "of the wall": (Clock(100.0, 30.0, None, 2), 30.0),
    "since its start": (Clock(90.0, 30.0, None, 2), 20.0),
    "of the cpu, as if both threads were busy": (Clock(100.0, 30.0, 17.0, 2), 5.0),
    "of the cpu of one thread": (Clock(100.0, 30.0, 17.0, 0), 10.0),
    "the wall is met first": (Clock(100.0, 3.0, 17.0, 2), 3.0),
    "the wall is over": (Clock(60.0, 30.0, None, 1), 0.0),
    "the cpu is over": (Clock(100.0, 30.0, 5.0, 1), 0.0),
    "to the second": (Clock(70.0, 30.0, None, 1), 0.0),
}


@pytest.mark.parametrize(("one", "left"), LEFT.values(), ids=LEFT)
def test_what_is_left_is_until_the_first_limit(one: Clock, left: float) -> None:
    assert one.left() == left
    assert one.over is (left == 0.0)
    assert one.deadline() == 100.0 + left
    assert one.deadline(0.5) == 100.0 + left / 2


def test_it_goes_on_with_the_clocks(at: SimpleNamespace) -> None:
    one = Clock(Clock.now(), 30.0, 20.0, 2)
    assert one.left() == 6.5
    at.wall, at.cpu = 110.0, 13.0
    assert one.left() == 3.5
    at.wall = 129.0
    assert one.left() == 1.0


BUSY = {
    "as if both threads were busy, at first": (100.2, 7.1, 2.475),
    "one thread at work": (104.0, 11.0, 3.0),
    "both": (104.0, 15.0, 0.5),
    "a machine that is shared": (120.0, 12.0, 5.0),
    "no further than the wall": (128.0, 9.0, 1.0),
    "nothing is left": (104.0, 18.0, 0.0),
}


@pytest.mark.parametrize(("wall", "cpu", "half"), BUSY.values(), ids=BUSY)
def test_a_part_of_the_cpu_is_counted_as_the_threads_were_used(
    at: SimpleNamespace, wall: float, cpu: float, half: float
) -> None:
    one = Clock(100.0, 30.0, 17.0, 2)
    at.wall, at.cpu = wall, cpu
    assert one.deadline(0.5) == pytest.approx(wall + (half if half > 0 else 0.0), abs=0.03)
    assert one.deadline() == pytest.approx(wall + one.left())


@pytest.mark.parametrize(
    ("wall", "left"), [(30.0, 30.0), (1.5, 1.5), (1.0, 1.5), (0.0, 1.5)], ids=["much", "enough", "little", "none"]
)  # fmt: skip
def test_what_serves_has_a_little_time_however_late_it_is(wall: float, left: float) -> None:
    assert Clock(100.0, wall, 1000.0, 1).grace().left() == left
    assert Clock(100.0, wall, 0.0, 1).grace(2.0).left() == 2.0
