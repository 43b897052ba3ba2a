"""A SELECT over a model that forecasts: the history, the times that are asked for, the groups, and the rest."""

from datetime import date, datetime

import pytest

from tilth.core.errors import TilthError
from tilth.core.schema import DataType, Field, Schema
from tilth.sql.queries.predictions import predictions
from tilth.sql.queries.shapes import LATEST, Bound, ForecastPrediction, ModelShape, SeriesShape

SERIES = SeriesShape("at", ("shop", "item"), ("n",))
OUTPUTS = ("n_ahead", "n_ahead_confidence", "n_ahead_lower", "n_ahead_upper", "at", "shop", "item")
MODELS = {
    "f": ModelShape(("at", "shop", "item", "n", "promo"), OUTPUTS, series=SERIES),
    "late": ModelShape(("a",), ("late",)),
}
COLUMNS = {
    "at": DataType.DATE,
    "shop": DataType.STRING,
    "item": DataType.INTEGER,
    "n": DataType.INTEGER,
    "x": DataType.FLOAT,
}
SCHEMAS = {
    "d": Schema(tuple(Field(n, t) for n, t in COLUMNS.items())),
    "e": Schema((Field("day", DataType.DATE), Field("shop", DataType.STRING), Field("item", DataType.INTEGER), Field("n", DataType.INTEGER))),
}  # fmt: skip
AHEAD = Bound(LATEST, open=True)
HERE = Bound(LATEST, open=False)


def split(sql: str) -> ForecastPrediction:
    found = predictions(sql, MODELS, SCHEMAS)
    assert isinstance(found, ForecastPrediction)
    return found


DAY = date(2024, 1, 5)
TIMES = {
    "": (AHEAD, None),
    "WHERE d.at > LATEST": (AHEAD, None),
    "WHERE LATEST < d.at": (AHEAD, None),
    "WHERE m.at > latest": (AHEAD, None),
    "WHERE at > LATEST": (AHEAD, None),
    "WHERE d.at = LATEST": (HERE, HERE),
    "WHERE d.at >= LATEST": (HERE, None),
    "WHERE d.at > '2024-01-05'": (Bound(DAY, open=True), None),
    "WHERE d.at >= DATE '2024-01-05'": (Bound(DAY, open=False), None),
    "WHERE d.at > TIMESTAMP '2024-01-05 10:00:00'": (Bound(datetime(2024, 1, 5, 10), open=True), None),
    "WHERE d.at BETWEEN '2024-01-05' AND LATEST": (Bound(DAY, open=False), HERE),
    "WHERE d.at > LATEST AND d.at <= DATE '2024-01-05'": (AHEAD, Bound(DAY, open=False)),
    "WHERE d.at < DATE '2024-01-05' AND d.at > LATEST": (AHEAD, Bound(DAY, open=True)),
}


@pytest.mark.parametrize("where", TIMES)
@pytest.mark.parametrize("tables", ["d JOIN f m", "f m JOIN d", "f AS m, d"])
def test_a_condition_on_the_time_says_which_times_are_forecast(where: str, tables: str) -> None:
    found = split(f"SELECT m.n_ahead FROM {tables} {where}")
    assert (found.low, found.high) == TIMES[where]
    assert found.inner == 'SELECT "at" AS "at", "shop" AS "shop", "item" AS "item", "n" AS "n" FROM d'


HISTORY = {
    "d.shop = 'a'": ("d.shop = 'a'", ()),
    "d.x > 3 AND d.at > LATEST": ("d.x > 3", ()),
    "(d.x > 3 OR d.shop = 'b')": ("d.x > 3 OR d.shop = 'b'", ()),
    "m.shop = 'a'": ("", (("shop", ("a",)),)),
    "m.shop IN ('a', 'b') AND m.item = 3": ("", (("shop", ("a", "b")), ("item", (3,)))),
    "m.shop IN ('a', 'b') AND m.shop = 'b'": ("", (("shop", ("b",)),)),
}


@pytest.mark.parametrize("where", HISTORY)
def test_other_conditions_say_which_rows_and_groups_are_meant(where: str) -> None:
    history, only = HISTORY[where]
    found = split(f"SELECT m.n_ahead FROM d JOIN f m WHERE {where}")
    assert found.inner is not None
    assert found.inner.partition(" FROM d")[2] == (f" WHERE {history}" if history else "")
    assert found.only == only


OUTER = {
    "SELECT m.n_ahead FROM d JOIN f m WHERE m.n_ahead > 5": 'SELECT "n_ahead" AS "n_ahead" FROM __predicted WHERE "n_ahead" > 5',
    "SELECT d.at AS day, m.n_ahead * 2 AS twice FROM d JOIN f m ORDER BY day LIMIT 3": 'SELECT "at" AS "day", "n_ahead" * 2 AS "twice" FROM __predicted ORDER BY day LIMIT 3',
    "SELECT d.n, m.n_ahead FROM d JOIN f m": 'SELECT "__actual__n" AS "n", "n_ahead" AS "n_ahead" FROM __predicted',
    "SELECT d.* FROM d JOIN f m": 'SELECT "at" AS "at", "shop" AS "shop", "item" AS "item", "__actual__n" AS "n" FROM __predicted',
    "SELECT * EXCLUDE (n_ahead_confidence, item) FROM d JOIN f m": 'SELECT "at" AS "at", "shop" AS "shop", "n_ahead" AS "n_ahead", "n_ahead_lower" AS "n_ahead_lower", "n_ahead_upper" AS "n_ahead_upper" FROM __predicted',
    "SELECT shop, sum(m.n_ahead) AS s FROM d JOIN f m GROUP BY shop HAVING sum(m.n_ahead) > 1": 'SELECT "shop" AS "shop", SUM("n_ahead") AS "s" FROM __predicted GROUP BY shop HAVING SUM("n_ahead") > 1',
    "SELECT m.n_ahead_min FROM d JOIN f m": 'SELECT "n_ahead_lower" AS "n_ahead_min" FROM __predicted',
}


@pytest.mark.parametrize("sql", OUTER)
def test_the_rest_reads_the_forecasts(sql: str) -> None:
    found = split(sql)
    assert found.outer == OUTER[sql]
    assert found.actual == ("__actual__" in OUTER[sql])


WITHS = {
    "WITH h AS (SELECT * FROM d) SELECT m.n_ahead FROM h JOIN f m": (
        "WITH h AS (SELECT * FROM d) SELECT {} FROM h",
        'SELECT "n_ahead" AS "n_ahead" FROM __predicted',
    ),
    "WITH a AS (SELECT m.n_ahead FROM d JOIN f m) SELECT max(n_ahead) AS top FROM a": (
        "SELECT {} FROM d",
        'WITH a AS (SELECT "n_ahead" AS "n_ahead" FROM __predicted) SELECT MAX(n_ahead) AS top FROM a',
    ),
    "WITH h AS (SELECT * FROM d), a AS (SELECT m.n_ahead FROM h JOIN f m) SELECT max(n_ahead) AS top FROM a": (
        "WITH h AS (SELECT * FROM d) SELECT {} FROM h",
        'WITH a AS (SELECT "n_ahead" AS "n_ahead" FROM __predicted) SELECT MAX(n_ahead) AS top FROM a',
    ),
}  # fmt: skip


@pytest.mark.parametrize("sql", WITHS)
def test_queries_of_with_are_read_by_the_history_and_around_the_forecast(sql: str) -> None:
    found = split(sql)
    assert found.inner is not None
    inner, outer = WITHS[sql]
    assert found.inner == inner.format('"at" AS "at", "shop" AS "shop", "item" AS "item", "n" AS "n"')
    assert found.outer == outer


def test_a_column_of_another_name_is_bound_by_on() -> None:
    found = split("SELECT e.day, m.n_ahead FROM e JOIN f m ON e.day = m.at WHERE e.day > LATEST")
    assert found.inner == 'SELECT e.day AS "at", "shop" AS "shop", "item" AS "item", "n" AS "n" FROM e'
    assert found.low == AHEAD
    assert found.outer == 'SELECT "at" AS "day", "n_ahead" AS "n_ahead" FROM __predicted'


def test_without_rows_the_series_of_the_training_are_meant() -> None:
    found = split("SELECT n_ahead FROM f WHERE shop = 'a' AND item IN (1, 2)")
    assert found.inner is None
    assert found.only == (("shop", ("a",)), ("item", (1, 2)))


REFUSED = {
    "SELECT m.n_ahead FROM d JOIN f m WHERE d.at > 'soon'": "no moment",
    "SELECT m.n_ahead FROM d JOIN f m WHERE d.at > 5": "no moment",
    'SELECT m.n_ahead FROM d JOIN f m WHERE d.at > "LATEST"': "no moment",
    "SELECT m.n_ahead FROM d JOIN f m WHERE d.at > LATEST OR d.x = 1": "which times",
    "SELECT m.n_ahead FROM d JOIN f m WHERE year(d.at) = 2024": "which times",
    "SELECT m.n_ahead FROM d JOIN f m WHERE d.at > LATEST AND d.at > '2024-01-05'": "twice from",
    "SELECT m.n_ahead FROM d JOIN f m WHERE d.n > m.n_ahead": "compares the history",
    "SELECT m.nope FROM d JOIN f m": "no output `nope`",
    "SELECT d.x FROM d JOIN f m": "has no value in the rows that are forecast",
    "SELECT z.a FROM d JOIN f m": "has no value|no table",
    "SELECT z.* FROM d JOIN f m": "no table `z`",
    "SELECT m.n_ahead FROM e JOIN f m": "no column `at`",
    "SELECT m.n_ahead FROM e JOIN f m ON e.day = m.nope": "no input `nope`",
    "SELECT m.n_ahead FROM d JOIN f m JOIN late o": "together with model",
    "SELECT m.n_ahead FROM d ASOF JOIN f m": "cannot be joined",
    "SELECT m.n_ahead FROM d JOIN f m WHERE d.n > LATEST": "LATEST is a time",
    "SELECT m.n_ahead FROM d JOIN f m WHERE 3 = LATEST AND d.at > LATEST": "LATEST is a time",
    "SELECT f.n_ahead FROM d f JOIN f": "Two tables of this query are called `f`",
}  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
def test_what_cannot_be_is_one_sentence(sql: str) -> None:
    with pytest.raises(TilthError, match=REFUSED[sql]):
        predictions(sql, MODELS, SCHEMAS)
