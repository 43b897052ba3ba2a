"""A channel is told by `tilth up` that a refresh failed: also when nobody listens at first, and the server is killed meanwhile."""

import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tilth.app.project import Project

PROJECT = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET d KEY (id) REFRESH EVERY '1 second' EXPECT (x < 100 ON FAIL STOP) AS SELECT * FROM f.t;
CREATE CHANNEL ops WITH (url = 'http://127.0.0.1:{port}/hook', key = SECRET 'env:TILTH_TEST_KEY') NOTIFY ON (failed, rolled_back);
"""
WAIT = 60.0


@contextmanager
def up(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    line = [sys.executable, "-m", "tilth", "up", "--port", "0", "--project", str(folder)]
    with open(folder / "up.log", "ab") as log:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def until(found: Any, words: str) -> Any:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if (value := found()) is not None:
            return value
        time.sleep(0.05)
    raise AssertionError(words)


def messages(folder: Path) -> list[dict[str, Any]]:
    project = Project(str(folder))
    found = project.sql(
        "SELECT event, subject, status, attempts, error FROM tilth.messages ORDER BY id"
    ).rows()
    project.close()
    return found


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_failed_refresh_is_told_whoever_was_away(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TILTH_TEST_KEY", "k3y")
    data, port = tmp_path / "data", free()
    data.mkdir()
    (data / "t.csv").write_text("id,x\n" + "".join(f"{n},{n % 7}\n" for n in range(50)))
    (tmp_path / "tilth.toml").write_text("")
    (tmp_path / "all.sql").write_text(PROJECT.format(port=port))
    project = Project(str(tmp_path))
    assert not project.apply().errors
    project.close()

    with up(tmp_path) as first:
        until(lambda: b"reconciling" in (tmp_path / "up.log").read_bytes() or None, "it reconciles")
        time.sleep(1.0)
        (data / "t.csv").write_text("id,x\n1,1000\n")
        (waits,) = until(
            lambda: m if (m := messages(tmp_path)) and m[0]["attempts"] else None, "a message was tried"
        )
        assert (waits["event"], waits["subject"], waits["status"]) == ("failed", "d", "waiting")
        assert waits["error"] == "it cannot be reached (Connection refused)"
        os.kill(first.pid, 9)

    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(
                (self.headers["Tilth-Signature"], self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with up(tmp_path):
            until(lambda: got or None, "the message arrives")
            until(lambda: messages(tmp_path)[0]["status"] == "delivered" or None, "and is written down")
    finally:
        server.shutdown()
        server.server_close()
    sign, body = got[0]
    at, _, made = sign.partition(",v1=")
    assert made == hmac.new(b"k3y", at.removeprefix("t=").encode() + b"." + body, hashlib.sha256).hexdigest()
    (event,) = json.loads(body)["data"]["events"]
    assert (event["event"], event["subject"]) == ("failed", "d")
    assert "x < 100 does not hold" in event["text"]
    project = Project(str(tmp_path))
    assert project.verify().audit_rows > 0
    project.close()
