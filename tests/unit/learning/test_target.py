"""What a target makes: the kind of task, the codes, and the refusals with their next step."""

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tilth.core.errors import TargetError
from tilth.core.schema import DataType
from tilth.ml.learning.target import Target, bounded, encode, inspect, known_rows, with_positive
from tilth.ml.model.spec import TrainingSpec

KINDS = {
    "boolean": ([True, False], None, "binary", (False, True)),
    "two texts": (["no", "yes"], None, "binary", ("no", "yes")),
    "two whole numbers": ([3, 7], None, "binary", (3, 7)),
    "nought and one as floats": ([0.0, 1.0], None, "binary", (0.0, 1.0)),
    "nought and one, but an error is asked": ([0, 1], "rmse", "regression", ()),
    "three texts": (["b", "c", "a"], None, "multiclass", ("a", "b", "c")),
    "few whole numbers": (list(range(5)), None, "multiclass", (0, 1, 2, 3, 4)),
    "few whole numbers, but an error is asked": (list(range(5)), "mae", "regression", ()),
    "many whole numbers": (list(range(30)), None, "regression", ()),
    "many whole numbers, but classes are asked": (
        list(range(30)),
        "accuracy",
        "multiclass",
        tuple(range(30)),
    ),
    "floats": ([0.5, 1.5, 2.5], None, "regression", ()),
    "decimals": ([Decimal("1.5"), Decimal("2.25"), Decimal("3.0")], None, "regression", ()),
}


@pytest.mark.parametrize("row", KINDS.values(), ids=KINDS)
def test_the_kind_of_task(row: tuple) -> None:
    values, metric, kind, classes = row
    found = inspect(pa.chunked_array([values * 60]), "y", metric)
    assert (found.kind, found.classes) == (kind, classes)
    codes = encode(pa.chunked_array([values * 60]), found)
    expected = [classes.index(v) for v in values] if classes else [float(v) for v in values]
    assert codes[: len(values)].tolist() == expected


REFUSED = {
    "one value": ([1] * 100, "same value in all 100 rows"),
    "few rows": ([0, 1] * 10, "20 rows"),
    "an identifier": (
        [f"c{n}" for n in range(1000)],
        "1,000 different texts in 1,000 rows: it looks like an identifier",
    ),
    "free text": ([f"the {('soil', 'seed', 'rain')[n % 3]} is {n}" for n in range(1000)], "it is free text"),
    "many classes": ([f"c{n % 1100}" for n in range(3000)], "1,100 different texts; at most 1,000"),
    "numbers that count rows": (
        list(range(500, 700)),
        "200 rows, with hardly one left out: it looks like an identifier",
    ),
    "bytes": ([b"a", b"b"] * 50, "is a binary"),
}


@pytest.mark.parametrize(("values", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_learned_is_refused(values: list, words: str) -> None:
    with pytest.raises(TargetError, match=words) as caught:
        inspect(pa.chunked_array([values]), "y", None)
    assert caught.value.hint


def test_gaps_are_refused_with_their_count_unless_the_label_is_not_due_and_early_labels_wait() -> None:
    values = pa.chunked_array([[1.0, None, float("nan"), 2.0, *[3.0] * 30]])
    with pytest.raises(TargetError, match="missing in 2 of 34 rows"):
        known_rows(values, "y", None)
    for first in ([True, False, False, True], [True, False, False, False]):
        due = [*first, *[True] * 30]
        assert known_rows(values, "y", np.array(due)).tolist() == due
    with pytest.raises(TargetError, match="missing in 1 of 34 rows older"):
        known_rows(values, "y", np.array([True, False, True, True, *[True] * 30]))


def test_a_target_that_is_nearly_all_missing_says_how_many_are_there() -> None:
    values = pa.chunked_array([[1.0] * 3 + [None] * 997])
    with pytest.raises(TargetError, match=r"missing in 997 of 1,000 rows: 3 have one, and at least 30"):
        known_rows(values, "y", None)


def test_numbers_that_count_rows_are_learned_where_an_error_is_asked_for() -> None:
    assert inspect(pa.chunked_array([range(200)]), "y", "rmse").kind == "regression"
    assert inspect(pa.chunked_array([range(0, 2000, 10)]), "y", None).kind == "regression"


POSITIVE = {  # classes, what PREDICT says, metric, costs -> the classes, positive last, or what the error says
    "numbers": ((0, 1), None, "f1", None, (0, 1)),
    "floats": ((0.0, 1.0), None, None, 5, (0.0, 1.0)),
    "truths": ((False, True), None, "f1", 5, (False, True)),
    "words": (("no", "yes"), None, "f1", None, ("no", "yes")),
    "words in capitals": (("NO", "Yes"), None, "f1", None, ("NO", "Yes")),
    "not obvious, and nothing asks": (("fraud", "ok"), None, "roc_auc", None, ("fraud", "ok")),
    "not obvious, costs": (("fraud", "ok"), None, None, 500, "`cost_false_negative` is about one class"),
    "not obvious, f1": (("fraud", "ok"), None, "f1", None, "`f1` is about one class"),
    "minus and plus": ((-1, 1), None, "f1", None, "`f1` is about one class"),
    "declared": (("fraud", "ok"), "fraud", None, 500, ("ok", "fraud")),
    "declared in another case": (("fraud", "ok"), "FRAUD", "f1", None, ("ok", "fraud")),
    "declared against the obvious": ((0, 1), 0, "f1", None, (1, 0)),
    "declared as text": ((3, 7), "3", "f1", None, (7, 3)),
    "no such class": (("fraud", "ok"), "frud", "f1", None, "no class 'frud'"),
    "three classes": (("a", "b", "c"), "a", None, None, "multiclass target"),
}


@pytest.mark.parametrize("row", POSITIVE.values(), ids=POSITIVE)
def test_which_of_two_classes_is_the_positive_one(row: tuple) -> None:
    classes, positive, metric, cost, expected = row
    found = Target("y", DataType.STRING, "binary" if len(classes) == 2 else "multiclass", classes)
    spec = TrainingSpec("m", ("y",), metric=metric, cost_false_negative=cost, positive=positive)
    if isinstance(expected, tuple):
        assert with_positive(found, spec).classes == expected
        return
    with pytest.raises(TargetError, match=expected) as caught:
        with_positive(found, spec)
    assert caught.value.hint


N = np.arange(200) % 17
APART = {
    # values, words of the error (none: they stand)
    "plain numbers": (N * 1.0, ""),
    "years": (2000.0 + N, ""),
    "seconds since 1970, a day apart": (1.7e9 + 86_400.0 * N, ""),
    "near a million, a hundredth apart": (1e6 + 0.01 * N, "y - 1000000.08"),
    "large whole numbers, units apart": (2.0**62 + N, "y - 4611686018427387904"),
    "too small to square": (1e-305 * (1 + N), r"y \* 1e304"),
    "small, and far enough apart": (1e-9 * (1 + N), ""),
}


@pytest.mark.parametrize(("values", "words"), APART.values(), ids=APART)
def test_targets_that_32_bits_cannot_tell_apart_are_refused(values: np.ndarray, words: str) -> None:
    found = Target("y", DataType.FLOAT, "regression")
    if not words:
        bounded(values, found, None)
        return
    with pytest.raises(TargetError, match="32 bits") as caught:
        bounded(values, found, None)
    assert re.search(words, caught.value.hint)


@pytest.mark.parametrize(
    ("kind", "classes", "words"),
    [
        ("regression", (), "`y` is a number"),
        ("multiclass", ("a", "b", "c"), "`y` is one of 3 classes"),
        ("binary", ("no", "yes"), ""),
    ],
)
def test_costs_are_of_two_classes(kind: str, classes: tuple, words: str) -> None:
    spec, found = (
        TrainingSpec("m", ("y",), cost_false_positive=2.0),
        Target("y", DataType.STRING, kind, classes),
    )
    if not words:
        assert with_positive(found, spec) == found
        return
    with pytest.raises(TargetError, match=words) as caught:
        with_positive(found, spec)
    assert "cost_false_positive" in caught.value.hint
