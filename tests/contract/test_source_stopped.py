"""A source that is being read can be stopped from another thread, wherever its server is with it."""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import duckdb
import pytest

import servers
from tilth.adapters.sources.duckdb.source import DuckDBSource
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import CancelledError, ResourceLimitError, SourceError
from tilth.core.scan import Scan
from tilth.ports.limits import Limits
from tilth.runtime.asking.heeding import heeding


def stopped(work: Callable[[], object], stop: Callable[[], object]) -> BaseException:
    """How the work ends that is stopped a moment after it began."""
    failed: list[BaseException] = []

    def works() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=works)
    thread.start()
    time.sleep(0.5)
    until = time.monotonic() + 25  # less than any of the work would take
    while thread.is_alive() and time.monotonic() < until:  # on a busy machine it may not have begun
        stop()
        thread.join(1)
    assert not thread.is_alive()
    return failed[0]


ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) AS n FROM t"


def by_sqlite(path: str, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


def by_duckdb(path: str, sql: str) -> None:
    with duckdb.connect(path) as db:
        db.execute(sql)


LOCAL: dict[str, tuple[Any, Any]] = {"sqlite": (by_sqlite, SqliteSource), "duckdb": (by_duckdb, DuckDBSource)}


@pytest.fixture(params=["postgres", "mysql", "sqlite", "duckdb"])
def slow(request: pytest.FixtureRequest) -> Any:
    """A source with a table that takes three minutes to read, or more."""
    if request.param in LOCAL:
        made, source = LOCAL[request.param]
        root = request.getfixturevalue("tmp_path")
        made(str(root / "x.db"), f"CREATE VIEW slow AS {ENDLESS}")
        return source.from_options({"path": "x.db"}, str(root))
    if request.param == "mysql":
        url = request.getfixturevalue("mysql_url")
        servers.mysql(url, "CREATE VIEW slow AS SELECT seq AS i, sleep(60) AS nap FROM seq_1_to_3")
        return MySqlSource.from_options({"url": url}, "")
    postgres_schema, postgres_run, postgres_url = map(
        request.getfixturevalue, ("postgres_schema", "postgres_run", "postgres_url")
    )
    nap = "SELECT i, pg_sleep(60)::text AS nap FROM generate_series(1, 3) AS g(i)"
    postgres_run(f"CREATE VIEW {postgres_schema}.slow AS {nap}")
    return PostgresSource(postgres_url, postgres_schema)


def test_what_is_read_ends_when_it_is_stopped(slow: Any) -> None:
    error = stopped(lambda: slow.scan(Scan("slow")).read_all(), slow.stop)
    assert isinstance(error, SourceError)
    assert slow.tables() == ("slow",)
    slow.stop()  # nothing is read


def test_a_statement_that_is_cancelled_stops_its_source(slow: Any) -> None:
    limits = Limits()
    error = stopped(lambda: heeding(slow, limits).scan(Scan("slow")).read_all(), limits.turn.cancel)
    assert isinstance(error, SourceError | CancelledError)
    with pytest.raises(CancelledError):
        heeding(slow, limits).scan(Scan("slow"))


@pytest.mark.parametrize(
    "slow", ["postgres", "sqlite", "duckdb"], indirect=True
)  # MySQL's works with its rows
def test_a_source_that_works_for_all_of_the_statement_s_time_is_stopped(slow: Any) -> None:
    began = time.monotonic()
    with pytest.raises(ResourceLimitError, match=r"worked for 1\.5 seconds, which is all it may"):
        heeding(slow, Limits(1.5)).scan(Scan("slow"))
    assert time.monotonic() - began < 10
    assert slow.tables() == ("slow",)


NATIVE = {
    "sqlite": ENDLESS,
    "postgres": "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000) b",
}


@pytest.mark.parametrize("slow", NATIVE, indirect=True)
def test_so_is_one_that_answers_in_its_own_language(slow: Any, request: pytest.FixtureRequest) -> None:
    sql = NATIVE[request.node.callspec.params["slow"]]
    with pytest.raises(ResourceLimitError, match="which is all it may"):
        heeding(slow, Limits(1.5)).native(sql)
