"""Columns of lists and objects: what is learned of them, and that every door reads a value as training did."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tilth.core.errors import InputError
from tilth.core.schema import DataType
from tilth.ml.model import nested
from tilth.ml.model.encode import Encoder
from tilth.ml.model.outside import Reach
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Input, Signature

ROWS = 60
PLACES = [[n * 0.5, float(n % 7), None if n % 9 == 0 else 1.0] for n in range(ROWS)]
LENGTHS = [[float(n % 5 + k) for k in range(n % 4)] for n in range(ROWS)]
TAGS = [["red", "blue"][: n % 3] for n in range(ROWS)]
THINGS = [{"size": n % 3, "of": "wood" if n % 2 else "iron"} for n in range(ROWS)]
LISTS = pa.table({"places": PLACES, "lengths": LENGTHS, "tags": TAGS, "things": THINGS})
TEXTS = pa.table({name: [json.dumps(v) for v in LISTS[name].to_pylist()] for name in LISTS.schema.names})
PREPARED = Preparation.fit(TEXTS, tuple(TEXTS.schema.names))


def encoder() -> Encoder:
    inputs = tuple(Input(c.name, c.type, False) for c in PREPARED.columns)
    return Encoder(Signature("m", "y", "y", "regression", DataType.FLOAT, inputs), PREPARED)


def test_what_lists_and_objects_become() -> None:
    assert [(c.name, c.kind, c.type) for c in PREPARED.columns] == [
        ("places", "list", DataType.JSON),
        ("lengths", "list", DataType.JSON),
        ("tags", "category", DataType.JSON),
        ("things", "category", DataType.JSON),
    ]
    assert PREPARED.features[:4] == ("places.1", "places.2", "places.3", "lengths.length")
    x = PREPARED.matrix(TEXTS)
    expected = np.array([[math.nan if v is None else v for v in row] for row in PLACES])
    assert np.array_equal(x[:, :3], expected, equal_nan=True)
    assert x[3, 3:9].tolist() == [3, 4.0, 3.0, 5.0, 3.0, 5.0]  # of 3, 4, 5
    assert np.isnan(x[0, 4:9]).all()
    assert x[0, 3] == 0
    assert Preparation.from_plain(json.loads(json.dumps(PREPARED.plain()))) == PREPARED


def test_lists_and_their_texts_are_the_same_in_a_batch_and_alone() -> None:
    x = PREPARED.matrix(TEXTS)
    assert np.array_equal(PREPARED.matrix(LISTS), x, equal_nan=True)
    reads = encoder()
    for n in range(0, ROWS, 7):
        given, text = LISTS.slice(n, 1).to_pylist()[0], TEXTS.slice(n, 1).to_pylist()[0]
        for row in (reads.convert(given), reads.decode(json.dumps(given).encode()), reads.convert(text)):
            assert np.array_equal(np.frombuffer(reads.pack(row)), x[n], equal_nan=True)
            assert reads.values(row) == text  # what is logged is what snapshots keep


ODD: dict[str, tuple[Any, bool]] = {
    "longer": ([1.0, 2.0, 3.0, 4.0], True),
    "of texts": (["a", "b", "c"], True),
    "an object": ({"a": 1}, True),
    "no JSON": ("[1, 2", True),
    "another text": ("abc", True),
    "as numpy has it": (np.array([1.0, 2.0, 3.0]), False),
    "a tuple": ((1, 2, 3), False),
    "gaps alone": ([math.nan, math.inf, None], False),
    "a gap": (None, False),
}


@pytest.mark.parametrize(("value", "told"), ODD.values(), ids=ODD)
def test_a_list_unlike_those_of_training_is_a_gap_and_told(value: Any, told: bool) -> None:
    reads, reach = encoder(), Reach(PREPARED.columns)
    row = reads.convert({"places": value})
    numbers, odd = reads.packed(row)
    assert [one.input for one in reads.outside(row)] == (["places"] if told else [])
    assert odd
    table = pa.table({n: pa.array([v], pa.string()) for n, v in reads.values(row).items()})
    x = PREPARED.matrix(table)
    assert np.array_equal(np.frombuffer(numbers), x[0], equal_nan=True)
    assert list(reach.masks(x, table)) == (["places"] if told else [])


def test_what_is_no_list_is_refused() -> None:
    with pytest.raises(InputError, match="`places` must be a list, an object, or either as JSON text"):
        encoder().convert({"places": 3})


PARTS: dict[str, tuple[list[Any], Any]] = {
    "one length": ([[1, 2], [3, 4]], ("1", "2")),
    "some": ([[1, 2], [3]], tuple(nested.COMMON)),
    "too long": ([[n] * 129 for n in range(3)], tuple(nested.COMMON)),
    "all alike": ([[1, 2], [1, 2]], None),
    "empty": ([[], []], None),
    "texts": ([["a"], ["b"]], None),
    "objects": ([{"a": 1}, {"a": 2}], None),
    "true and false": ([[True, False], [False, True]], ("1", "2")),
    "one that is no list": ([[1, 2], None], None),
}


@pytest.mark.parametrize(("found", "parts"), PARTS.values(), ids=PARTS)
def test_the_features_of_lists(found: list[Any], parts: Any) -> None:
    assert nested.parts_of(found) == parts


def test_a_text_in_brackets_stays_a_text() -> None:
    named = [f"[{n % 3}" for n in range(ROWS)]
    (column,) = Preparation.fit(pa.table({"a": named}), ("a",)).columns
    assert (column.kind, column.type) == ("category", DataType.STRING)
