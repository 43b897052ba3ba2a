"""Contributions add up to what is served, whatever the engine tells, how many members there are, and how they are calibrated."""

import itertools

import numpy as np
import pytest

from tilth.ml.model.calibration import Platt, Temperature
from tilth.ml.model.contributions import Contributions
from tilth.ml.model.curve import Curve
from tilth.ml.model.walks import typical

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
OWNERS = ("a", "b", "b", "c")


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Additive:
    """Terms of columns, made an output by a link; tells them, or nothing."""

    def __init__(self, link, classes: int = 1, *, tells: bool = True, scale: float = 1.0) -> None:
        self.weights = scale * np.random.default_rng(classes + 1).normal(size=(4, classes))
        self.bias, self.link, self.tells = np.linspace(0.3, -0.3, classes), link, tells

    def score(self, x: np.ndarray) -> np.ndarray:
        out = self.link(sum(x[:, [i]] * w for i, w in enumerate(self.weights)) + self.bias)
        return out if self.weights.shape[1] > 1 else out[:, 0]

    def contributions(self, x: np.ndarray) -> np.ndarray | None:
        if not self.tells:
            return None
        parts = [np.c_[x * w, np.full(len(x), b)] for w, b in zip(self.weights.T, self.bias, strict=True)]
        return np.concatenate(parts, axis=1)


def product(x: np.ndarray) -> np.ndarray:
    return x[:, 0] * x[:, 1] + x[:, 3]


class Product(Additive):
    """Inputs that only work together."""

    def __init__(self) -> None:
        super().__init__(None, tells=False)

    def score(self, x: np.ndarray) -> np.ndarray:
        return product(x)


def same(z: np.ndarray) -> np.ndarray:
    return z


MEAN = typical(X, ())
CASES = {
    "a value": ("regression", [(Additive(same), 1.0)], Curve()),
    "a value with a floor": ("regression", [(Additive(same), 1.0)], Curve(floor=0.0)),
    "a rate": ("regression", [(Additive(np.exp), 1.0)], Curve()),
    "two classes": ("binary", [(Additive(sigmoid), 1.0)], Curve()),
    "two classes, sure": ("binary", [(Additive(sigmoid, scale=30), 1.0)], Curve(platt=Platt(0.4, 0.1))),
    "three classes": ("multiclass", [(Additive(softmax, 3), 1.0)], Curve()),
    "three classes, cooled": ("multiclass", [(Additive(softmax, 3, scale=9), 1.0)], Curve(temperature=Temperature(0.6))),
    "members": ("binary", [(Additive(sigmoid), 3.0), (Additive(sigmoid, scale=-2), 1.0)], Curve(platt=Platt(1.5, -0.2))),
    "members of which one tells nothing": ("multiclass", [(Additive(softmax, 3), 0.5), (Additive(softmax, 3, tells=False, scale=2), 0.5)],
                                           Curve(temperature=Temperature(1.7))),
    "nothing told": ("binary", [(Additive(sigmoid, tells=False), 1.0)], Curve(platt=Platt(0.7, 0.0))),
    "what only works together": ("regression", [(Product(), 1.0)], Curve()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_base_and_parts_are_the_answer_of_each_row_alone_as_among_others(case: tuple) -> None:
    kind, members, curve = case
    whole = sum(w for _, w in members)
    raw = sum(w / whole * s.score(X) for s, w in members)
    totals = [curve.one(tuple(np.atleast_1d(r).tolist())) for r in raw]
    told = Contributions(kind, OWNERS, members, curve, MEAN)
    found = told.of(X, totals)
    assert told.inputs == ("a", "b", "c")
    for row, (one, total) in enumerate(zip(found, totals, strict=True)):
        assert one is not None
        assert one.base + one.parts.sum() == pytest.approx(max(total), abs=1e-12)
        (alone,) = told.of(np.ascontiguousarray(X[row : row + 1]), [total])
        assert alone is not None
        assert (alone.base, alone.parts.tolist()) == (one.base, one.parts.tolist())
    assert len({one.base for one in found if one is not None}) == (
        1 if kind != "multiclass" else len({t.index(max(t)) for t in totals})
    )


def test_of_one_number_the_rescale_rule_keeps_the_engines_shares() -> None:
    scorer = Additive(sigmoid)
    (found,) = Contributions("binary", ("a", "b", "c", "d"), [(scorer, 1.0)], Curve()).of(
        X[:1], [tuple(scorer.score(X[:1]).tolist())]
    )
    own = X[0] * scorer.weights[:, 0]
    assert found is not None
    assert found.parts / found.parts.sum() == pytest.approx(own / own.sum(), rel=1e-9)
    assert found.base == pytest.approx(float(sigmoid(scorer.bias)[0]))


def test_what_is_tried_out_is_the_shapley_value_of_all_orders_where_they_are_all_tried() -> None:
    scorer = Product()
    (found,) = Contributions("regression", ("a", "b", "c", "d"), [(scorer, 1.0)], Curve(), MEAN).of(
        X[:1], [(float(product(X[:1])[0]),)]
    )
    steps = []
    for order in itertools.permutations(range(4)):
        row, add = MEAN.copy(), np.zeros(4)
        for place in order:
            before = product(row[None, :])[0]
            row[place] = X[0, place]
            add[place] = product(row[None, :])[0] - before
        steps.append(add)
    assert found is not None
    assert found.orders > 0
    assert found.parts == pytest.approx(
        np.mean(steps, axis=0), abs=1e-9
    )  # pairs there and back are exact for products of two


def test_without_a_usual_row_a_member_that_tells_nothing_is_said() -> None:
    scorer = Additive(sigmoid, tells=False)
    assert Contributions("binary", OWNERS, [(scorer, 1.0)], Curve()).of(X[:1], [(0.5,)]) == [None]


def test_a_usual_row_is_of_medians_and_of_the_most_frequent_codes() -> None:
    x = np.array([[1.0, 2, np.nan], [2, 2, np.nan], [9, 0, 1]])
    assert typical(x, (1,)).tolist()[:2] == [2.0, 2.0]
    assert np.isnan(typical(x, ())[2])
