"""Which stage of a fit answers a row: chosen by the losses on other parts, and by all for what serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tilth.ml.judging import split
from tilth.ml.learning.crossing import EXPLORED, Candidate, Crossed, Fold, folds_of
from tilth.ml.learning.rows import Rows
from tilth.ports.learning import Task

TASK = Task("regression", columns=("x",), metric="rmse")


@dataclass
class Way:
    """A fit with these losses [stages, parts]; its answer tells its fold, the stage and the part."""

    losses: np.ndarray
    number: int = 0
    kinds: bool = False
    stopped: str = "rounds"

    def scores(self, stage: int, part: int) -> np.ndarray:
        return np.array([self.number * 100.0 + min(stage, len(self.losses) - 1) * 10.0 + part])

    def answer(self, stage: int, x: np.ndarray) -> np.ndarray:
        return np.full(len(x), self.number * 100.0 + stage * 10.0)

    def options(self, stage: float) -> Mapping[str, object]:
        return {"stage": stage}


def rows(part: list[int], window: int | None = None) -> Rows:
    count = len(part)
    cut = split.Split(split.BY_FOLDS, count, count if window is None else window)
    none: Any = None
    return Rows(none, np.zeros((count, 1)), np.zeros(count), cut, none, none, part=np.array(part, np.int8))


def crossed(tables: list[list[list[float]]], part: list[int], kinds: bool = False) -> Crossed:
    """`tables` are [stages, parts] of each fold that was fitted."""
    data = rows(part)
    one = Crossed(Candidate("m", "m"), TASK, data, folds_of(data))
    one.ways = {n: Way(np.array(t), n, kinds) for n, t in enumerate(tables)}
    return one


EVEN = [0, 1, 2, 3, 4]
LIKES_2, LIKES_1 = [[9.0], [5.0], [0.0]], [[0.3], [0.2], [0.4]]
FIVE = [LIKES_2, *[LIKES_1] * 4]
STAGES: dict[str, tuple[Crossed, int | None, int]] = {
    "all parts": (crossed(FIVE, EVEN), None, 2),
    "the part itself does not choose": (crossed(FIVE, EVEN), 0, 1),
    "that of the others does": (crossed(FIVE, EVEN), 1, 2),
    "by its rows": (crossed([[[0.0], [1.0]], *[[[0.2], [0.1]]] * 4], [0] + [1] * 20 + [2] * 20 + [3, 4]), None, 1),
    "a fit that ended early keeps its last loss": (crossed([[[0.5], [0.1]], *[LIKES_1] * 4], EVEN), None, 1),
    "but one fold": (crossed([LIKES_2], EVEN), None, 2),
    "but its own fold": (crossed([LIKES_2], EVEN), 0, 2),
    "of kinds two folds": (crossed([LIKES_1, LIKES_1, *[[[9.0]]] * 3], EVEN, kinds=True), None, 1),
}  # fmt: skip


@pytest.mark.parametrize(("one", "without", "stage"), STAGES.values(), ids=STAGES)
def test_the_stage_is_that_of_least_loss_on_the_parts_that_may_choose(
    one: Crossed, without: int | None, stage: int
) -> None:
    assert one.stage(without) == stage


def test_each_part_is_answered_by_its_own_fold_at_the_stage_that_others_chose() -> None:
    assert crossed(FIVE, EVEN).answers().tolist() == [10.0, 120.0, 220.0, 320.0, 420.0]
    assert np.isnan(crossed(FIVE[:3], EVEN).answers()).tolist() == [False] * 3 + [True] * 2


def test_what_a_fold_says_of_other_rows_is_said_at_the_stage_of_all() -> None:
    assert crossed(FIVE, EVEN).answer(3, np.zeros((2, 1))).tolist() == [320.0, 320.0]


def test_the_loss_is_of_rows_and_of_those_folds_that_chose() -> None:
    assert crossed(FIVE, EVEN).loss() == pytest.approx((0.0 + 4 * 0.4) / 5)
    few = crossed([[[1.0]], *[[[0.0]]] * 4], [0, 0, 0, 1, 2, 3, 4])
    assert few.loss() == pytest.approx(3 / 7)
    kinds = crossed([LIKES_1, LIKES_1, *[[[9.0]]] * 3], EVEN, kinds=True)
    assert (kinds.loss(), len(kinds.losses()[1])) == (pytest.approx(0.2), EXPLORED)


@pytest.mark.parametrize(
    ("folds", "stopped", "short"),
    [(5, "rounds", False), (4, "rounds", True), (5, "time limit", True)],
)
def test_what_the_clock_ended_is_known(folds: int, stopped: str, short: bool) -> None:
    one = crossed(FIVE[:folds], EVEN)
    one.ways[0].stopped = stopped  # type: ignore[misc]
    assert one.cut_short is short


def told(folds: tuple[Fold, ...]) -> list[tuple[list[int], tuple[int, ...]]]:
    return [(np.flatnonzero(fold.teach).tolist(), fold.parts) for fold in folds]


def test_each_part_is_left_out_once_and_of_many_rows_half_of_the_parts() -> None:
    assert told(folds_of(rows([0, 1, 1, 2, 3, 4]))) == [
        ([1, 2, 3, 4, 5], (0,)), ([0, 3, 4, 5], (1,)), ([0, 1, 2, 4, 5], (2,)), ([0, 1, 2, 3, 5], (3,)), ([0, 1, 2, 3, 4], (4,)),
    ]  # fmt: skip
    many = rows([-1, -1, 0, 1, 2, 3, 4])
    assert told(folds_of(many)) == [([0, 1, 4, 5, 6], (0, 1)), ([0, 1, 2, 3], (2, 3, 4))]


def test_rows_of_the_window_are_in_no_fold() -> None:
    found = folds_of(rows([0, 1, 2, 3, 4, -1, -1], window=5))
    assert [len(fold.teach) for fold in found] == [5] * 5
    assert [fold.parts for fold in found] == [(n,) for n in range(5)]
