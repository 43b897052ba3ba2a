"""What the text of a dataset's query proves of what its rows can have seen."""

import pytest

from tilth.core.schema import DataType as D
from tilth.core.schema import Field, Schema
from tilth.sql.queries.leakage import bounds
from tilth.sql.queries.pointintime import Timed, joined

SCHEMAS = {
    "ops.f": Schema((Field("id", D.INTEGER), Field("t", D.TIMESTAMP), Field("x", D.FLOAT), Field("l", D.STRING))),
    "ops.w": Schema((Field("o", D.INTEGER), Field("h", D.TIMESTAMP), Field("temp", D.FLOAT))),
    "ops.p": Schema((Field("tail", D.STRING), Field("built", D.INTEGER))),
    "prices": Schema((Field("id", D.INTEGER), Field("at", D.TIMESTAMP), Field("k", D.TIMESTAMP), Field("p", D.FLOAT))),
}  # fmt: skip
TIMES = {"prices": Timed("at", "k", ("id", "at", "k"))}

JUDGED = [
    ("SELECT id, t, x FROM ops.f", []),
    ("SELECT * FROM ops.f WHERE x > 1", []),
    ("SELECT f.t, w.temp FROM ops.f f ASOF LEFT JOIN ops.w w ON w.o = f.id AND w.h <= f.t", [("ops.w", True)]),
    ("SELECT f.t, w.temp FROM ops.f f JOIN ops.w w ON w.o = f.id AND w.h < f.t - INTERVAL 1 HOUR", [("ops.w", True)]),
    ("SELECT f.t, w.temp FROM ops.f f JOIN ops.w w ON w.o = f.id AND w.h < f.t + INTERVAL 1 HOUR", [("ops.w", False)]),
    ("SELECT f.t, w.temp FROM ops.f f JOIN ops.w w ON w.o = f.id AND w.h < f.t - INTERVAL '-1 hour'", [("ops.w", False)]),
    ("SELECT f.t, w.temp FROM ops.f f JOIN ops.w w ON w.o = f.id AND w.h >= f.t", [("ops.w", False)]),
    ("SELECT f.t, w.temp FROM ops.f f JOIN ops.w w ON w.o = f.id AND w.temp <= f.t", [("ops.w", False)]),
    ("SELECT f.t, w.temp FROM ops.f f JOIN ops.w w ON w.h = f.t", [("ops.w", True)]),
    ("SELECT f.t, w.temp FROM ops.f f, ops.w w WHERE w.o = f.id AND f.t >= w.h", [("ops.w", True)]),
    ("SELECT f.t, p.built FROM ops.f f LEFT JOIN ops.p p ON p.tail = f.l", [("ops.p", False)]),
    ("SELECT f.t, p.p FROM ops.f f JOIN prices AS OF f.t p ON p.id = f.id", [("prices", True)]),
    ("SELECT f.t, p.p FROM ops.f f JOIN prices AS OF (f.t - INTERVAL 1 DAY) p ON p.id = f.id", [("prices", True)]),
    ("SELECT f.t, p.p FROM ops.f f JOIN prices AS OF (f.t + INTERVAL 1 DAY) p ON p.id = f.id", [("prices", False)]),
    ("SELECT f.t, p.p FROM ops.f f ASOF JOIN prices p ON p.id = f.id AND f.t >= p.at", [("p", False)]),
    ("SELECT at AS t, p FROM prices", [("prices", False)]),
    ("SELECT k AS t, p FROM prices", []),
    ("SELECT t, avg(x) OVER (ORDER BY t ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING) AS a FROM ops.f", [("AVG", True)]),
    ("SELECT t, avg(x) OVER (PARTITION BY id ORDER BY t) AS a FROM ops.f", [("AVG", True)]),
    ("SELECT t, avg(x) OVER (PARTITION BY id) AS a FROM ops.f", [("AVG", False)]),
    ("SELECT t, avg(x) OVER (ORDER BY t DESC) AS a FROM ops.f", [("AVG", False)]),
    ("SELECT t, avg(x) OVER (ORDER BY x) AS a FROM ops.f", [("AVG", False)]),
    ("SELECT t, sum(x) OVER (ORDER BY t ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS a FROM ops.f", [("SUM", False)]),
    ("SELECT t, lag(x) OVER (ORDER BY t) AS a FROM ops.f", [("LAG", True)]),
    ("SELECT t, lag(x, -1) OVER (ORDER BY t) AS a FROM ops.f", [("LAG", False)]),
    ("SELECT t, lead(x) OVER (ORDER BY t) AS a FROM ops.f", [("LEAD", False)]),
    ("SELECT t, lead(x IGNORE NULLS) OVER (ORDER BY t) AS a FROM ops.f", [("LEAD", False)]),
    ("SELECT t, ntile(4) OVER (ORDER BY t) AS a FROM ops.f", [("NTILE", False)]),
    ("SELECT t, sum(x) AS s FROM ops.f GROUP BY t", []),
    ("SELECT id, max(t) AS t FROM ops.f GROUP BY id", [("the query", False)]),
    ("SELECT date_trunc('day', t) AS t FROM ops.f", [("the query", False)]),
    ("SELECT DISTINCT ON (id) t, x FROM ops.f ORDER BY t DESC", [("DISTINCT ON", False)]),
    ("SELECT t, x FROM ops.f QUALIFY row_number() OVER (PARTITION BY id ORDER BY t DESC) = 1", [("QUALIFY", False)]),
    ("SELECT t, x FROM ops.f ORDER BY t DESC LIMIT 9", [("LIMIT", False)]),
    ("SELECT t, (SELECT max(x) FROM ops.f) AS m FROM ops.f", [("a subquery", False)]),
    ("SELECT t, current_date - t::DATE AS age FROM ops.f", [("the time of the collection", False)]),
    ("WITH g AS (SELECT id, avg(x) AS m FROM ops.f GROUP BY id) SELECT f.t, g.m FROM ops.f f JOIN g ON g.id = f.id", [("g", False)]),
    ("WITH g AS (SELECT t, x FROM ops.f) SELECT * FROM g", []),
    ("SELECT t FROM (SELECT t, lead(x) OVER (ORDER BY t) AS n FROM ops.f) q", [("LEAD", False)]),
    ("SELECT t, x FROM ops.f UNION ALL SELECT h, temp FROM ops.w", []),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "found"), JUDGED)
def test_what_is_bound_by_the_rows_time_is_proven(sql: str, found: list[tuple[str, bool]]) -> None:
    got = bounds(joined(sql, lambda: TIMES), "t", SCHEMAS, TIMES)
    assert [(b.what.split("(")[0], b.proven) for b in got] == found
    assert all(b.why for b in got)
