"""The request log: ids, what a line holds, and what it never holds."""

import asyncio
import json
from typing import Any

import pytest

from tilth.core.principals import Role, token
from tilth.interfaces.http.journal import BY, WAITING, Journal, Numbered

SECRET = "tilth_0123abcd_" + "s" * 43


class Lines:
    def __init__(self, form: str = "json") -> None:
        self.text = ""
        self.journal = Journal(form, self._write, lambda: "2024-06-01T00:00:00.000Z")

    def _write(self, text: str) -> None:
        self.text += text

    def read(self) -> list[str]:
        self.journal.flush()
        return self.text.splitlines()


def asked(
    lines: Lines | None, *headers: tuple[bytes, bytes], proxied: bool = False, **scope: Any
) -> dict[str, Any]:
    """Send one request through; the head of its answer. What answers says 200 and `hello`."""
    sent: list[Any] = []
    status = scope.pop("status", 200)

    async def app(given: Any, _receive: Any, send: Any) -> None:
        given[BY] = token("ci", Role.READER)
        if status:
            await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
            await send({"type": "http.response.body", "body": b"hello"})

    async def send(message: Any) -> None:
        sent.append(message)

    made = Numbered(app, None if lines is None else lines.journal, proxied=proxied)
    whole = {
        "type": "http",
        "method": "GET",
        "path": "/status",
        "headers": list(headers),
        "client": ("127.0.0.1", 5),
        **scope,
    }
    asyncio.run(made(whole, None, send))  # type: ignore[arg-type]
    return {k.decode(): v.decode() for k, v in sent[0]["headers"]} if sent else {}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([b"a-1"], True),
        ([b"7f9c24e8-3b12-4e4f-9c55-0a1b2c3d4e5f"], True),
        ([b"1-67891233-abcdef012345678912345678=/+@"], True),
        ([b"x" * 128], True),
        ([b"x" * 129], False),
        ([b""], False),
        ([b"a b"], False),
        ([b"a\r\nset-cookie: x"], False),
        ([b'a"b'], False),
        ([b"\xc3\xa9"], False),
        ([b"a", b"b"], False),
        ([b"a", b"a"], False),
        ([], False),
    ],
)
def test_an_id_is_taken_when_it_is_well_formed_and_made_else(given: list[bytes], taken: bool) -> None:
    lines = Lines()
    found = asked(lines, *((b"x-request-id", one) for one in given))["x-request-id"]
    assert (found.encode() in given) is taken
    assert found
    assert json.loads(lines.read()[0])["request_id"] == found
    assert asked(None, *((b"x-request-id", one) for one in given))["a"] == "b"


def test_a_line_says_who_asked_for_what_and_how_it_ended() -> None:
    lines = Lines()
    asked(
        lines,
        (b"x-request-id", b"r1"),
        (b"authorization", f"Bearer {SECRET}".encode()),
        query_string=b"outputs=secret",
    )
    said = json.loads(lines.read()[0])
    assert 0 <= said.pop("seconds") < 5
    assert said == {
        "time": "2024-06-01T00:00:00.000Z", "level": "info", "request_id": "r1", "method": "GET", "path": "/status",
        "status": 200, "principal": "token:ci", "bytes": 5, "client": "127.0.0.1",
    }  # fmt: skip
    assert "secret" not in lines.text
    assert SECRET not in lines.text


@pytest.mark.parametrize(
    ("status", "level"), [(200, "info"), (401, "warning"), (422, "warning"), (500, "error"), (0, "warning")]
)
def test_a_level_is_that_of_the_status(status: int, level: str) -> None:
    lines = Lines()
    asked(lines, status=status)
    said = json.loads(lines.read()[0])
    assert (said["level"], said["status"]) == (level, status)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_path_cannot_forge_a_line(form: str) -> None:
    lines = Lines(form)
    asked(lines, path="/x\n2024 info forged\x1b[31m" + "y" * 1000)
    assert len(lines.read()) == 1
    assert "\x1b" not in lines.text
    assert len(lines.text) < 800


FORWARDED = [
    (b"203.0.113.9", True, "203.0.113.9"),
    (b"6.6.6.6, 203.0.113.9", True, "203.0.113.9"),
    (b"203.0.113.9", False, "127.0.0.1"),
    (b"not an address", True, "127.0.0.1"),
    (b"<script>", True, "127.0.0.1"),
    (b"2001:db8::1", True, "2001:db8::1"),
]


@pytest.mark.parametrize(("given", "proxied", "client"), FORWARDED)
def test_the_client_is_the_one_a_proxy_names_last(given: bytes, proxied: bool, client: str) -> None:
    lines = Lines()
    asked(lines, (b"x-forwarded-for", given), proxied=proxied)
    assert json.loads(lines.read()[0])["client"] == client


def test_what_cannot_be_written_is_counted_and_the_log_goes_on() -> None:
    lines, written = Lines(), list[str]()

    def broken(_text: str) -> None:
        raise BrokenPipeError

    lines.journal._write = broken  # type: ignore[method-assign]
    lines.journal.add({"level": "info"})
    lines.journal.flush()
    lines.journal._write = written.append  # type: ignore[method-assign]
    lines.journal.flush()
    assert "1 requests not logged" in written[0]


def test_lines_that_nobody_takes_are_left_out_and_counted() -> None:
    lines = Lines()
    for _ in range(WAITING + 7):
        lines.journal.add({"level": "info"})
    assert len(lines.read()) == WAITING + 1
    assert json.loads(lines.read()[-1])["message"] == "7 requests not logged"
