"""Values and frames in a text: what is written for each, and what is refused."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pytest

from tilth.core.errors import InputError
from tilth.sql.language.parameters import bound

VALUES = [
    None, True, 0, -3, 2**63, -(2**127), 0.1, -0.0, 1e300, 5e-324, float("inf"), "", "it's", "a -- b", "x'; DROP TABLE t; --",
    "\\'", "é\n", b"\x00'\xff", date(2024, 2, 29), datetime(2024, 1, 1, 2, 3, 4, 5), time(1, 2, 3, 4), timedelta(days=-1, seconds=5),
    Decimal("-12.340"), UUID(int=5), [1, 2], ["a", "b'"],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_exactly(value: Any) -> None:
    for text, given in (("SELECT 1 AS o, $v AS v", {"v": value}), ("SELECT 1 AS o, ? AS v", [value])):
        (row,) = duckdb.sql(bound(text, given)).fetchall()
        assert repr(row[1]) == repr(value)


SCALARS = [
    (np.int64(-5), -5), (np.float32(0.5), 0.5), (np.bool_(True), True), (np.str_("it's"), "it's"),
    (np.datetime64("2024-01-01T00:00:00.000001000"), datetime(2024, 1, 1, 0, 0, 0, 1)), (np.datetime64("NaT"), None),
    (np.timedelta64(5, "s"), timedelta(seconds=5)),
]  # fmt: skip


@pytest.mark.parametrize(("value", "plain"), SCALARS)
def test_scalars_of_numpy_are_pythons(value: Any, plain: Any) -> None:
    assert duckdb.sql(bound("SELECT $v", {"v": value})).fetchall() == [(plain,)]


def test_a_moment_with_a_zone_keeps_it() -> None:
    said = bound("SELECT $t", {"t": datetime(2024, 1, 1, tzinfo=UTC)})
    assert said == "SELECT TIMESTAMPTZ '2024-01-01 00:00:00+00:00'"


TEXTS = [
    ("SELECT 5-$x", {"x": -3}, (), "SELECT 5-(-3)"),
    ("SELECT $1, $2, $1", [1, "b"], (), "SELECT 1, 'b', 1"),
    ("SELECT '$x', \"$x\", -- $x ?\n$x", {"x": 1}, (), "SELECT '$x', \"$x\", -- $x ?\n1"),
    ("SELECT $$a $x$$, $x", {"x": 1}, (), "SELECT $$a $x$$, 1"),
    ("SELECT * FROM $f, $F WHERE $f.a > ?", [1], ("f", "F"), 'SELECT * FROM "$"."f", "$"."F" WHERE "$"."f".a > 1'),
    ("SELECT a ? 'b'", None, (), "SELECT a ? 'b'"),
    ("SELECT $x", {"$x": 1}, (), "SELECT 1"),
    ("SELECT 1", {}, (), "SELECT 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "given", "frames", "made"), TEXTS)
def test_values_stand_where_they_are_named(text: str, given: Any, frames: tuple[str, ...], made: str) -> None:
    assert bound(text, given, frames) == made


WRONG = [
    ("SELECT $x", None, "`$x` has no value", "{'x': ...}"),
    ("SELECT $ex", {"x": 1}, "`$ex` has no value", "Did you mean `x`?"),
    ("SELECT ?, ?", [1], "`?` has no value", "one for each"),
    ("SELECT ?", [1, 2], "`2` is given", "`?` or `$2`"),
    ("SELECT $x", {"x": 1, "y": 2}, "`y` is given", "Write `$y`"),
    ("SELECT ?, $x", {"x": 1, "1": 2}, "stand in one text", "mapping"),
    ("SELECT $x", {"x": object()}, "The parameter `x` cannot be of the type object", "Give None"),
    ("SELECT ?", [object()], "The parameter `1` cannot be of the type object", "Give None"),
    ("SELECT $x", {"x": {"a": 1}}, "The parameter `x` cannot be of the type dict", "Give None"),
    ("SELECT $x", {"x": 2**127}, "of that size", "Give None"),
    ("SELECT $x", {"x": Decimal("NaN")}, "of that size", "Give None"),
    ("SELECT $x", {"x": np.datetime64("2024-01-01T00:00:00.000000001")}, "finer than a microsecond", "Round"),
    ("SELECT $x", "dev", "a mapping or a sequence", "environment='dev'"),
    ("SELECT $x", 5, "a mapping or a sequence", "environment='dev'"),
]


@pytest.mark.parametrize(("text", "given", "message", "hint"), WRONG)
def test_what_does_not_fit_is_said(text: str, given: Any, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        bound(text, given)
    assert message in caught.value.message
    assert hint in str(caught.value.hint)
