"""MindsDB's statements by a Postgres client: its tables, its SHOW and its way of choosing a version."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import http_server


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = http_server.applied(tmp_path_factory.mktemp("theirs") / "p")
    with http_server.up(folder) as server:
        place = f"host=127.0.0.1 port={server.postgres} user=tilth dbname=prod password={server.token}"
        with psycopg.connect(place, autocommit=True) as found:
            yield found


ASKED = {
    "SELECT name, active, status FROM mindsdb.models WHERE name = 'late'": [("late", 1, "complete")],
    "SELECT name, version FROM information_schema.models WHERE name = 'late'": [("late", 1)],
    "SELECT count(*) FROM information_schema.tables WHERE table_name = 'late'": [(1,)],
    "SHOW PROJECTS": [("mindsdb",)],
    "SELECT count(*) > 2 FROM models_versions UNION ALL SELECT true": [(False,), (True,)],
    "EVALUATE mae FROM (SELECT 1 AS actual, 3 AS prediction)": [(2.0,)],
    "SELECT count(*) FROM (SELECT d.id, m.late FROM deliveries d JOIN mindsdb.late.1 m LIMIT 3) x": [(3,)],
}


@pytest.mark.parametrize("text", ASKED)
def test_a_postgres_client_asks_as_mindsdb_has_it(connection: Any, text: str) -> None:
    assert connection.execute(text).fetchall() == ASKED[text]


def test_a_postgres_client_is_told_what_is_different(connection: Any) -> None:
    told: list[str] = []
    connection.add_notice_handler(lambda n: told.append(n.message_primary))
    connection.execute("USE mindsdb")
    with pytest.raises(psycopg.Error, match="points at version 1"):
        connection.execute("SET active = mindsdb.late.1")
    with pytest.raises(psycopg.Error, match="another folder"):
        connection.execute("CREATE PROJECT mine")
    assert any("this project" in t for t in told)
