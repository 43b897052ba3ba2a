"""SELECTs over a model for each row of another query, as joins: what the query becomes, and which are left alone."""

import pytest

from tilth.core.errors import InputError, UnsupportedError
from tilth.sql.queries.correlated import Asked, joined

SHAPES = {"m": Asked(("a",), ("b",), ("y", "y_confidence")), "k": Asked(("c",), (), ("z",))}


def said(sql: str) -> str:
    return joined(sql, SHAPES, SHAPES.get)


ALONE = [
    "SELECT * FROM m WHERE a = 1",
    "SELECT t.x, m.y FROM t JOIN m",
    "SELECT x FROM t WHERE x > (SELECT y FROM m WHERE a = 1)",
    "SELECT x FROM t WHERE x IN (SELECT m.y FROM u JOIN m)",
    "SELECT * FROM (SELECT m.y FROM m WHERE m.a = 1) s JOIN t ON s.y = t.x",
    "WITH p AS (SELECT y FROM m WHERE a = 1) SELECT * FROM p, t",
    "SELECT x FROM t UNION SELECT y FROM m WHERE a = 1",
    "SELECT (SELECT max(u.x) FROM u WHERE u.x = t.x) FROM t, m",
    "SELECT x, (SELECT other.y FROM other WHERE other.a = t.a) FROM t JOIN m",
]


@pytest.mark.parametrize("sql", ALONE)
def test_what_names_nothing_around_it_is_left_as_it_is(sql: str) -> None:
    assert said(sql) == sql


BECOME = {
    "SELECT (SELECT m.y FROM m WHERE m.a = t.a) AS p FROM t": 'SELECT ("tilth_asked_0".y) AS p FROM t JOIN m AS "tilth_asked_0" ON "tilth_asked_0"."a" = t.a AND "tilth_asked_0"."b" = NULL',
    "SELECT x FROM t WHERE EXISTS(SELECT 1 FROM m WHERE a = t.a AND 3 = b AND y > 3)": 'SELECT x FROM t JOIN m AS "tilth_asked_0" ON "tilth_asked_0"."a" = t.a AND "tilth_asked_0"."b" = 3 WHERE COALESCE("tilth_asked_0".y > 3, FALSE)',
    "SELECT * FROM t, LATERAL (SELECT y FROM m WHERE a = t.a AND b = 2) p WHERE p.y > 3": 'SELECT t.*, "tilth_asked_0".y AS "y" FROM t JOIN m AS "tilth_asked_0" ON "tilth_asked_0"."a" = t.a AND "tilth_asked_0"."b" = 2 WHERE ("tilth_asked_0".y) > 3',
}


@pytest.mark.parametrize("sql", BECOME)
def test_a_select_for_each_row_becomes_a_join(sql: str) -> None:
    found = " ".join(said(sql).replace('"t".*', "t.*").split())
    assert found == BECOME[sql]


def test_an_input_that_is_named_as_a_value_is_what_it_was_given() -> None:
    assert '(t.a) AS "a"' in said("SELECT p.a FROM t, LATERAL (SELECT m.a FROM m WHERE m.a = t.a) p")


def test_a_value_without_a_name_is_called_as_it_is_written() -> None:
    found = said("SELECT (SELECT m.y FROM m WHERE m.a = t.a), 1 + (SELECT z FROM k WHERE c = t.c) FROM t")
    assert 'AS "(SELECT m.y FROM m WHERE m.a = t.a)"' in found
    assert 'AS "1 + (SELECT z FROM k WHERE c = t.c)"' in found


def test_a_version_goes_along() -> None:
    assert '"m" FOR VERSION 3 AS "tilth_asked_0"' in said(
        "SELECT (SELECT m.y FROM m FOR VERSION 3 WHERE m.a = t.a) AS p FROM t"
    )


def test_one_within_another_names_only_what_is_right_around_it() -> None:
    with pytest.raises(UnsupportedError, match="over the model"):
        said("SELECT (SELECT y FROM m WHERE a = (SELECT z FROM k WHERE c = t.c)) FROM t")


WRONG = {
    "SELECT (SELECT y FROM m WHERE b = t.b) FROM t": (InputError, "is not given `a`"),
    "SELECT (SELECT y FROM m WHERE a = t.a AND a = t.b) FROM t": (InputError, "given twice"),
    "SELECT (SELECT y FROM m WHERE a > t.a) FROM t": (InputError, "does not give an input"),
    "SELECT (SELECT y FROM m WHERE a = u.a) FROM t": (UnsupportedError, "names `u.a`"),
    "SELECT (SELECT max(y) FROM m WHERE a = t.a) FROM t": (UnsupportedError, "has more in it"),
    "SELECT (SELECT y FROM m WHERE a = t.a LIMIT 0) FROM t": (UnsupportedError, "has more in it"),
    "SELECT (SELECT y, a FROM m WHERE a = t.a) FROM t": (UnsupportedError, "more than one column"),
    "SELECT (SELECT y FROM m WHERE a = t.a), count(*) FROM t": (UnsupportedError, "query of groups"),
    "SELECT COLUMNS('x'), (SELECT y FROM m WHERE a = t.a) FROM t": (UnsupportedError, "COLUMNS"),
}


@pytest.mark.parametrize("sql", WRONG)
def test_what_is_no_join_is_refused(sql: str) -> None:
    kind, words = WRONG[sql]
    with pytest.raises(kind) as error:
        said(sql)
    assert words in str(error.value)
