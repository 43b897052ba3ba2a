"""What a query would reach beside its tables is refused where it stands, before anything is opened for it."""

import pytest

from tilth.core.errors import Position, UnsupportedError
from tilth.sql.queries.reach import check

REFUSED = {
    "SELECT * FROM read_csv('/etc/passwd')": (1, 15, "read_csv"),
    "SELECT * FROM t JOIN read_parquet('x') p ON true": (1, 22, "read_parquet"),
    "SELECT * FROM t, glob('*') g": (1, 18, "glob"),
    "SELECT * FROM DUCKDB_SETTINGS()": (1, 15, "duckdb_settings"),
    "WITH a AS (SELECT * FROM pragma_version()) SELECT * FROM a": (1, 26, "pragma_version"),
    "SELECT (SELECT max(x) FROM query('SELECT 1'))": (1, 28, "query"),
    "SELECT a,\n  getenv('HOME') FROM t": (2, 3, "getenv"),
    "SELECT pg_catalog.current_setting('x')": (1, 19, "current_setting"),
    "SELECT a FROM t ORDER BY GetVariable('x')": (1, 26, "getvariable"),
    "SELECT nextval('s') UNION ALL SELECT 1": (1, 8, "nextval"),
}
FINE = [
    "SELECT * FROM range(3), generate_series(1, 2), unnest([1]), json_each('[]')",
    "SELECT read_csv, getenv FROM t",
    "SELECT 'getenv(1)' AS glob FROM t -- read_csv('x')",
    "SELECT upper(a), my_function(b) FROM t",
    "SELECT * FROM (DESCRIBE t)",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_a_function_that_reaches_around_is_refused_in_its_place(sql: str) -> None:
    line, column, name = REFUSED[sql]
    with pytest.raises(UnsupportedError, match=name) as caught:
        check(sql)
    assert caught.value.hint
    where = caught.value.where
    assert where is not None
    assert (where.line, where.column, where.length) == (line, column, len(name))


def test_its_place_is_that_in_the_file() -> None:
    with pytest.raises(UnsupportedError) as caught:
        check("SELECT getenv('x')", Position(7, 11, file="all.sql"))
    assert str(caught.value.where) == "all.sql:7:18"


@pytest.mark.parametrize("sql", FINE)
def test_what_reads_tables_alone_passes(sql: str) -> None:
    check(sql)
