"""Ways to learn again: which is taken, which rows judge, and why a version is not gone on from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tilth.core.errors import ProjectError
from tilth.core.schema import DataType
from tilth.kinds import compile, parse  # noqa: A004
from tilth.ml.judging import split
from tilth.ml.learning import starting
from tilth.ml.learning.retraining import Taken, Tried, cheapest
from tilth.ml.learning.rows import Rows
from tilth.ml.learning.starting import NoStartError, Start
from tilth.ml.learning.target import Target
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Signature
from tilth.ml.model.spec import TrainingSpec
from tilth.resources.facts import Facts

MODEL = (
    "CREATE SOURCE s ENGINE files WITH (path = 'd'); CREATE DATASET d AS SELECT * FROM s.t;"
    " CREATE MODEL m PREDICT y FROM d USING (engine = 'linear'{});"
)
MICROS = 86_400_000_000


def rows(count: int, timed: bool) -> Rows:
    """So many rows, a day each where they have times."""
    when = pa.array(np.arange(count) * MICROS, pa.int64()).cast(pa.timestamp("us"))
    table = pa.table({"at": when, "a": np.arange(count) % 7.0, "y": np.arange(count) % 2.0})
    y = np.arange(count) % 2.0
    cut = split.cut(np.arange(count) * MICROS, "at" if timed else None, 500)
    target = Target("y", DataType.BOOLEAN, "binary", (False, True))
    return Rows(table, np.zeros((count, 1)), y, cut, Preparation.fit(table, ("a",)), target)


@pytest.mark.parametrize(
    ("trial", "way"),
    [
        ([("refit", 1, 0.5), ("warm", 3, 0.5), ("full", 9, 0.5)], "refit"),
        ([("refit", 1, 0.503), ("warm", 3, 0.5), ("full", 9, 0.5)], "warm"),
        ([("refit", 1, 0.6), ("warm", 3, 0.55), ("full", 9, 0.5)], "full"),
        ([("refit", 1, 0.502), ("warm", 3, 0.5), ("full", 9, 0.5)], "refit"),
        ([("refit", 1, 0.0), ("warm", 3, 0.0), ("full", 0.5, 0.0)], "full"),
    ],
)
def test_the_cheapest_of_those_that_lose_hardly_more_is_taken(trial: list, way: str) -> None:
    assert cheapest([Tried(*one) for one in trial]).way == way


def test_with_a_time_the_newest_new_rows_judge_and_those_before_them_are_asked() -> None:
    data, fresh = rows(6000, timed=True), np.arange(6000) >= 5000
    fresh[100:120] = True  # that came late
    found = starting._dealt(TrainingSpec("m", ("y",), event_time="at"), data, fresh)
    part, cut = found["part"], found["split"]
    assert cut.window == 5500
    assert cut.since == split._instant(5499 * MICROS)
    assert (np.flatnonzero(part >= 0) == np.arange(5000, 5500)).all()
    assert sorted(set(part[5000:5500])) == [0, 1, 2, 3, 4]


def test_the_window_is_no_wider_than_that_of_a_full_training() -> None:
    data, fresh = rows(6000, timed=True), np.arange(6000) >= 3000
    assert starting._dealt(TrainingSpec("m", ("y",), event_time="at"), data, fresh)["split"].window == 5400


def test_without_a_time_the_new_rows_judge_each_other() -> None:
    data, fresh = rows(6000, timed=False), np.arange(6000) % 6 == 0
    found = starting._dealt(TrainingSpec("m", ("y",)), data, fresh)
    assert ((found["part"] >= 0) == fresh).all()
    assert found["split"] == data.split


def test_new_rows_that_are_older_than_what_it_knows_do_not_judge() -> None:
    data, fresh = rows(6000, timed=True), np.arange(6000) < 1000
    with pytest.raises(NoStartError, match="only 0 rows are newer"):
        starting._dealt(TrainingSpec("m", ("y",), event_time="at"), data, fresh)


def test_of_a_member_with_several_fits_the_first_one_is_gone_on_from(tmp_path: Path) -> None:
    kept = ["lightgbm.txt", "lightgbm_2.txt", "lightgbm_slow.txt", "lightgbm_slow_2.txt", "linear.json"]
    names = [("lightgbm", "lightgbm"), ("lightgbm.slow", "lightgbm"), ("linear", "linear")]
    signature = Signature("m", "y", "y", "binary", DataType.BOOLEAN, (), classes=(False, True))
    said = {
        "prepare.json": Preparation(()).plain(),
        "signature.json": signature.plain(),
        "calibration.json": {"members": [{"member": k, "scorer": "s", "weight": 0.2} for k in kept]},
        "metrics.json": {"metric": "log_loss", "members": [{"name": n, "engine": e, "weight": 0.3} for n, e in names]},
    }  # fmt: skip
    for name, content in said.items():
        (tmp_path / name).write_text(json.dumps(content))
    for name in kept:
        (tmp_path / name).write_text(name)
    files = {f"start/{path.name}": str(path) for path in tmp_path.iterdir()}
    start = starting.read(TrainingSpec("m", ("y",), start_version=3, start_digest="d"), files)
    assert [(m.name, m.payload) for m in start.members] == [
        ("lightgbm", b"lightgbm.txt"),
        ("lightgbm.slow", b"lightgbm_slow.txt"),
        ("linear", b"linear.json"),
    ]


@pytest.mark.parametrize(("every", "told"), [(False, 1000), (True, 2000)])
def test_leaves_are_told_of_new_rows_and_rounds_of_as_many_old_ones(every: bool, told: int) -> None:
    fresh, teach = np.arange(6000) >= 5000, np.ones(6000, np.bool_)
    found = starting.chosen(fresh, teach, every)
    assert len(found) == len(set(found)) == told
    assert (found[-1000:] == np.arange(5000, 6000)).all()


def test_what_is_taken_is_kept_and_told() -> None:
    start = Start(3, "d" * 64, (), Preparation(()), None, "log_loss", 2, fresh=np.ones(600, np.bool_))  # type: ignore[arg-type]
    taken = Taken("auto", "refit", "it is cheap", start, (Tried("refit", 1.5, 0.3), Tried("full", 9.0, 0.3)))
    said = taken.plain()
    assert said["start"] == {"version": 3, "digest": "d" * 64}
    assert (said["turns"], said["new_rows"], said["losses"]) == (3, 600, {"refit": 0.3, "full": 0.3})
    assert "cpu" not in str(said)
    assert replace(taken, way="full").plain()["turns"] == 0
    assert (
        "leaves of version 3 were learned anew: it is cheap (refit lost 0.3 in 1.5 CPU-s" in taken.remark.text
    )
    assert (
        Taken("warm", "full", "no version serves yet").remark.text
        == "Everything was fitted anew: no version serves yet."
    )


@pytest.mark.parametrize(
    ("option", "same"), [("", True), (", retrain = 'full'", True), (", retrain = 'auto'", False)]
)
def test_a_way_that_is_not_the_usual_one_is_of_the_recipe(option: str, same: bool) -> None:
    recipes = [
        compile(parse(MODEL.format(o)), Facts((), {}, ("files",))).get("m").recipe for o in ("", option)
    ]
    assert (recipes[0] == recipes[1]) is same


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ProjectError, match="retrain"):
        compile(parse(MODEL.format(", retrain = 'half'")), Facts((), {}, ("files",)))
