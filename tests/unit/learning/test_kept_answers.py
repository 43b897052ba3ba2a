"""The honest answers that a bundle keeps, there and back, and files of them that are not whole."""

import io
import json
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import TamperError
from tilth.ml.judging import answers

IDS = np.array([9, 2**64 - 1, 3, 9, 0], dtype=np.uint64)
VALUES = np.array([0.5, 0.125, 0.75, 0.25, 1.0])
CLASSES = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.5, 0.25]])


@pytest.mark.parametrize(
    ("scores", "kept"),
    [(VALUES, [1.0, 0.75, 0.5, 0.125]), (CLASSES, CLASSES[[4, 2, 0, 1]].tolist())],
    ids=["values", "classes"],
)
def test_answers_come_back_by_rising_ids_and_of_rows_that_are_alike_the_first(scores: Any, kept: Any) -> None:
    found = answers.read({answers.FILE: answers.packed(IDS, scores)})
    assert found.ids.tolist() == [0, 3, 9, 2**64 - 1]
    assert found.scores.tolist() == kept
    assert found.scores.dtype == np.float64


def test_the_place_of_an_id_is_found_and_that_of_another_is_none() -> None:
    found = answers.read({answers.FILE: answers.packed(IDS, VALUES)})
    asked = np.array([9, 1, 2**64 - 1, 2**64 - 2, 0], dtype=np.uint64)
    assert found.find(asked).tolist() == [2, -1, 3, -1, 0]
    assert answers.read({}).find(asked).tolist() == [-1] * 5


def test_what_an_older_tilth_kept_is_read() -> None:
    old = {"ids": ["000000000000000b", "000000000000000a"], "scores": [0.1, 0.9]}
    found = answers.read({answers.OLD: json.dumps(old).encode()})
    assert (found.ids.tolist(), found.scores.tolist()) == ([10, 11], [0.9, 0.1])


def table(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


WHOLE = answers.packed(IDS, VALUES)
DAMAGED: dict[str, dict[str, bytes]] = {
    "nothing": {answers.FILE: b""},
    "another format": {answers.FILE: b'{"ids": []}'},
    "no ids": {answers.FILE: table(s0=[0.5])},
    "no answers": {answers.FILE: table(id=pa.array([1], pa.uint64()))},
    "ids of text": {answers.FILE: table(id=["a"], s0=[0.5])},
    "answers of text": {answers.FILE: table(id=pa.array([1], pa.uint64()), s0=["a"])},
    "gaps for ids": {answers.FILE: table(id=pa.array([1, None], pa.uint64()), s0=[0.5, 0.5])},
    "answers of lists": {answers.FILE: table(id=pa.array([1], pa.uint64()), s0=[[0.5]])},
    "old ones that are no JSON": {answers.OLD: b"{"},
    "old ones without ids": {answers.OLD: b'{"scores": [0.5]}'},
    "old ones of another kind": {answers.OLD: b"[]"},
    "old ids that are none": {answers.OLD: b'{"ids": ["x"], "scores": [0.5]}'},
    "fewer old answers": {answers.OLD: b'{"ids": ["a", "b"], "scores": [0.5]}'},
}


@pytest.mark.parametrize("files", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_not_whole_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(TamperError, match="are not whole") as caught:
        answers.read(files)
    assert caught.value.hint


@pytest.mark.parametrize(
    "change", [lambda b, n: b[:n], lambda b, n: b[:n] + bytes([b[n] ^ 0xFF]) + b[n + 1 :]]
)
def test_a_file_that_was_cut_or_flipped_anywhere_is_read_or_refused(
    change: Callable[[bytes, int], bytes],
) -> None:
    places = random.Random(2).sample(range(len(WHOLE)), 150)
    refused = 0
    for place in places:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answers.read({answers.FILE: change(WHOLE, place)})
        except TamperError:
            refused += 1
    assert refused > 50
