"""What a client may send a real server and how long it may take: raw bytes, and what they are answered with."""

import contextlib
import http.client
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import http_server
from http_server import ROW, Up, up


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = http_server.applied(tmp_path_factory.mktemp("http") / "shop")
    with up(folder) as found:
        yield found


def sent(server: Up, *pieces: bytes, timeout: float = 10) -> bytes:
    """All that the server answers to these bytes until it closes, or until nothing more comes."""
    out = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as link:
        for piece in pieces:
            link.sendall(piece)
        with contextlib.suppress(TimeoutError):
            while more := link.recv(65536):
                out += more
    return out


def get(
    target: str = "/ping", *headers: str, version: str = "HTTP/1.1", host: str | None = "localhost"
) -> bytes:
    lines = [f"GET {target} {version}", *([f"Host: {host}"] if host is not None else []), *headers]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


ROWS = [
    ("a plain request", get(), 200),
    ("HTTP/1.0", get(version="HTTP/1.0"), 200),
    ("an own absolute target", get("http://localhost:1/ping"), 200),
    ("a hundred headers", get("/ping", *["A: b"] * 98), 200),
    ("31 KB of headers", get("/ping", "A: " + "b" * (31 << 10)), 200),
    ("8,000 bytes of target", get("/ping?" + "a" * 8_000), 200),
    ("101 headers", get("/ping", *["A: b"] * 99), 431),
    ("10,000 headers", get("/ping", *["A: b"] * 10_000), 431),
    ("33 KB in one header", get("/ping", "A: " + "b" * (33 << 10)), 431),
    ("1 MB in one header", get("/ping", "A: " + "b" * (1 << 20)), 431),
    ("1 MB in a header's name", get("/ping", "b" * (1 << 20) + ": a"), 431),
    ("many headers of 33 KB in all", get("/ping", *[f"A{n}: {'b' * 400}" for n in range(90)]), 431),
    ("9,000 bytes of target", get("/ping?" + "a" * 9_000), 414),
    ("1 MB of target", get("/ping?" + "a" * (1 << 20)), 414),
    ("HTTP/0.9", b"GET /ping\r\n\r\n", 400),
    ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("HTTP/1.2", get(version="HTTP/1.2"), 400),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("a foreign absolute target", get("http://evil.example/ping"), 421),
    ("a foreign absolute target of TLS", get("https://evil.example/ping"), 421),
    ("a target with a user", get("http://localhost@evil.example/ping"), 421),
    ("a target without a slash", get("ping"), 400),
    ("a tunnel", b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("no Host", get(host=None), 400),
    ("no Host in HTTP/1.0", get(version="HTTP/1.0", host=None), 400),
    ("an empty Host", get(host=""), 400),
    ("two Hosts", get("/ping", "Host: localhost"), 400),
    ("a foreign Host", get(host="evil.example"), 403),
    ("a Host with a user", get(host="localhost@evil.example"), 403),
    ("a cross-site page", get("/ping", "Sec-Fetch-Site: cross-site"), 403),
    ("a page of the same site", get("/ping", "Sec-Fetch-Site: same-site"), 403),
    ("a page of our own", get("/ping", "Sec-Fetch-Site: same-origin"), 200),
    ("the person at the browser", get("/ping", "Sec-Fetch-Site: none"), 200),
    ("two lengths", get("/ping", "Content-Length: 1", "Content-Length: 2"), 400),
    ("two equal lengths", get("/ping", "Content-Length: 0", "Content-Length: 0"), 400),
    ("a negative length", get("/ping", "Content-Length: -1"), 400),
    ("a length in words", get("/ping", "Content-Length: 1, 1"), 400),
    ("a length without end", get("/ping", "Content-Length: " + "9" * 40), 400),
    ("length and chunks", get("/ping", "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("chunks that are not last", get("/ping", "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n", 400),
    ("chunks misspelt", get("/ping", "Transfer-Encoding: xchunked") + b"0\r\n\r\n", 400),
    ("chunks twice", get("/ping", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("chunks of something else", get("/ping", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 400),
    ("chunks after nothing", get("/ping", "Transfer-Encoding: identity", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("chunks in capitals", get("/ping", "TRANSFER-ENCODING: Chunked") + b"0\r\n\r\n", 200),
    ("a space before the colon", get("/ping", "Transfer-Encoding : chunked"), 400),
    ("a folded header", get("/ping", "A: b\r\n c"), 400),
    ("a bare line feed", b"GET /ping HTTP/1.1\nHost: localhost\n\n", 400),
    ("a NUL", get("/ping", "A: b\x00c"), 400),
    ("an upgrade", get("/ping", "Upgrade: h2c"), 200),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "expected"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_a_request_is_answered_or_refused(server: Up, request_: bytes, expected: int) -> None:
    found = sent(server, request_)
    assert status(found) == expected, found[:300]
    assert len(re.findall(rb"HTTP/1.1 \d", found)) == 1
    assert server.ask("GET", "/ping").status == 200


@pytest.mark.parametrize(
    "second", [b"GARBAGE\r\n\r\n", get("ping"), get("/" + "a" * 9_000), get("http://evil.example/")]
)
def test_a_whole_request_is_answered_whatever_comes_after_it(server: Up, second: bytes) -> None:
    first = get("/ping").replace(b"Connection: close\r\n", b"")
    answer = sent(server, first + second)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_the_second_request_of_a_connection_has_the_same_bounds(server: Up) -> None:
    first = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert re.findall(rb"HTTP/1.1 (\d+)", sent(server, first + first + get())) == [b"200"] * 3
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(first)
        assert link.recv(1000).startswith(b"HTTP/1.1 200")
        link.sendall(get("/ping", "A: " + "b" * (40 << 10)))
        assert link.recv(1000).startswith(b"HTTP/1.1 431")


def test_a_header_without_end_costs_neither_memory_nor_time(server: Up) -> None:
    before, took = server.rss(), 0.0
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(b"GET / HTTP/1.1\r\nX: ")
        with contextlib.suppress(OSError):
            for _ in range(1600):
                link.sendall(b"a" * 65536)
                began = time.monotonic()
                assert server.predict().status == 200
                took = max(took, time.monotonic() - began)
    assert server.rss() - before < 8 << 20
    assert took < 1


def test_trailers_without_end_are_refused(server: Up) -> None:
    head = (
        f"POST /predict/late_api HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n2\r\n{{}}\r\n0\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(head + b"X: ")
        with pytest.raises(OSError):  # a reset, or a broken pipe
            for _ in range(1600):
                link.sendall(b"a" * 65536)
                time.sleep(0.001)


@pytest.mark.slow
def test_what_does_not_come_is_not_waited_for(server: Up) -> None:
    started = {
        "nothing": b"",
        "half a line": b"GET /pi",
        "half the headers": b"GET /ping HTTP/1.1\r\nHost: lo",
    }
    links = {name: socket.create_connection(("127.0.0.1", server.port), timeout=20) for name in started}
    began = time.monotonic()
    for name, link in links.items():
        link.sendall(started[name])
    answers = {name: link.recv(1000) for name, link in links.items()}
    assert {name: status(answer) for name, answer in answers.items()} == {
        "nothing": 0,
        "half a line": 408,
        "half the headers": 408,
    }
    assert 9 < time.monotonic() - began < 14
    for link in links.values():
        link.close()


PAIR = '"distance": 1, "distance": 50.5'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict/late_api", "{%s}"),
        ("/predict/late_api?outputs=late", "{%s}"),
        ("/predict/late_api", "[{%s}]"),
        ("/predict/late_api", '{"rows": [{%s}]}'),
        ("/predict/late_api", '{"rows": [], "rows": [{%s}]}'),
        ("/v2/models/late_api/infer", None),
    ],
)
def test_a_name_that_is_given_twice_is_refused_at_every_door(server: Up, path: str, body: str | None) -> None:
    rest = json.dumps({k: v for k, v in ROW.items() if k != "distance"})[1:-1]
    text = (
        (body or "") % f"{rest}, {PAIR}"
        if body
        else (
            '{"inputs": [{"name": "distance", "shape": [1], "datatype": "FP64", "data": [1], "data": [2]}]}'
        )
    )
    before = len(server.records())
    found = server.predict(text.encode(), path)
    assert found.status == 422
    assert re.search("`(distance|rows|data)` is given twice", found.error), found.error
    assert len(server.records()) == before


def test_no_answer_names_a_folder_of_the_server(server: Up) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/healthz", None), ("GET", "/status", None), ("GET", "/nowhere", None), ("POST", "/predict/late_api", {}),
    ]  # fmt: skip
    for method, path, body in asked:
        for token in (True, False):
            assert str(server.folder).encode() not in server.ask(method, path, body, token=token).body


# --- many connections --------------------------------------------------------------------------------------


@pytest.fixture
def scarce(server: Up) -> Iterator[Up]:
    """The same project on a server that has 1,024 descriptors."""
    with up(server.folder, files=1024) as found:
        yield found


def test_half_open_connections_and_an_endless_header_fail_no_prediction(scarce: Up) -> None:
    ended = threading.Event()
    flood = threading.Thread(target=_flood, args=(scarce, ended))
    links: list[socket.socket] = []
    flood.start()
    try:
        kept = Up(*(getattr(scarce, n) for n in ("process", "port", "token", "folder", "log")))
        for n in range(300):
            links += [_half_open(scarce.port, n + k) for k in range(4)] if n < 275 else []
            assert kept.predict().status == 200
            if n % 10 == 0:  # a client that comes while all descriptors are taken
                scarce.connection.close()
                assert scarce.predict().status == 200
            time.sleep(0.005)
        kept.connection.close()
        assert len(links) == 1100
        open_files = len(list(Path(f"/proc/{scarce.process.pid}/fd").iterdir()))
        assert open_files < 1024 - 64, "what the log needs is not taken"
    finally:
        ended.set()
        flood.join(20)
        for link in links:
            link.close()


def _half_open(port: int, n: int) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port), timeout=5)
    with contextlib.suppress(OSError):
        link.sendall([b"", b"POST /pre", b"POST /predict/late_api HTTP/1.1\r\nHost: local"][n % 3])
    return link


def _flood(server: Up, ended: threading.Event) -> None:
    """Headers that do not end, one connection after the other."""
    while not ended.is_set():
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", server.port), timeout=5) as link,
        ):
            link.sendall(b"GET / HTTP/1.1\r\nX: ")
            while not ended.is_set():
                link.sendall(b"a" * 65536)
                time.sleep(0.001)


def test_idle_clients_make_room_for_new_ones(scarce: Up) -> None:
    links = []
    for _ in range(1000):
        link = socket.create_connection(("127.0.0.1", scarce.port), timeout=5)
        link.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert link.recv(1000).startswith(b"HTTP/1.1 200")
        links.append(link)
    assert scarce.predict().status == 200
    links[-1].sendall(get())
    assert links[-1].recv(1000).startswith(b"HTTP/1.1 200")  # the newest stay
    for link in links:
        link.close()


# --- the end -----------------------------------------------------------------------------------------------


def test_sigterm_resets_no_request(server: Up) -> None:
    with up(server.folder) as own:
        found: list[object] = []
        threads = [threading.Thread(target=_until_told, args=(own, found)) for _ in range(8)]
        for thread in threads:
            thread.start()
        idle = socket.create_connection(("127.0.0.1", own.port), timeout=5)
        idle.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        time.sleep(0.3)
        own.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert idle.recv(1000) == b""  # the end, not a reset
        idle.close()
        assert own.process.wait(10) == 0
    assert found == ["told"] * 8


def _until_told(server: Up, found: list[object]) -> None:
    """Ask without pause over one connection, until an answer says that it is the last."""
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Authorization": f"Bearer {server.token}"}
    try:
        while True:
            link.request("POST", "/predict/late_api", json.dumps(ROW), headers)
            answer = link.getresponse()
            answer.read()
            if answer.status != 200:
                found.append(answer.status)
                return
            if answer.getheader("connection") == "close":
                found.append("told")
                return
    except Exception as error:
        found.append(error)
    finally:
        link.close()
