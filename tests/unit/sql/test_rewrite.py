"""Queries made into others: the answers must be the same. DuckDB, in memory, is the judge."""

from datetime import date

import duckdb
import pytest

from tilth.core.errors import TilthError
from tilth.core.schema import DataType, Field, Schema
from tilth.sql.queries.rewrite import (
    JoinPrediction,
    ModelShape,
    RowPrediction,
    predictions,
    rename_tables,
    time_travel,
    wrap,
)

RENAMED = [
    ("SELECT * FROM ops.flights", "SELECT * FROM t1 AS flights"),
    ("SELECT f.a FROM ops.flights f", "SELECT f.a FROM t1 f"),
    ("SELECT f.a FROM OPS.Flights AS f -- why", "SELECT f.a FROM t1 AS f -- why"),
    ("SELECT ops.flights.a, flights.b FROM ops.flights", "SELECT flights.a, flights.b FROM t1 AS flights"),
    ("SELECT ops.flights.* FROM ops.flights", "SELECT flights.* FROM t1 AS flights"),
    (
        "WITH departures AS (SELECT 1) SELECT * FROM departures",
        "WITH departures AS (SELECT 1) SELECT * FROM departures",
    ),
    ('SELECT * FROM "departures" JOIN other', 'SELECT * FROM "t 2" AS "departures" JOIN other'),
    ("SELECT 'ops.flights' FROM ops . flights", "SELECT 'ops.flights' FROM t1 AS flights"),
    (
        "SELECT (SELECT max(a) FROM departures) FROM departures d",
        'SELECT (SELECT max(a) FROM "t 2" AS departures) FROM "t 2" d',
    ),
]


@pytest.mark.parametrize(("sql", "expected"), RENAMED, ids=[r[0] for r in RENAMED])
def test_tables_are_renamed_in_place(sql: str, expected: str) -> None:
    assert rename_tables(sql, {"ops.flights": "t1", "departures": "t 2"}) == expected


def test_a_filter_around_survives_comments() -> None:
    assert duckdb.sql(wrap("SELECT 5 AS a -- five", "a > 4")).fetchall() == [(5,)]
    assert duckdb.sql(wrap("SELECT 5 AS a -- five", "a > 5")).fetchall() == []


def test_pins_are_taken_out_and_places_stay() -> None:
    sql = "SELECT * FROM late FOR VERSION 3 m JOIN departures d FOR SNAPSHOT 'abc' WHERE 1 = 1"
    text, pins = time_travel(sql)
    assert text == "SELECT * FROM late               m JOIN departures d                    WHERE 1 = 1"
    assert [(p.name, p.version, p.snapshot) for p in pins] == [("late", 3, None), ("departures", None, "abc")]
    assert time_travel("SELECT 'FOR VERSION 3'") == ("SELECT 'FOR VERSION 3'", ())


# --- predictions -------------------------------------------------------------------------------------------

LATE = ModelShape(("origin", "distance"), ("arr_late", "arr_late_confidence"))
COST = ModelShape(("distance", "p"), ("cost",))
MODELS = {"late": LATE, "cost": COST}
INTEGER = DataType.INTEGER
DEPARTURES = Schema(
    (
        Field("flight_id", INTEGER),
        Field("origin", DataType.STRING),
        Field("distance", INTEGER),
        Field("day", DataType.DATE),
        Field("arr_late", INTEGER),
    )
)
PLANES = Schema((Field("flight_id", INTEGER), Field("seats", INTEGER)))
SCHEMAS = {"departures": DEPARTURES, "wx.planes": PLANES}


def asked(sql: str) -> RowPrediction:
    found = predictions(sql, MODELS, SCHEMAS)
    assert isinstance(found, RowPrediction)
    return found


def joined(sql: str) -> JoinPrediction:
    found = predictions(sql, MODELS, SCHEMAS)
    assert isinstance(found, JoinPrediction)
    return found


def test_a_query_without_models_is_left_alone() -> None:
    assert predictions("SELECT * FROM departures", MODELS, SCHEMAS) is None
    assert predictions("WITH late AS (SELECT 1) SELECT * FROM late", MODELS, SCHEMAS) is None
    assert predictions("SELECT * FROM ops.late", MODELS, SCHEMAS) is None


def test_one_row_by_where() -> None:
    found = asked(
        "SELECT arr_late, m.arr_late_confidence AS c FROM late m WHERE m.distance = 2475 AND 'JFK' = origin"
    )
    assert (found.model, found.version) == ("late", None)
    assert found.inputs == (("origin", "JFK"), ("distance", 2475))
    assert found.wanted == ("arr_late", "arr_late_confidence")
    assert found.outer == 'SELECT arr_late, m.arr_late_confidence AS c FROM __prediction AS "m"'


def test_the_order_of_predicates_and_columns_never_matters() -> None:
    first = asked("SELECT arr_late FROM late WHERE origin = 'JFK' AND distance = 5")
    second = asked("select ARR_LATE from LATE where (DISTANCE = 5) and ORIGIN = 'JFK'")
    assert first.inputs == second.inputs
    assert first.wanted == second.wanted


def test_star_is_outputs_then_inputs() -> None:
    found = asked("SELECT * FROM late FOR VERSION 3 WHERE distance = -5.5 AND origin IS NULL")
    assert found.version == 3
    assert found.inputs == (("origin", None), ("distance", -5.5))
    assert found.wanted == LATE.outputs
    assert (
        found.outer
        == 'SELECT "arr_late", "arr_late_confidence", "origin", "distance" FROM __prediction AS "late"'
    )
    assert '"origin"' not in asked("SELECT * EXCLUDE (origin) FROM late WHERE distance = 1").outer


def test_literals_keep_their_types() -> None:
    found = predictions(
        "SELECT y FROM m WHERE a = DATE '2013-05-01' AND b = TRUE AND c = NULL",
        {"m": ModelShape(("a", "b", "c"), ("y",))},
    )
    assert isinstance(found, RowPrediction)
    assert found.inputs == (("a", date(2013, 5, 1)), ("b", True), ("c", None))


def test_a_prediction_inside_another_query() -> None:
    found = asked("SELECT * FROM (SELECT arr_late AS p FROM late WHERE distance = 5) WHERE p > 0")
    assert found.outer == 'SELECT * FROM (SELECT arr_late AS p FROM __prediction AS "late") WHERE p > 0'


REFUSED = [
    ("SELECT arr_late FROM late WHERE orgin = 'JFK'", "Did you mean `origin`?"),
    ("SELECT arr_late FROM late WHERE distance > 5", "does not give an input of model `late`"),
    ("SELECT arr_late FROM late WHERE distance = 5 OR distance = 6", "does not give an input"),
    ("SELECT arr_late FROM late WHERE distance NOT IN (5, 6)", "join them: FROM <dataset> d JOIN late m"),
    ("SELECT arr_late FROM late WHERE distance = 5 AND distance = 6", "given twice, with different values"),
    (
        "SELECT arr_late FROM late WHERE distance = 5 AND distance = TRUE",
        "given twice, with different values",
    ),
    ("SELECT arr_late FROM late WHERE distance = origin", "needs a plain value"),
    ("SELECT arr_late FROM late WHERE distance = now()", "needs a plain value"),
    ("SELECT arr_late FROM late WHERE arr_late = 1", "is an output of model `late`"),
    ("SELECT arr_lat FROM late WHERE distance = 5", "Did you mean `arr_late`?"),
    ("SELECT x.arr_late FROM late m WHERE distance = 5", "There is no table `x`"),
    ("SELECT 1 FROM late JOIN cost", "without rows to predict for"),
    (
        "SELECT 1 FROM (SELECT arr_late FROM late WHERE distance = 5), (SELECT cost FROM cost WHERE p = 5)",
        "in one SELECT",
    ),
    ("SELECT flght_id FROM departures JOIN late", "Did you mean `flight_id`?"),
    ("SELECT d.flght_id FROM departures d JOIN late", "Did you mean `flight_id`?"),
    ("SELECT m.arr_lat FROM departures d JOIN late m", "Did you mean `arr_late`?"),
    ("SELECT dd.origin FROM departures d JOIN late m", "There is no table `dd`"),
    ("SELECT 1 FROM departures d JOIN late m ON d.origin = m.orgin", "Did you mean `origin`?"),
    ("SELECT 1 FROM departures d JOIN late m WHERE m.distance > 5", "does not give the input `distance`"),
    ("SELECT 1 FROM departures d JOIN late m WHERE m.distance = 5 AND m.distance = 6", "is given twice"),
    ("SELECT 1 FROM departures d JOIN departures e ON true JOIN late m", "can come from `d` or from `e`"),
    (
        "SELECT flight_id FROM departures d JOIN wx.planes p ON true JOIN late m",
        "`flight_id` can be a column of `d`",
    ),
    ("SELECT 1 FROM departures d JOIN late m ON m.distance = m.arr_late", "cannot be `m.arr_late`"),
    ("SELECT 1 FROM departures d ASOF JOIN late m ON d.day >= m.day", "cannot be joined ASOF"),
    (
        "SELECT 1 FROM departures d JOIN late m LEFT JOIN wx.planes p ON p.seats = m.arr_late",
        "by what a model says",
    ),
    ("SELECT * FROM unknown u JOIN late m", "cannot be told here"),
    ("SELECT 1 FROM departures FOR VERSION 3", "is not a model"),
    ("SELECT 1 FROM late FOR SNAPSHOT 'x'", "is a model, so it has no snapshots"),
    ("SELECT 1 FOR VERSION 3", "does not stand after a table"),
    ("SELECT 1 FROM late FOR VERSION x", "the number of a version"),
]


@pytest.mark.parametrize(("sql", "says"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_does_not_fit_is_refused_with_a_next_step(sql: str, says: str) -> None:
    with pytest.raises(TilthError) as caught:
        predictions(sql, MODELS, SCHEMAS)
    assert says in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.hint


def test_inputs_bind_by_name_to_the_rows() -> None:
    found = joined(
        "SELECT d.flight_id, m.arr_late FROM departures d JOIN late m WHERE d.day >= DATE '2013-07-01'"
    )
    (use,) = found.models
    assert [(b.input, b.column) for b in use.inputs] == [("origin", "d__origin"), ("distance", "d__distance")]
    assert use.outputs == (("arr_late", "m__arr_late"),)
    assert "d__day" not in found.inner
    assert "WHERE d.day >= CAST('2013-07-01' AS DATE)" in found.inner
    assert found.outer == 'SELECT "d__flight_id" AS "flight_id", "m__arr_late" AS "arr_late" FROM __predicted'


def test_what_is_missing_is_told() -> None:
    found = joined("SELECT c.cost FROM departures d JOIN cost c")
    assert found.models[0].missing == ("p",)


def test_limits_go_inside_where_they_may() -> None:
    inside = (
        "SELECT m.arr_late FROM departures d JOIN late m ORDER BY d.day DESC, d.flight_id LIMIT 3 OFFSET 2"
    )
    assert joined(inside).inner.endswith("ORDER BY d.day DESC, d.flight_id LIMIT 3 OFFSET 2")
    assert "OFFSET" not in joined(inside).outer
    for tail in (
        "ORDER BY m.arr_late LIMIT 3",
        "ORDER BY arr_late LIMIT 3",
        "WHERE m.arr_late_confidence > 0 LIMIT 3",
        "GROUP BY ALL LIMIT 3",
    ):
        assert "LIMIT" not in joined(f"SELECT m.arr_late FROM departures d JOIN late m {tail}").inner
    assert "LIMIT" not in joined("SELECT max(m.arr_late) FROM departures d JOIN late m LIMIT 3").inner


def test_snapshots_of_the_rows_are_told() -> None:
    found = joined("SELECT m.arr_late FROM departures FOR SNAPSHOT 'abc' d JOIN late FOR VERSION 2 m")
    assert [(p.name, p.snapshot) for p in found.pins] == [("departures", "abc")]
    assert found.models[0].version == 2


# The models as SQL, so that DuckDB can say what a query over them should answer.
LATE_SQL = "CASE WHEN {origin} = 'JFK' THEN {distance} % 2 ELSE 1 END"
CONFIDENCE_SQL = "coalesce({distance}, 7) / 10.0"
COST_SQL = "coalesce({distance}, 0) * 100 + {p}"


@pytest.fixture
def db() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("CREATE SCHEMA wx")
    con.execute(
        "CREATE TABLE departures AS SELECT i AS flight_id, CASE WHEN i % 3 = 0 THEN 'JFK' ELSE 'LGA' END AS origin, "
        "i % 7 AS distance, DATE '2013-07-01' + i::INTEGER AS day, i % 2 AS arr_late FROM range(20) r(i)"
    )
    con.execute("CREATE TABLE wx.planes AS SELECT i * 2 AS flight_id, i AS seats FROM range(15) r(i)")
    return con


def answer(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """Runs the split query as a session would, with the models as SQL."""
    found = joined(sql)
    rows = f"({found.inner})"
    for use in found.models:
        given = {
            b.input: f'"{b.column}"' if b.column else "NULL" if b.value is None else repr(b.value)
            for b in use.inputs
        } | dict.fromkeys(use.missing, "NULL")
        texts = {"arr_late": LATE_SQL, "arr_late_confidence": CONFIDENCE_SQL, "cost": COST_SQL}
        columns = "".join(f', {texts[o].format(**given)} AS "{flat}"' for o, flat in use.outputs)
        rows = f"(SELECT *{columns} FROM {rows})"
    made = db.sql(found.outer.replace("__predicted", f"{rows} __predicted"))
    return made.columns, made.fetchall()


LATE_D = LATE_SQL.format(origin="d.origin", distance="d.distance")
SAME = [
    (
        "SELECT d.flight_id, m.arr_late FROM departures d JOIN late m WHERE d.distance > 2 ORDER BY d.flight_id LIMIT 4",
        f"SELECT d.flight_id, {LATE_D} AS arr_late FROM departures d WHERE d.distance > 2 ORDER BY 1 LIMIT 4",
    ),
    (
        (
            "SELECT d.origin, count(*) AS n, sum(m.arr_late) AS late FROM late m JOIN departures d "
            "WHERE m.arr_late_confidence >= 0.3 GROUP BY d.origin HAVING sum(m.arr_late) > 0 ORDER BY n, origin"
        ),
        (
            f"SELECT d.origin, count(*) AS n, sum({LATE_D}) AS late FROM departures d WHERE d.distance >= 3 "
            f"GROUP BY d.origin HAVING sum({LATE_D}) > 0 ORDER BY n, d.origin"
        ),
    ),
    (
        "SELECT d.*, m.arr_late AS p FROM departures d JOIN late m ON m.distance = 3 ORDER BY flight_id",
        f"SELECT d.*, {LATE_SQL.format(origin='d.origin', distance='3')} AS p FROM departures d ORDER BY flight_id",
    ),
    (
        (
            "SELECT flight_id, seats, m.arr_late FROM departures d LEFT JOIN wx.planes p USING (flight_id) JOIN late m "
            "ON d.distance + 1 = m.distance WHERE seats IS NULL OR seats > 5 ORDER BY flight_id"
        ),
        (
            f"SELECT flight_id, seats, {LATE_SQL.format(origin='d.origin', distance='(d.distance + 1)')} AS arr_late FROM "
            "departures d LEFT JOIN wx.planes p USING (flight_id) WHERE seats IS NULL OR seats > 5 ORDER BY flight_id"
        ),
    ),
    (
        "SELECT d.flight_id, c.cost FROM departures d JOIN late m JOIN cost c ON c.p = m.arr_late ORDER BY 2 DESC, 1",
        f"SELECT d.flight_id, d.distance * 100 + {LATE_D} AS cost FROM departures d ORDER BY 2 DESC, 1",
    ),
    (
        (
            "WITH x AS (SELECT * FROM departures WHERE distance > 1), p AS (SELECT x.origin, m.arr_late FROM x JOIN late m) "
            "SELECT origin, avg(arr_late) AS a FROM p GROUP BY origin ORDER BY origin"
        ),
        f"SELECT d.origin, avg({LATE_D}) AS a FROM departures d WHERE d.distance > 1 GROUP BY d.origin ORDER BY origin",
    ),
    (
        (
            "SELECT x.flight_id, m.arr_late FROM (SELECT flight_id, origin, distance FROM departures LIMIT 5) x, late m "
            "WHERE x.flight_id IN (SELECT flight_id FROM wx.planes) AND "
            "m.arr_late = (SELECT max(arr_late) FROM departures d WHERE d.origin = x.origin) ORDER BY flight_id"
        ),
        (
            f"SELECT d.flight_id, {LATE_D} AS arr_late FROM (FROM departures LIMIT 5) d WHERE d.flight_id IN (SELECT flight_id FROM "
            f"wx.planes) AND {LATE_D} = (SELECT max(arr_late) FROM departures e WHERE e.origin = d.origin) ORDER BY flight_id"
        ),
    ),
    (
        (
            "SELECT d.flight_id, row_number() OVER (PARTITION BY m.arr_late ORDER BY d.flight_id) AS n FROM departures d "
            "JOIN late m QUALIFY n <= 2 ORDER BY d.flight_id"
        ),
        (
            f"SELECT d.flight_id, row_number() OVER (PARTITION BY {LATE_D} ORDER BY d.flight_id) AS n FROM departures d "
            "QUALIFY n <= 2 ORDER BY d.flight_id"
        ),
    ),
    (
        "SELECT m.distance, m.arr_late FROM departures d JOIN late m ON m.distance = 4 LIMIT 1",
        "SELECT 4 AS distance, 0 AS arr_late",
    ),
    (
        "SELECT count(*) AS n FROM departures d JOIN cost c ON c.p = 1 AND c.distance = 2",
        "SELECT 20 AS n",
    ),
    (
        "SELECT DISTINCT m.arr_late FROM departures d CROSS JOIN late m ORDER BY arr_late",
        "SELECT * FROM (VALUES (0), (1)) t(arr_late)",
    ),
]


@pytest.mark.parametrize(("sql", "same"), SAME, ids=[s[0] for s in SAME])
def test_the_parts_answer_what_the_whole_asks(db: duckdb.DuckDBPyConnection, sql: str, same: str) -> None:
    expected = db.sql(same)
    assert answer(db, sql) == (expected.columns, expected.fetchall())


def test_star_is_the_rows_then_the_outputs(db: duckdb.DuckDBPyConnection) -> None:
    columns, rows = answer(db, "SELECT * FROM departures d JOIN wx.planes USING (flight_id) JOIN late m")
    assert columns == ["flight_id", "origin", "distance", "day", "arr_late", "seats", *LATE.outputs]
    assert len(rows) == 10


def test_names_never_clash() -> None:
    models = {"m": ModelShape(("b__c",), ("y",))}
    one, two = Schema((Field("b__c", INTEGER),)), Schema((Field("c", INTEGER),))
    found = predictions(
        "SELECT a.b__c, a__b.c, y FROM t a JOIN u a__b ON true JOIN m", models, {"t": one, "u": two}
    )
    assert isinstance(found, JoinPrediction)
    assert found.outer == ('SELECT "a__b__c" AS "b__c", "a__b__c_2" AS "c", "m__y" AS "y" FROM __predicted')
