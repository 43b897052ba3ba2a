"""JOIN ... AS OF: what it becomes, what is refused and how, and that places in the text stay."""

import pytest

from tilth.core.errors import TilthError
from tilth.sql.queries import asof
from tilth.sql.queries.pointintime import Timed, joined
from tilth.sql.queries.reads import tables
from tilth.sql.queries.renaming import renamed
from tilth.sql.queries.timetravel import time_travel

KNOWN = {
    "p": Timed("t", None, ("id", "t")),
    "prices": Timed("t", "k", ("id", "t", "k")),
    "loose": Timed("t", None, ("n",)),
    "odd": Timed("my time", None, ("id", "my time")),
    "days": Timed(None, None, ("id",)),
}

MADE = [
    (
        "SELECT * FROM e JOIN p AS OF e.t ON p.id = e.id",
        "SELECT * FROM e ASOF JOIN p AS p ON e.t >= p.t AND p.id = e.id",
    ),
    (
        "SELECT * FROM e LEFT JOIN p AS OF e.t AS q ON e.id = q.id WHERE q.x > 1",
        "SELECT * FROM e ASOF LEFT JOIN p AS q ON e.t >= q.t AND e.id = q.id WHERE q.x > 1",
    ),
    (
        "SELECT * FROM e INNER JOIN odd AS OF (e.t - INTERVAL 1 DAY) o ON o.id = e.id",
        'SELECT * FROM e ASOF INNER JOIN odd AS o ON (e.t - INTERVAL 1 DAY) >= o."my time" AND o.id = e.id',
    ),
    (
        "WITH w AS (SELECT * FROM e JOIN p AS OF e.t ON left(p.id, 2) = e.id) SELECT * FROM w",
        (
            "WITH w AS (SELECT * FROM e ASOF JOIN (SELECT * FROM p AS p WHERE p.t IS NOT NULL QUALIFY row_number() OVER"
            " (PARTITION BY LEFT(p.id, 2), p.t ORDER BY p.id DESC, p.t DESC) = 1) AS p ON e.t >= p.t AND LEFT(p.id, 2) = e.id) SELECT * FROM w"
        ),
    ),
    (
        "SELECT * FROM e JOIN p FOR SNAPSHOT 'x' AS OF e.t q ON q.id = e.id AND (q.a = 1 OR q.b IS NULL) LIMIT 3",
        (
            "SELECT * FROM e ASOF JOIN (SELECT * FROM p FOR SNAPSHOT 'x' AS q WHERE q.t IS NOT NULL AND (q.a = 1 OR q.b IS NULL))"
            " AS q ON e.t >= q.t AND q.id = e.id LIMIT 3"
        ),
    ),
]

STAYS = [
    "SELECT x AS of FROM e",
    "SELECT of.a FROM e AS of WHERE of.a = 1",
    "SELECT * FROM e AS of JOIN p ON p.id = of.id",
    "SELECT 'AS OF e.t' AS t FROM e -- JOIN p AS OF e.t",
    "SELECT * FROM e ASOF JOIN p ON e.t >= p.t AND e.id = p.id",
]

REFUSED = [
    ("SELECT * FROM e JOIN days AS OF e.t ON days.id = e.id", "the dataset has no EVENT TIME"),
    ("SELECT * FROM e JOIN ops.t AS OF e.t x ON x.id = e.id", "none that is called `ops.t`"),
    ("SELECT * FROM e JOIN nothing AS OF e.t x ON x.id = e.id", "none that is called `nothing`"),
    ("WITH w AS (SELECT 1 AS id) SELECT * FROM e JOIN w AS OF e.t ON w.id = e.id", "the name of a dataset"),
    ("SELECT * FROM p AS OF e.t", "stands in a JOIN"),
    ("SELECT * FROM e, p AS OF e.t", "stands in a JOIN"),
    ("SELECT * FROM e RIGHT JOIN p AS OF e.t ON p.id = e.id", "this join is RIGHT"),
    ("SELECT * FROM e FULL JOIN p AS OF e.t ON p.id = e.id", "this join is FULL"),
    ("SELECT * FROM e SEMI JOIN p AS OF e.t ON p.id = e.id", "this join is SEMI"),
    ("SELECT * FROM e JOIN p AS OF e.t USING (id)", "says by ON"),
    ("SELECT * FROM e JOIN p AS OF e.t", "says by ON"),
    ("SELECT * FROM e JOIN p AS OF e.t ON id = e.id", "`id` may be a column of either side"),
    ("SELECT * FROM e JOIN p AS OF t ON p.id = e.id", "`t` may be a column of either side"),
    ("SELECT * FROM e JOIN p AS OF p.t ON p.id = e.id", "`p.t` is not"),
    ("SELECT * FROM e JOIN p AS OF e.t ON p.id < e.id", "`p.id < e.id` is neither"),
    ("SELECT * FROM e JOIN p AS OF e.t ON p.id = e.id AND e.x = 1", "`e.x = 1` is neither"),
    ("SELECT * FROM e JOIN p AS OF e.t ON p.id = e.id OR p.a = 1", "is neither"),
    ("SELECT * FROM e JOIN p AS OF e.t ON p.id = (SELECT max(id) FROM e)", "A subquery"),
]


@pytest.mark.parametrize(("sql", "made"), MADE)
def test_it_becomes_an_asof_join(sql: str, made: str) -> None:
    assert joined(sql, lambda: KNOWN) == made


@pytest.mark.parametrize("sql", STAYS)
def test_what_only_looks_like_it_stays(sql: str) -> None:
    assert joined(sql, lambda: KNOWN) == sql
    assert asof.plain(sql) == sql


def test_with_known_at_only_rows_that_are_ever_the_newest_are_joined() -> None:
    made = joined("SELECT * FROM e JOIN prices AS OF e.t q ON q.id = e.id", lambda: KNOWN)
    assert "q.t IS NOT NULL AND q.k IS NOT NULL" in made
    assert "OVER (PARTITION BY q.id ORDER BY greatest(q.t, q.k))" in made
    assert made.endswith("AS q ON e.t >= greatest(q.t, q.k) AND q.id = e.id")


@pytest.mark.parametrize(("sql", "said"), REFUSED)
def test_what_cannot_be_is_refused_where_it_stands(sql: str, said: str) -> None:
    with pytest.raises(TilthError) as caught:
        joined(sql, lambda: KNOWN)
    assert said in caught.value.message
    assert caught.value.hint
    where = caught.value.where
    assert where is not None
    assert sql[where.column - 1 :].startswith("AS OF")


def test_two_joins_of_one_select_are_each_made() -> None:
    made = joined(
        "SELECT * FROM e JOIN p AS OF e.t a ON a.id = e.id LEFT JOIN p AS OF a.t b ON b.id = a.id",
        lambda: KNOWN,
    )
    assert made == (
        "SELECT * FROM e ASOF JOIN p AS a ON e.t >= a.t AND a.id = e.id ASOF LEFT JOIN p AS b ON a.t >= b.t AND b.id = a.id"
    )


def test_what_is_read_is_found_where_it_stands() -> None:
    sql = "SELECT *\nFROM ops.e JOIN p AS OF e.t q ON q.id = e.id"
    found = tables(time_travel(sql)[0])
    assert [(t.schema, t.name, t.alias, t.position and t.position.line) for t in found] == [
        ("ops", "e", "e", 2),
        (None, "p", "q", 2),
    ]


def test_names_in_the_time_change_with_the_others() -> None:
    sql = "SELECT * FROM events JOIN p AS OF events.t ON p.id = events.id"
    assert renamed(sql, {"events": "acts", "p": "cost"}) == (
        "SELECT * FROM acts JOIN cost AS OF acts.t ON cost.id = acts.id"
    )
