"""A search of options: what it costs nobody, how it goes on where it was cut, and what becomes of what it found."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import TrainingError
from tilth.ml.learning.crossing import Candidate
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.searching import Found, _Board
from tilth.ml.learning.training import train
from tilth.ml.learning.trials import Trial
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import learning, registry

RNG = np.random.default_rng(5)
X = RNG.normal(size=(600, 4))
TABLE = pa.table({
    "id": np.arange(600), "a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "d": X[:, 3],
    "y": np.sin(3 * X[:, 0]) + 0.2 * X[:, 1] + 0.5 * RNG.normal(size=600),
})  # fmt: skip
SPEC = TrainingSpec("m", ("y",), key=("id",), engine="linear", search="new", trials=6)


class Told:
    """A report that keeps what is found, as a runner does."""

    def __init__(self) -> None:
        self.trials: list[dict[str, Any]] = []

    def __call__(self, what: str, done: float | None) -> None: ...

    def found(self, what: Mapping[str, object]) -> None:
        self.trials.append(dict(what))


def trained(
    folder: Path, table: pa.Table = TABLE, learners: Any = None, **changes: Any
) -> tuple[dict[str, Any], Told]:
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / "rows.parquet")
    told = Told()
    facts = train(
        replace(SPEC, **changes), Files([str(folder / "rows.parquet")]), str(folder / "out"),
        learners or (lambda name: registry.load("tilth.learners", name)), lambda name: registry.load("tilth.scorers", name), told,
    )  # fmt: skip
    return facts, told


def known(trials: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(json.dumps(t) for t in trials)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Told]:
    """A search that was not cut: a sine is better told by more turns of its line than the usual seven, or by fewer."""
    return trained(tmp_path_factory.mktemp("whole"))


def test_the_default_setting_is_trial_0_and_what_serves_is_no_worse_out_of_fold(
    whole: tuple[dict[str, Any], Told],
) -> None:
    facts, told = whole
    assert [(t["trial"], t["options"] == {}) for t in told.trials] == [(n, n == 0) for n in range(7)]
    found = facts["metrics"]["search"]
    assert [t["loss"] for t in found["trials"]] == [t["loss"] for t in told.trials]
    assert "seconds" not in json.dumps(found)
    best = min(t["loss"] for t in told.trials if t["status"] == "done")
    assert best < told.trials[0]["loss"]
    assert found["serves"] == (found["loss_with"] < found["loss_without"])
    serves = [m["name"] for m in facts["metrics"]["members"] if m["weight"]]
    assert ("linear.found" in serves) == found["serves"]


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_search_that_was_cut_goes_on_and_ends_with_the_same_bytes(
    cut: int, whole: tuple[dict[str, Any], Told], tmp_path: Path
) -> None:
    facts, told = whole
    again, more = trained(tmp_path, known=known(told.trials[: cut + 1]))
    assert [t["trial"] for t in more.trials] == list(range(cut + 1, 7))
    assert again["artifact"] == facts["artifact"]


def test_on_other_rows_what_was_found_is_asked_first_and_alone_where_nothing_more_is_searched(
    whole: tuple[dict[str, Any], Told], tmp_path: Path
) -> None:
    _, told = whole
    best = min((t for t in told.trials if t["status"] == "done"), key=lambda t: t["loss"])
    fewer = TABLE.slice(0, 500)
    _, kept = trained(tmp_path / "kept", fewer, search="kept", known=known(told.trials))
    assert [t["options"] for t in kept.trials] == [{}, best["options"]]
    assert kept.trials[0]["about"] != told.trials[0]["about"]
    _, new = trained(tmp_path / "new", fewer, trials=3, known=known(told.trials))
    assert [t["options"] for t in new.trials][:2] == [{}, best["options"]]
    assert len(new.trials) == 4


def test_a_budget_is_of_the_search_and_not_of_each_training(
    whole: tuple[dict[str, Any], Told], tmp_path: Path
) -> None:
    _, told = whole
    used = [t | {"seconds": 10.0} for t in told.trials[:3]]
    facts, more = trained(tmp_path, budget=20.0, known=known(used))
    assert more.trials == []
    assert len(facts["metrics"]["search"]["trials"]) == 3


def test_options_that_using_gives_are_not_searched(tmp_path: Path) -> None:
    given = (("hinges", 3),)
    facts, told = trained(tmp_path, options=given)
    assert told.trials == []
    assert facts["metrics"]["search"]["found"] == {}


def test_a_trial_that_fails_is_told_and_costs_nothing_else(tmp_path: Path) -> None:
    real = registry.load("tilth.learners", "linear")

    class Weak(real):  # type: ignore[misc, valid-type]
        def path(self, task: Any, x: Any, y: Any, stops: Any, budget: Any, options: Any, report: Any) -> Any:
            if "hinges" in options:
                raise TrainingError("It cannot.")
            return real().path(task, x, y, stops, budget, options, report)

        def fit(self, *given: Any) -> Any:  # how wide intervals are is learned with options of its own
            return real().fit(*given)

    facts, told = trained(
        tmp_path,
        trials=2,
        learners=lambda name: Weak if name == "linear" else registry.load("tilth.learners", name),
    )
    assert [t["status"] for t in told.trials] == ["done", "failed", "failed"]
    assert [m["name"] for m in facts["metrics"]["members"]] == ["linear"]
    (said,) = (t["text"] for t in facts["told"] if t["kind"] == "search")
    assert "2 trials of `linear`" in said
    assert "its default setting is the best" in said


def test_each_part_is_answered_by_options_that_the_others_chose() -> None:
    """Trial 1 is the best because of the first part alone, so the first part is answered by the default setting."""
    base: Any = SimpleNamespace(candidate=Candidate("linear", "linear"))
    board = _Board(base, learning.engines()[0], 7, "rows", (), sizes=[1.0, 1.0, 2.0])
    board.trials = [trial(0, 1.0, 1.0, 1.0), trial(1, 0.0, 1.2, 1.2), trial(2, 0.1), trial(3, 1.1, 0.8, 1.1)]
    assert [board.best(but).number for but in (None, 0, 1, 2)] == [1, 0, 1, 1]
    rows: Any = SimpleNamespace(part=np.array([0, 1, 2, 2, 0]), asked=np.arange(5))
    default: Any = SimpleNamespace(answers=lambda: np.zeros(5))
    task = learning.Task("regression")
    found = Found(Candidate("linear.found", "linear"), task, rows, (), picks={0: default})
    assert np.nan_to_num(found.answers(), nan=1.0).tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def trial(number: int, *losses: float) -> Trial:
    status = "done" if len(losses) == 3 else "stopped early"
    return Trial("rows", "linear", number, {}, losses, float(np.mean(losses)), 1.0, status)
