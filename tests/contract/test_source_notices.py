"""What sources tell of how they read a table: counted, without a value, with the option that settles it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import DataError, ProjectError, UnknownNameError
from tilth.core.scan import Scan


def lite(folder: Path, script: str, **options: Any) -> SqliteSource:
    with closing(sqlite3.connect(folder / "x.db")) as db:
        db.executescript(script)
    return SqliteSource.from_options({"path": "x.db", **options}, str(folder))


def test_a_guess_is_told_with_its_numbers_and_the_option_settles_it(tmp_path: Path) -> None:
    source = lite(
        tmp_path, "CREATE TABLE t (at TIMESTAMP); INSERT INTO t VALUES (1700000000000), (0), ('2024-01-01');"
    )
    (told,) = source.notices("t")
    assert (told.kind, told.table, told.column) == ("guessed", "t", "at")
    assert "1 of 2 numbers" in told.text
    assert told.option == "tables = {t: {times: {at: 'milliseconds'}}}"
    settled = lite(tmp_path, "", tables={"t": {"times": {"at": "milliseconds"}}})
    assert settled.notices("t") == ()
    assert settled.scan(Scan("t")).read_all() == source.scan(Scan("t")).read_all()


def test_a_change_of_the_database_is_looked_at_anew(tmp_path: Path) -> None:
    source = lite(tmp_path, "CREATE TABLE t (at TIMESTAMP); INSERT INTO t VALUES (1700000000);")
    assert "seconds" in source.notices("t")[0].text
    lite(tmp_path, "INSERT INTO t VALUES (1700000000000)")
    with pytest.raises(DataError, match="1 could be seconds, 1 could be milliseconds"):
        source.scan(Scan("t")).read_all()


def test_texts_alone_are_no_guess(tmp_path: Path) -> None:
    source = lite(tmp_path, "CREATE TABLE t (at TIMESTAMP, x REAL); INSERT INTO t VALUES ('2024-01-01', 1);")
    assert source.notices("t") == ()


def test_cells_that_became_null_are_counted(tmp_path: Path) -> None:
    script = "CREATE TABLE t (x REAL, at TIMESTAMP); INSERT INTO t VALUES ('', ''), ('a', '2024-01-01'), (1, 'soon');"
    told = lite(tmp_path, script, misfits="null").notices("t")
    assert [(n.kind, n.column, n.text.split(" of ")[0]) for n in told] == [
        ("left_out", "x", "2 cells"),
        ("left_out", "at", "2 cells"),
    ]


def test_an_ambiguous_column_that_is_not_read_is_in_no_ones_way(tmp_path: Path) -> None:
    source = lite(tmp_path, "CREATE TABLE t (id INTEGER, at TIMESTAMP); INSERT INTO t VALUES (1, 20240101);")
    assert source.scan(Scan("t", ("id",))).read_all().to_pylist() == [{"id": 1}]
    with pytest.raises(DataError, match="none tells by its size") as caught:
        source.scan(Scan("t"))
    assert "20240101" not in str(caught.value)
    assert "tables = {t: {times: {at: 'seconds'}}}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("CREATE TABLE t (k TEXT PRIMARY KEY, x INTEGER) WITHOUT ROWID", 2),
        ("CREATE TABLE u (k TEXT, x INTEGER); CREATE VIEW t AS SELECT * FROM u", 2),
        ("CREATE TABLE t (rowid TEXT, x INTEGER)", 7),
        ("CREATE TABLE t (k TEXT, x INTEGER)", 7),
    ],
)
def test_a_row_is_named_by_its_rowid_or_its_order(tmp_path: Path, script: str, line: int) -> None:
    source = lite(tmp_path, script)
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        table = "u" if "VIEW" in script else "t"
        db.execute(f"INSERT INTO {table} VALUES ('a', 1)")
        if line == 7:
            db.execute(
                f"INSERT INTO {table} (_rowid_, {'rowid' if 'rowid' in script else 'k'}, x) VALUES (7, 'b', 'x')"
            )
        else:
            db.execute(f"INSERT INTO {table} VALUES ('b', 'x')")
    (told,) = source.broken(Scan("t")).to_pylist()
    assert told["line"] == line
    assert '"b"' in told["text"]


def test_many_rows_that_do_not_fit_are_all_given(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 3000) INSERT INTO t SELECT i, CASE WHEN i % 2 THEN 'x' ELSE i END FROM n;"
    )
    source = lite(tmp_path, script)
    told = source.broken(Scan("t"))
    assert told["line"].to_pylist() == list(range(1, 3000, 2))
    assert told["text"][1].as_py() == '{"id": 3, "x": "x"}'


def test_postgres_tells_what_became_null(postgres_schema: str, postgres_url: str, postgres_run: Any) -> None:
    postgres_run(
        f"CREATE TABLE {postgres_schema}.t AS SELECT 'NaN'::numeric(9,2) AS n, 'infinity'::timestamp AS at, 1.5::numeric(9,2) AS x"
        " FROM generate_series(1, 3)"
    )
    source = PostgresSource.from_options({"url": postgres_url, "schema": postgres_schema}, "")
    source.scan(Scan("t")).read_all()
    told = source.notices("t")
    assert [(n.column, n.text) for n in told] == [
        ("n", "3 values of `n` are NaN, read as NULL"),
        ("at", "3 values of `at` are infinity, read as NULL"),
    ]


@pytest.mark.parametrize(
    ("kind", "gives"),
    [
        ("VARCHAR", ["12", "9007199254740993"]),
        ("BIGINT", [12, 2**53 + 1]),
        ("DOUBLE", [12.0, 2.0**53]),
        ("DECIMAL(20,0)", [12, 2**53 + 1]),
    ],
)
def test_a_free_numeric_is_read_as_it_is_declared(
    postgres_schema: str, postgres_url: str, postgres_run: Any, kind: str, gives: list[Any]
) -> None:
    postgres_run(
        f"CREATE TABLE {postgres_schema}.t (n numeric)",
        f"INSERT INTO {postgres_schema}.t VALUES (12), (9007199254740993)",
    )
    options = {"url": postgres_url, "schema": postgres_schema, "tables": {"t": {"types": {"N": kind}}}}
    assert PostgresSource.from_options(options, "").scan(Scan("t")).read_all()["n"].to_pylist() == gives


def test_postgres_refuses_options_that_it_cannot_follow(
    postgres_schema: str, postgres_url: str, postgres_run: Any
) -> None:
    postgres_run(f"CREATE TABLE {postgres_schema}.t AS SELECT 'x' AS name, 1.5 AS n")

    def described(tables: Any) -> None:
        PostgresSource.from_options(
            {"url": postgres_url, "schema": postgres_schema, "tables": tables}, ""
        ).describe("t")

    with pytest.raises(ProjectError, match="`name` is of type text") as caught:
        described({"t": {"types": {"name": "BIGINT"}}})
    assert 'CAST("name" AS BIGINT)' in (caught.value.hint or "")
    with pytest.raises(UnknownNameError, match="`nam`"):
        described({"t": {"types": {"nam": "VARCHAR"}}})
    with pytest.raises(UnknownNameError, match="table `tt`"):
        described({"tt": {"types": {"n": "VARCHAR"}}})
    with pytest.raises(UnknownNameError, match="no `times`"):
        described({"t": {"times": {"n": "seconds"}}})


def test_an_interval_that_arrow_cannot_hold_is_named_with_its_row(
    postgres_schema: str, postgres_url: str, postgres_run: Any
) -> None:
    postgres_run(
        f"CREATE TABLE {postgres_schema}.t AS SELECT n, (CASE WHEN n = 30000 THEN '3000000 hours' ELSE '1 hour' END)::interval AS w"
        " FROM generate_series(1, 40000) n"
    )
    options = {"url": postgres_url, "schema": postgres_schema}
    with pytest.raises(
        DataError, match="`w` of table `t` holds an interval longer than 292 years in its hours in row 30,000"
    ):
        PostgresSource.from_options(options, "").scan(Scan("t")).read_all()
    told = PostgresSource.from_options({**options, "tables": {"t": {"types": {"w": "VARCHAR"}}}}, "")
    assert told.scan(Scan("t", ("w",))).read_all()["w"][29_999].as_py() == "3000000:00:00"
