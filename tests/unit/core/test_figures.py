"""Figures keep their digits; values print as DuckDB prints them."""

from typing import Any

import duckdb
import pytest

from tilth.core.figures import figure, sql_text

FIGURES: list[tuple[float, int, str]] = [
    (204_912.34, 4, "204,912"), (204_912.34, 6, "204,912"), (49_870.6, 4, "49,871"), (9_027.4, 4, "9,027"), (70.05, 4, "70.05"),
    (0.689361, 4, "0.6894"), (0.0, 4, "0"), (-0.5, 4, "-0.5"), (1e-7, 4, "1e-07"), (-1_234_567.8, 6, "-1,234,568"),
    (1e15, 4, "1,000,000,000,000,000"), (1e300, 4, "1e+300"), (float("nan"), 4, "nan"), (float("inf"), 4, "inf"),
    (9_999.6, 4, "10,000"), (999.96, 4, "1,000"), (0.99996, 4, "1"), (1_234.56, 6, "1,234.56"), (0.00012345, 4, "0.0001234"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "digits", "right"), FIGURES)
def test_a_figure_keeps_what_stands_before_the_point(value: float, digits: int, right: str) -> None:
    assert figure(value, digits) == right


VALUES = [
    "true", "1", "-0.0::DOUBLE", "1e15", "2.049e5", "1e-5", "1.5e300", "'inf'::DOUBLE", "'NaN'::DOUBLE", "0.1::DOUBLE + 0.2",
    "1.50::DECIMAL(9, 2)", "12345678901234567890123::HUGEINT", "DATE '0001-01-01'", "TIMESTAMP '2024-01-01 10:00:00.5'",
    "TIMESTAMP '2024-01-01 10:00:00'", "TIME '01:02:03.25'", "TIMESTAMPTZ '2024-01-01 10:00:00.000001+02'", "'text'",
    "INTERVAL '1 day 2 hours'", "INTERVAL '14 months -3 days 00:00:01.5'", "INTERVAL '-1 hour'", "INTERVAL '0 s'",
    "INTERVAL '-25 months'", "{'a': 1, 'b': 'x'}", "[1, NULL, 2.5::DOUBLE]", "[{'a': NULL}]", "'ab\\x00\\xFF'::BLOB",
]  # fmt: skip


@pytest.mark.parametrize("expression", VALUES)
def test_a_value_prints_as_sql_prints_it(expression: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(f"SELECT {expression} AS v, ({expression})::VARCHAR AS t").to_arrow_table()
    value: Any = found["v"][0].as_py()
    assert sql_text(value) == found["t"][0].as_py()


def test_null_is_an_empty_cell() -> None:
    assert sql_text(None) == ""
