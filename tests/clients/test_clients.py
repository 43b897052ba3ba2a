"""Strangers' clients against a running server: schemathesis asks what the document says and what it does not, tritonclient and
KServe's client speak the Open Inference Protocol. They live in an environment of their own, `.venv-clients`.

What KServe's lock leaves out (Kubernetes, a web server) its client does not use. `make lock` makes the lock anew.
"""

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import every_type
import http_server
import strangers

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
KEYED = "CREATE ENDPOINT keyed_api FOR MODEL m OUTCOMES FROM d (id, y) REQUIRE KEY;\n"
EXAMPLES, SEED, PATIENCE = 25, 20261128, 120
OUTPUTS = ("y", "y_probability", "y_probabilities")


@pytest.fixture(scope="module")
def clients() -> Path:
    """Where the programs of the environment are; made once for a lock and a Python."""
    return strangers.environment("clients", LOCK)


@pytest.fixture(scope="module")
def server(clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[http_server.Up]:
    del clients  # where it cannot be made there is nothing to ask
    folder = tmp_path_factory.mktemp("clients") / "p"
    every_type.applied(folder, every_type.DECLARED + KEYED)
    with http_server.up(folder) as found:
        yield found


def told(line: list[Any], **environment: str) -> Any:
    """What a program printed, as JSON."""
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def asked(server: http_server.Up, *, nan: bool) -> list[dict[str, Any]]:
    """What `/predict` says of the rows that the clients ask."""
    first = {"n": 3, "x": 0.5, "t": "a", "b": True, "d": "2023-07-01", "s": "2023-07-01T10:00:00"}
    second = {
        "n": 7,
        "x": None if nan else 0,
        "t": "ü",
        "b": False,
        "d": "2023-07-02",
        "s": "2023-07-02T11:00:00Z",
    }
    rows: list[dict[str, Any]] = server.predict(
        [first, second], f"/predict/api?outputs={','.join(OUTPUTS)}"
    ).json["rows"]
    return rows


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in OUTPUTS}


def read(answer: dict[str, Any]) -> dict[str, list[Any]]:
    """A client's answer with its probabilities as objects."""
    return {
        **{n: answer[n] for n in OUTPUTS},
        "y_probabilities": [json.loads(v) for v in answer["y_probabilities"]],
    }


def test_every_request_that_the_document_allows_is_answered_and_every_other_refused(
    clients: Path, server: http_server.Up, tmp_path: Path
) -> None:
    with contextlib.closing(server.connection):
        (tmp_path / "openapi.json").write_bytes(server.ask("GET", "/openapi.json").body)
    line = [
        clients / "st", "--config-file", HERE / "schemathesis.toml", "run", tmp_path / "openapi.json",
        "--url", f"http://127.0.0.1:{server.port}", "--max-examples", str(EXAMPLES), "--seed", str(SEED),
        "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    given = {
        **os.environ,
        "TILTH_TOKEN": server.token,
        "PYTHONPATH": str(HERE),
        "SCHEMATHESIS_HOOKS": "fuzz_hooks",
    }
    done = subprocess.run(
        line, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    paths = json.loads((tmp_path / "openapi.json").read_text())["paths"]
    assert f"Tested: {sum(map(len, paths.values()))}" in done.stdout
    assert "Traceback" not in server.log.read_text()
    assert "a request failed" not in server.log.read_text()


def test_tritonclient_is_answered_by_json_and_by_bytes(clients: Path, server: http_server.Up) -> None:
    found = told(
        [clients / "python", HERE / "talk_triton.py", f"127.0.0.1:{server.port}", server.token, "api"]
    )
    assert [found[k] for k in ("live", "ready", "model_ready", "version_ready", "no_model_ready")] == [
        True
    ] * 4 + [False]
    assert found["server"]["extensions"] == ["binary_tensor_data"]
    assert {i["name"]: i["datatype"] for i in found["model"]["inputs"]} == {
        "n": "INT64", "x": "FP64", "t": "BYTES", "b": "BOOL", "d": "BYTES", "s": "BYTES", "id": "INT64"
    }  # fmt: skip
    assert (found["json"]["id"], found["bytes"]["id"]) == ("mine", "mine")
    assert read(found["json"]) == columns(asked(server, nan=False))
    assert read(found["bytes"]) == columns(asked(server, nan=True))
    assert found["usual"]["y"] == found["pinned"]["y"] == found["bytes"]["y"]
    refused = found["refused"]
    assert refused["short"][0] == refused["twice"][0] == "422"
    assert "Missing: `t`" in refused["short"][1]
    assert "given once" in refused["twice"][1]
    assert refused["no token"][0] == "401"


def test_kserves_client_is_answered_by_json_and_by_bytes(clients: Path, server: http_server.Up) -> None:
    line = [
        clients / "python",
        HERE / "talk_kserve.py",
        f"http://127.0.0.1:{server.port}",
        server.token,
        "api",
    ]
    found = told(line, PYTHONPATH=str(HERE))
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, True)
    assert (found["json"]["id"], found["bytes"]["id"]) == ("mine", "mine")
    assert read(found["json"]) == columns(asked(server, nan=True))
    assert read(found["bytes"]) == columns(asked(server, nan=True))


def test_the_example_of_docs_http_prints_what_the_page_shows(clients: Path, tmp_path: Path) -> None:
    page = (strangers.ROOT / "docs" / "http.md").read_text("utf-8")
    found = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    ((code, shown),) = [one for one in found if "tritonclient" in one[0]]
    with http_server.up(http_server.applied(tmp_path / "shop")) as shop:
        line = [clients / "python", "-c", code.replace("8439", str(shop.port))]
        done = subprocess.run(
            line, cwd=shop.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert (done.stdout, done.returncode) == (shown, 0), done.stderr[-2000:]
