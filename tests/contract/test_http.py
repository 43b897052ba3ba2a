"""The HTTP door on a real server: what it answers, what it refuses, what it logs, and who may ask."""

import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import http_server
import shop_project
from http_server import ROW, Up, up

TENSORS = [
    {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["slow", None]},
    {"name": "distance", "shape": [2, 1], "datatype": "FP64", "data": [[50.5], [1]]},
    {"name": "ordered_at", "shape": [2], "datatype": "BYTES", "data": ["2024-04-30T20:00:00"] * 2},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = http_server.applied(tmp_path_factory.mktemp("http") / "shop", http_server.TREES)
    with up(folder) as found:
        yield found


def without(name: str) -> dict[str, Any]:
    return {k: v for k, v in ROW.items() if k != name}


# --- predictions -------------------------------------------------------------------------------------------


def test_one_row_gives_one_answer_with_its_version(server: Up) -> None:
    found = server.predict()
    assert (found.status, found.headers["content-type"]) == (200, "application/json")
    answer = found.json
    assert set(answer) == {"late", "late_confidence", "late_probability", "version", "digest", "id"}
    assert answer["version"] == 1
    assert re.fullmatch(r"[0-9a-f]{12,}", answer["digest"])


def test_the_order_of_inputs_changes_nothing(server: Up) -> None:
    first, second = server.predict(ROW).json, server.predict(dict(reversed(ROW.items()))).json
    assert (first["late"], first["late_confidence"]) == (second["late"], second["late_confidence"])


def test_many_rows_are_answered_in_their_order(server: Up) -> None:
    rows = [{**ROW, "distance": d} for d in (1, 30, 60)]
    single = [server.predict(row).json["late_confidence"] for row in rows]
    for body in (rows, {"rows": rows}):
        found = server.predict(body).json
        assert [row["late_confidence"] for row in found["rows"]] == single
        assert found["version"] == 1
    assert server.predict([]).json["rows"] == []


def test_the_answer_is_that_of_the_batch_path(server: Up) -> None:
    project = shop_project.opened(server.folder)
    batch = project.model("late").predict([{**ROW, "distance": d} for d in (1.0, 30.0, 60.0)])
    served = server.predict([{**ROW, "distance": d} for d in (1, 30, 60)]).json["rows"]
    assert [row["late_confidence"] for row in served] == [row["late_confidence"] for row in batch]
    project.close()


def test_outputs_are_chosen_by_name(server: Up) -> None:
    one = server.predict(path="/predict/late_api?outputs=late_probabilities,late").json
    assert set(one["late_probabilities"]) == {"false", "true"}
    assert set(one) == {"late_probabilities", "late", "version", "digest", "id"}
    many = server.predict({"rows": [ROW], "outputs": ["late_explain"]}).json["rows"][0]
    assert many["late_explain"]["contributions"][0]["input"] in ROW
    assert server.records()[-2]["id"] == one["id"]


def test_an_answer_of_a_gap_can_be_explained(server: Up) -> None:
    found = server.predict({**ROW, "carrier": None}, "/predict/late_api?outputs=late,late_explain").json
    assert "`carrier` is missing" in found["notices"][0]
    given = {c["input"]: c["given"] for c in found["late_explain"]["contributions"]}
    assert given["distance"] == ROW["distance"]
    assert given.get("carrier") is None


def test_a_text_that_was_not_learned_is_answered_as_a_gap_and_of_two_lists_of_outputs_the_body_s_counts(
    server: Up,
) -> None:
    new, gap = (
        server.predict({**ROW, "carrier": "of nobody"}).json,
        server.predict({**ROW, "carrier": None}).json,
    )
    assert new["late_probability"] == gap["late_probability"]
    assert new["notices"][0].startswith("`carrier` is 'of nobody', and training had ")
    assert "is missing" in gap["notices"][0]
    body = {"rows": [ROW], "outputs": ["late"]}
    (row,) = server.ask("POST", "/predict/late_api?outputs=late_probability", body).json["rows"]
    assert set(row) == {"late"}


def test_every_answered_row_is_in_the_log_first(server: Up) -> None:
    before = len(server.records())
    one, many = server.predict().json, server.predict([ROW, ROW]).json
    new = server.records()[before:]
    assert [r["id"] for r in new] == [one["id"], many["id"] + ".0", many["id"] + ".1"]
    record = new[0]
    assert (record["endpoint"], record["model"], record["version"]) == ("late_api", "late", 1)
    assert (record["environment"], record["role"], record["digest"]) == ("prod", "champion", one["digest"])
    assert record["inputs"] == ROW
    assert record["outputs"] == {k: one[k] for k in ("late", "late_confidence", "late_probability")}
    assert 0 < record["score"] < 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["at"])


REFUSED = [
    ("an unknown endpoint", "/predict/late_apo", ROW, 404, "late_api"),
    ("an unknown input", None, {**ROW, "carier": "slow"}, 422, "no input `carier`.*Did you mean `carrier`"),
    ("a missing input", None, without("distance"), 422, "Missing: `distance`.*Inputs of late"),
    (
        "a text for a number",
        None,
        {**ROW, "distance": "far"},
        422,
        "`distance` must be a number; `?a text was given",
    ),
    ("a number for a text", None, {**ROW, "carrier": 3}, 422, "`carrier` must be a text"),
    ("a broken instant", None, {**ROW, "ordered_at": "yesterday"}, 422, "`ordered_at`"),
    ("NaN", None, b'{"distance": NaN}', 422, "not JSON.*NaN and Infinity"),
    ("Infinity", None, b'{"distance": -Infinity}', 422, "not JSON.*NaN and Infinity"),
    ("a number too large", None, json.dumps(ROW).replace("50.5", "1e999").encode(), 422, "`distance`"),
    ("half of JSON", None, b'{"distance": 1', 422, "not JSON"),
    ("two objects", None, b"{} {}", 422, "not JSON"),
    ("no UTF-8", None, b'{"carrier": "\xff"}', 422, "not JSON"),
    ("an empty body", None, b"", 422, "empty.*Inputs of late"),
    ("spaces", None, b"  \n", 422, "empty"),
    ("a number", None, b"3", 422, "must be a JSON object"),
    ("deep nesting", None, b"[" * 100_000, 422, "not JSON"),
    ("deep nesting in an object", None, b'{"a":' * 100_000, 422, ""),
    ("a bad row among good ones", None, [ROW, without("carrier"), ROW], 422, "Row 2: Missing: `carrier`"),
    ("rows that are none", None, {"rows": ROW}, 422, "`rows` must be an array"),
    ("rows and something else", None, {"rows": [ROW], "output": ["late"]}, 422, "output"),
    ("an unknown output", None, {"rows": [ROW], "outputs": ["laet"]}, 404, "late"),
    ("an unknown parameter", "/predict/late_api?output=late", ROW, 404, "outputs="),
    ("too many rows", None, b"[" + b"{}," * 20_000 + b"{}]", 422, "20,001 rows"),
    (
        "too many explanations",
        "/predict/late_api?outputs=late_explain",
        [ROW] * 201,
        422,
        "201 rows.*200 that one request for `late_explain` may hold",
    ),
]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_bad_request_is_refused_with_a_next_step_and_changes_nothing(
    server: Up, path: str | None, body: Any, status: int, words: str
) -> None:
    before = len(server.records())
    found = server.predict(body, path or "/predict/late_api")
    assert found.status == status, found.body
    assert re.search(words, found.error), found.error
    assert found.json["error"]["code"].startswith("E-")
    assert found.json["error"]["hint"]
    assert len(server.records()) == before
    assert server.predict().status == 200


def test_other_methods_are_refused(server: Up) -> None:
    found = server.ask("GET", "/predict/late_api")
    assert (found.status, found.headers["allow"]) == (405, "POST")
    assert found.json["error"]["code"] == "E-INPUT"
    assert (found := server.ask("POST", "/status", {})).status == 405
    assert found.headers["allow"] == "GET, HEAD"
    assert server.ask("HEAD", "/status").status == 200
    assert server.ask("GET", "/v2/models/late_api/infer").headers["allow"] == "POST"
    assert server.ask("DELETE", "/predict/late_api").status == 405
    for method in ("GET", "POST", "DELETE"):
        assert server.ask(method, "/predictions").status == 404, method
        assert server.ask(method, "/v2/modells/late_api").status == 404, method


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mb_is_refused_and_not_kept(server: Up, chunked: bool) -> None:
    before, total = server.rss(), 100 << 20
    head = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {total}"
    block = b" " * (1 << 20)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as link:
        link.sendall(
            f"POST /predict/late_api HTTP/1.1\r\nHost: localhost:{server.port}\r\n{head}\r\n"
            f"Authorization: Bearer {server.token}\r\n\r\n".encode()
        )
        for _ in range(total >> 20):
            link.sendall(b"100000\r\n" + block + b"\r\n" if chunked else block)
        if chunked:
            link.sendall(b"0\r\n\r\n")
        answer = http.client.HTTPResponse(link)
        answer.begin()
        assert answer.status == 413
        assert b"8 MB" in answer.read()
    assert server.rss() - before < 40 << 20
    assert server.predict().status == 200


def test_413_comes_before_the_body(server: Up) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as link:
        link.sendall(
            f"POST /predict/late_api HTTP/1.1\r\nHost: localhost\r\nContent-Length: {100 << 20}\r\n"
            f"Authorization: Bearer {server.token}\r\n\r\n".encode()
        )
        assert link.recv(100).startswith(b"HTTP/1.1 413")


# --- who may ask -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic {token}"}, 401),
        ({"Authorization": "{token}"}, 401),
        ({"Authorization": "Bearer {token}x"}, 401),
        ({"Authorization": "Bearer \xe9"}, 401),
        ({"Authorization": "bearer {token}"}, 200),
        ({"Authorization": "Bearer {token}", "Host": "evil.example"}, 403),
        ({"Authorization": "Bearer {token}", "Host": "127.0.0.1.evil.example"}, 403),
        ({"Authorization": "Bearer {token}", "Host": "localhost:1"}, 200),
        ({"Authorization": "Bearer {token}", "Origin": "http://evil.example"}, 403),
        ({"Authorization": "Bearer {token}", "Origin": "null"}, 403),
        ({"Authorization": "Bearer {token}", "Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
    ],
)
def test_the_token_and_this_machines_name_are_needed(
    server: Up, headers: dict[str, str], status: int
) -> None:
    given = {k: v.replace("{token}", server.token) for k, v in headers.items()}
    before = len(server.records())
    found = server.predict(headers=given, token=False)
    assert found.status == status
    if status == 401:
        assert found.headers["www-authenticate"].startswith("Bearer")
        assert ".tilth/token" in found.error
        assert str(server.folder).encode() not in found.body
    if status != 200:
        assert server.token.encode() not in found.body
        assert len(server.records()) == before
    assert not [h for h in found.headers if h.startswith("access-control")]


@pytest.mark.parametrize("path", ["/status", "/metrics", "/v2", "/v2/health/ready", "/v2/models/late_api"])
def test_what_tells_anything_needs_the_token(server: Up, path: str) -> None:
    assert server.ask("GET", path, token=False).status == 401
    assert server.ask("GET", path).status == 200


@pytest.mark.parametrize("path", ["/ping", "/healthz", "/sign-in"])
def test_what_tells_nothing_needs_none(server: Up, path: str) -> None:
    found = server.ask("GET", path, token=False)
    assert found.status == 200
    assert server.token.encode() not in found.body
    assert server.ask("GET", path, token=False, headers={"Host": "evil.example"}).status == 403


def test_the_token_is_this_users_alone(server: Up) -> None:
    path = server.folder / ".tilth" / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(server.token) == 43
    assert path.read_text() == server.token


def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    from tilth.core.errors import AuthError
    from tilth.interfaces.http.guard import token

    first = token(str(tmp_path))
    assert token(str(tmp_path)) == first
    os.chmod(tmp_path / "token", 0o644)
    with pytest.raises(AuthError, match="Others can read"):
        token(str(tmp_path))


@pytest.mark.parametrize(
    "held",
    [b"", b"short", b"a" * 31, b"a" * 257, b"\xff" * 40, b"a" * 40 + b"\r\nX: y", b"a b" * 20, 1 << 40],
)
def test_what_is_no_token_is_said_so_and_not_read_to_its_end(tmp_path: Path, held: bytes | int) -> None:
    from tilth.core.errors import AuthError
    from tilth.interfaces.http.guard import token

    with open(tmp_path / "token", "wb") as file:
        file.write(held) if isinstance(held, bytes) else file.truncate(held)
    os.chmod(tmp_path / "token", 0o600)
    with pytest.raises(AuthError, match="is no token"):
        token(str(tmp_path))


@pytest.mark.parametrize(
    "put",
    [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink("gone", path)],
)
def test_a_token_that_is_no_file_is_refused(tmp_path: Path, put: Callable[[str], None]) -> None:
    from tilth.core.errors import StorageError
    from tilth.interfaces.http.guard import token

    put(str(tmp_path / "token"))
    with pytest.raises(StorageError, match=r"is not a file|is a link"):
        token(str(tmp_path))


# --- the Open Inference Protocol ---------------------------------------------------------------------------


def test_the_protocols_metadata_says_names_and_types(server: Up) -> None:
    assert server.ask("GET", "/v2").json["name"] == "tilth"
    assert server.ask("GET", "/v2/health/live").json == {"live": True}
    assert server.ask("GET", "/v2/models/late_api/ready").json["ready"] is True
    found = server.ask("GET", "/v2/models/late_api/versions/1").json
    types = {i["name"]: i["datatype"] for i in found["inputs"]}
    assert types == {"carrier": "BYTES", "distance": "FP64", "ordered_at": "BYTES", "id": "INT64"}
    assert {"name": "late", "datatype": "BOOL", "shape": [-1]} in found["outputs"]
    assert server.ask("GET", "/v2/models/late_api/versions/9").status == 404


def test_tensors_are_bound_by_name(server: Up) -> None:
    tensors = [{**t, "data": ["slow", "own"]} if t["name"] == "carrier" else t for t in TENSORS]
    body = {
        "id": "mine",
        "inputs": tensors,
        "outputs": [{"name": "late_confidence"}, {"name": "late_probabilities"}],
    }
    found = server.predict(body, "/v2/models/late_api/infer").json
    assert (found["id"], found["model_name"], found["model_version"]) == ("mine", "late_api", "1")
    confidence, shares = found["outputs"]
    assert (confidence["datatype"], confidence["shape"], shares["datatype"]) == ("FP64", [2], "BYTES")
    rows = [{**without("id"), "carrier": c, "distance": d} for c, d in (("slow", 50.5), ("own", 1))]
    assert confidence["data"] == [server.predict(row).json["late_confidence"] for row in rows]
    assert set(json.loads(shares["data"][0])) == {"false", "true"}


def one_of(which: str, **changes: Any) -> dict[str, Any]:
    return {"inputs": [{**t, **changes} if t["name"] == which else t for t in TENSORS]}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (one_of("carrier", name="carier"), 422, "carier"),
        (one_of("distance", datatype="FP65"), 422, "FP65.*FP64"),
        (one_of("distance", shape=[3]), 422, r"shape \[3\] and 2 elements"),
        (one_of("distance", shape=[2, 2]), 422, "shape"),
        (one_of("distance", shape=[1], data=[1]), 422, "different numbers of rows"),
        ({"inputs": [*TENSORS, TENSORS[0]]}, 422, "once"),
        ({"inputs": []}, 422, "once"),
        ({"rows": []}, 422, "Open Inference Protocol"),
        (
            b'{"inputs": [{"name": "distance", "shape": [1], "datatype": "FP64", "data": [NaN]}]}',
            422,
            "Inference",
        ),
        (b"\x00binary", 422, "Inference-Header-Content-Length"),
    ],
)
def test_a_bad_tensor_is_refused(server: Up, body: Any, status: int, words: str) -> None:
    before = len(server.records())
    found = server.predict(body, "/v2/models/late_api/infer")
    assert found.status == status
    assert re.search(words, found.error, re.DOTALL), found.error
    assert isinstance(found.json["error"], str)
    assert len(server.records()) == before


# --- health, metrics, the page -----------------------------------------------------------------------------


def test_health_says_what_is_served(server: Up) -> None:
    found = server.ask("GET", "/healthz", token=False).json
    assert (found["status"], found["generation"]) == ("ok", 1)
    assert found["endpoints"] == {"late_api": {"stage": "full", "versions": [1]}}


def test_metrics_count_by_endpoint_version_and_status(server: Up) -> None:
    def value(name: str) -> float:
        text = server.ask("GET", "/metrics").body.decode()
        found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
        return float(found[0]) if found else 0.0

    good = 'tilth_requests_total{endpoint="late_api",version="1",status="200"}'
    rows = 'tilth_rows_total{endpoint="late_api",version="1",status="200"}'
    bad = 'tilth_requests_total{endpoint="late_api",version="",status="422"}'
    before = value(good), value(rows), value(bad)
    server.predict()
    server.predict([ROW] * 10)
    server.predict({})
    assert (value(good), value(rows), value(bad)) == (before[0] + 2, before[1] + 11, before[2] + 1)
    everything = 'tilth_request_seconds_bucket{endpoint="late_api",version="1",status="200",le="+Inf"}'
    assert value(everything) == value(good)
    assert value("tilth_generation") == 1
    assert value('tilth_rollout_stage{endpoint="late_api",stage="full"}') == 1


V2 = "/v2/models/late_api/infer"
FULL = [{**TENSORS[0], "data": ["slow", "own"]}, *TENSORS[1:]]
WITH_ID = {"inputs": [*FULL, {"name": "id", "shape": [2], "datatype": "INT64", "data": [7, None]}]}
KEYS = [
    ("with its key", "/predict/late_api", ROW, 0, 1),
    ("without it", "/predict/late_api", without("id"), 1, 1),
    ("null is no key", "/predict/late_api", {**ROW, "id": None}, 1, 1),
    ("0 is one", "/predict/late_api", {**ROW, "id": 0}, 0, 1),
    ("an array with some", "/predict/late_api", [ROW, without("id"), {**ROW, "id": None}], 2, 3),
    ("rows with all", "/predict/late_api", {"rows": [ROW, ROW]}, 0, 2),
    ("with outputs", "/predict/late_api?outputs=late", without("id"), 1, 1),
    ("tensors without it", V2, {"inputs": FULL}, 2, 2),
    ("tensors with a gap", V2, WITH_ID, 1, 2),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "lacking", "rows"), [k[1:] for k in KEYS], ids=[k[0] for k in KEYS])
def test_a_row_that_no_outcome_can_be_joined_with_is_told_at_once(
    server: Up, path: str, body: Any, lacking: int, rows: int
) -> None:
    def counted() -> tuple[int, int]:
        text = server.ask("GET", "/metrics").body.decode()
        found = re.search(r'^tilth_rows_without_key_total\{endpoint="late_api"\} (\d+)$', text, re.MULTILINE)
        (endpoint,) = server.ask("GET", "/status").json["endpoints"]
        return int(found[1]) if found else 0, endpoint["rows_without_key"]

    before = counted()
    found = server.predict(body, path)
    assert found.status == 200
    said = f'{lacking} of {rows} rows lack the key ["id"]: no outcome can be joined' if lacking else None
    assert found.headers.get("tilth-notice") == said
    assert counted() == (before[0] + lacking, before[1] + lacking)


def test_an_endpoint_that_requires_its_key_refuses_what_lacks_it_and_logs_nothing(
    server: Up, tmp_path: Path
) -> None:
    project = http_server.copied(server.folder, tmp_path / "strict")
    text = Path(tmp_path / "strict" / "shop.sql").read_text()
    Path(tmp_path / "strict" / "shop.sql").write_text(text.replace("(id, late)", "(id, late) REQUIRE KEY"))
    assert [d.target for d in project.apply().did if d.action.name == "late_api"] == ["1"]
    project.close()
    with up(tmp_path / "strict") as strict:
        before = len(strict.records())
        for _, path, body, lacking, rows in KEYS:
            found = strict.predict(body, path)
            assert found.status == (422 if lacking else 200), (path, body)
            if lacking:
                assert "requires its key, and `id` is missing" in found.error
                assert ("Row" in found.error) is (rows > 1)
        kept = sum(rows for _, _, _, lacking, rows in KEYS if not lacking)
        assert len(strict.records()) == before + kept


def test_names_that_strangers_make_up_are_no_labels(server: Up) -> None:
    for n in range(5):
        server.predict(path=f"/predict/made_up_{n}")
    assert b"made_up" not in server.ask("GET", "/metrics").body


def test_pages_run_scripts_of_this_server_and_nothing_else(server: Up) -> None:
    for path, token in (("/sign-in", False), ("/", True)):
        found = server.ask("GET", path, token=token)
        policy = found.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert re.findall(rb"<script[^>]*>", found.body) == re.findall(
            rb'<script src="/static/[0-9a-f]{16}/console\.js" defer>', found.body
        )
        assert not re.search(rb"""<style|\sstyle=|(src|href)=["']?http|\son\w+=""", found.body)


def test_who_is_no_browser_is_told_in_json_that_a_token_is_needed(server: Up) -> None:
    found = server.ask("GET", "/", token=False)
    assert (found.status, found.headers["www-authenticate"]) == (401, 'Bearer realm="tilth"')
    assert "This needs somebody who is signed in." in found.error


def test_status_holds_what_the_page_shows(server: Up) -> None:
    found = server.ask("GET", "/status").json
    assert found["environment"] == "prod"
    assert found["endpoints"][0]["answering"] == [1]
    assert found["generations"][0]["number"] == 1
    assert {v["model"] for v in found["versions"]} == {"late", "duration"}
    assert found["versions"][0]["gate"]["outcome"] == "pass"


# --- the process -------------------------------------------------------------------------------------------


def test_the_serving_process_holds_no_dataframe_engine_or_training_library(server: Up) -> None:
    server.predict([ROW] * 3)
    server.ask("GET", "/status")
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    loaded = {m for m in ("pandas", "sklearn", "duckdb", "pyarrow", "/scipy/") if m in maps}
    assert not loaded
    assert "lib_lightgbm" in maps
    assert server.rss() < 200 << 20


def test_the_modules_of_a_server_are_light(server: Up) -> None:
    code = (
        "import sys; from tilth.interfaces.http import server; from tilth.interfaces.cli.up import up;"
        "from tilth.app.project import Project; from tilth.runtime.loading import version_of;"
        f"version_of(Project({str(server.folder)!r}).work(), 'late', 1);"
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pandas", "sklearn", "duckdb", "pyarrow", "lightgbm", "starlette", "fastapi", "scipy"} & set(
        out
    )


def test_a_taken_port_is_an_error_with_a_next_step(server: Up) -> None:
    line = [sys.executable, "-m", "tilth", "up", "--project", str(server.folder), "--port", str(server.port)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 6
    assert "taken" in done.stderr
    assert "--port 0" in done.stderr


def test_it_listens_on_the_loopback_address_only(server: Up) -> None:
    inode = {
        os.readlink(f"/proc/{server.process.pid}/fd/{fd}")
        for fd in os.listdir(f"/proc/{server.process.pid}/fd")
    }
    listening = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{server.process.pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inode:
                listening.append(fields[1].partition(":")[0])
    assert listening == ["0100007F"] * 2, "HTTP, and PostgreSQL's clients"


def test_a_request_that_cannot_be_logged_fails(tmp_path: Path, server: Up) -> None:
    project = http_server.copied(server.folder, tmp_path / "shop")
    project.close()
    folder = tmp_path / "shop" / ".tilth" / "predictions"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    with up(tmp_path / "shop") as found:
        refused = found.predict()
        assert refused.status == 507
        assert "not acknowledged" in refused.error
        folder.unlink()
        assert found.predict().status == 200
        assert len(found.records()) == 1
