"""Names that SQL makes hard: read right from each source to a query's result, or told what to write."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.files.blobs import FileBlobs
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import LanguageError, ProjectError
from tilth.core.names import quoted
from tilth.ml.data import reading

HARD = [
    'a"b',
    "c'd",
    "e\\f",
    "g\nh",
    "i j",
    "k.l",
    "m😀",
    "select",
    "at",
    "order",
    "x" * 63,
    "Ünï",
    "{n}",
    "%s",
    "$1",
    "a;b",
    "--c",
]


def rows(sql: str, source: Any, folder: Path) -> list[dict[str, Any]]:
    blobs = FileBlobs(str(folder / "blobs"))
    return (
        reading.query_rows(sql, {}, {"s": source}, DuckDBEngine([str(folder)]), blobs).read_all().to_pylist()
    )


@pytest.fixture(params=["sqlite", "postgres"])
def hard(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A source with a table whose name and columns are hard, with the place of each column as its value."""
    table = 'o"d t.\\x'
    columns = ", ".join(f"{quoted(n)} INTEGER" for n in HARD)
    statements = [
        f"CREATE TABLE $t ({columns})",
        f"INSERT INTO $t VALUES ({', '.join(map(str, range(len(HARD))))})",
    ]
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
            for statement in statements:
                db.execute(statement.replace("$t", quoted(table)))
        return SqliteSource.from_options({"path": "x.db"}, str(tmp_path)), table
    schema = request.getfixturevalue("postgres_schema")
    request.getfixturevalue("postgres_run")(
        *(s.replace("$t", f"{schema}.{quoted(table)}") for s in statements)
    )
    url = request.getfixturevalue("postgres_url")
    return PostgresSource.from_options({"url": url, "schema": schema}, ""), table


def test_hard_names_are_read_as_they_are(hard: Any, tmp_path: Path) -> None:
    source, table = hard
    assert source.describe(table).names == tuple(HARD)
    assert rows(f"SELECT * FROM s.{quoted(table)}", source, tmp_path) == [{n: i for i, n in enumerate(HARD)}]


@pytest.mark.parametrize("name", HARD)
def test_each_is_named_in_quotes(hard: Any, tmp_path: Path, name: str) -> None:
    source, table = hard
    sql = f"SELECT {quoted(name)} FROM s.{quoted(table)} WHERE {quoted(name)} = {HARD.index(name)}"
    assert rows(sql, source, tmp_path) == [{name: HARD.index(name)}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, at, x FROM s.t",
        "SELECT at FROM s.t",
        "SELECT id FROM s.t WHERE at > 1",
        "SELECT id FROM s.t ORDER BY at",
        "SELECT id,\n  at\nFROM s.t",
    ],
)
def test_a_column_that_is_a_word_of_sql_is_told_to_be_quoted(tmp_path: Path, sql: str) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute('CREATE TABLE t (id INTEGER, "at" INTEGER, x INTEGER)')
    source = SqliteSource.from_options({"path": "x.db"}, str(tmp_path))
    schemas = reading.schemas_of(sql, {"s": source}, {})
    with pytest.raises(LanguageError) as caught:
        DuckDBEngine().describe(sql, schemas)
    assert 'write "at" in double quotes' in (caught.value.hint or "")
    with pytest.raises(LanguageError) as caught:
        rows(sql, source, tmp_path)
    assert 'write "at" in double quotes' in (caught.value.hint or "")


@pytest.mark.parametrize("sql", ["SELECT id, select FROM s.t", "SELECT id FROM s.t WHERE from = 1"])
def test_so_is_one_that_begins_a_clause(tmp_path: Path, sql: str) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute('CREATE TABLE t (id INTEGER, "select" INTEGER, "from" INTEGER)')
    with pytest.raises(LanguageError, match="double quotes"):
        rows(sql, SqliteSource.from_options({"path": "x.db"}, str(tmp_path)), tmp_path)


@pytest.mark.parametrize(
    ("sql", "gives"),
    [
        ('SELECT id, "Amount" FROM s.t', [{"id": 1, "Amount": 2}]),
        ("SELECT id, amount FROM s.t", [{"id": 1, "amount": 3}]),
        ('SELECT id FROM s.t WHERE "Amount" = 2', [{"id": 1}]),
        ("SELECT id FROM s.t WHERE amount = 2", []),
    ],
)
def test_of_names_that_differ_in_case_the_one_that_is_named_is_read(
    tmp_path: Path, postgres_schema: str, postgres_url: str, postgres_run: Any, sql: str, gives: Any
) -> None:
    postgres_run(f'CREATE TABLE {postgres_schema}.t AS SELECT 1 AS id, 2 AS "Amount", 3 AS amount')
    source = PostgresSource.from_options({"url": postgres_url, "schema": postgres_schema}, "")
    assert rows(sql, source, tmp_path) == gives
    with pytest.raises(ProjectError, match='"Amount", "amount"'):
        rows("SELECT * FROM s.t", source, tmp_path)
    assert source.native('SELECT "Amount" AS amount_1, amount AS amount_2 FROM t').read_all().to_pylist() == [
        {"amount_1": 2, "amount_2": 3}
    ]
