"""What footers prove is so: row checks, and set checks filled from them, answer as rows do; NaN and gaps are no proof."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.kinds import parse_one
from tilth.ml.data import checks as checking
from tilth.ml.data import counting, footers
from tilth.ports.arrow import schema_of
from tilth.sql.language.statements import CreateDataset

N = 50
AT = [datetime(2026, 1, 1) + timedelta(hours=n) for n in range(N)]
TABLE = pa.table(
    {
        "n": pa.array(range(N)),
        "g": pa.array([None, *range(1, N)], pa.int64()),
        "x": [float("nan"), *(float(v) for v in range(1, N))],
        "at": pa.array(AT, pa.timestamp("us")),
        "t": ["a", "b"] * (N // 2),
    }
)
SCHEMA = schema_of(TABLE.schema)
NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("footers")
    paths = [str(folder / f"{n}.parquet") for n in range(2)]
    for path, start in zip(paths, (0, 30), strict=True):
        pq.write_table(TABLE.slice(start, 30), path, row_group_size=9)
    return paths


@pytest.mark.parametrize(
    ("test", "proven"),
    [
        ("n >= 0", True), ("n > 0", False), ("n < 50", True), ("n <= 48", False), ("n BETWEEN 0 AND 49", True),
        ("n BETWEEN 1 AND 49", False), ("n > -1 AND n < 99", True), ("n IS NOT NULL", True), ("N IS NOT NULL", True),
        ("g IS NULL OR n >= 0", True), ("g >= 0", False), ("g IS NOT NULL", False), ("x >= 0", False),
        ("x IS NOT NULL", False), ("at IS NOT NULL", True), ("t IS NOT NULL", True), ("NOT n < 0", False),
        ("n >= 0.5", False), ("n + 1 > 0", False), ("(n >= 0)", True), ("n IN (1)", False), ("n = n", False),
    ],
)  # fmt: skip
def test_a_row_check_is_proven_or_asked(test: str, proven: bool, files: list[str]) -> None:
    told = footers.read(files, SCHEMA)
    assert told is not None
    assert footers.proven(test, told) is proven


@pytest.mark.parametrize(
    ("expression", "filled"),
    [
        ("COUNT(*) >= 10", "CAST(50 AS BIGINT) >= 10"),
        ("COUNT(g) >= 0.5 * COUNT(*)", "CAST(49 AS BIGINT) >= 0.5 * CAST(50 AS BIGINT)"),
        ("MAX(n) - MIN(n) < 50", "CAST(49 AS BIGINT) - CAST(0 AS BIGINT) < 50"),
        ("COUNT(x) > 1", "COUNT(x) > 1"),
        ("COUNT(*) FILTER (WHERE n > 3) > 1", "COUNT(*) FILTER (WHERE n > 3) > 1"),
        ("COUNT(DISTINCT n) = 50", "COUNT(DISTINCT n) = 50"),
        ("(SELECT COUNT(*) FROM rows) > 1", "(SELECT COUNT(*) FROM rows) > 1"),
        ("MAX(at) > TIMESTAMP '2026-01-01'", "MAX(at) > TIMESTAMP '2026-01-01'"),
    ],
)
def test_aggregates_are_filled_in(expression: str, filled: str, files: list[str]) -> None:
    told = footers.read(files, SCHEMA)
    assert told is not None
    assert footers.filled(expression, told) == filled


EXPECT = """
  n >= 0 ON FAIL QUARANTINE, n > 0 ON FAIL WARN, g > 1 ON FAIL WARN, x >= 0 ON FAIL WARN, x / n > 0 ON FAIL WARN, t IN ('a') ON FAIL WARN,
  x < (SELECT max(n) FROM rows) ON FAIL WARN, COUNT(*) = 50, COUNT(g) = 49, COUNT(x) = 49, AVG(x) > 1, STDDEV(x) > 1, MAX(n) = 49,
  MAX(x) < 1e9, COUNT(DISTINCT t) = 2, approx_count_distinct(t) = 2, (SELECT count(*) FROM rows) > 9, FRESH WITHIN '9000 days'
"""


@pytest.mark.parametrize("expect", [EXPECT, "COUNT(*) = 50, MAX(n) = 49", "COUNT(*) = 50, (SELECT 1) = 1"])
def test_files_and_rows_in_memory_answer_alike(expect: str, files: list[str]) -> None:
    spec = parse_one(f"CREATE DATASET d KEY (n) EVENT TIME at EXPECT ({expect}) AS SELECT 1")
    assert isinstance(spec, CreateDataset)
    engine = DuckDBEngine([str(Path(files[0]).parent)])
    checks = checking.checks_of(spec, SCHEMA, engine)
    found = []
    for rows in (TABLE, files):
        for now in (None, NOW):
            counts = counting.count_rows(checks, rows, engine, {}, now)
            results = checking.set_results(checks, rows, engine, NOW, N, counts.ahead)
            found.append((counts, results))
            assert bool(counts.ahead) == (now is not None)
    assert all(one == found[0] for one in found[1:])
    assert found[0][0].bad == 0


def test_what_a_bad_row_makes_an_error_is_not_asked_ahead() -> None:
    spec = parse_one(
        "CREATE DATASET d EXPECT (t <> 'b' ON FAIL QUARANTINE, SUM(CAST(t AS INTEGER)) > 1) AS SELECT 1"
    )
    assert isinstance(spec, CreateDataset)
    engine = DuckDBEngine()
    counts = counting.count_rows(checking.checks_of(spec, SCHEMA, engine), TABLE, engine, {}, NOW)
    assert (counts.bad, dict(counts.ahead)) == (N // 2, {})
