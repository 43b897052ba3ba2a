"""One small table, as each source holds it."""

import sqlite3
import uuid
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import buckets
import servers
import sites
from tilth.adapters.sources.duckdb.source import DuckDBSource
from tilth.adapters.sources.files.source import FilesSource
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.names import literal

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int64()),
        "price": pa.array([1.5, -2.0, None, 4.25], pa.float64()),
        "name": pa.array(["Ann", "bob", "O'Neil", None], pa.string()),
        "seen": pa.array(
            [datetime(2024, 1, 1, 10), datetime(2024, 1, 2, 0, 0, 0, 123456), None, datetime(2024, 3, 1)],
            pa.timestamp("us"),
        ),
        "day": pa.array([date(2024, 1, 1), date(2024, 1, 2), None, date(2024, 3, 1)], pa.date32()),
        "active": pa.array([True, False, None, True], pa.bool_()),
    }
)


def files(folder: Path) -> Any:
    (folder / "data").mkdir()
    pq.write_table(ROWS, folder / "data" / "visits.parquet")
    pq.write_table(ROWS.slice(0, 1), folder / "data" / "other.parquet")
    return FilesSource.from_options({"path": "data"}, str(folder)), lambda: pq.write_table(
        ROWS.slice(0, 3), folder / "data" / "visits.parquet"
    )


def sqlite(folder: Path) -> Any:
    path = folder / "ops.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE visits (id INTEGER, price REAL, name TEXT COLLATE NOCASE, seen TIMESTAMP,"
            " day DATE, active BOOLEAN)"
        )
        db.execute("CREATE VIEW other AS SELECT * FROM visits WHERE id = 1")
        rows = [tuple(_plain(v) for v in row.values()) for row in ROWS.to_pylist()]
        db.executemany("INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?)", rows)

    def change() -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("DELETE FROM visits WHERE id = 4")

    return SqliteSource.from_options({"path": "ops.db"}, str(folder)), change


def _plain(value: object) -> object:
    return str(value) if isinstance(value, date) else value


def run(*statements: str) -> None:
    from adbc_driver_postgresql import dbapi

    with (
        dbapi.connect(servers.postgres_url(), autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def postgres_url() -> str:
    return servers.postgres_url()


@pytest.fixture
def postgres_run() -> Any:
    return run


@pytest.fixture
def postgres_schema() -> Any:
    """A schema of our own, dropped afterwards."""
    name = f"tilth_test_{uuid.uuid4().hex[:12]}"
    run(f"CREATE SCHEMA {name}")
    yield name
    run(f"DROP SCHEMA {name} CASCADE")


def postgres(schema: str) -> Any:
    rows = ", ".join(
        "(" + ", ".join("NULL" if v is None else literal(str(v)) for v in row.values()) + ")"
        for row in ROWS.to_pylist()
    )
    run(
        f"CREATE TABLE {schema}.visits (id BIGINT, price NUMERIC(9, 2), name TEXT, seen TIMESTAMP,"
        " day DATE, active BOOLEAN)",
        f"INSERT INTO {schema}.visits VALUES {rows}",
        f"CREATE VIEW {schema}.other AS SELECT * FROM {schema}.visits WHERE id = 1",
    )
    source = PostgresSource.from_options({"url": servers.postgres_url(), "schema": schema}, "")
    return source, lambda: run(f"DELETE FROM {schema}.visits WHERE id = 4")


def mysql(url: str) -> Any:
    rows = ", ".join(
        "("
        + ", ".join(
            "NULL" if v is None else str(int(v)) if v is True or v is False else literal(str(v))
            for v in row.values()
        )
        + ")"
        for row in ROWS.to_pylist()
    )
    servers.mysql(
        url,
        "CREATE TABLE visits (id BIGINT, price DECIMAL(9, 2), name VARCHAR(20), seen DATETIME(6), day DATE, active BOOLEAN)",
        f"INSERT INTO visits VALUES {rows}",
        "CREATE VIEW other AS SELECT * FROM visits WHERE id = 1",
    )
    source = MySqlSource.from_options({"url": url}, "")
    return source, lambda: servers.mysql(url, "DELETE FROM visits WHERE id = 4")


@pytest.fixture
def mysql_url() -> Any:
    """A database of our own, dropped afterwards."""
    with servers.mysql_database("tilth_test") as url:
        yield url


def duckdb(folder: Path) -> Any:
    import duckdb as library

    def ask(*statements: str) -> None:
        with library.connect(folder / "ops.duckdb") as db:
            db.register("given", ROWS)
            for statement in statements:
                db.execute(statement)

    ask(
        "CREATE TABLE visits AS SELECT * FROM given", "CREATE VIEW other AS SELECT * FROM visits WHERE id = 1"
    )
    source = DuckDBSource.from_options({"path": "ops.duckdb"}, str(folder))
    return source, lambda: ask("DELETE FROM visits WHERE id = 4")


def _texts(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def s3(folder: Path) -> Any:
    from tilth.adapters.sources.s3.source import S3Source

    bucket = buckets.new()
    buckets.put(bucket, "raw/visits.parquet", _texts(ROWS))
    buckets.put(bucket, "raw/other.parquet", _texts(ROWS.slice(0, 1)))
    source = S3Source.from_options({"path": "raw", **buckets.options(bucket)}, str(folder))
    return source, lambda: buckets.put(bucket, "raw/visits.parquet", _texts(ROWS.slice(0, 3)))


def http(folder: Path) -> Any:
    from tilth.adapters.sources.http.source import HttpSource

    site = sites.started()
    site.put("/a/visits.parquet", _texts(ROWS))
    site.put("/a/other.parquet", _texts(ROWS.slice(0, 1)))
    urls = {t: f"{site.url}/a/{t}.parquet" for t in ("visits", "other")}
    source = HttpSource.from_options({"urls": urls}, str(folder))
    return source, lambda: site.put("/a/visits.parquet", _texts(ROWS.slice(0, 3)))


def delta(folder: Path) -> Any:
    from deltalake import DeltaTable, write_deltalake

    from tilth.adapters.sources.delta.source import DeltaSource

    write_deltalake(folder / "lake" / "visits", ROWS)
    write_deltalake(folder / "lake" / "other", ROWS.slice(0, 1))
    source = DeltaSource.from_options({"path": "lake"}, str(folder))
    return source, lambda: DeltaTable(folder / "lake" / "visits").delete("id = 4")


def iceberg(folder: Path) -> Any:
    from pyiceberg.catalog.memory import InMemoryCatalog

    from tilth.adapters.sources.iceberg.source import IcebergSource

    catalog = InMemoryCatalog("c", warehouse=f"file://{folder}")
    catalog.create_namespace("lake")
    for name, rows in (("visits", ROWS), ("other", ROWS.slice(0, 1))):
        catalog.create_table(f"lake.{name}", schema=rows.schema).append(rows)
    source = IcebergSource.from_options({"path": "lake"}, str(folder))
    return source, lambda: catalog.load_table("lake.visits").delete("id = 4")


MAKERS = {
    "delta": delta, "duckdb": duckdb, "files": files, "http": http, "iceberg": iceberg, "s3": s3, "sqlite": sqlite,
}  # fmt: skip

REMOTE: dict[str, Any] = {}  # made once: reading takes processes, and nothing here is written to


@pytest.fixture(params=[*sorted(MAKERS), "postgres", "mysql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "postgres":
        source, change = postgres(request.getfixturevalue("postgres_schema"))
    elif request.param == "mysql":
        source, change = mysql(request.getfixturevalue("mysql_url"))
    elif request.param in ("delta", "http", "iceberg", "s3") and "change" not in request.function.__name__:
        source, change = REMOTE.get(request.param) or REMOTE.setdefault(
            request.param, MAKERS[request.param](tmp_path)
        )
    else:
        source, change = MAKERS[request.param](tmp_path)
    yield source, change
    source.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sources that take a process for each scan are asked every fourth predicate: DuckDB decides all of them in one place."""
    heavy = ("[delta-", "[http-", "[iceberg-", "[s3-")
    items[:] = [
        i
        for i in items
        if not (i.name.startswith("test_predicates_mean") and any(h in i.name for h in heavy))
        or int(i.name.partition("-where")[2].partition("-")[0]) % 4 == 0
    ]
