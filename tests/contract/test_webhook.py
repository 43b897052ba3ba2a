"""A webhook takes a message, or says in words why it was not taken, without its address."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tilth.adapters.channels import webhook
from tilth.adapters.channels.webhook import HttpWebhook

got: list[tuple[str, dict[str, str], bytes]] = []


@contextmanager
def receiver(status: int, headers: dict[str, str] | None = None) -> Iterator[str]:
    """The address of a server on this machine that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers), body))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_message_arrives_as_it_is(status: int) -> None:
    got.clear()
    with receiver(status) as url:
        assert (
            HttpWebhook().post(f"{url}/hooks/tilth?a=1", {"Tilth-Signature": "t=1,v1=x"}, b'{"a": 1}') is None
        )
    ((path, headers, body),) = got
    assert (path, headers["Tilth-Signature"], body) == ("/hooks/tilth?a=1", "t=1,v1=x", b'{"a": 1}')


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "it answered 301, and redirects are not followed"),
        (307, "it answered 307, and redirects are not followed"),
        (400, "it answered 400"),
        (404, "it answered 404"),
        (500, "it answered 500"),
        (503, "it answered 503"),
    ],
)
def test_what_is_answered_otherwise_is_said(status: int, words: str) -> None:
    got.clear()
    with receiver(200) as private, receiver(status, {"Location": f"{private}/secret"}) as url:
        assert HttpWebhook().post(f"{url}/s3cr3t", {}, b"{}") == words
    assert [path for path, _, _ in got] == ["/s3cr3t"], "a redirect to another address is not followed"


def closed() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/s3cr3t"


BAD = {
    "nobody listens": (closed, "it cannot be reached (Connection refused)"),
    "no such host": (lambda: "http://no.such.host.invalid/s3cr3t", "it cannot be reached ("),
    "another scheme": (lambda: "ftp://127.0.0.1/s3cr3t", "its address is none of a webhook"),
    "no host": (lambda: "https:///s3cr3t", "its address is none of a webhook"),
    "a file": (lambda: "file:///etc/passwd", "its address is none of a webhook"),
}


@pytest.mark.parametrize(("url", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_reached_is_said_without_its_address(url: Any, words: str) -> None:
    said = HttpWebhook().post(url(), {}, b"{}")
    assert said is not None
    assert said.startswith(words)
    assert "s3cr3t" not in said


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = HttpWebhook().post(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")
    assert said == "it did not answer within 0.3 s"


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the whole never does."""
    monkeypatch.setattr(webhook, "LONGEST", 0.5)
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()
        slow.settimeout(10)

        def drip() -> None:
            link, _ = slow.accept()
            with link, contextlib.suppress(OSError):
                for _ in range(100):
                    link.sendall(b"H")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        said = HttpWebhook().post(f"http://127.0.0.1:{slow.getsockname()[1]}/", {}, b"{}")
        assert time.monotonic() - began < 3
        thread.join(10)
    assert said == "it did not answer within 0.5 s"


def test_tls_is_checked() -> None:
    with receiver(200) as url:
        said = HttpWebhook().post(url.replace("http://", "https://"), {}, b"{}")
    assert said is not None
    assert said.startswith("its certificate does not hold or its TLS failed")
