"""Results as `POST /sql` writes them: values that JSON, Python or Parquet has not are told or kept as text, and fail nothing."""

import json
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from tilth.core.errors import UnsupportedError
from tilth.interfaces.http.asking import CSV, JSON, PARQUET, WRITTEN

ROWS: list[tuple[str, list[Any], str]] = [
    ("DATE '12000-01-01', DATE '0044-03-15 (BC)'", ["12000-01-01", "-0043-03-15"], ""),
    ("'infinity'::DATE, '-infinity'::TIMESTAMP", ["infinity", "-infinity"], ""),
    ("TIMESTAMP_NS '2024-01-01 00:00:00.123456789'", ["2024-01-01 00:00:00.123456789"], ""),
    ("TIMESTAMP_NS '1850-01-01 00:00:00.5'", ["1850-01-01T00:00:00.500000"], ""),
    ("MAP {'k': 1}, MAP {2: 3}, [MAP {4: 5}]", [{"k": 1}, {"2": 3}, [{"4": 5}]], ""),
    ("MAP {[1]: {'x': 1}}, MAP {true: 1}", [[[[1], {"x": 1}]], [[True, 1]]], ""),
    ("[DATE '12000-01-01', DATE '2024-01-01']", [["12000-01-01", "2024-01-01"]], ""),
    ("'nan'::DOUBLE, '-inf'::FLOAT, NULL::DOUBLE", [None, None, None], "`c0` is NaN or infinite"),
    ("9007199254740993, 1.10::DECIMAL(9, 2), '\\x00'::BLOB", [9007199254740993, "1.10", "AA=="], ""),
]


def _written(query: str, form: str) -> bytes:
    reader = duckdb.sql(query).to_arrow_reader()
    result: Any = SimpleNamespace(reader=reader, told=[], text="")
    return b"".join(WRITTEN[form](result))


@pytest.mark.parametrize(("columns", "row", "told"), ROWS)
def test_a_row_is_json_with_what_json_has(columns: str, row: list[Any], told: str) -> None:
    names = ", ".join(f"c{n}" for n in range(len(row)))
    found = json.loads(_written(f"FROM (SELECT {columns}) t({names})", JSON))
    assert found["rows"] == [row]
    assert (told in " ".join(found["notices"])) if told else not found["notices"]


@pytest.mark.parametrize("columns", ["INTERVAL '1 month'", "union_value(num := 2)"])
def test_what_parquet_has_no_type_for_is_said_with_its_column(columns: str) -> None:
    with pytest.raises(UnsupportedError, match="Parquet has no type for `b`"):
        _written(f"SELECT 1 AS a, {columns} AS b", PARQUET)
    assert _written(f"SELECT 1 AS a, {columns} AS b", CSV).startswith(b"a,b\n1,")
