"""The log of requests and the idempotency key on a real server."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import http_server
import shop_project
from http_server import ROW, Up, up, wait

TENSORS = {
    "inputs": [
        {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["slow"]},
        {"name": "distance", "shape": [1], "datatype": "FP64", "data": [50.5]},
        {"name": "ordered_at", "shape": [1], "datatype": "BYTES", "data": ["2024-04-30T20:00:00"]},
    ]
}


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return http_server.applied(tmp_path_factory.mktemp("log") / "shop")


@pytest.fixture(scope="module")
def server(applied: Path) -> Iterator[Up]:
    with up(applied, "--no-reconcile", "--log", "json") as found:
        yield found


def lines(server: Up, ident: str) -> list[dict[str, object]]:
    """The lines of a request; what is in the log is JSON throughout."""
    found = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert all({"time", "level"} <= set(one) for one in found)
    return [one for one in found if one.get("request_id") == ident]


ASKED = [
    ("GET", "/status", None, 200, "token:project"),
    ("GET", "/ping", None, 200, None),
    ("POST", "/predict/late_api?outputs=late", ROW, 200, "token:project"),
    ("POST", "/predict/late_api", {"carrier": "s3cret"}, 422, "token:project"),
    ("POST", "/predict/nowhere", ROW, 404, "token:project"),
    ("GET", "/v2", None, 200, "token:project"),
    ("GET", "/nowhere", None, 404, "token:project"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "by"), ASKED)
def test_each_request_is_one_line(
    server: Up, method: str, path: str, body: object, status: int, by: object
) -> None:
    ident = uuid.uuid4().hex
    found = server.ask(method, path, body, {"X-Request-Id": ident})
    assert (found.status, found.headers["x-request-id"]) == (status, ident)
    (line,) = wait(lambda: lines(server, ident))
    assert (line["method"], line["path"], line["status"]) == (method, path.partition("?")[0], status)
    assert (line["principal"], line["bytes"]) == (by, len(found.body))
    said = server.log.read_text()
    assert server.token not in said
    assert "s3cret" not in said
    assert "outputs" not in said


def test_a_wrong_token_is_logged_without_it(server: Up) -> None:
    found = server.ask("GET", "/status", headers={"Authorization": "Bearer wr0ng"}, token=False)
    (line,) = wait(lambda: lines(server, found.headers["x-request-id"]))
    assert (line["status"], line["principal"], line["level"]) == (401, None, "warning")
    assert "wr0ng" not in server.log.read_text()


def test_a_predictor_is_named_by_its_token(server: Up) -> None:
    project = shop_project.opened(server.folder)
    made = project.sql("CREATE TOKEN 'app' FOR predictor").facts["token"]
    held = {"Authorization": f"Bearer {made}"}
    project.close()
    wait(lambda: server.predict(headers=held, token=False).status == 200)
    for path, status in (("/predict/late_api", 200), ("/status", 403)):
        body = ROW if status == 200 else None
        found = server.ask("POST" if body else "GET", path, body, held, token=False)
        (line,) = wait(lambda found=found: lines(server, found.headers["x-request-id"]))
        assert (line["principal"], line["status"]) == ("token:app", status)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict/late_api", ROW),
        ("/predict/late_api", [ROW, ROW]),
        ("/predict/late_api?outputs=late", ROW),
        ("/v2/models/late_api/infer", TENSORS),
    ],
)
def test_a_request_sent_again_is_one_prediction(server: Up, path: str, body: object) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    before = len(server.records())
    first = server.ask("POST", path, body, key)
    again = [server.ask("POST", path, body, key) for _ in range(3)]
    assert [a.status for a in (first, *again)] == [200] * 4
    assert {a.body for a in again} == {first.body}
    assert "idempotent-replayed" not in first.headers
    assert all(a.headers["idempotent-replayed"] == "true" for a in again)
    assert len(server.records()) - before == (2 if isinstance(body, list) else 1)
    other = server.ask("POST", path, {**ROW, "distance": 1}, key)
    assert other.status == 422
    assert "another request" in other.error
    assert server.ask("POST", path, body, {"Idempotency-Key": "x" * 300}).status == 422
    assert server.ask("POST", path, body).body != first.body


def test_a_request_that_was_refused_is_looked_at_anew(server: Up) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    assert server.predict({"carrier": "slow"}, headers=key).status == 422
    assert server.predict(headers=key).status == 200


def test_text_has_dates_and_a_server_without_the_option_logs_no_request(applied: Path) -> None:
    for option, words in (("text", "GET /ping 200"), (None, "")):
        more = ("--log", option) if option else ()
        with up(applied, "--no-reconcile", *more) as server:
            ident = server.ask("GET", "/ping").headers["x-request-id"]
        found = [line for line in server.log.read_text().splitlines() if ident in line]
        assert len(found) == bool(option)
        assert all(words in line and line.startswith("20") for line in found)
