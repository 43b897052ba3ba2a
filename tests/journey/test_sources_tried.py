"""A source is tried when it is declared, before anything is published; what it lost since is told."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.core.errors import SourceError, TilthError

DATASET = "CREATE DATASET d KEY (id) AS SELECT * FROM ops.t;"


def database(path: Path, rows: int, table: str = "t") -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, x REAL)")
        db.execute(f"DELETE FROM {table}")
        db.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(i, float(i)) for i in range(rows)])


def project(path: Path, source: str, rest: str = "") -> Any:
    (path / "all.sql").write_text(f"CREATE SOURCE ops {source};\n{rest}\n")
    return tilth.open(str(path))


BAD: list[tuple[str, str]] = [
    ("ENGINE sqlite WITH (path = 'other.db')", "There is no database at"),
    ("ENGINE sqlite WITH (path = 'all.sql')", "not a SQLite database"),
    ("ENGINE files WITH (path = 'nowhere/*.csv')", "There is nothing at"),
    ("ENGINE postgres WITH (url = 'postgresql://u@127.0.0.1:1/x')", "cannot be reached"),
    ("ENGINE mysql WITH (url = 'mysql://u@127.0.0.1:1/x')", "No server of MySQL can be reached"),
    ("ENGINE mariadb WITH (url = 'mysql://u@127.0.0.1:1/x')", "No server of MySQL can be reached"),
    ("ENGINE duckdb WITH (path = 'other.duckdb')", "There is no DuckDB file"),
    ("ENGINE duckdb WITH (path = 'all.sql')", "not a DuckDB database"),
]


@pytest.mark.parametrize(("source", "said"), BAD)
def test_a_source_that_cannot_be_read_is_not_declared(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        project(tmp_path, source).apply()
    assert caught.value.where is not None
    assert caught.value.where.line == 1
    assert tilth.open(str(tmp_path)).status()["generation"] == 0


def test_a_source_moved_to_where_a_table_is_missing_is_refused(tmp_path: Path) -> None:
    database(tmp_path / "a.db", 50)
    database(tmp_path / "b.db", 50, "u")
    first = project(tmp_path, "ENGINE sqlite WITH (path = 'a.db')", DATASET).apply()
    assert first.generation == 1
    assert first.did[0].text == "declared, 1 table there"
    with pytest.raises(TilthError, match="There is no table `t`") as caught:
        project(tmp_path, "ENGINE sqlite WITH (path = 'b.db')", DATASET).apply()
    assert caught.value.where is not None
    assert caught.value.where.line == 2
    assert tilth.open(str(tmp_path)).status()["generation"] == 1


def test_a_source_typed_at_the_prompt_is_tried_too(tmp_path: Path) -> None:
    database(tmp_path / "a.db", 50)
    made = project(tmp_path, "ENGINE sqlite WITH (path = 'a.db')", DATASET)
    made.apply()
    with pytest.raises(SourceError, match="There is no database at"):
        made.sql("CREATE SOURCE more ENGINE sqlite WITH (path = 'b.db')")
    assert made.status()["generation"] == 1


def test_a_source_without_a_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = project(tmp_path, "ENGINE files WITH (path = 'data')").apply()
    assert done.did[0].notices == ("ops has no table that can be read",)


FEWER = [(500, 50, True), (500, 51, False), (500, 499, False), (9, 1, False), (100, 1, True), (20, 2, True)]


@pytest.mark.parametrize(("before", "now", "told"), FEWER)
def test_a_source_that_is_suddenly_ten_times_smaller_is_told(
    tmp_path: Path, before: int, now: int, told: bool
) -> None:
    database(tmp_path / "a.db", before)
    made = project(tmp_path, "ENGINE sqlite WITH (path = 'a.db')", DATASET)
    made.apply()
    database(tmp_path / "a.db", now)
    said = made.sql("REFRESH DATASET d").text
    assert (f"{now} rows, where the snapshot before has {before}" in said) is told
    assert made.status()["datasets"][0]["checks_failed"] == int(told)


def test_rows_that_leave_the_window_of_an_incremental_dataset_are_told(tmp_path: Path) -> None:
    dataset = (
        "CREATE DATASET d KEY (id) EVENT TIME at REFRESH INCREMENTAL LOOKBACK '10 days'"
        " AS SELECT id, TIMESTAMP '2024-01-01' + to_hours(id) AS at FROM ops.t;"
    )
    database(tmp_path / "a.db", 1_000)
    made = project(tmp_path, "ENGINE sqlite WITH (path = 'a.db')", dataset)
    made.apply()
    with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
        db.execute("DELETE FROM t WHERE id > 765 AND id < 990")
    said = made.sql("REFRESH DATASET d").text
    assert "17 rows from 2024-02-01 15:00 on, where the snapshot before has 241" in said


def test_the_columns_of_datasets_are_a_table(tmp_path: Path) -> None:
    database(tmp_path / "a.db", 50)
    made = project(tmp_path, "ENGINE sqlite WITH (path = 'a.db')", DATASET)
    made.apply()
    rows = made.sql("SELECT resource, name, column_name, type, used FROM tilth.columns").rows()
    assert [tuple(r.values()) for r in rows] == [
        ("dataset", "d", "id", "integer", True),
        ("dataset", "d", "x", "float", True),
    ]
    assert made.sql("SELECT * FROM tilth.notices").rows() == []
