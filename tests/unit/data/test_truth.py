"""When a check holds: a row check when it is true of the row, so never for NULL or NaN; to a set check NaN is missing."""

import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from fixtures.types.checks import HOLDS, ROWS
from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.core.canonical import fingerprint
from tilth.core.errors import TilthError
from tilth.kinds import compile, parse, parse_one  # noqa: A004
from tilth.kinds.dataset import recipe
from tilth.ml.data import checks as checking
from tilth.ml.data import counting
from tilth.ports.arrow import schema_of
from tilth.resources.facts import Facts
from tilth.sql.language.statements import CreateDataset, Kind
from tilth.sql.queries.gaps import without_nan

TABLE = pa.table(
    {
        "x": pa.array([r[0] for r in ROWS]),
        "n": pa.array([r[1] for r in ROWS]),
        "s": pa.array([r[2] for r in ROWS]),
    }
)
ENGINE = DuckDBEngine()


def checks_of(expression: str, table: pa.Table = TABLE) -> checking.Checks:
    declared = parse_one(f"CREATE DATASET d EXPECT ({expression} ON FAIL WARN) AS SELECT * FROM ops.t")
    assert isinstance(declared, CreateDataset)
    return checking.checks_of(declared, schema_of(table.schema), ENGINE)


@pytest.mark.parametrize(("expression", "right"), HOLDS)
def test_a_row_check_holds_when_it_is_true(expression: str, right: list[int]) -> None:
    checks = checks_of(expression)
    sql = f"SELECT {checking.fails(checks, 0)} AS fails FROM {checking.ROWS}"
    failed = ENGINE.stream(sql, {checking.ROWS: TABLE}).read_all()["fails"].to_pylist()
    assert [i for i, fails in enumerate(failed) if not fails] == right
    counts = counting.count_rows(checks, TABLE, ENGINE, {})
    assert counts.failed[0] == len(ROWS) - len(right)


OF_THE_SET: list[tuple[str, bool, str]] = [
    ("MAX(n) = 5", True, "MAX(n) = 5"),
    ("MIN(x) = -1", True, "MIN(x) = -1"),
    ("COUNT(x) = 5", True, "COUNT(x) = 5"),
    ("COUNT(DISTINCT x) = 5", True, "COUNT(DISTINCT x) = 5"),
    ("COUNT(*) = 7", True, "COUNT(*) = 7"),
    ("MAX(x) FILTER (WHERE x < 100) = 1", True, ""),
    ("AVG(n / 1.0) BETWEEN 2 AND 3", True, ""),
    ("AVG(x) > 0", True, "AVG(x) = inf"),
    ("AVG(CASE WHEN x IS NULL THEN 1 ELSE 0 END) < 0.3", True, ""),
    ("SUM(x - x) >= 0", True, ""),  # what is no number is left out of the sum
    ("MAX(x) - MAX(x) >= 0", False, ""),  # inf - inf
    ("AVG(n) FILTER (WHERE n > 100) > 0", False, ""),
]


@pytest.mark.parametrize(("expression", "right", "said"), OF_THE_SET)
def test_to_a_set_check_nan_is_missing(expression: str, right: bool, said: str) -> None:
    checks = checks_of(expression)
    found = checking.set_results(checks, TABLE, ENGINE, datetime(2026, 1, 1, tzinfo=UTC), len(ROWS))[0]
    assert found.passed is right
    if said:
        assert found.observed == said


NO_EXPECTATION = [
    ("x = max(x) OVER ()", "window functions", "subquery"),
    ("COUNT(*) OVER () > 3", "window functions", "subquery"),
    ("unnest([x > 1, x < 3])", "UNNEST", "subquery"),
    ("COLUMNS(*) IS NOT NULL", "one condition", "each column"),
    ("COUNT(COLUMNS(*)) > 3", "one condition", "each column"),
    ("random() < 0.5", "`random` answers otherwise", "hash(id)"),
    ("x > 0 OR length(uuid()::VARCHAR) = 36", "`uuid` answers otherwise", "hash(id)"),
    ("AVG(x + random()) > 0", "`random` answers otherwise", "hash(id)"),
]


@pytest.mark.parametrize(("expression", "says", "step"), NO_EXPECTATION)
def test_what_is_no_condition_on_a_row_or_the_set_is_refused(expression: str, says: str, step: str) -> None:
    with pytest.raises(TilthError, match=says) as refused:
        checks_of(expression)
    assert step in str(refused.value)
    assert refused.value.where is not None


@pytest.mark.parametrize("expression", ["default IN ('a')", "default IN ('a') AND x > 0"])
def test_a_column_called_as_a_word_of_sql_is_to_be_quoted(expression: str) -> None:
    table = TABLE.append_column("default", TABLE["s"])
    with pytest.raises(TilthError, match="DEFAULT") as refused:
        checks_of(expression, table)
    assert refused.value.hint == 'A column that is called as a word of SQL stands in quotes: "default".'
    assert checks_of(expression.replace("default", '"default"'), table).row_items == (0,)


@pytest.mark.parametrize(
    "expression",
    ["s = 'random()' OR x > 0", "x IN (SELECT max(x) FROM rows)", "n IN (SELECT unnest([1, 5]))"],
)
def test_what_asks_in_a_text_or_a_subquery_is_one(expression: str) -> None:
    assert checks_of(expression).row_items == (0,)


def test_a_missing_value_is_said_to_be_why() -> None:
    checks = checks_of("x >= 0")
    results = checking.row_results(checks, counting.count_rows(checks, TABLE, ENGINE, {}))
    assert results[0].observed == "3 of 7 rows fail, 2 of them since a value is missing"


SAME = [  # read by sqlglot and written again, an expression says what it said
    "x > 1", "x // 1 > 0", "x % 2 = 1", "x ** 2 > 1", "x::INTEGER > 0 OR n > 1", "round(x, 2) = x", "s ~ 'a.*' OR x > 0",
    "s LIKE 'a!%' ESCAPE '!' OR x > 0", "s GLOB 'a*' OR x > 0", "x > 0 AND s SIMILAR TO '[a-z]\\d'",
    "date_part('year', DATE '2020-01-01') = 2020 AND x > 0", "greatest(x, n) > 0",
    "(x, n) IN ((1, 1))", "struct_pack(a := x).a > 0", "{'a': x}.a > 0", "[x, n][1] > 0", "starts_with(s, 'a') AND x > 0",
    "s[1] = 'a' AND x > 0", "concat_ws('-', s, x) <> ''", "NOT (x > 0 OR n > 0)",
    "strptime('2020-01-01', '%Y-%m-%d') < now() AND x > 0", "epoch(TIMESTAMP '2020-01-01') > x", "x IS DISTINCT FROM n",
    "try_cast(s AS INTEGER) IS NULL AND x > 0", "contains(s, 'a') OR x > 0", "list_sum([x, 1.0]) > 0",
    "json_extract_string('{\"a\": 1}', '$.a') = '1' AND x > 0", "(x > 0)::INTEGER = 1", "ln(abs(x) + 1) >= 0",
    "if(x > 0, n, 0) >= 0", "nullif(n, 0) > 0 AND x > 0", "x > (SELECT 0)", "'x' || s <> '' AND x > 0",
    "bit_count(n) > 0 AND x > 0", "date_diff('day', DATE '2020-01-01', DATE '2020-02-01') > x",
]  # fmt: skip


@pytest.mark.parametrize("expression", SAME)
def test_without_nan_an_expression_says_what_it_said(expression: str) -> None:
    rows = TABLE.filter(pa.array([r[0] is not None and math.isfinite(r[0]) and abs(r[0]) < 9 for r in ROWS]))
    rows = pa.concat_tables(
        [rows, pa.table({"x": [3.0, 2.5], "n": pa.array([2, None], pa.int64()), "s": ["a!%", "zz"]})]
    )

    def asked(said: str) -> Any:
        try:
            return (
                ENGINE.stream(f"SELECT ({said})::BOOLEAN AS b FROM t", {"t": rows})
                .read_all()["b"]
                .to_pylist()
            )
        except Exception as error:
            return type(error)

    rewritten = without_nan(expression, {"x"}, ())
    assert "NULLIF" in rewritten
    assert asked(rewritten) == asked(expression)
    assert isinstance(asked(expression), list), asked(expression)


RECIPES = [  # whether the recipe of a dataset with this check is another than before NULL and NaN stopped holding
    ("x > 0", True), ("x IS NOT NULL", True), ("COUNT(*) >= 100", False), ("COUNT(*) BETWEEN 1 AND 5", False),
    ("AVG(x) > 0", True), ("COUNT(x) > 0", True), ("FRESH WITHIN '2 days'", False), ("REFERENCES ops.u (x)", False),
]  # fmt: skip


@pytest.mark.parametrize(("check", "differs"), RECIPES)
def test_recipes_change_where_a_check_means_something_else(check: str, differs: bool) -> None:
    text = f"CREATE SOURCE ops ENGINE sqlite WITH (path = 'a'); CREATE DATASET d EVENT TIME t EXPECT ({check}) AS SELECT * FROM ops.t;"
    made = compile(parse(text), Facts())
    dataset = next(r for r in made if r.kind is Kind.DATASET)
    declared = dataset.as_(CreateDataset)
    said = recipe(declared, Facts())
    said |= {"kind": Kind.DATASET, "upstream": [], "sources": [("ops", "sqlite")]}
    assert dataset.recipe == fingerprint(said)
    said["expect"] = [item[:6] for item in said["expect"]]  # type: ignore[attr-defined]
    assert (dataset.recipe != fingerprint(said)) is differs
