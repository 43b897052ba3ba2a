"""SELECT with models gives what the same query gives over a table that holds the predictions already."""

from typing import Any

import pytest

import shop_project as c
from tilth.core.errors import TilthError
from tilth.runtime.asking import select

QUERIES = [
    "SELECT d.id, m.late FROM deliveries d JOIN late m ORDER BY d.id LIMIT 10",
    "SELECT d.id, m.late AS p FROM deliveries d LEFT JOIN late m ORDER BY d.id LIMIT 3",
    "SELECT d.id, m.late FROM deliveries d JOIN late m ORDER BY d.id LIMIT 10%",
    "SELECT d.id, m.late, reverse(d.carrier) AS r FROM deliveries d JOIN late m WHERE d.id < 50 ORDER BY d.id",
    (
        "SELECT d.carrier, count(*) FILTER (WHERE m.late) n, avg(m.late_confidence)::DECIMAL(9, 6) a"
        " FROM deliveries d JOIN late m GROUP BY d.carrier HAVING count(*) > 10 ORDER BY ALL"
    ),
    (
        "WITH d AS (SELECT * FROM deliveries WHERE distance > 20) SELECT d.id, m.late FROM d JOIN late m"
        " ORDER BY d.id DESC LIMIT 5 OFFSET 2"
    ),
    "SELECT count(*) n FROM (SELECT d.id, m.late AS p FROM deliveries d JOIN late m) t WHERE t.p",
    (
        "SELECT d.id, row_number() OVER (PARTITION BY d.carrier ORDER BY m.late_confidence DESC, d.id) r"
        " FROM deliveries d JOIN late m QUALIFY r <= 2 ORDER BY d.id"
    ),
    "SELECT DISTINCT m.late p FROM deliveries d JOIN late m ORDER BY 1",
    (
        "SELECT d.id AS \"Id\", CASE WHEN m.late THEN 'y' ELSE 'n' END w FROM deliveries AS d JOIN late m"
        " WHERE m.late_confidence > 0.8 AND d.carrier IN ('slow', 'own') ORDER BY 1 LIMIT 7"
    ),
    "SELECT d.late AS truth, m.late AS said, count(*) n FROM deliveries d JOIN late m GROUP BY ALL ORDER BY ALL",
    "SELECT d.id FROM deliveries d JOIN late m WHERE m.late AND NOT d.late ORDER BY d.id LIMIT 9",
    "SELECT sum(d.distance * m.late_confidence)::DECIMAL(18, 4) s FROM deliveries d JOIN late m",
    (
        "SELECT d.id, (SELECT count(*) FROM deliveries z WHERE z.carrier = d.carrier) k, m.late"
        " FROM deliveries d JOIN late m ORDER BY d.id LIMIT 2"
    ),
    (
        "SELECT d.id FROM deliveries d JOIN late m WHERE d.id IN (SELECT id FROM deliveries WHERE distance > 55)"
        " AND m.late ORDER BY 1 LIMIT 4"
    ),
    "SELECT d.id FROM deliveries d JOIN late m WHERE d.id < 10 OR m.late_confidence > 0.99 ORDER BY d.id LIMIT 20",
    (
        "SELECT count(*) n FROM deliveries d JOIN late m"
        " WHERE EXISTS (SELECT 1 FROM deliveries z WHERE z.id = d.id AND z.distance > 50)"
    ),
    (
        "SELECT strftime(d.ordered_at, '%Y-%m') mth, avg(CAST(m.late AS INT))::DECIMAL(9, 6) a"
        " FROM deliveries d JOIN late m GROUP BY mth ORDER BY mth"
    ),
    "SELECT d.id, m.late FROM ops.deliveries d JOIN late m ORDER BY d.id LIMIT 2",
    "SELECT count(*) n FROM deliveries d JOIN late m WHERE d.id < 0",
    (
        "SELECT d.id, m.late FROM deliveries d JOIN late m WHERE d.id < 3 UNION ALL"
        " SELECT d.id, m.late FROM deliveries d JOIN late m WHERE d.id > 5996 ORDER BY 1"
    ),
    (
        "WITH p AS (SELECT d.id, d.carrier, m.late FROM deliveries d JOIN late m), q AS (SELECT d.id, m.late_confidence c FROM deliveries d JOIN late m"
        " WHERE d.id < 40) SELECT p.id, p.late, q.c::DECIMAL(9, 6) c FROM p JOIN q USING (id) ORDER BY 1"
    ),
    (
        "SELECT t.id, t.first, m.late FROM (SELECT d.id, d.carrier, d.distance, d.ordered_at, m.late AS first FROM deliveries d JOIN late m) t"
        " JOIN (SELECT d.id, m.late FROM deliveries d JOIN late m) m USING (id) ORDER BY t.id LIMIT 5"
    ),
    (
        "SELECT count(*) n FROM deliveries WHERE id IN (SELECT d.id FROM deliveries d JOIN late m WHERE m.late)"
        " AND id NOT IN (SELECT d.id FROM deliveries d JOIN late m WHERE m.late_confidence > 0.9)"
    ),
    (
        "WITH p AS (SELECT d.id, m.late FROM deliveries d JOIN late m) SELECT a.id, b.late FROM p a JOIN p b USING (id)"
        " WHERE a.id < 5 UNION SELECT d.id, m.late FROM deliveries d JOIN late m WHERE d.id = 77 ORDER BY 1"
    ),
    (
        "SELECT carrier, (SELECT max(m.late_confidence) FROM deliveries d JOIN late m)::DECIMAL(9, 6) a,"
        " (SELECT count(*) FROM deliveries d JOIN late m WHERE m.late) b FROM deliveries GROUP BY carrier ORDER BY 1"
    ),
    (
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3), p AS (SELECT d.id, m.late FROM deliveries d JOIN late m)"
        " SELECT i, (SELECT count(*) FROM p WHERE late AND id < i * 10) k, (SELECT count(*) FROM deliveries d JOIN late m WHERE m.late) a FROM n ORDER BY i"
    ),
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The project, and a DuckDB of our own where `predicted` holds the model's answers for each row."""
    import duckdb

    project = c.opened(c.make(tmp_path_factory.mktemp("questions") / "shop"))
    project.apply()
    rows = project.sql("SELECT * FROM deliveries").arrow()
    answers = project.model("late").predict(rows.drop_columns(["late"]))
    beside = duckdb.connect(config={"python_enable_replacements": False})
    beside.register("given", rows)
    beside.register("answered", answers.select(["id", "late", "late_confidence"]).rename_columns(
        ["row", "late", "late_confidence"]))  # fmt: skip
    beside.execute(
        "CREATE SCHEMA ops; CREATE TABLE deliveries AS FROM given; CREATE TABLE ops.deliveries AS FROM given;"
        "CREATE TABLE predicted AS FROM answered"
    )
    return project, beside


@pytest.mark.parametrize("sql", QUERIES)
def test_a_join_with_a_model_is_a_join_with_its_predictions(asked: tuple[Any, Any], sql: str) -> None:
    project, beside = asked
    wanted = beside.execute(sql.replace("JOIN late m", "JOIN predicted m ON m.row = d.id"))
    names = [d[0] for d in wanted.description]
    found = project.sql(sql).arrow()
    assert found.schema.names == names
    assert [tuple(r.values()) for r in found.to_pylist()] == wanted.fetchall()


ASKED = "late m WHERE m.carrier = d.carrier AND m.distance = d.distance AND m.ordered_at = d.ordered_at"
CORRELATED = [
    "SELECT d.id, (SELECT m.late FROM {0}) p FROM deliveries d ORDER BY d.id LIMIT 5",
    "SELECT d.*, (SELECT m.late FROM {0}) p FROM deliveries d ORDER BY d.id LIMIT 5",
    "SELECT *, (SELECT m.late FROM {0}) p FROM deliveries d ORDER BY d.id LIMIT 5",
    "SELECT id, (SELECT late FROM {0}) p, late FROM deliveries d ORDER BY id DESC LIMIT 5",
    "SELECT d.id, (SELECT m.late_confidence * 2 + d.distance FROM {0} AND m.late) p FROM deliveries d ORDER BY d.id LIMIT 20",
    "SELECT d.id FROM deliveries d WHERE (SELECT m.late FROM {0}) ORDER BY d.id LIMIT 9",
    "SELECT d.id FROM deliveries d WHERE d.id < 500 AND (SELECT m.late_confidence FROM {0}) > 0.95 ORDER BY d.id",
    "SELECT d.id FROM deliveries d WHERE d.id < 90 ORDER BY (SELECT m.late_confidence FROM {0}) DESC, d.id LIMIT 9",
    "SELECT count(*) n FROM deliveries d WHERE EXISTS (SELECT 1 FROM {0} AND m.late)",
    "SELECT count(*) n FROM deliveries d WHERE NOT EXISTS (SELECT * FROM {0} AND m.late AND m.late_confidence > 0.9)",
    "SELECT count(*) n FROM deliveries d WHERE EXISTS (SELECT 1 FROM {0})",
    "SELECT count(*) n FROM deliveries d WHERE d.late IN (SELECT m.late FROM {0})",
    "SELECT count(*) n FROM deliveries d WHERE d.late NOT IN (SELECT m.late FROM {0} AND m.late_confidence > 0.9)",
    "SELECT sum((SELECT CAST(m.late AS INT) FROM {0})) s, d.carrier FROM deliveries d GROUP BY d.carrier ORDER BY 2",
    "SELECT DISTINCT (SELECT m.late FROM {0}) p FROM deliveries d ORDER BY 1",
    "SELECT d.id, (SELECT m.late FROM {0}) p, (SELECT m.late_confidence FROM {0} AND d.id > 2) c FROM deliveries d ORDER BY d.id LIMIT 5",
    "SELECT d.id, p.late, p.c FROM deliveries d, LATERAL (SELECT m.late, m.late_confidence AS c FROM {0}) p ORDER BY d.id LIMIT 5",
    "SELECT d.id, p.* FROM deliveries d JOIN LATERAL (SELECT m.late, m.late_confidence AS c FROM {0}) p ON TRUE ORDER BY d.id LIMIT 5",
    "SELECT p.*, d.id FROM deliveries d, LATERAL (SELECT m.late AS x, m.late_confidence FROM {0} AND m.late) AS p(a, b) WHERE b > 0.7 ORDER BY a, id LIMIT 5",
    "SELECT d.id, c FROM deliveries d LEFT JOIN LATERAL (SELECT m.late_confidence AS c FROM {0} AND m.late) p ON TRUE ORDER BY c NULLS FIRST, d.id LIMIT 30",
    "SELECT d.carrier, avg(p.c)::DECIMAL(9, 6) c FROM deliveries d, (SELECT m.late_confidence AS c FROM {0}) p WHERE p.c < 0.9 GROUP BY ALL ORDER BY 1",
    "SELECT d.id, CASE WHEN (SELECT m.late FROM {0} LIMIT 1) THEN 'y' ELSE 'n' END w FROM deliveries d ORDER BY d.id LIMIT 7",
    "WITH d AS (SELECT * FROM deliveries WHERE distance > 50) SELECT count(*) n FROM d WHERE (SELECT m.late FROM {0})",
    "SELECT d.id FROM deliveries d WHERE d.id < 40 AND (SELECT m.late FROM {0}) UNION ALL SELECT d.id FROM deliveries d WHERE d.id > 5980 AND EXISTS (SELECT 1 FROM {0} AND NOT m.late) ORDER BY 1",
    "SELECT x.id FROM (SELECT d.id, (SELECT m.late FROM {0}) AS p FROM deliveries d) x WHERE x.p ORDER BY 1 LIMIT 4",
    "SELECT d.id, e.id AS next FROM deliveries d JOIN deliveries e ON e.id = d.id + 1 WHERE (SELECT m.late FROM {0}) ORDER BY 1 LIMIT 4",
    "SELECT d.id FROM ops.deliveries d WHERE (SELECT m.late FROM {0}) ORDER BY 1 LIMIT 4",
    "SELECT (SELECT m.late FROM {0}) = d.late AS hit, count(*) n FROM deliveries d GROUP BY hit ORDER BY 1",
    "SELECT (SELECT m.late FROM {0}) AS p, d.carrier, count(*) n FROM deliveries d GROUP BY 1, 2 ORDER BY ALL",
    "SELECT (SELECT m.late FROM {0}) AS p, d.carrier, count(*) n FROM deliveries d GROUP BY ALL ORDER BY ALL",
    "SELECT d.id, row_number() OVER (ORDER BY (SELECT m.late_confidence FROM {0}), d.id) r FROM deliveries d WHERE d.id < 30 ORDER BY 1",
]  # fmt: skip


@pytest.mark.parametrize("sql", CORRELATED)
def test_a_select_over_a_model_for_each_row_is_one_over_its_predictions(
    asked: tuple[Any, Any], sql: str
) -> None:
    project, beside = asked
    wanted = beside.execute(sql.format("predicted m WHERE m.row = d.id"))
    names = [d[0] for d in wanted.description]
    found = project.sql(sql.format(ASKED)).arrow()
    assert found.schema.names == names
    rows = wanted.fetchall()
    assert rows
    assert [tuple(r.values()) for r in found.to_pylist()] == rows


REFUSED = {
    "SELECT (SELECT max(m.late) FROM {0}) FROM deliveries d": "has more in it than inputs",
    "SELECT (SELECT m.late, m.late_confidence FROM {0}) FROM deliveries d": "gives more than one column",
    "SELECT d.carrier, (SELECT m.late FROM {0}) FROM deliveries d GROUP BY d.carrier": "stands in a query of groups",
    "SELECT (SELECT m.late FROM late m WHERE m.carrier = d.carrier AND m.distance = 3) FROM deliveries d": "is not given `ordered_at`",
    "SELECT (SELECT m.late FROM late m WHERE m.carrier = d.carrier AND m.distance > 3 AND m.ordered_at = d.ordered_at) FROM deliveries d": "does not give an input",
    "SELECT (SELECT max(m.late_confidence) FROM deliveries e JOIN late m WHERE e.carrier = d.carrier) FROM deliveries d": "has rows of its own",
    "SELECT * FROM deliveries d JOIN deliveries e USING (id) WHERE (SELECT m.late FROM {0})": "USING merges",
    "SELECT d.id FROM deliveries d WHERE d.late = ANY (SELECT m.late FROM {0})": "stands where one value does not",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_no_join_says_so_and_how_it_is_written(asked: tuple[Any, Any], sql: str) -> None:
    with pytest.raises(TilthError) as error:
        asked[0].sql(sql.format(ASKED)).arrow()
    assert REFUSED[sql] in error.value.message
    assert error.value.hint


def test_one_row_and_many_rows_agree(asked: tuple[Any, Any]) -> None:
    project, _ = asked
    many = project.sql(
        "SELECT d.carrier, d.distance, d.ordered_at, m.late, m.late_confidence FROM deliveries d JOIN late m LIMIT 20"
    ).rows()
    for row in many:
        one = project.sql(
            f"SELECT late, late_confidence FROM late WHERE ordered_at = TIMESTAMP '{row['ordered_at']}'"
            f" AND distance = {row['distance']} AND carrier = '{row['carrier']}'"
        ).rows()
        given = {k: row[k] for k in ("carrier", "distance", "ordered_at")}
        assert one == [{"late": row["late"], "late_confidence": row["late_confidence"]}]
        assert project.model("late").predict(given)["late_confidence"] == row["late_confidence"]


def test_every_column_of_the_schema_tilth_can_be_named_without_quotes(asked: tuple[Any, Any]) -> None:
    from tilth.runtime.asking.catalog import SystemTables

    project, _ = asked
    tables = SystemTables(project.work())
    for table in tables.tables():
        columns = ", ".join(tables.describe(table).names)
        assert project.sql(f"SELECT {columns} FROM tilth.{table}").arrow().schema.names


def test_many_batches_are_answered_in_order_and_as_one_would_be(asked: tuple[Any, Any]) -> None:
    project, _ = asked
    many = "(SELECT *, row_number() OVER () AS n FROM (SELECT d.* FROM deliveries d, range(30) r ORDER BY r.range, d.id))"
    sql = f"SELECT x.n, x.id, m.late_confidence FROM {many} x JOIN late m"
    found = project.sql(sql).arrow()
    assert found.num_rows == 30 * c.DAYS * c.A_DAY
    assert found.column("n").to_pylist() == list(range(1, found.num_rows + 1))
    one = project.sql("SELECT d.id, m.late_confidence AS p FROM deliveries d JOIN late m").arrow()
    wanted = dict(zip(one.column("id").to_pylist(), one.column("p").to_pylist(), strict=True))
    assert all(wanted[r["id"]] == r["late_confidence"] for r in found.slice(150_000, 5_000).to_pylist())
    part = project.sql(sql + " LIMIT 10").arrow()  # who stops early is not waited for by threads that go on
    assert part.num_rows == 10


ROW = (
    "FROM late l WHERE carrier = 'slow' AND distance = 20.5 AND ordered_at = TIMESTAMP '2024-04-01 12:00:00'"
)
PLAIN = {
    f"SELECT * {ROW}": True,
    f"SELECT late, late_confidence AS c, distance {ROW}": True,
    f"SELECT l.*, 7 AS n, 'x' AS s {ROW}": True,
    f'SELECT DISTANCE, Ordered_At, l.carrier AS "K k", late_explain {ROW}': True,
    f"SELECT late_probabilities {ROW}": True,
    f"SELECT * EXCLUDE (carrier) {ROW}": True,
    f"SELECT late, 1.5 AS x {ROW}": False,
    f"SELECT late, 3000000000 AS x {ROW}": False,
    f"SELECT late, 1 {ROW}": False,
    f"SELECT upper(carrier) AS u, late {ROW}": False,
    f"SELECT late {ROW} LIMIT 1": False,
    f"SELECT DISTINCT late {ROW}": False,
    f"SELECT late {ROW} ORDER BY late": False,
    f"SELECT late {ROW} GROUP BY late": False,
    f"SELECT count(*) AS n FROM (SELECT late {ROW})": False,
    f"WITH a AS (SELECT late {ROW}) SELECT * FROM a": False,
    f"SELECT late {ROW} UNION ALL SELECT true": False,
}


@pytest.mark.parametrize("sql", PLAIN)
def test_what_a_model_alone_answers_is_what_the_engine_gives_of_it(
    asked: tuple[Any, Any], sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = asked
    engine, used = project.work().engine, list[str]()
    stream = engine.stream
    monkeypatch.setattr(engine, "stream", lambda text, *a, **k: used.append(text) or stream(text, *a, **k))
    alone = project.sql(sql).arrow()
    assert (not used) is PLAIN[sql]
    monkeypatch.setattr(select, "direct", lambda _outer: None)
    assert alone.equals(project.sql(sql).arrow())
    assert used


def test_a_list_of_values_is_a_row_for_each_combination(asked: tuple[Any, Any]) -> None:
    project, _ = asked
    text = "SELECT carrier, distance, late, late_probability FROM late WHERE ordered_at = TIMESTAMP '2024-04-30 20:00:00' AND {} AND {}"
    found = project.sql(text.format("carrier IN ('slow', 'own', 'slow')", "distance IN (5, 50.5, 12)")).rows()
    alone = [
        project.sql(text.format(f"carrier = '{carrier}'", f"distance = {distance}")).rows()[0]
        for carrier in ("slow", "own")
        for distance in (5, 50.5, 12)
    ]
    assert found == alone
    counted = project.sql(
        "SELECT carrier, count(*) AS n FROM late WHERE ordered_at = TIMESTAMP '2024-04-30 20:00:00'"
        " AND carrier IN ('own', 'fast') AND distance IN (1, 2, 3) GROUP BY ALL ORDER BY ALL"
    ).rows()
    assert counted == [{"carrier": "fast", "n": 3}, {"carrier": "own", "n": 3}]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("carrier IN ('a', NULL)", "needs a plain value"),
        ("carrier IN (SELECT carrier FROM deliveries)", "does not give an input"),
        ("carrier NOT IN ('a')", "does not give an input"),
        ("carrier IN ('a') AND carrier = 'b'", "given twice"),
        ("distance IN (1, 'x')", "cannot be 'x'"),
        (f"distance IN ({', '.join(map(str, range(400)))}) AND carrier IN ({', '.join(repr(str(n)) for n in range(400))})", "160,000 combinations"),
    ],
)  # fmt: skip
def test_a_list_that_is_none_of_values_is_refused(condition: str, words: str, asked: tuple[Any, Any]) -> None:
    project, _ = asked
    with pytest.raises(TilthError, match=words):
        project.sql(
            f"SELECT late FROM late WHERE ordered_at = TIMESTAMP '2024-04-30 20:00:00' AND {condition}"
        ).rows()


MANY = {
    "SELECT d.id, m.* FROM deliveries d JOIN late m": 1,
    "SELECT d.ID, m.late AS p, 'x' AS k, 7 AS n, true AS t FROM deliveries d JOIN late m": 1,
    "SELECT d.* EXCLUDE (late), m.late_confidence, m.late_probabilities FROM deliveries d JOIN late m WHERE d.id % 7 = 0": 1,
    "SELECT d.id, m.late, n.minutes AS said FROM deliveries d JOIN late m JOIN duration n": 1,
    "SELECT d.id::HUGEINT AS h, m.late FROM deliveries d JOIN late m": 2,
    "SELECT d.id, m.late FROM deliveries d JOIN late m WHERE d.id < 0": 1,
    "SELECT d.id, m.late FROM deliveries d JOIN late m WHERE m.late": 2,
    "SELECT d.id, m.late FROM deliveries d JOIN late m ORDER BY d.id": 2,
    "SELECT count(*) AS n FROM deliveries d JOIN late m": 2,
    "SELECT d.late, m.late FROM deliveries d JOIN late m": 2,
}


@pytest.mark.parametrize("sql", MANY)
def test_columns_that_are_only_picked_are_those_that_the_engine_gives(
    asked: tuple[Any, Any], sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = asked
    engine, used = project.work().engine, list[str]()
    stream = engine.stream
    monkeypatch.setattr(engine, "stream", lambda text, *a, **k: used.append(text) or stream(text, *a, **k))
    picked = project.sql(sql).arrow()
    assert len(used) == MANY[sql]
    monkeypatch.setattr(select, "direct", lambda _outer: None)
    whole = project.sql(sql).arrow()
    assert len(used) == MANY[sql] + 2
    assert picked.schema.equals(whole.schema)
    assert picked.combine_chunks().equals(whole.combine_chunks())
