"""Rows as a program or a person reads them: no column is lost, and every value has a form."""

import json

import duckdb
import pytest

from tilth.core.errors import InputError
from tilth.interfaces.cli import ask, show
from tilth.kinds import parse
from tilth.sql.queries.outputs import output_names

AS_JSON = [
    ("1 AS late, 2 AS late, 3 AS late_1", {"late": 1, "late_2": 2, "late_1": 3}),
    ("'nan'::DOUBLE AS a, ['-inf'::DOUBLE, 1] AS b", {"a": None, "b": [None, 1.0]}),
    ("'infinity'::TIMESTAMP AS a, '-infinity'::DATE AS b", {"a": "infinity", "b": "-infinity"}),
    ("DATE '12000-01-02' AS a, DATE '0044-03-15 (BC)' AS b", {"a": "12000-01-02", "b": "-0043-03-15"}),
    ("[DATE '12000-01-02'] AS a, {'x': DATE '12000-01-02'} AS b", {"a": ["12000-01-02"], "b": {"x": "12000-01-02"}}),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "row"), AS_JSON, ids=[c for c, _ in AS_JSON])
def test_every_value_is_shown(columns: str, row: object, capsys: pytest.CaptureFixture[str]) -> None:
    found = duckdb.connect().sql(f"SELECT {columns}").to_arrow_table()
    show.rows(found.to_reader(), "json", 1)
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == [row]
    for form in ("csv", "table"):
        show.rows(found.to_reader(), form, 1)
        assert capsys.readouterr().out


def test_an_input_is_given_once_and_in_its_type() -> None:
    types = {"a": "float", "n": "integer"}
    assert ask._given(("a=nan", "n=3"), types, "m") == {"a": None, "n": 3}
    for pairs in (("a=1", "A=2"), ("n=99999999999999999999",)):
        with pytest.raises(InputError):
            ask._given(pairs, types, "m")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse("\ufeffPLAN") == parse("PLAN")


def test_the_columns_of_values_are_known() -> None:
    assert output_names("SELECT * FROM (VALUES (1, 2, 3)) q(a, x)") == ("a", "x", "col2")
