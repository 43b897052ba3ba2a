"""A predictor by hand, where it turns: at the threshold, at the end of an interval, at a gap. `test_predictor` has trained ones."""

import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from handmade import files, predictor
from tilth.adapters.scorers.linear_scorer import LinearScorer
from tilth.core.errors import InputError
from tilth.core.schema import DataType
from tilth.ml.model.calibration import Conformal
from tilth.ml.model.curve import Curve, threshold
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.metrics import decided, evaluate
from tilth.ml.model.values import Misfit, fitted

NOTHING = {"x": None}
HALF = Curve(conformal=Conformal(1.0, 0.9))
FLOOR = Curve(conformal=Conformal(1.0, 0.9, 1.0), floor=2.0)
VALUE = predictor(files({"x": 1.0}, "regression", curve=HALF))
BARE = predictor(files({"x": 1.0}, "regression"))
SURE = predictor(files({"x": 1.0}))
ALERT = predictor(files({"x": 1.0}, curve=Curve(threshold=0.2)))
STRICT = predictor(files({"x": 1.0, "z": 0.0}, strict=True, optional=("z",)))
LENIENT = predictor(files({"x": 1.0, "z": 0.0}, optional=("z",)))
WIDE = predictor(files({"x": 1.0, "z": 0.0}, "regression", curve=FLOOR, width={"z": 1.0}, optional=("z",)))

DIFFER = {
    "inside the interval": (VALUE, VALUE, (3.0,), (3.9,), False),
    "at the end of the interval": (VALUE, VALUE, (3.0,), (4.0,), False),
    "below it": (VALUE, VALUE, (3.0,), (1.9,), True),
    "of the width of the row": (VALUE, VALUE, (3.0, 2.0), (5.0, 0.1), False),
    "without an interval": (BARE, BARE, (3.0,), (3.0,), False),
    "without an interval, another number": (BARE, BARE, (3.0,), (3.1,), True),
    "a class and a number": (SURE, VALUE, (0.7,), (0.7,), True),
    "the same class": (SURE, SURE, (0.6,), (0.99,), False),
    "another class": (SURE, SURE, (0.6,), (0.4,), True),
    "the threshold of each": (SURE, ALERT, (0.3,), (0.3,), True),
    "one class by two thresholds": (SURE, ALERT, (0.6,), (0.3,), False),
}


@pytest.mark.parametrize(("one", "other", "mine", "theirs", "differs"), DIFFER.values(), ids=DIFFER)
def test_two_versions_say_something_else(one: Any, other: Any, mine: Any, theirs: Any, differs: bool) -> None:
    assert one.differs(mine, other, theirs) is differs


def rows(*x: float | None, z: Any = 1.0) -> pa.Table:
    return pa.table({"x": pa.array(x, pa.float64()), "z": pa.array([z] * len(x), pa.float64())})


def test_the_threshold_itself_is_a_no_at_every_door() -> None:
    """A score of 0 has a chance of exactly 0.5."""
    batch = SURE.predict(rows(0.0, 0.1))
    assert batch["y"].to_pylist() == [False, True]
    assert batch["y_confidence"].to_pylist()[0] == 0.5
    below = SURE.predict(rows(-1.0))
    assert below["y_confidence"].to_pylist() == [1 - below["y_probability"].to_pylist()[0]]
    assert [r["y"] for r in SURE.predict_rows([{"x": 0.0}, {"x": 0.1}])] == [False, True]
    assert json.loads(b"{" + SURE.score_json(b'{"x": 0}')[0] + b"}")["y"] is False
    assert decided("accuracy", np.array([0.2, 0.3, np.nan]), 0.2).tolist()[:2] == [0.0, 1.0]
    assert np.isnan(decided("accuracy", np.array([np.nan]), 0.2)).all()
    assert decided("log_loss", np.array([0.3]), 0.2).tolist() == [0.3]


COSTS = [((None, None), 0.5), ((9.0, 1.0), 0.1), ((1.0, 9.0), 0.9), ((3.0, None), 0.25), ((0.0, 0.0), 0.5)]


@pytest.mark.parametrize(("costs", "expected"), COSTS)
def test_costs_make_the_threshold(costs: tuple[float | None, float | None], expected: float) -> None:
    assert threshold(*costs) == pytest.approx(expected)


# --- gaps --------------------------------------------------------------------------------------------------


def test_a_strict_model_refuses_the_rows_that_lack_what_never_was_missing() -> None:
    table = rows(0.1, None, 0.3)
    scores, can = STRICT.answers(table)
    assert can.tolist() == [True, False, True]
    assert np.isnan(scores).tolist() == [False, True, False]
    seen = Gaps("m", strict=True)
    assert STRICT.predict(table, ["y"], seen)["y"].to_pylist() == [True, None, True]
    assert (seen.rows, seen.lacking, seen.refused) == (3, {"x": 1}, 1)
    answers = STRICT.predict_rows([{"x": 0.1}, NOTHING])
    assert (answers[0]["y"], answers[1]["y"]) == (True, None)
    for ask in (STRICT.taken, STRICT.explain):
        with pytest.raises(InputError, match="`x` is missing"):
            ask({"x": None, "z": 1.0})
    with pytest.raises(InputError, match="`x` is missing"):
        STRICT.score_json(b'{"x": null, "z": 1}')


def test_a_model_that_is_not_strict_answers_them_as_gaps_and_says_so() -> None:
    seen = Gaps("m")
    assert None not in LENIENT.predict(rows(0.1, None), ["y"], seen)["y"].to_pylist()
    assert (seen.rows, seen.lacking, seen.refused) == (2, {"x": 1}, 0)
    assert LENIENT.answers(rows(0.1, None))[1].all()
    inside, _, _ = LENIENT.score_json(b'{"x": null, "z": 1}')
    assert json.loads(b"{" + inside + b"}")["notices"] == [
        "`x` is missing, which it never was in training: answered as a gap"
    ]
    assert b"notices" not in LENIENT.score_json(b'{"x": 1, "z": 1}')[0]
    assert LENIENT.taken({"x": None, "z": 1.0}) is not None


def test_a_gap_that_training_knew_is_none() -> None:
    for model in (STRICT, LENIENT):
        seen = Gaps("m", strict=model.strict)
        assert model.predict(rows(0.1, z=None), ["y"], seen)["y"].to_pylist() == [True]
        assert (seen.lacking, seen.refused) == ({}, 0)
        assert model.predict(pa.table({"x": [0.1]}), ["y"])["y"].to_pylist() == [True]
        assert b"notices" not in model.score_json(b'{"x": 1}')[0]
        with pytest.raises(InputError, match="The input `x` is missing"):
            model.predict(pa.table({"z": [0.1]}))


# --- values and their intervals ----------------------------------------------------------------------------

ENDS = {
    "wide by the row": ((5.0, 2.0), (5.0, 2.0, 8.0)),
    "never narrower than the radius": ((5.0, -4.0), (5.0, 4.0, 6.0)),
    "no end below the floor": ((2.5, 3.0), (2.5, 2.0, 6.5)),
    "no value below the floor": ((1.0, 0.0), (2.0, 2.0, 3.0)),
}


@pytest.mark.parametrize(("given", "expected"), ENDS.values(), ids=ENDS)
def test_a_value_has_an_interval_of_its_own_width(given: Any, expected: Any) -> None:
    table = rows(given[0], z=given[1])
    names = ["y", "y_lower", "y_upper"]
    assert [c[0].as_py() for c in WIDE.predict(table, names)] == list(expected)
    (one,) = WIDE.predict_rows([{"x": given[0], "z": given[1]}])
    assert [one[n] for n in names] == list(expected)
    inside = json.loads(b"{" + WIDE.score_json(json.dumps({"x": given[0], "z": given[1]}).encode())[0] + b"}")
    assert [inside[n] for n in names] == list(expected)


def test_an_end_is_on_its_own_side_of_a_value_below_the_floor() -> None:
    low, high = FLOOR.conformal.ends(np.array([1.0]), np.array([0.5]), 2.0)  # type: ignore[union-attr]
    assert (low.tolist(), high.tolist()) == ([1.0], [1.5])
    assert WIDE.meaning.ends((1.0, 0.5)) == (1.0, 1.5)


def test_intervals_of_one_width_have_the_radius() -> None:
    assert [c.to_pylist() for c in VALUE.predict(rows(3.0, 4.0), ["y_lower", "y_upper"])] == [
        [2.0, 3.0],
        [4.0, 5.0],
    ]


# --- values of inputs --------------------------------------------------------------------------------------

FITS = [
    (2**63 - 1, DataType.INTEGER, 2**63 - 1), (2**63, DataType.INTEGER, Misfit), (-(2**63), DataType.INTEGER, -(2**63)),
    (-(2**63) - 1, DataType.INTEGER, Misfit), (3.0, DataType.INTEGER, 3), (3.5, DataType.INTEGER, Misfit),
    (Decimal("2.5"), DataType.INTEGER, Misfit), (True, DataType.INTEGER, Misfit), (float("nan"), DataType.INTEGER, None),
    (True, DataType.FLOAT, Misfit), (10**400, DataType.FLOAT, Misfit), (1, DataType.BOOLEAN, Misfit),
    (datetime(2024, 1, 2), DataType.DATE, date(2024, 1, 2)), (datetime.combine(date(2024, 1, 2), time(1)), DataType.DATE, Misfit),
    ("2024-01-02", DataType.DATE, date(2024, 1, 2)), ("2024-01-02T03:00:00+02:00", DataType.TIMESTAMP, datetime(2024, 1, 2, 1)),
    (np.datetime64("2024-01-02T00:00:00.000000001"), DataType.TIMESTAMP, Misfit), (np.datetime64("NaT"), DataType.TIMESTAMP, None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "expected"), FITS, ids=[f"{v} as {k.value}" for v, k, _ in FITS])
def test_a_value_is_one_of_the_type_s_or_none_of_them(value: Any, kind: DataType, expected: Any) -> None:
    if expected is Misfit:
        with pytest.raises(Misfit):
            fitted(value, kind)
        return
    found = fitted(value, kind)
    assert (found, type(found)) == (expected, type(expected))


def test_a_tie_is_half_a_hit() -> None:
    truth = np.array([0.0, 1.0, 0.0, 1.0])
    assert evaluate("roc_auc", truth, np.array([0.1, 0.1, 0.1, 0.9])) == 0.75


def test_the_member_by_hand_is_what_is_asked() -> None:
    assert isinstance(VALUE._scorer, LinearScorer)
    assert VALUE.scores(rows(3.0)).tolist() == [3.0]
