"""How close checks came: bounds read from expressions, and values from statistics of files."""

import pyarrow as pa
import pytest
from data_bench import Bench, check, dataset

from tilth.ml.data.margins import Bounds, bounds_of
from tilth.sql.language.statements import CheckKind, OnFail


@pytest.mark.parametrize(
    ("expression", "bounds"),
    [
        ("a BETWEEN -120 AND 1500", Bounds(-120, 1500, "a")),
        ("a >= 0", Bounds(0, None, "a")),
        ("a IS NULL OR a < 2.5", Bounds(None, 2.5, "a")),
        ("(a IS NULL OR (a > 1))", Bounds(1, None, "a")),
        ("AVG(a) BETWEEN -5 AND 60", Bounds(-5, 60)),
        ("COUNT(*) >= 100", Bounds(100, None)),
        ("approx_count_distinct(a) = 10", Bounds(10, 10)),
        ("a > b", None),
        ("a > 1 AND a < 3", None),
        ("a IN (1, 2)", None),
        ("a LIKE 'x'", None),
        ("a > 'x'", None),
        ("a OR b > 1", None),
    ],
)
def test_bounds_are_numbers_that_an_expression_compares_with(expression: str, bounds: Bounds | None) -> None:
    assert bounds_of(expression) == bounds


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (check("a BETWEEN -9 AND 8", OnFail.WARN), (5.0, -9, 8)),
        (check("a < 2", OnFail.QUARANTINE), (1.0, None, 2)),
        (check("x >= -1", OnFail.WARN), (0.5, -1, None)),
        (check("s <> ''", OnFail.WARN), (None, None, None)),
        (check("avg(a) < 9", OnFail.WARN, CheckKind.SET), (3.0, None, 9)),
        (check("count(*) = 5", OnFail.WARN, CheckKind.SET), (5.0, 5, 5)),
        (check("max(s) = 'e'", OnFail.WARN, CheckKind.SET), (None, None, None)),
    ],
)
def test_a_result_has_what_was_found_and_its_bounds(
    bench: Bench, item: object, found: tuple[float | None, ...]
) -> None:
    bench.source.held["t"] = pa.table(
        {"a": [1, 2, 3, 4, 5], "x": [0.5, float("nan"), 2, None, 3], "s": list("abcde")}
    )
    result = bench.collect(dataset("SELECT * FROM ops.t", item)).results[-1]  # type: ignore[arg-type]
    assert (result.value, result.low, result.high) == found
