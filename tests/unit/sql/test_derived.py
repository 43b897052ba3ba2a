"""Filters that reach a table through subqueries: what is pushed, and that no answer changes by it, compared with DuckDB on all rows."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.scan import Predicate
from tilth.core.schema import DataType, Field, Schema
from tilth.sql.queries.reads import scans
from tilth.sql.queries.rewrite import rename_tables

NAMES = "abcd"
SCHEMA = {"ops.t": Schema(tuple(Field(n, DataType.INTEGER) for n in NAMES))}
ROWS = pa.table(
    {n: [(i * k) % 7 if (i + k) % 5 else None for i in range(40)] for k, n in enumerate(NAMES, 2)}
)


def pushed(sql: str) -> list[str]:
    (found,) = scans(sql, SCHEMA)
    return [f"{p.column} {p.op} {p.value}" for p in found.scan.where]


PUSHED = {
    "SELECT a FROM (SELECT * FROM ops.t WHERE b > 3) v WHERE a > 5": ["b > 3", "a > 5"],
    "SELECT a FROM (SELECT a AS x, b AS a FROM ops.t) v WHERE a > 5 AND v.x < 3": ["b > 5", "a < 3"],
    "SELECT w.a FROM (SELECT * FROM (SELECT * EXCLUDE (b) FROM ops.t) v WHERE c = 4) w WHERE a > 5": [
        "c = 4",
        "a > 5",
    ],
    "SELECT v.a FROM (SELECT t.* FROM ops.t t JOIN (SELECT 1 AS q) z ON true) v WHERE v.a > 5": ["a > 5"],
    "SELECT a FROM (SELECT a, a + 1 AS b FROM ops.t ORDER BY a) v WHERE b > 5 AND a IN (1, 2)": [
        "a in (1, 2)"
    ],
    "SELECT a FROM (SELECT a FROM ops.t) v LEFT JOIN (SELECT 1) z ON true WHERE v.a > 5": ["a > 5"],
    "SELECT a FROM (SELECT 1) z LEFT JOIN (SELECT a FROM ops.t) v ON true WHERE v.a > 5": [],
    "SELECT a FROM (SELECT a, count(*) FROM ops.t GROUP BY a) v WHERE a > 5": [],
    "SELECT a FROM (SELECT DISTINCT a FROM ops.t) v WHERE a > 5": [],
    "SELECT a FROM (SELECT a FROM ops.t LIMIT 3) v WHERE a > 5": [],
    "SELECT a FROM (SELECT max(a) AS a FROM ops.t) v WHERE a > 5": [],
    "SELECT a FROM (SELECT a, row_number() OVER () AS n FROM ops.t) v WHERE a > 5": [],
    "SELECT a FROM (SELECT a, b AS a FROM ops.t) v WHERE a > 5": [],
    "SELECT a FROM (SELECT a FROM ops.t UNION ALL SELECT 1) v WHERE a > 5": [],
    "SELECT x FROM (SELECT a, b FROM ops.t) v(x, y) WHERE x > 5": [],
    "SELECT b AS a FROM (SELECT a, b FROM ops.t) v WHERE a > 5": [],
    "SELECT a FROM (SELECT a FROM ops.t) v WHERE a > 5 OR a < 2": [],
    "SELECT a FROM (SELECT * REPLACE (b AS a) FROM ops.t) v WHERE a > 5": [],
}


@pytest.mark.parametrize("sql", PUSHED)
def test_a_filter_reaches_a_table_through_a_subquery_that_hands_its_columns_on(sql: str) -> None:
    assert pushed(sql) == PUSHED[sql]


LISTS = st.sampled_from(
    ["*", "a, b, c, d", "b AS a, a AS b, c, d", "* EXCLUDE (d), a AS d", "a, b, a + b AS c, d", "t.*", "a, a AS b, c, d", "DISTINCT a, b, c, d"]
)  # fmt: skip
CONDITION = st.builds(
    lambda c, op, n: f"{c} {op} {n}",
    st.sampled_from(NAMES),
    st.sampled_from([">", "<", "=", "<>", "<="]),
    st.integers(0, 6),
) | st.sampled_from(["a IS NULL", "b IS NOT NULL", "c IN (1, 2, 3)", "a > b", "d BETWEEN 1 AND 4"])
WHERE = st.lists(CONDITION, max_size=2).map(lambda cs: f" WHERE {' AND '.join(cs)}" if cs else "")
END = st.sampled_from(["", "", "", " ORDER BY ALL LIMIT 5", " GROUP BY ALL"])
FROM = st.sampled_from(
    ["{0} t", "{0} t CROSS JOIN (SELECT 1 AS z) y", "(SELECT 1 AS z) y LEFT JOIN {0} t ON true", "{0} t LEFT JOIN (SELECT 2 AS z) y ON t.a = y.z"]
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(LISTS, FROM, WHERE, END), min_size=1, max_size=3))
def test_no_answer_changes_by_what_is_pushed(levels: list[tuple[str, str, str, str]]) -> None:
    sql = "ops.t"
    for n, (columns, source, where, end) in enumerate(levels):
        wanted = columns.replace("*", "t.*") if columns == "*" else columns
        if columns.startswith("* EXCLUDE"):
            wanted = "t.* EXCLUDE (d), t.a AS d"
        inner = sql if n == 0 else f"({sql})"
        sql = f"SELECT {wanted} FROM {source.format(inner)}{_of_t(where)}{end}"
    sql = f"SELECT * FROM ({sql}) t WHERE t.a IS NOT NULL AND t.b > 1"
    (found,) = scans(sql, SCHEMA)
    plain = rename_tables(sql, {"ops.t": "rows_of_t"})
    with duckdb.connect() as db:
        db.register("rows_of_t", ROWS)
        try:
            expected = db.execute(plain).fetchall()
        except duckdb.BinderException:
            return  # ambiguous or not grouped: no query
        db.unregister("rows_of_t")
        kept = " AND ".join(_written(p) for p in found.scan.where) or "TRUE"
        db.register("all_of_t", ROWS)
        db.execute(f"CREATE TEMP TABLE rows_of_t AS SELECT * FROM all_of_t WHERE {kept}")
        assert sorted(db.execute(plain).fetchall(), key=str) == sorted(expected, key=str), (sql, kept)


def _of_t(where: str) -> str:
    out = where
    for name in NAMES:
        out = out.replace(f" {name} ", f" t.{name} ")
    return out


def _written(p: Predicate) -> str:
    words = {"is_null": "IS NULL", "is_not_null": "IS NOT NULL"}
    return f"{p.column} {words[p.op]}" if p.op in words else f"{p.column} {p.op} {p.value}"
