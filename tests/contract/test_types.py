"""The tables of `tests/fixtures/types`, row by row: from a real source, through a query, to what a snapshot keeps."""

import importlib.util
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import servers
from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.files.blobs import FileBlobs
from tilth.adapters.sources.duckdb.source import DuckDBSource
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import DataError
from tilth.core.scan import Scan
from tilth.ml.data import reading, snapshots
from tilth.ports.arrow import schema_of

FOLDER = Path(__file__).parents[1] / "fixtures" / "types"


def rows_of(name: str) -> list[Any]:
    spec = importlib.util.spec_from_file_location(f"types_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [pytest.param(r, id=f"{r['type'] or 'no type'}: {r['edge']}") for r in module.ROWS]


def kept(reader: pa.RecordBatchReader) -> pa.Table:
    schema = snapshots.plain_schema(reader.schema)
    return pa.Table.from_batches(snapshots.plain_batches(reader, schema), schema)


def through_a_query(source: Any, folder: Path) -> pa.Table:
    blobs = FileBlobs(str(folder / "blobs"))
    return kept(
        reading.query_rows("SELECT a FROM s.t", {}, {"s": source}, DuckDBEngine([str(folder)]), blobs)
    )


def same(table: pa.Table, becomes: tuple[str, Any]) -> None:
    """The last row is of that type and value; times that Python has not are compared as DuckDB writes them."""
    kind, value = becomes
    assert schema_of(table.schema).field("a").type.name == kind
    if isinstance(value, str) and kind in ("DATE", "TIMESTAMP"):
        shown = DuckDBEngine().stream("SELECT a::VARCHAR AS a FROM t", {"t": table}).read_all()
        assert shown["a"].to_pylist()[-1] == value
    else:
        assert repr(table["a"].to_pylist()[-1]) == repr(value)


def refused(becomes: str, collect: Any) -> None:
    with pytest.raises(DataError) as caught:
        collect()
    assert becomes.removeprefix("refused: ") in caught.value.message
    assert caught.value.hint
    assert "`a`" in caught.value.message
    assert re.search(r"row \d|is of type|holds \d+ numbers", caught.value.message)


@pytest.mark.parametrize("row", rows_of("postgres"))
def test_postgres(
    row: Any, tmp_path: Path, postgres_schema: str, postgres_url: str, postgres_run: Any
) -> None:
    kind = row["type"].replace("{s}", postgres_schema)
    setup = [s for s in row["setup"].replace("{s}", postgres_schema).split("; ") if s]
    postgres_run(
        "SET lc_monetary = 'C.UTF-8'",
        *setup,
        f"CREATE TABLE {postgres_schema}.t (a {kind})",
        f"INSERT INTO {postgres_schema}.t VALUES ({row['given']})",
    )
    source = PostgresSource.from_options({"url": postgres_url, "schema": postgres_schema}, "")
    if isinstance(row["becomes"], str):
        refused(row["becomes"], lambda: through_a_query(source, tmp_path))
        return
    same(through_a_query(source, tmp_path), row["becomes"])
    same(kept(source.native("SELECT a FROM t")), row["becomes"])


@pytest.fixture(scope="module")
def mysql_url() -> Iterator[str]:
    with servers.mysql_database("tilth_types") as url:
        yield url


@pytest.mark.parametrize("row", rows_of("mysql"))
def test_mysql(row: Any, tmp_path: Path, mysql_url: str) -> None:
    servers.mysql(
        mysql_url,
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+02:00'",
        "DROP TABLE IF EXISTS t",
        f"CREATE TABLE t (a {row['type']}) CHARACTER SET utf8mb4",
        f"INSERT INTO t VALUES ({row['given']})",
    )
    tables = {"t": {"types": {"a": row["option"]}}} if row["option"] else {}
    source = MySqlSource.from_options({"url": mysql_url, "tables": tables}, "")
    if isinstance(row["becomes"], str):
        refused(row["becomes"], lambda: through_a_query(source, tmp_path))
        return
    same(through_a_query(source, tmp_path), row["becomes"])
    if not row["option"]:
        same(kept(source.native("SELECT a FROM t")), row["becomes"])


@pytest.mark.parametrize("row", rows_of("sqlite"))
def test_sqlite(row: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute(f"CREATE TABLE t (a {row['type']})")
        db.execute(f"INSERT INTO t VALUES ({row['given']})")
        count = db.execute("SELECT count(*) FROM t").fetchone()[0]
    source = SqliteSource.from_options({"path": "x.db", "tables": {"t": row["option"]}}, str(tmp_path))
    becomes = row["becomes"]
    if isinstance(becomes, str) and becomes.startswith("refused: "):
        refused(becomes, lambda: through_a_query(source, tmp_path))
        return
    table, told = through_a_query(source, tmp_path), source.broken(Scan("t", ("a",))).to_pylist()
    if isinstance(becomes, str):
        assert (table.num_rows, [r["line"] for r in told]) == (count - 1, [count])
        assert becomes.removeprefix("row left out: ") in told[0]["reason"]
        assert "column `a`" in told[0]["reason"]
        return
    assert (table.num_rows, told) == (count, [])
    same(table, becomes)


@pytest.mark.parametrize("row", [r for r in rows_of("duckdb") if "HUGEINT" not in r.values[0]["type"][:8]])
def test_duckdb_files(row: Any, tmp_path: Path) -> None:
    """What a DuckDB file holds becomes what the same value of a query becomes."""
    with duckdb.connect(tmp_path / "x.duckdb") as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f"CREATE TABLE t AS SELECT CAST({row['given']} AS {row['type']}) AS a")
    source = DuckDBSource.from_options({"path": "x.duckdb"}, str(tmp_path))
    if isinstance(row["becomes"], str):
        refused(row["becomes"], lambda: through_a_query(source, tmp_path))
        return
    same(through_a_query(source, tmp_path), row["becomes"])


@pytest.mark.parametrize("row", rows_of("duckdb"))
def test_duckdb(row: Any) -> None:
    sql = f"SELECT CAST({row['given']} AS {row['type']}) AS a"
    if isinstance(row["becomes"], str):
        refused(row["becomes"], lambda: kept(DuckDBEngine().stream(sql, {})))
        return
    same(kept(DuckDBEngine().stream(sql, {})), row["becomes"])
