"""A source that is being read can be stopped from another thread, wherever its server is with it."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import servers
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.core.errors import CancelledError, SourceError
from tilth.core.scan import Scan
from tilth.ports.turns import Turn
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
    began = time.monotonic()
    stop()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    return failed[0]


@pytest.fixture(params=["postgres", "mysql"])
def slow(request: pytest.FixtureRequest) -> Any:
    """A source with a table that takes three minutes to read."""
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
    turn = Turn()
    error = stopped(lambda: heeding(slow, turn).scan(Scan("slow")).read_all(), turn.cancel)
    assert isinstance(error, SourceError | CancelledError)
    with pytest.raises(CancelledError):
        heeding(slow, turn).scan(Scan("slow"))
