"""Several members as one scorer: the weighted mean, one row as many, and what a bundle may say of them."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from handmade import files, member, predictor
from tilth.core.errors import TamperError
from tilth.ml.model import ensemble
from tilth.ports.learning import Scorer, Task
from tilth.ports.registry import load

SCORERS = partial(load, "tilth.scorers")
KINDS = {
    "binary": Task("binary", 2, ("x", "z")),
    "regression": Task("regression", 0, ("x", "z"), metric="rmse"),
    "multiclass": Task("multiclass", 3, ("x", "z")),
}
RNG = np.random.default_rng(3)
X = np.ascontiguousarray(RNG.normal(size=(400, 2)) * 3)
X[::7, 1] = np.nan
WEIGHTS = (0.56, 0.12, 0.32)


def scorer(kind: str, number: int) -> Scorer:
    """One of three members that differ."""
    width = 3 if kind == "multiclass" else 1
    drawn = np.random.default_rng(number).normal(size=(3, width))
    payload = member(drawn[:2].tolist(), drawn[2].tolist())
    found: Scorer = SCORERS("linear").load(payload, KINDS[kind])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_the_weighted_mean_of_the_members(kind: str) -> None:
    members = [scorer(kind, n) for n in range(3)]
    mixed = ensemble.of_members(list(zip(members, WEIGHTS, strict=True)))
    mean = sum(w * m.score(X) for m, w in zip(members, WEIGHTS, strict=True))
    assert mixed.score(X) == pytest.approx(mean, rel=1e-14)
    assert mixed.contributions(X) is None
    assert [w for _, w in ensemble.members_of(mixed)] == list(WEIGHTS)


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_is_as_it_is_among_many_to_the_last_bit(kind: str) -> None:
    mixed = ensemble.of_members([(scorer(kind, n), w) for n, w in enumerate(WEIGHTS)])
    many = mixed.score(X).reshape(len(X), -1)
    rows = [mixed.score_row(bytearray(row.tobytes())) for row in X]
    assert np.array_equal(np.array(rows), many)
    assert np.array_equal(mixed.score(X[:9]).reshape(9, -1), many[:9])


def test_one_alone_is_itself() -> None:
    alone = scorer("binary", 1)
    assert ensemble.of_members([(alone, 1.0)]) is alone
    assert ensemble.members_of(alone) == ((alone, 1.0),)


# --- in a bundle -------------------------------------------------------------------------------------------


def bundle(change: Callable[[list[dict[str, Any]]], Any] = lambda _: None) -> dict[str, bytes]:
    """A bundle of two members, of which `calibration.json` says what `change` leaves."""
    made = files({"x": 1.0, "z": 0.0})
    kept = json.loads(made["calibration.json"])
    listed = ensemble.plain([("member.json", "linear", 0.75, False), ("other.json", "linear", 0.25, False)])
    change(listed)
    del kept["member"], kept["scorer"]
    made["other.json"] = member([[0.0], [2.0]], [0.5])
    return {**made, "calibration.json": json.dumps(kept | {"members": listed}).encode()}


def test_a_bundle_of_two_answers_their_mean_and_one_that_names_one_as_before() -> None:
    both, one = predictor(bundle()), predictor(files({"x": 1.0, "z": 0.0}))
    row = {"x": 0.4, "z": 1.0}
    first, second = 1 / (1 + np.exp(-0.4)), 1 / (1 + np.exp(-2.5))
    assert both.predict_rows([row])[0]["y_probability"] == pytest.approx(0.75 * first + 0.25 * second)
    assert one.predict_rows([row])[0]["y_probability"] == pytest.approx(first)


DAMAGED: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "no member": lambda m: m.clear(),
    "more than there may be": lambda m: m.extend([dict(m[0], weight=0.01)] * 49),
    "a weight of nothing": lambda m: m[0].update(weight=0.0),
    "a weight below nothing": lambda m: m[0].update(weight=-0.25),
    "a weight above all": lambda m: m[0].update(weight=1.25),
    "a weight that is no number": lambda m: m[0].update(weight=float("nan")),
    "a weight of text": lambda m: m[0].update(weight="much"),
    "no weight": lambda m: m[0].pop("weight"),
    "weights of more than all": lambda m: m[0].update(weight=1.0),
    "weights of less than all": lambda m: m.pop(),
    "a file that is not there": lambda m: m[1].update(member="third.json"),
    "a file of something else": lambda m: m[1].update(member="signature.json"),
    "no file": lambda m: m[1].pop("member"),
}


@pytest.mark.parametrize("change", DAMAGED.values(), ids=DAMAGED)
def test_members_that_do_not_fit_are_refused(change: Callable[[list[dict[str, Any]]], Any]) -> None:
    with pytest.raises(TamperError) as caught:
        predictor(bundle(change))
    assert caught.value.hint
