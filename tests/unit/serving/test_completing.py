"""Rows completed by a key: what is a key's value, what wins, and what is refused."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tilth.core.errors import InputError
from tilth.core.schema import DataType as D
from tilth.ml.data.keyed import KeyColumn
from tilth.ports.clock import ManualClock
from tilth.ports.lookups import Kept, MemoryRows
from tilth.runtime.serving.looking_up import Completing, Store, key_bytes, noticed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROW = {"x": 1.5, "y": "b"}


def completing(
    kept: Sequence[Any], *kinds: D, gaps: bool = False, taken: Sequence[str] = ("given", "x", "y")
) -> Completing:
    """Of one row with this key; its columns are k0, k1, ..."""
    key = tuple(KeyColumn(f"k{n}", kind) for n, kind in enumerate(kinds))
    store = Store("people", "s", "s", NOW, key, ("x", "y"), None, None)
    rows = MemoryRows([Kept(key_bytes(kept), 0, 0, 0, json.dumps(ROW).encode())] if kept else [])
    return Completing("e", store, rows, taken, ManualClock(NOW), {}, gaps=gaps)


FOUND = [
    ((7,), (D.INTEGER,), "7"),
    ((7,), (D.INTEGER,), "7.0"),
    ((7,), (D.INTEGER,), "7e0"),
    ((-(2**63),), (D.INTEGER,), "-9223372036854775808"),
    (("00420",), (D.STRING,), '"00420"'),
    (("",), (D.STRING,), '""'),
    (("O'Neil; DROP TABLE rows --",), (D.STRING,), '"O\'Neil; DROP TABLE rows --"'),
    (('\x00 ü 😀\u2028\\"',), (D.STRING,), '"\\u0000 \\u00fc \\ud83d\\ude00\\u2028\\\\\\""'),
    (("x" * 100_000,), (D.STRING,), f'"{"x" * 100_000}"'),
    ((date(2026, 1, 1),), (D.DATE,), '"2026-01-01"'),
    ((datetime(2026, 1, 1, 12),), (D.TIMESTAMP,), '"2026-01-01T13:00:00+01:00"'),
    ((True,), (D.BOOLEAN,), "true"),
    ((7, "a"), (D.INTEGER, D.STRING), '7, "k1": "a"'),
]  # fmt: skip


@pytest.mark.parametrize(("kept", "kinds", "asked"), FOUND)
def test_a_key_is_found_however_it_is_written(
    kept: tuple[Any, ...], kinds: tuple[D, ...], asked: str
) -> None:
    body, told = completing(kept, *kinds).completed(f'{{"given": null, "k0": {asked}}}'.encode())
    assert (json.loads(body), told) == ({"given": None, **ROW}, "")


REFUSED = [
    ((7,), D.INTEGER, "8", "`people` has no row of k0 8, and the request lacks `x`, `y`"),
    ((7,), D.INTEGER, "null", "has no row of k0 null"),
    ((7,), D.INTEGER, '"7"', "must be a whole number"),
    ((7,), D.INTEGER, "7.5", "must be a whole number"),
    ((7,), D.INTEGER, "1e400", "must be a whole number"),
    ((1,), D.INTEGER, "true", "must be a whole number"),
    ((7,), D.INTEGER, "[7]", "must be a whole number"),
    ((7,), D.INTEGER, '{"a": 1}', "must be a whole number"),
    (("7",), D.STRING, "7", "must be a text"),
    (("a",), D.STRING, '"A"', "has no row"),
    ((date(2026, 1, 1),), D.DATE, '"yesterday"', "must be a date in ISO 8601"),
    ((datetime(2026, 1, 1),), D.TIMESTAMP, '"9999-12-31T23:59:59-23:00"', "must be a date and time"),
    ((True,), D.BOOLEAN, "1", "must be true or false"),
    ((), D.INTEGER, "1", "has no row of k0 1"),
]  # fmt: skip


@pytest.mark.parametrize(("kept", "kind", "asked", "said"), REFUSED)
def test_a_key_that_is_none_or_not_there_is_refused(
    kept: tuple[Any, ...], kind: D, asked: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        completing(kept, kind).completed(f'{{"given": 1, "k0": {asked}}}'.encode())
    assert said in caught.value.message
    assert caught.value.hint


def test_what_a_request_gives_stays_and_a_whole_one_needs_no_key() -> None:
    by = completing((7,), D.INTEGER)
    assert json.loads(by.completed(b'{"k0": 7, "x": null}')[0]) == {"x": None, "y": "b"}
    whole = b'{"given": 1, "x": 2, "y": "c"}'
    assert by.completed(whole) == (whole, "")
    assert json.loads(by.completed(b'{"given": 1, "x": 2, "y": "c", "k0": "of no type"}')[0]) == json.loads(
        whole
    )
    with pytest.raises(InputError, match="Missing: `y`, or `k0`, by which `e` looks them up in `people`"):
        by.completed(b'{"x": 1}')


def test_a_key_that_the_model_takes_stays() -> None:
    by = completing((7,), D.INTEGER, taken=("k0", "x", "y"))
    assert json.loads(by.completed(b'{"k0": 7}')[0]) == {"k0": 7, **ROW}
    assert by.asked == ()


def test_with_gaps_the_row_lacks_what_it_lacked_and_it_is_told() -> None:
    by = completing((7,), D.INTEGER, gaps=True)
    body, told = by.completed(b'{"k0": 8, "x": 1}')
    assert json.loads(body) == {"x": 1, "y": None}
    assert told == "people has no row of k0 8: y counted as gaps"
    with pytest.raises(InputError, match="must be a whole number"):
        by.completed(b'{"k0": "8"}')


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"{", b'{"k0": 7', b"\xff\xfe", b"[" * 5_000, b'{"given": "\xff", "k0": 7}']
)
def test_what_is_no_object_is_left_to_the_model(body: bytes) -> None:
    assert completing((7,), D.INTEGER).completed(body) == (body, "")


@pytest.mark.parametrize(
    "body", [b'{"k0": 7, "k0": 8}', b'{"x": 1, "x": 2, "k0": 7}', b'{"k0": 7, "\\u006b0": 8}']
)
def test_a_name_that_is_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(InputError, match="twice"):
        completing((7,), D.INTEGER).completed(body)


def test_a_notice_joins_those_that_are_there() -> None:
    assert json.loads(b"{%b}" % noticed(b'"y":1', 'of "k"')) == {"y": 1, "notices": ['of "k"']}
    assert json.loads(b"{%b}" % noticed(b'"y":1,"notices":["a"]', "b")) == {"y": 1, "notices": ["a", "b"]}
