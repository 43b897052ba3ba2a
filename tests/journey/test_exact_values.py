"""Whole stories of values that other tools change on the way: through a project, from the source to the answer."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import servers
import tilth
from tilth.app.project import Project
from tilth.core.errors import DataError, ProjectError, TilthError
from tilth.ports.clock import ManualClock

NOW = datetime(2024, 4, 30, tzinfo=UTC)
BIG = 2**63


def opened(folder: Path, declared: str) -> Project:
    (folder / "p.sql").write_text(declared)
    project = tilth.open(str(folder))
    project.clock = ManualClock(NOW)
    return project


def lite(
    folder: Path, script: str, query: str = "SELECT * FROM s.t", options: str = "", key: str = ""
) -> Project:
    with closing(sqlite3.connect(folder / "x.db")) as db, db:
        db.executescript(script)
    more = f", {options}" if options else ""
    return opened(
        folder,
        f"CREATE SOURCE s ENGINE sqlite WITH (path = 'x.db'{more});\nCREATE DATASET d {key} AS {query};",
    )


def rows(project: Project, sql: str = "SELECT * FROM d") -> list[dict[str, Any]]:
    return list(project.sql(sql).rows())


def postgres(folder: Path, query: str, options: str = "", key: str = "") -> Project:
    parts = urlsplit(servers.postgres_url())
    (folder / "word").write_text(parts.password or "")
    url = parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()
    secret = ", password = SECRET 'file:word'" if parts.password else ""
    return opened(
        folder,
        f"CREATE SOURCE s ENGINE postgres WITH (url = '{url}', schema = 'exact_values'{secret}{options});\n"
        f"CREATE DATASET d {key} AS {query};",
    )


@pytest.fixture
def run() -> Any:
    """Runs statements in a schema of our own, dropped afterwards."""
    from adbc_driver_postgresql import dbapi

    def statements(*sql: str) -> None:
        with dbapi.connect(servers.postgres_url(), autocommit=True) as c, c.cursor() as cursor:
            for statement in sql:
                cursor.execute(statement)

    statements(
        "DROP SCHEMA IF EXISTS exact_values CASCADE",
        "CREATE SCHEMA exact_values",
        "SET search_path = exact_values",
    )
    yield lambda *sql: statements("SET search_path = exact_values", *sql)
    statements("DROP SCHEMA IF EXISTS exact_values CASCADE")


# --- whole numbers beyond 53 and 64 bits -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["numeric(20,0)", "numeric(18,0)", "bigint"])
def test_ids_beyond_53_bits_stay_apart(run: Any, tmp_path: Path, kind: str) -> None:
    run(
        f"CREATE TABLE t AS SELECT (9007199254740993 + n)::{kind} AS id, timestamp '2024-01-01' + n * interval '1 hour' AS at"
        " FROM generate_series(0, 99) n"
    )
    project = postgres(tmp_path, "SELECT * FROM s.t", key="KEY (id) EVENT TIME at")
    project.apply()
    assert [int(r["id"]) for r in rows(project, "SELECT id FROM d ORDER BY id")] == [
        2**53 + 1 + n for n in range(100)
    ]


def test_such_ids_are_refreshed_one_by_one(run: Any, tmp_path: Path) -> None:
    run(
        "CREATE TABLE t AS SELECT (18446744073709551616 + n)::numeric(20,0) AS id, timestamp '2024-01-01' + n * interval '1 hour' AS at"
        " FROM generate_series(0, 99) n"
    )
    project = postgres(
        tmp_path,
        "SELECT * FROM s.t",
        key="KEY (id) EVENT TIME at REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '1 day'",
    )
    project.apply()
    run(
        "INSERT INTO t SELECT (18446744073709551616 + n)::numeric(20,0), timestamp '2024-01-01' + n * interval '1 hour'"
        " FROM generate_series(100, 149) n"
    )
    project.sql("REFRESH DATASET d")
    assert [int(r["id"]) for r in rows(project, "SELECT id FROM d ORDER BY id")] == [
        2**64 + n for n in range(150)
    ]
    assert rows(project, "SELECT count(*) AS n FROM d WHERE id = 18446744073709551700") == [{"n": 1}]


def test_a_free_numeric_beyond_a_double_is_refused_and_the_hint_works(run: Any, tmp_path: Path) -> None:
    run("CREATE TABLE t AS SELECT 9007199254740993::numeric AS id, 1 AS x")
    project = postgres(tmp_path, "SELECT * FROM s.t")
    with pytest.raises(DataError) as caught:
        project.apply()
    assert "`id` of table `t`" in caught.value.message
    assert "row 1" in caught.value.message
    assert "9007199254740993" not in str(caught.value)
    option = (caught.value.hint or "").split("WITH (..., ")[1].split(")   (")[0]
    again = postgres(tmp_path, "SELECT * FROM s.t", f", {option}")
    again.apply()
    assert rows(again) == [{"id": "9007199254740993", "x": 1}]


@pytest.mark.parametrize("key", ["", "KEY (k)", "KEY (k) EVENT TIME at"])
def test_a_uint64_of_parquet_beyond_64_bits_is_exact_and_told(tmp_path: Path, key: str) -> None:
    (tmp_path / "data").mkdir()
    at = pa.array([datetime(2024, 1, 1), datetime(2024, 1, 2), datetime(2024, 1, 3)], pa.timestamp("us"))
    table = pa.table({"k": pa.array([1, BIG, BIG + 1], pa.uint64()), "at": at})
    pq.write_table(table, tmp_path / "data" / "t.parquet")
    source = "CREATE SOURCE s ENGINE files WITH (path = 'data');\n"
    project = opened(tmp_path, f"{source}CREATE DATASET d {key} AS SELECT * FROM s.t;")
    done = project.apply()
    assert "more than 64 bits" in done.did[1].notices[0]
    assert [r["k"] for r in rows(project, "SELECT k FROM d ORDER BY len(k), k")] == [
        "1",
        str(BIG),
        str(BIG + 1),
    ]


def test_a_sum_beyond_64_bits_is_refused_and_one_within_is_whole(tmp_path: Path) -> None:
    script = f"CREATE TABLE t (v INTEGER); INSERT INTO t VALUES ({BIG - 1}), (1);"
    with pytest.raises(DataError, match="`v` of the query's result holds a whole number beyond 64 bits"):
        lite(tmp_path, script, "SELECT sum(v) AS v FROM s.t").apply()
    project = lite(tmp_path, "UPDATE t SET v = 2 WHERE v > 1;", "SELECT sum(v) AS v FROM s.t")
    project.apply()
    assert rows(project) == [{"v": 3}]


# --- loosely typed cells -----------------------------------------------------------------------------------


def test_a_row_with_a_cell_that_does_not_fit_is_quarantined_with_its_reason(tmp_path: Path) -> None:
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, x REAL, at TIMESTAMP);" + "".join(
        f"INSERT INTO t VALUES ({i}, {i}.5, '2024-01-{1 + i % 28:02}');" for i in range(40)
    )
    project = lite(
        tmp_path,
        f"{script} INSERT INTO t VALUES (100, '', '2024-01-01'), (101, 1.0, 'soon');",
        key="KEY (id)",
    )
    project.apply()
    assert len(rows(project)) == 40
    held = sorted(rows(project, "SELECT * FROM tilth.quarantined_rows"), key=lambda r: r["origin"])
    assert [r["origin"] for r in held] == ["s.t:100", "s.t:101"]
    assert ["column `x`" in str(held[0]["reasons"]), "column `at`" in str(held[1]["reasons"])] == [True, True]


def test_misfits_become_gaps_where_that_is_declared(tmp_path: Path) -> None:
    script = "CREATE TABLE t (id INTEGER, x REAL, at TIMESTAMP); INSERT INTO t VALUES (1, '', ''), (2, 2.5, '2024-01-01');"
    project = lite(tmp_path, script, options="misfits = 'null'")
    project.apply()
    assert rows(project, "SELECT * FROM d ORDER BY id") == [
        {"id": 1, "x": None, "at": None},
        {"id": 2, "x": 2.5, "at": datetime(2024, 1, 1)},
    ]


def test_columns_that_are_not_read_do_not_count(tmp_path: Path) -> None:
    script = "CREATE TABLE t (id INTEGER, x REAL); INSERT INTO t VALUES (1, ''), (2, 2.5);"
    project = lite(tmp_path, script, "SELECT id FROM s.t")
    project.apply()
    assert sorted(r["id"] for r in rows(project)) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "cell", "becomes"),
    [
        ("TIMESTAMP", "1700000000000", datetime(2023, 11, 14, 22, 13, 20)),
        ("DATE", "19700.0", date(2023, 12, 9)),
    ],
)
def test_numbers_that_stand_for_times_are_read_by_their_size(
    tmp_path: Path, kind: str, cell: str, becomes: date
) -> None:
    key = "EVENT TIME at" if kind == "TIMESTAMP" else ""
    project = lite(
        tmp_path, f"CREATE TABLE t (id INTEGER, at {kind}); INSERT INTO t VALUES (1, {cell});", key=key
    )
    project.apply()
    assert rows(project) == [{"id": 1, "at": becomes}]


def test_generated_columns_are_read(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE t (id INTEGER, a REAL, tax REAL GENERATED ALWAYS AS (a * 0.5) STORED, net REAL AS (a - 1) VIRTUAL);"
        "INSERT INTO t (id, a) VALUES (1, 10);"
    )
    project = lite(tmp_path, script)
    project.apply()
    assert rows(project) == [{"id": 1, "a": 10.0, "tax": 5.0, "net": 9.0}]


# --- names -------------------------------------------------------------------------------------------------


def test_a_table_with_names_that_differ_in_case_is_read_or_both_are_named(run: Any, tmp_path: Path) -> None:
    run('CREATE TABLE t AS SELECT 1 AS id, 2 AS "Amount", 3 AS amount')
    project = postgres(tmp_path, 'SELECT id, "Amount" FROM s.t')
    project.apply()
    assert rows(project) == [{"id": 1, "Amount": 2}]
    with pytest.raises(ProjectError, match='"Amount", "amount"'):
        postgres(tmp_path, "SELECT * FROM s.t").apply()


def test_a_column_called_at_is_told_to_be_quoted(tmp_path: Path) -> None:
    script = "CREATE TABLE t (id INTEGER, \"at\" TEXT); INSERT INTO t VALUES (1, 'x');"
    with pytest.raises(TilthError) as caught:
        lite(tmp_path, script, "SELECT id, at, id FROM s.t").apply()
    assert 'write "at" in double quotes' in (caught.value.hint or "")


# --- numbers that a model learns from ----------------------------------------------------------------------


def test_a_model_learns_from_fixed_numbers(run: Any, tmp_path: Path) -> None:
    run(
        "CREATE TABLE t AS SELECT n AS id, ((n * 7919) % 1000 / 10.0)::numeric(10,2) AS price,"
        " CASE WHEN (n * 7919) % 1000 > 500 THEN 'yes' ELSE 'no' END AS y FROM generate_series(1, 600) n"
    )
    project = postgres(tmp_path, "SELECT * FROM s.t", key="KEY (id)")
    text = (tmp_path / "p.sql").read_text()
    (tmp_path / "p.sql").write_text(
        f"{text}\nCREATE MODEL m PREDICT y FROM d FEATURES (price) USING (engine = 'linear', time_limit = '20 s');"
    )
    project.apply()
    found = rows(project, "SELECT m.y AS said, d.y AS was FROM d JOIN m")
    assert sum(r["said"] == r["was"] for r in found) > 570
