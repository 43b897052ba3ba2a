"""`column > LAST` and TABLE_DELTA in the queries of jobs and triggers, and what else is called last."""

import pytest

from tilth.core.errors import LanguageError
from tilth.sql.queries.last import Window, given, marks, names, since

WINDOWS = {k: Window("3", "9") for k in ("ops.t.id", "t.id", "ops.t.at", "v.b", "ops.u.id")}
READ = {
    "SELECT * FROM ops.t WHERE id > LAST": "SELECT * FROM ops.t WHERE (id > 3 AND id <= 9)",
    "SELECT * FROM ops.t x WHERE a AND x.id > last OR b": "SELECT * FROM ops.t x WHERE a AND (x.id > 3 AND x.id <= 9) OR b",
    'SELECT * FROM ops.t WHERE LAST < "id"': 'SELECT * FROM ops.t WHERE ("id" > 3 AND "id" <= 9)',
    "SELECT * FROM ops.t JOIN v ON v.a = ops.t.a WHERE v.b > LAST": "SELECT * FROM ops.t JOIN v ON v.a = ops.t.a WHERE (v.b > 3 AND v.b <= 9)",
    "SELECT * FROM ops.t WHERE ops.t.id > LAST AND at > LAST": (
        "SELECT * FROM ops.t WHERE (ops.t.id > 3 AND ops.t.id <= 9) AND (at > 3 AND at <= 9)"
    ),
    "WITH n AS (SELECT * FROM t WHERE id > LAST) SELECT * FROM n": (
        "WITH n AS (SELECT * FROM t WHERE (id > 3 AND id <= 9)) SELECT * FROM n"
    ),
    "SELECT * FROM ops.t WHERE id IN (SELECT id FROM ops.u WHERE id > LAST)": (
        "SELECT * FROM ops.t WHERE id IN (SELECT id FROM ops.u WHERE (id > 3 AND id <= 9))"
    ),
    'SELECT last(a), "last" FROM t ORDER BY b NULLS LAST': 'SELECT last(a), "last" FROM t ORDER BY b NULLS LAST',
    "SELECT 'id > LAST' FROM t": "SELECT 'id > LAST' FROM t",
    "SELECT m.y FROM ops.t JOIN m FOR VERSION 3 WHERE ops.t.id > LAST": (
        "SELECT m.y FROM ops.t JOIN m FOR VERSION 3 WHERE (ops.t.id > 3 AND ops.t.id <= 9)"
    ),
}


@pytest.mark.parametrize("sql", READ)
def test_last_becomes_a_window(sql: str) -> None:
    assert since(sql, WINDOWS) == READ[sql]


@pytest.mark.parametrize(
    ("window", "expected"),
    [(Window(None, "9"), "(id <= 9)"), (Window("3", None), "(FALSE)"), (Window(None, None), "(FALSE)")],
)
def test_a_first_run_has_all_rows_and_an_empty_table_none(window: Window, expected: str) -> None:
    assert since("SELECT 1 FROM t WHERE id > LAST", {"t.id": window}) == f"SELECT 1 FROM t WHERE {expected}"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT LAST FROM t",
        "SELECT * FROM t WHERE id >= LAST",
        "SELECT * FROM t WHERE id < LAST",
        "SELECT * FROM t WHERE id + 1 > LAST",
        "SELECT * FROM t WHERE LAST > LAST",
        "SELECT * FROM t, u WHERE id > LAST",
        "SELECT * FROM (SELECT 1 AS id) x WHERE id > LAST",
        "WITH n AS (SELECT 1 AS id) SELECT * FROM n WHERE id > LAST",
        "SELECT * FROM t WHERE u.id > LAST",
        "SELECT 1 WHERE 2 > LAST",
    ],
)
def test_last_that_stands_otherwise_is_refused_where_it_stands(sql: str) -> None:
    with pytest.raises(LanguageError, match="LAST") as caught:
        marks(sql)
    assert caught.value.where is not None


def test_a_mark_is_one_however_it_is_written() -> None:
    found = marks("SELECT * FROM Ops.T WHERE ID > LAST UNION SELECT * FROM ops.t x WHERE x.id > LAST")
    assert [m.key for m in found] == ["ops.t.id"]


def test_the_rows_of_a_trigger_are_a_frame() -> None:
    sql = "SELECT d.a FROM TABLE_DELTA d JOIN late m WHERE EXISTS (SELECT 1 FROM table_delta)"
    assert given(sql, "table_delta") == (
        'SELECT d.a FROM "$"."table_delta" d JOIN late m WHERE EXISTS (SELECT 1 FROM "$"."table_delta" AS table_delta)'
    )
    assert names(sql, "table_delta")
    assert not names("SELECT 'table_delta' FROM ops.table_delta", "table_delta")
    assert given("WITH table_delta AS (SELECT 1) SELECT * FROM table_delta", "table_delta").endswith(
        "FROM table_delta"
    )
