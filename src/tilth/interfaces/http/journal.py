"""The log of requests, and the id that each has: taken from `X-Request-Id` when it is well formed, made otherwise, and returned.

A line tells who asked for what and how it ended. It never holds a query, a body, a header's value but the id and the client that a
proxy names, nor a token. Lines are written by a thread, so that a slow reader of them holds no answer up; what it cannot take
within bounds is left out, and counted.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import msgspec

from tilth.core.principals import Principal
from tilth.interfaces.http.bodies import Message, Receive, Send

WELL_FORMED = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")
WAITING = 20_000  # lines that may wait to be written
PAUSE = 0.1  # seconds between writings
BY = "tilth.by"  # where in its scope a request's principal stands, once it is known
LONGEST = 500  # characters of a path that are written
_CLIENT = re.compile(rb"[0-9A-Fa-f.:\[\]]{2,64}")
_UNSEEN = re.compile(r"[^\x21-\x7e]")

App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
_encode = msgspec.json.Encoder().encode


class Journal:
    """Collects lines and writes them from a thread. `form` is json or text."""

    def __init__(self, form: str, write: Callable[[str], None], now: Callable[[], str]) -> None:
        self._write, self._now = write, now
        self._shown = _as_json if form == "json" else _as_text
        self._lines: deque[dict[str, Any]] = deque()
        self._left_out = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tilth-requests", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        self._stop.set()
        self._thread.join(5)

    def add(self, said: dict[str, Any]) -> None:
        if len(self._lines) >= WAITING:
            self._left_out += 1
            return
        self._lines.append({"time": self._now(), **said})

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        lines = [self._shown(self._lines.popleft()) for _ in range(len(self._lines))]
        left, self._left_out = self._left_out, 0
        if left:
            lines.append(
                self._shown(
                    {"time": self._now(), "level": "warning", "message": f"{left} requests not logged"}
                )
            )
        try:
            if lines:
                self._write("\n".join(lines) + "\n")
        except OSError:  # nobody reads it just now: the next writing says how many are missing
            self._left_out += len(lines)


class Numbered:
    """An ASGI application whose answers have a request id, and are written down when there is a journal."""

    def __init__(self, app: App, journal: Journal | None = None, *, proxied: bool = False) -> None:
        """`proxied`: the client is the one that `X-Forwarded-For` names last."""
        self._app, self._journal, self._proxied = app, journal, proxied
        self._prefix, self._count = secrets.token_hex(6).encode(), 0

    def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return _nothing()
        ident = self._ident(scope["headers"])
        if self._journal is not None:
            return self._written(self._journal, scope, receive, send, ident)

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", ident)]
            return send(message)

        return self._app(scope, receive, sending)  # no coroutine more than without an id

    async def _written(
        self, journal: Journal, scope: MutableMapping[str, Any], receive: Receive, send: Send, ident: bytes
    ) -> None:
        """Answer, and add a line of how it ended."""
        began, told = perf_counter(), _Told()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", ident)]
            else:
                told.bytes += len(message["body"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            journal.add(self._line(scope, ident, told, perf_counter() - began))

    def _ident(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The id that came with the request, or a new one."""
        given = [value for name, value in headers if name == b"x-request-id"]
        if len(given) == 1 and WELL_FORMED.fullmatch(given[0]):
            return given[0]
        self._count += 1
        return b"%b-%x" % (self._prefix, self._count)

    def _line(
        self, scope: MutableMapping[str, Any], ident: bytes, told: _Told, seconds: float
    ) -> dict[str, Any]:
        by: Principal | None = scope.get(BY)
        status = told.status
        return {
            "level": "error" if status >= 500 else "warning" if status >= 400 or not status else "info",
            "request_id": ident.decode(),
            "method": scope["method"],
            "path": scope["path"][:LONGEST],
            "status": status,  # 0: the client went away before it was answered
            "seconds": round(seconds, 6),
            "principal": None if by is None else by.text,
            "bytes": told.bytes,
            "client": self._client(scope),
        }

    def _client(self, scope: MutableMapping[str, Any]) -> str | None:
        """Who is at the other end; behind a proxy, whom it names."""
        if self._proxied:
            named = b",".join(v for n, v in scope["headers"] if n == b"x-forwarded-for")
            last = named.rpartition(b",")[2].strip()
            if _CLIENT.fullmatch(last):
                return last.decode()
        client = scope.get("client")
        return None if not client else str(client[0])


async def _nothing() -> None:
    """What is no request is not answered."""


class _Told:
    """What was answered."""

    __slots__ = ("bytes", "status")

    def __init__(self) -> None:
        self.status = self.bytes = 0


def _as_json(said: dict[str, Any]) -> str:
    return _encode(said).decode()


def _as_text(said: dict[str, Any]) -> str:
    if "message" in said:
        return f"{said['time']} {said['level']} {said['message']}"
    path = _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), said["path"])
    who, client = said["principal"] or "-", said["client"] or "-"
    return (
        f"{said['time']} {said['level']} {said['request_id']} {said['method']} {path} {said['status']}"
        f" {said['seconds']:.6f} s {said['bytes']} bytes {who} {client}"
    )
