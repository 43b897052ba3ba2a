"""The ASGI callable: finds what answers a request, and turns errors into answers. No framework, one method a route.

`PATHS` (in `paths`) says which right each path asks for; the guard asks for it once, before anything is answered. How rows are
read and written is in `predictions` and `inference`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any, Protocol

from tilth.core.errors import AuthError, InputError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.principals import Principal
from tilth.interfaces.http import inference, metrics
from tilth.interfaces.http.asking import PROBLEM, Asking, BrokenOffError, problem
from tilth.interfaces.http.bodies import (
    BYTES,
    JSON,
    LIMIT,
    GoneError,
    Receive,
    Send,
    WrongMethodError,
    answer,
    check_kind,
    encode,
    failure,
    read,
)
from tilth.interfaces.http.console import Console
from tilth.interfaces.http.guard import Guard
from tilth.interfaces.http.journal import BY
from tilth.interfaces.http.once import Once, Predicted, key_of
from tilth.interfaces.http.paths import ANY, PATHS, PREDICT, Path
from tilth.interfaces.http.predictions import predict
from tilth.interfaces.public import public, unplaced
from tilth.plan.rights import RIGHTS, Right
from tilth.runtime.serving.answering import Answering, Route, Side
from tilth.runtime.serving.node import Node

TEXT = b"text/plain; charset=utf-8"
PREDICTIONS = "/predict/"
PREFIX = len(PREDICTIONS)
_JSON = (b"content-type", JSON)
NOTICE = b"tilth-notice"


class Shown(Protocol):
    """What is read from the state for those who watch."""

    async def status(self) -> dict[str, Any]: ...
    async def promises(self) -> dict[str, Any]: ...
    async def figures(self) -> bytes: ...
    async def document(self, rights: frozenset[Right]) -> dict[str, Any]: ...


PREDICTED = PATHS["/predict/<endpoint>"]
Scope = MutableMapping[str, Any]
Content = tuple[int, bytes, bytes]  # status, body, content type
Pairs = tuple[tuple[bytes, bytes], ...]
NO_STORE: Pairs = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Door:
    """Answers HTTP for one node. `shown` reads the state: what stands, what is promised, figures for Prometheus."""

    def __init__(
        self,
        node: Node,
        answering: Answering,
        guard: Guard,
        counts: metrics.Metrics,
        shown: Shown,
        tell: Callable[[str], None] = lambda _line: None,
        limit: int = LIMIT,
        root: str = "",
        asking: Asking | None = None,
        console: Console | None = None,
    ) -> None:
        self._asking, self._console = asking, console
        self._node, self._answering, self._guard = node, answering, guard
        self._counts, self._shown, self._tell, self._limit = counts, shown, tell, limit
        self._once = Once()
        self._root = root  # the project's folder, which no answer names

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What answers the request; no coroutine of its own, for the sake of the predict path."""
        if scope["type"] != "http":
            return _nothing()
        if scope["path"].startswith(PREDICTIONS):
            return self._predict(scope, receive, send)
        if scope["path"].startswith("/v2"):
            return self._protocol(scope, receive, send)
        if scope["path"] == "/sql" and self._asking is not None:
            return self._sql(self._asking, scope, receive, send)
        if self._console is not None and self._console.has(scope["path"]):
            return self._console(scope, receive, send)
        return self._other(scope, send)

    # --- predictions ---------------------------------------------------------------------------------------

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, endpoint, version, rows, status = perf_counter(), "", 0, 0, 200
        more: Pairs = ()
        try:
            length = self._enter(scope, PREDICT)
            _allow(scope, PREDICTED)
            route = self._node.route(scope["path"][PREFIX:])
            endpoint = route.endpoint
            check_kind(scope["headers"])
            message = await receive() if length <= self._limit else None
            body = b"" if message is None or message.get("more_body", True) else message["body"]
            if not 0 < len(body) <= self._limit:  # seldom: mostly all of it came with the headers
                body = await read(receive, length, self._limit, message)
            asked = (body, scope["query_string"])
            key = key_of(scope["headers"])
            if key is None:
                payload, version, rows, more, _ = await self._rows(route, *asked)
            else:
                payload, version, rows, more, _ = await self._kept(
                    scope, key, asked, lambda: self._rows(route, *asked)
                )
        except GoneError:
            return
        except Exception as error:
            known = self._known(error)
            status, payload, more = known.http_status, failure(known), _challenge(known)
        self._counts.add(endpoint, version, status, perf_counter() - began, rows)
        headers = [_JSON, (b"content-length", b"%d" % len(payload)), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    def _enter(self, scope: Scope, rights: tuple[Right, ...]) -> int:
        """Ask the guard for one of the rights; who asks stands in the scope from then on. The announced length of the body."""
        try:
            return self._guard.check(scope["headers"], rights)
        finally:
            scope[BY] = self._guard.by

    async def _answered(
        self, scope: Scope, asked: tuple[bytes, bytes], rows: Callable[[], Awaitable[Predicted]]
    ) -> Predicted:
        """The answer to a request for predictions, with or without a key."""
        key = key_of(scope["headers"])
        return await (rows() if key is None else self._kept(scope, key, asked, rows))

    async def _kept(
        self, scope: Scope, key: bytes, asked: tuple[bytes, bytes], rows: Callable[[], Awaitable[Predicted]]
    ) -> Predicted:
        """The answer that the request's Idempotency-Key had before, if any."""
        by: Principal = scope[BY]
        return await self._once.answer((by.text, scope["path"], key), asked, rows)

    async def _rows(self, route: Route, body: bytes, query: bytes) -> Predicted:
        """The answer to a body of plain JSON."""
        payload, side, rows = self._short(route, body, query)
        lacking = self._answering.lacking
        if side is None:
            payload, reply = await predict(self._answering, route, body, query)
            side, rows, lacking = reply.side, len(reply.rows), reply.lacking
        more = self._lacks(route.endpoint, side, lacking, rows) if lacking else ()
        return Predicted(payload, side.version, rows, more)

    def _short(self, route: Route, body: bytes, query: bytes) -> tuple[bytes, Side | None, int]:
        """The answer to a single row that asks for nothing else, and whose it is; no side for everything else."""
        if query or body[:1] != b"{":
            return b"", None, 0
        try:
            payload, side = self._answering.one(route, body)
        except InputError:
            return b"", None, 0  # it may be many rows; else the error comes again
        return payload, side, 1

    def _lacks(self, endpoint: str, side: Side, lacking: int, rows: int) -> Pairs:
        """Count rows that no outcome can be joined with, and the header that says so at once."""
        self._counts.lack(endpoint, lacking)
        names = encode(side.keys).decode().encode("ascii", "backslashreplace")
        return (
            (NOTICE, b"%d of %d rows lack the key %b: no outcome can be joined" % (lacking, rows, names)),
        )

    def _known(self, error: Exception) -> TilthError:
        """An error for the client; one of our own making is told here and not there."""
        if isinstance(error, TilthError):
            return public(error, self._root)
        self._tell(f"a request failed: {type(error).__name__}: {error}")
        return TilthError("The server failed at this request.", hint="Its log says why.")

    # --- the Open Inference Protocol -----------------------------------------------------------------------

    async def _protocol(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            place, name, version = inference.place(scope["path"])
            length = self._enter(scope, PREDICT if place in PATHS else ANY)
            if place not in PATHS:
                raise _no_path(scope["path"], scope[BY])
            _allow(scope, PATHS[place])
            status, payload, more, kind = await self._v2(scope, receive, length, (place, name, version))
        except GoneError:
            return
        except Exception as error:
            known = self._known(error)
            await answer(send, known.http_status, inference.failure(known), JSON, _challenge(known))
            return
        await answer(send, status, payload, kind, more)

    async def _v2(
        self, scope: Scope, receive: Receive, length: int, at: tuple[str, str, str | None]
    ) -> tuple[int, bytes, Pairs, bytes]:
        """`/v2`, `/v2/health/...`, `/v2/models/<m>[/versions/<v>][/ready|/infer]`."""
        place, name, version = at
        match place.rpartition("/")[2]:
            case "v2":
                return 200, inference.server(), (), JSON
            case "live":
                return 200, encode({"live": True}), (), JSON
            case "ready" if not name:
                ready = self._node.table is not None
                return 200 if ready else 503, encode({"ready": ready}), (), JSON
            case "ready":
                inference.side_of(self._node.route(name), version)
                return 200, encode({"name": name, "ready": True}), (), JSON
            case "infer":
                return await self._infer(scope, name, version, receive, length)
        return 200, inference.model(self._node.route(name), version), (), JSON

    async def _infer(
        self, scope: Scope, name: str, version: str | None, receive: Receive, length: int
    ) -> tuple[int, bytes, Pairs, bytes]:
        began, route = perf_counter(), self._node.route(name)
        try:
            check_kind(scope["headers"], binary=True)
            body = await read(receive, length, self._limit)
            head = next((v for n, v in scope["headers"] if n == inference.HEAD), None)
            found = await self._answered(
                scope, (body, head or b""), lambda: self._inferred(route, version, body, head)
            )
        except TilthError as error:
            self._counts.add(name, 0, error.http_status, perf_counter() - began, 0)
            raise
        self._counts.add(name, found.version, 200, perf_counter() - began, found.rows)
        return 200, found.payload, found.more, found.kind

    async def _inferred(
        self, route: Route, version: str | None, body: bytes, head: bytes | None
    ) -> Predicted:
        payload, reply, length = await inference.infer(self._answering, route, version, body, head)
        rows = len(reply.rows)
        more = self._lacks(route.endpoint, reply.side, reply.lacking, rows) if reply.lacking else ()
        if length is None:
            return Predicted(payload, reply.side.version, rows, more)
        more = (*more, (inference.HEAD, b"%d" % length))
        return Predicted(payload, reply.side.version, rows, more, BYTES)

    # --- SQL -----------------------------------------------------------------------------------------------

    async def _sql(self, asking: Asking, scope: Scope, receive: Receive, send: Send) -> None:
        """Statements of who asks. An error before the first row is an answer; one after it breaks the connection off."""
        try:
            length = self._asks(scope)
            _allow(scope, PATHS["/sql"])
            body = await read(receive, length, self._limit)
            await asking.answer(scope, body, receive, send)
        except GoneError:
            return
        except BrokenOffError as error:
            self._tell(f"/sql: an answer was broken off: {self._known(error.cause).message}")
        except Exception as error:
            known = self._known(error)
            more = (*NO_STORE, *_challenge(known))
            await answer(send, known.http_status, problem(known), PROBLEM, more)

    def _asks(self, scope: Scope) -> int:
        """Let in who holds a token, or who sends it from a page of the console; the announced length of the body."""
        by = None if self._console is None else self._console.holder(scope)
        length = self._enter(scope, ANY if by is None else ())
        scope[BY] = by or scope[BY]
        return length

    # --- the rest ------------------------------------------------------------------------------------------

    async def _other(self, scope: Scope, send: Send) -> None:
        more: Pairs = NO_STORE
        try:
            path = PATHS.get(scope["path"])
            self._enter(
                scope, ANY if path is None else path.rights
            )  # a right opens no path that is not there
            if path is None:
                raise _no_path(scope["path"], scope[BY])
            _allow(scope, path)
            status, payload, kind = await self._page(scope["path"], scope[BY])
        except Exception as error:
            known = self._known(error)
            status, payload, kind = known.http_status, failure(known), JSON
            more = (*NO_STORE, *_challenge(known))
        await answer(send, status, payload, kind, more)

    async def _page(self, path: str, by: Principal | None) -> Content:
        match path:
            case "/ping":
                return 200, b"pong\n", TEXT
            case "/healthz":
                health = self._health(self._node.health())
                return 503 if health["status"] == "starting" else 200, encode(health), JSON
            case "/metrics":
                own = self._counts.text(self._node, self._answering, self._once)
                return 200, own + await self._shown.figures(), metrics.KIND
            case "/openapi.json":
                assert by is not None  # it asks for a token
                return 200, encode(await self._shown.document(RIGHTS[by.role])), JSON
            case "/promises":
                return 200, encode(await self._shown.promises()), JSON
            case "/status":
                found = await self._shown.status()
                return 200, encode({**found, "health": self._health(found["health"])}), JSON
        raise _no_path(path, by)

    def _health(self, found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "reasons": [unplaced(reason, self._root) for reason in found["reasons"]]}


async def _nothing() -> None:
    """For what is not HTTP."""


def _challenge(error: TilthError) -> Pairs:
    """The header that goes with a refusal."""
    if isinstance(error, AuthError) and error.http_status == 401:
        return ((b"www-authenticate", b'Bearer realm="tilth"'),)
    if isinstance(error, WrongMethodError):
        return ((b"allow", error.allowed.encode()),)
    return ()


def _allow(scope: Scope, path: Path) -> None:
    """WrongMethodError for a method that the path does not have."""
    if scope["method"] not in path.methods:
        raise WrongMethodError(
            f"This path is for {path.method}.",
            hint=f"Send the request with {path.method}.",
            allowed=", ".join(path.methods),
        )


def _no_path(path: str, by: Principal | None) -> UnknownNameError:
    """The error for a path that is not there, with those that who asks may call."""
    rights = RIGHTS[by.role] if by is not None else frozenset()
    mine = [p for p, known in PATHS.items() if not known.rights or not rights.isdisjoint(known.rights)]
    return UnknownNameError(f"There is nothing at {path[:200]!r}.", hint=did_you_mean(path, mine, "paths"))
