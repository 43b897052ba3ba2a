"""`POST /sql` on a real server: every form of an answer, errors as problems, and answers that break off."""

import csv
import http.client
import io
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import http_server
import tilth

ROWS = "SELECT id, ordered_at, carrier, distance, late FROM deliveries WHERE id < 3 ORDER BY id"
TEXT = {"Content-Type": "application/sql"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http_server.Up]:
    folder = http_server.applied(tmp_path_factory.mktemp("sql") / "p")
    with http_server.up(folder) as found:
        yield found


@pytest.fixture(scope="module")
def ours(server: http_server.Up) -> list[dict[str, Any]]:
    with tilth.open(str(server.folder)) as project:
        return project.sql(ROWS).rows()


def ask(server: http_server.Up, body: Any, **headers: str) -> http_server.Answer:
    return server.ask("POST", "/sql", body, {k.replace("_", "-"): v for k, v in headers.items()})


def test_rows_as_json(server: http_server.Up, ours: list[dict[str, Any]]) -> None:
    found = ask(server, {"sql": ROWS})
    assert found.status == 200
    assert found.headers["content-type"] == "application/json"
    assert [c["name"] for c in found.json["columns"]] == list(ours[0])
    assert found.json["row_count"] == 3
    values = [[v.isoformat() if hasattr(v, "isoformat") else v for v in row.values()] for row in ours]
    assert found.json["rows"] == values
    text = server.ask("POST", "/sql", ROWS.encode(), TEXT)
    assert text.json == found.json


def test_rows_as_csv_and_as_arrow(server: http_server.Up, ours: list[dict[str, Any]]) -> None:
    found = ask(server, {"sql": ROWS}, Accept="text/csv")
    assert found.headers["content-type"].startswith("text/csv")
    lines = list(csv.reader(io.StringIO(found.body.decode())))
    assert lines[0] == list(ours[0])
    assert [(int(r[0]), r[2], float(r[3]), r[4] == "t") for r in lines[1:]] == [
        (r["id"], r["carrier"], r["distance"], r["late"]) for r in ours
    ]
    arrow = ask(server, {"sql": ROWS}, Accept="application/vnd.apache.arrow.stream;q=0.9, text/csv;q=0.1")
    assert pa.ipc.open_stream(arrow.body).read_all().to_pylist() == ours


@pytest.mark.parametrize(
    ("parameters", "text"),
    [({"who": "slow"}, "carrier = $who"), (["slow"], "carrier = ?"), (["slow"], "carrier = $1"), (None, "carrier = 'slow'")],
)  # fmt: skip
def test_values_are_given(parameters: Any, text: str, server: http_server.Up) -> None:
    body = {"sql": f"SELECT count(*) AS n FROM deliveries WHERE {text}", "parameters": parameters}
    with tilth.open(str(server.folder)) as project:
        expected = project.sql("SELECT count(*) AS n FROM deliveries WHERE carrier = 'slow'").rows()
    assert ask(server, body).json["rows"] == [[expected[0]["n"]]]


def test_an_act_says_what_it_did(server: http_server.Up) -> None:
    found = ask(server, {"sql": "RETRAIN MODEL late"}).json
    assert found["text"].startswith("Nothing is made")
    assert found["facts"]["model"] == "late"
    assert found["refused"] is False
    with tilth.open(str(server.folder)) as project:
        assert ask(server, {"sql": "PLAN"}).json["text"] == project.sql("PLAN").text


WRONG: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "no JSON": (b"{", {}, 422, "not what this path takes"),
    "an unknown field": ({"sqle": "x"}, {}, 422, "sqle"),
    "no text": ({"sql": ""}, {}, 400, "no statement"),
    "a wrong word": ({"sql": "SELCT 1"}, {}, 400, "SELCT"),
    "an unknown column": ({"sql": "SELECT nope FROM deliveries"}, {}, 404, "nope"),
    "an unknown environment": ({"sql": "SELECT 1", "environment": "nothere"}, {}, 404, "nothere"),
    "a value too many": ({"sql": "SELECT 1", "parameters": [1]}, {}, 422, "given"),
    "no value": ({"sql": "SELECT $x"}, {}, 422, "$x"),
    "a timeout of words": ({"sql": "SELECT 1", "timeout": "long"}, {}, 422, "timeout"),
    "a timeout below zero": ({"sql": "SELECT 1", "timeout": -1}, {}, 422, "timeout"),
    "a picture": ({"sql": "SELECT 1"}, {"Accept": "image/png"}, 406, "image/png"),
    "XML": (b"<sql/>", {"Content-Type": "text/xml"}, 415, "text/xml"),
    "Latin-1": (b"SELECT '\xe9'", TEXT, 422, "UTF-8"),
    "a file of the server": ({"sql": "SELECT * FROM read_csv('/etc/passwd')"}, {}, 0, ""),
    "a setting of the engine": ({"sql": "SELECT * FROM duckdb_secrets()"}, {}, 0, ""),
    "what is endless": ({"sql": "SELECT count(*) FROM range(100000000) a, range(100000) b", "timeout": 0.5}, {}, 503, "seconds"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_a_problem(name: str, server: http_server.Up) -> None:
    body, headers, status, words = WRONG[name]
    found = server.ask("POST", "/sql", body, headers)
    assert found.headers["content-type"] == "application/problem+json"
    assert found.status == status if status else 400 <= found.status < 600
    assert found.json["status"] == found.status
    assert {"type", "title", "code", "sqlstate", "message"} <= set(found.json)
    assert words in found.json["message"] + found.json.get("hint", "")
    assert "root:" not in found.body.decode()


def test_each_statement_asks_for_its_right(server: http_server.Up) -> None:
    with tilth.open(str(server.folder)) as project:
        reader = project.sql("CREATE TOKEN 'r' FOR reader").facts["token"]
        predictor = project.sql("CREATE TOKEN 'p' FOR predictor").facts["token"]

    def status(token: str, text: str) -> int:
        return server.ask("POST", "/sql", {"sql": text}, {"Authorization": f"Bearer {token}"}, token=False).status  # fmt: skip

    http_server.wait(lambda: status(reader, "SELECT 1") == 200)
    assert status(reader, "RETRAIN MODEL late") == 403
    assert status(predictor, "SELECT 1 FROM deliveries") == 403
    assert status(predictor, "CREATE TOKEN 'more' FOR owner") == 403
    assert server.ask("POST", "/sql", {"sql": "SELECT 1"}, token=False).status == 401
    assert server.ask("GET", "/sql").status == 405


def test_an_error_after_the_first_rows_breaks_the_answer_off(server: http_server.Up) -> None:
    """Late rows of a cross join do not convert: what came before is no whole answer, in any form."""
    failing = "SELECT CAST(CASE WHEN a.id = 5999 THEN 'x' ELSE '1' END AS INTEGER) AS n, a.carrier FROM deliveries a, deliveries b WHERE b.id < 200"
    for form in (
        "application/json",
        "text/csv",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.parquet",
    ):
        try:
            found = ask(server, {"sql": failing}, Accept=form)
        except (http.client.IncompleteRead, ConnectionError):
            continue
        assert found.status >= 400, form  # or it was found before the first piece
    assert ask(server, {"sql": "SELECT 1"}).status == 200


def test_who_goes_away_ends_the_statement(server: http_server.Up) -> None:
    body = json.dumps({"sql": "SELECT a.* FROM deliveries a, deliveries b", "timeout": 600}).encode()
    head = f"POST /sql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    before = server.rss()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
            raw.sendall(head.encode() + body)
            assert raw.recv(100).startswith(b"HTTP/1.1 200")
    time.sleep(2)
    assert server.rss() - before < 300 << 20
    assert ask(server, {"sql": "SELECT 1"}).status == 200


def test_it_ends_in_order_while_statements_run(tmp_path: Path) -> None:
    folder = http_server.applied(tmp_path / "p")
    with http_server.up(folder) as server:
        body = json.dumps({"sql": "SELECT a.* FROM deliveries a, deliveries b"}).encode()
        head = f"POST /sql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 10) as raw:
            raw.sendall(head.encode() + body)
            raw.recv(100)
            os.kill(server.process.pid, signal.SIGTERM)
            assert server.process.wait(40) in {0, -signal.SIGTERM}
