"""Texts that read rows one by one, which need no process of their own, and all others."""

import pytest

from tilth.sql.queries import harmless

QUERIES = {
    "SELECT * FROM s.t": True,
    "SELECT * EXCLUDE (a) FROM s.t": True,
    "SELECT t.a, CAST(b AS INT) AS c, CASE WHEN a > 1 THEN 2 END FROM s.t t WHERE a IN (1, 2) AND NOT b IS NULL": True,
    "SELECT count(*), avg(a) FROM d WHERE a = DATE '2024-01-01'": True,
    "SELECT * FROM s.t JOIN s.u USING (id)": False,
    "SELECT * FROM s.t, s.u": False,
    "SELECT * FROM (SELECT * FROM s.t)": False,
    "SELECT a FROM s.t WHERE a IN (SELECT a FROM s.u)": False,
    "SELECT a FROM s.t GROUP BY a": False,
    "SELECT a FROM s.t ORDER BY a LIMIT 1": False,
    "SELECT DISTINCT a FROM s.t": False,
    "SELECT repeat(a, 1000000000) FROM s.t": False,
    "SELECT a || a FROM s.t": False,
    "SELECT unnest([1, 2]) FROM s.t": False,
    "SELECT * FROM range(100000000000)": False,
    "SELECT * FROM s.t UNION ALL SELECT * FROM s.t": False,
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT * FROM n": False,
    "FROM s.t SELECT COLUMNS('a')": False,
    "SELECT list(a) FROM s.t": False,
    "SELECT sum(a) OVER () FROM s.t": False,
    "SELECT FROM": False,
}
EXPRESSIONS = {
    "a BETWEEN 0 AND 5": True,
    "a > b + 1 OR c IS NULL": True,
    "COUNT(*) >= 100": True,
    "COUNT(a) >= 0.5 * COUNT(*)": True,
    "approx_count_distinct(a) = 10": True,
    "a IN ('x', 'y')": True,
    "a LIKE '%x%'": False,
    "regexp_matches(a, '(x+)+y')": False,
    "length(repeat(a, 1000)) > 3": False,
    "a IN (SELECT 1)": False,
    "quantile_cont(a, 0.5) > 3": False,
    "a > ALL (SELECT b FROM t)": False,
    "a >": False,
}


@pytest.mark.parametrize("sql", QUERIES)
def test_a_query_that_reads_rows_one_by_one(sql: str) -> None:
    assert harmless.query(sql) is QUERIES[sql]


@pytest.mark.parametrize("sql", EXPRESSIONS)
def test_a_check_that_reads_rows_one_by_one(sql: str) -> None:
    assert harmless.expression(sql) is EXPRESSIONS[sql]
