"""PREDICT (...) in a query: where it stands, what the query is without it, and what cannot stand in its parentheses."""

import pytest

from tilth.core.errors import LanguageError, TilthError
from tilth.kinds.model.grammar import first, show_first
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries.firsts import firsts, maybe, unfed, without

INSIDE = "PREDICT (y FROM d USING (seed = 8))"
QUERIES = {
    f"SELECT * FROM {INSIDE} p WHERE a = 1": 'SELECT * FROM "m0" p WHERE a = 1',
    f"SELECT * FROM {INSIDE} AS p": 'SELECT * FROM "m0" AS p',
    f'SELECT * FROM {INSIDE} "P q"': 'SELECT * FROM "m0" "P q"',
    f"SELECT * FROM {INSIDE} WHERE a = 1": 'SELECT * FROM "m0" AS predict WHERE a = 1',
    f"SELECT * FROM {INSIDE}": 'SELECT * FROM "m0" AS predict',
    f"SELECT * FROM t JOIN {INSIDE} ON TRUE": 'SELECT * FROM t JOIN "m0" AS predict ON TRUE',
    f"SELECT * FROM t LEFT JOIN {INSIDE} LIMIT 3": 'SELECT * FROM t LEFT JOIN "m0" AS predict LIMIT 3',
    f"SELECT * FROM t, {INSIDE} p, {INSIDE.replace('y', 'z')} q": 'SELECT * FROM t, "m0" p, "m1" q',
    f"SELECT * FROM (SELECT x FROM t JOIN {INSIDE}) s": 'SELECT * FROM (SELECT x FROM t JOIN "m0" AS predict) s',
    "SELECT * FROM predict\n(y\nFROM d) p\nWHERE a = 1": 'SELECT * FROM "m0"\n\n p\nWHERE a = 1',
    "SELECT * FROM PREDICT (y FROM (SELECT ')' AS y, (1) AS a)) p": 'SELECT * FROM "m0" p',
}
NONE = [
    "SELECT predict(a) FROM t",
    "SELECT * FROM predict",
    "SELECT 'FROM PREDICT (y FROM d)' AS text",
    "SELECT * FROM predict (SELECT 1)",
    "SELECT * FROM t -- FROM PREDICT (y FROM d)",
]


@pytest.mark.parametrize("sql", QUERIES)
def test_it_stands_in_the_query_as_the_name_of_a_model(sql: str) -> None:
    c = Cursor(sql)
    found = firsts(c)
    assert maybe(sql)
    assert without(sql, found, [f"m{i}" for i in range(len(found))]) == QUERIES[sql]


FED = {
    'SELECT * FROM "m0" AS predict LIMIT 2': "m0",
    'SELECT * FROM t WHERE x IN (SELECT y FROM "m0" p)': "m0",
    'SELECT * FROM "m0" p WHERE a = 1': None,
    'SELECT * FROM t JOIN "m0" p': None,
    'SELECT * FROM t, "m0" p': None,
    'SELECT * FROM "m0" p, t': None,
    'SELECT * FROM s."m0"': None,
    "SELECT * FROM t": None,
}


@pytest.mark.parametrize("sql", FED)
def test_a_model_that_nothing_gives_inputs_to_is_seen(sql: str) -> None:
    assert unfed(sql, {"m0"}) == FED[sql]


@pytest.mark.parametrize("sql", NONE)
def test_what_is_called_so_and_is_none_stays(sql: str) -> None:
    assert firsts(Cursor(sql)) == ()


def read(inside: str) -> str:
    c = Cursor(f"SELECT * FROM PREDICT ({inside})")
    (one,) = firsts(c)
    return show_first(first(c.within(one.first, one.last), "m", c.position()))


WRITTEN = {
    "y FROM d": "PREDICT (y\n  FROM d)",
    "y from ops.t": "PREDICT (y\n  FROM (SELECT * FROM ops.t))",
    'y FROM mindsdb.d USING ("seed" = 8)': "PREDICT (y\n  FROM d\n  USING (seed = 8))",
    "y, z FROM (SELECT 1 AS y, 2 AS z)": "PREDICT (y, z\n  FROM (SELECT 1 AS y, 2 AS z))",
    "y POSITIVE 'a' FROM d FEATURES (* EXCEPT (x))": "PREDICT (y POSITIVE 'a'\n  FROM d\n  FEATURES (* EXCEPT (x)))",
}


@pytest.mark.parametrize("inside", WRITTEN)
def test_what_it_says_has_one_form_that_reads_back(inside: str) -> None:
    assert read(inside) == WRITTEN[inside]
    assert read(WRITTEN[inside][9:-1]) == WRITTEN[inside]


WRONG = {
    "y": "PREDICT (y) does not say what it learns from.",
    "y FROM d RETRAIN WHEN drift > 1": "`RETRAIN` is not a clause of PREDICT (...).",
    "y FROM d PROMOTE IF manual": "`PROMOTE` is not a clause of PREDICT (...).",
    "y FROM d FROM e": "FROM is given twice.",
    "y FROM ops (SELECT 1)": "PREDICT does not learn from a query that a source answers itself.",
    "y FROM d USING (seed = )": "A value is missing here, found `)`.",
}


@pytest.mark.parametrize("inside", WRONG)
def test_what_cannot_stand_there_is_said(inside: str) -> None:
    with pytest.raises(TilthError) as error:
        read(inside)
    assert error.value.message == WRONG[inside]
    assert isinstance(error.value, LanguageError)
