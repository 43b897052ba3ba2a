"""What people wrote of tables and columns comes along."""

from pathlib import Path
from typing import Any

import duckdb

import servers
from tilth.adapters.sources.duckdb.source import DuckDBSource
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource

SAID = {"": "the visits; each once", "id": "what it is called", "na me": "it's a name"}


def test_comments_of_postgres(postgres_schema: str, postgres_url: str, postgres_run: Any) -> None:
    postgres_run(
        f'CREATE TABLE {postgres_schema}.t (id INT, "na me" TEXT, n INT)',
        f"COMMENT ON TABLE {postgres_schema}.t IS 'the visits; each once'",
        f"COMMENT ON COLUMN {postgres_schema}.t.id IS 'what it is called'",
        f"COMMENT ON COLUMN {postgres_schema}.t.\"na me\" IS 'it''s a name'",
    )
    source = PostgresSource.from_options({"url": postgres_url, "schema": postgres_schema}, "")
    assert (source.comments("t"), source.comments("none")) == (SAID, {})


def test_comments_of_mysql(mysql_url: str) -> None:
    servers.mysql(
        mysql_url,
        "CREATE TABLE t (id INT COMMENT 'what it is called', `na me` TEXT COMMENT 'it''s a name', n INT)"
        " COMMENT 'the visits; each once'",
    )
    assert MySqlSource.from_options({"url": mysql_url}, "").comments("t") == SAID


def test_comments_of_duckdb(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "x.duckdb") as db:
        db.execute('CREATE TABLE t (id INT, "na me" TEXT, n INT)')
        db.execute("COMMENT ON TABLE t IS 'the visits; each once'")
        db.execute("COMMENT ON COLUMN t.id IS 'what it is called'")
        db.execute("COMMENT ON COLUMN t.\"na me\" IS 'it''s a name'")
    assert DuckDBSource.from_options({"path": "x.duckdb"}, str(tmp_path)).comments("T") == SAID
