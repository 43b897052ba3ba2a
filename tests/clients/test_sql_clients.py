"""PostgreSQL's clients for Python against a running door: psycopg, asyncpg, pg8000, SQLAlchemy, pandas, polars and ADBC's driver.

They live in an environment of their own, `.venv-sql`, and are compared with what `tilth.open` answers. psql, pgbench and JDBC are in
`tests/journey/test_postgres_door.py`.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import every_type
import http_server
import strangers
import tilth

HERE = Path(__file__).parent
PATIENCE = 240


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http_server.Up]:
    folder = every_type.applied(tmp_path_factory.mktemp("sql") / "p")
    with http_server.up(folder) as found:
        yield found


@pytest.fixture(scope="module")
def said(server: http_server.Up) -> dict[str, Any]:
    programs = strangers.environment("sql", HERE / "sql.lock")
    line = [programs / "python", HERE / "talk_postgres.py", str(server.postgres), server.token]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=PATIENCE, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def ours(server: http_server.Up) -> Iterator[Any]:
    with tilth.open(str(server.folder)) as project:
        yield lambda text: [list(r.values()) for r in project.sql(text).rows()]


def plain(rows: Any) -> Any:
    return json.loads(json.dumps(rows, default=str))


ROWS = "SELECT id, n, x, t, b, d, s FROM d WHERE id < 3 ORDER BY id"
PREDICTED = (
    "SELECT y, y_probability FROM m WHERE n = 3 AND x = 0.5 AND t = 'a' AND b = TRUE AND d = DATE '2023-07-01'"
    " AND s = TIMESTAMP '2023-07-01 10:00:00'"
)


@pytest.mark.parametrize("client", ["psycopg_simple", "psycopg_binary"])
def test_psycopg_reads_every_type(client: str, said: dict[str, Any], ours: Any) -> None:
    assert said[client] == plain(ours(ROWS))


def test_psycopg_gives_lists(said: dict[str, Any], ours: Any) -> None:
    assert said["psycopg_parameters"] == ours(
        "SELECT id FROM d WHERE id < 20 AND t IN ('a', 'b') ORDER BY id"
    )


def test_a_prepared_prediction_is_the_same(said: dict[str, Any], ours: Any) -> None:
    expected = plain(ours(PREDICTED))
    assert said["psycopg_prepared"] == expected * 3
    assert said["asyncpg"][-1] == expected[0]


def test_psycopg_reads_in_every_way(said: dict[str, Any], ours: Any) -> None:
    some = plain(ours("SELECT id, t, x, d FROM d WHERE id < 2 ORDER BY id"))
    text, binary, none = said["psycopg_copy"]
    assert [[int(r[0]), r[1], float(r[2]), r[3]] for r in text] == some
    assert binary == some
    assert none == 21  # the signature and the end
    assert said["psycopg_pipeline"] == [[i] for i in range(4)]
    assert said["psycopg_pipeline_error"] == [[1], "42703", [3]]
    assert said["psycopg_cursor"] == [[[0], [1], [2]], every_type.ROWS - 3]


def test_transactions_end_as_they_should(said: dict[str, Any]) -> None:
    assert said["psycopg_transactions"] == ["42703", "25P02", "42703", 5, "25001"]


def test_an_act_tells_what_it_did(said: dict[str, Any]) -> None:
    status, first = said["psycopg_notices"]
    assert status == "RETRAIN MODEL"
    assert first.startswith("Nothing is made: version 1 of `m`")


def test_a_statement_is_cancelled_and_the_connection_goes_on(said: dict[str, Any]) -> None:
    assert said["psycopg_cancel"] == ["57014", 7]
    assert said["psycopg_timeout"] == "57014"


def test_asyncpg_finds_out_types(said: dict[str, Any], ours: Any) -> None:
    rows, types, value, seen, _ = said["asyncpg"]
    assert rows == ours("SELECT id, t FROM d WHERE id < 20 AND t = 'a' ORDER BY id")
    assert types == ["int8", "int8"]
    assert [[value]] == ours("SELECT x FROM d WHERE id = 3")
    assert seen == list(range(7))


def test_pg8000_reads(said: dict[str, Any], ours: Any) -> None:
    assert said["pg8000"] == [ours("SELECT id, t, x FROM d WHERE id < 3 ORDER BY id"), [[1]]]


def test_sqlalchemy_reflects_what_is_there(said: dict[str, Any], ours: Any) -> None:
    found = said["sqlalchemy_reflects"]
    assert found["tables"] == ["d"]
    assert found["views"] == ["m", "strict_m"]
    assert {"f", "public", "tilth"} <= set(found["schemas"])
    assert found["columns"] == [
        ["id", "BIGINT", False], ["n", "BIGINT", True], ["x", "DOUBLE PRECISION", True], ["t", "TEXT", True], ["b", "BOOLEAN", True],
        ["d", "DATE", True], ["s", "TIMESTAMP", True], ["y", "BOOLEAN", True],
    ]  # fmt: skip
    assert found["key"] == ["id"]
    assert found["of a model"][:2] == ["y", "y_confidence"]
    assert found["of the system"]
    assert found["rest"] == [[], []]
    assert found["rows"] == ours("SELECT id, t FROM d WHERE id < 3 ORDER BY id")
    assert said["sqlalchemy_asyncpg"] == [found["rows"], [c[0] for c in found["columns"]]]


def test_frames_are_read(said: dict[str, Any], ours: Any) -> None:
    xs = [row[2] for row in ours(ROWS)]
    assert said["pandas"] == [["id", "n", "x", "t", "b", "d", "s"], every_type.ROWS, xs]
    assert said["polars"] == [
        {"id": "Int64", "n": "Int64", "x": "Float64", "t": "String", "b": "Boolean", "d": "Date", "s": "Datetime(time_unit='us', time_zone=None)"},
        xs,
    ]  # fmt: skip
    names, count, objects, schema = said["adbc"]
    assert names == ["id", "n", "x", "t", "b", "d", "s"]
    assert [[count]] == ours("SELECT count(*) FROM d WHERE n > 30")
    assert objects
    assert schema["d"] == "date32[day]"
