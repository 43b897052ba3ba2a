"""The console's door: signs people in, passes pages on that another process draws, tells browsers what moved, and has acts performed.

Nothing here reads the state while a page is asked for: who is signed in stands in memory, and pages come from
`console.drawing_process`. An act goes through a `Session`, in the same threads as `POST /sql`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, quote

from tilth.core.errors import AuthError, RightError, StateChangedError, TilthError, UnknownNameError
from tilth.core.principals import Principal
from tilth.interfaces.console import acts, files, places
from tilth.interfaces.console.drawing_process import DrawingProcess, Key
from tilth.interfaces.console.sessions import Session, Sessions
from tilth.interfaces.http import forms, queried
from tilth.interfaces.http.asking import Asking
from tilth.interfaces.http.bodies import (
    JSON,
    GoneError,
    Receive,
    Send,
    WrongMethodError,
    answer,
    failure,
    read,
)
from tilth.interfaces.http.forms import CHART, EDITOR, HISTORY
from tilth.interfaces.http.guard import Guard
from tilth.interfaces.http.journal import BY
from tilth.interfaces.http.pulse import Pulse
from tilth.interfaces.public import public
from tilth.kinds import show
from tilth.plan.rights import Right, require
from tilth.ports.progress import Silent
from tilth.runtime.record import environments

HTML, TEXT = b"text/html; charset=utf-8", b"text/event-stream"
STATEMENT = 4 << 20  # bytes of a statement, or of a chart's values
LINKED = 4_000  # characters of a statement that stands in a URL
LONG = 17  # digits that no number of a generation has
WAITED = 1.5  # seconds an act is waited for before its page comes back without it
PING = 15.0  # seconds of silence after which a line goes to who listens
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
Pairs = tuple[tuple[bytes, bytes], ...]
HEADERS: Pairs = (
    (b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"same-origin"), (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"),
)  # fmt: skip
QUERIED = frozenset({EDITOR, CHART, HISTORY})
OWN = frozenset({"/sign-in", "/sign-out", "/events", CHART, HISTORY})
ASK = "Open the address that `tilth up` printed, or paste the token from .tilth/token, or one that its owner made for you."
ENDED = "The session ended: it was over, its token was dropped, or the server began anew. Sign in again, and the page comes back."
Scope = MutableMapping[str, Any]


class StaleError(StateChangedError):
    """The environment moved on since the page of an act was looked at."""

    http_status = 409


@dataclass(frozen=True, slots=True)
class _Signed:
    """Who asks, and the session when it is one."""

    by: Principal
    session: Session | None = None


class Console:
    """Answers what `has` says is the console's. Lives in the thread of the event loop."""

    def __init__(
        self,
        guard: Guard,
        drawing: DrawingProcess,
        pulse: Pulse,
        served: Callable[[], dict[str, Any]],
        asking: Asking | None = None,
        tell: Callable[[str], None] = lambda _line: None,
        *,
        root: str = "",
        environment: str = "prod",
        secure: bool = False,
    ) -> None:
        """`served` is what this server alone knows of what it serves; `secure`: browsers reach it by TLS."""
        self._guard, self._drawing, self._pulse, self._served = guard, drawing, pulse, served
        self._asking, self._tell, self._root, self._environment = asking, tell, root, environment
        self._sessions = Sessions()
        nonce = secrets.token_hex(16)
        self._marks = {name: f"{nonce}-{name}" for name in ("key", "said", "who")}
        self._mark = re.compile(f"{nonce}-(key|said|who)".encode())
        self._cookie = f"{'__Host-' if secure else ''}tilth-{guard.mark}"
        self._attributes = f"; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
        self._under_way: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    def has(self, path: str) -> bool:
        """Whether the path is the console's."""
        return path in OWN or path.startswith(files.PREFIX) or places.match(path) is not None

    def end(self) -> None:
        """Let go of who listens: the server ends."""
        self._ended.set()
        self._pulse.beat()

    async def stop(self) -> None:
        """End the process that draws."""
        await self._drawing.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except GoneError:
            return
        except AuthError as error:
            scope.setdefault(BY, None)
            if error.http_status == 401 and _is_page(scope):
                await _redirect(send, _sign_in(scope, ended=self._given(scope) is not None))
            else:
                await self._failed(scope, send, error)
        except Exception as error:
            await self._failed(scope, send, error)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        length = self._guard.check(scope["headers"], ())
        forms.allow(path, method)
        if path.startswith(files.PREFIX):
            await self._file(path, send)
        elif path == "/sign-in":
            await (
                self._signing_in(scope, receive, send, length)
                if method == "POST"
                else self._form(scope, send)
            )
        elif path == "/sign-out":
            await self._signing_out(scope, receive, send, length)
        elif path == "/events":
            await self._events(scope, receive, send)
        elif path in QUERIED and (path != EDITOR or method == "POST"):
            await self._queried(scope, receive, send, length)
        elif path.startswith("/acts/") and method == "POST":
            await self._act(scope, receive, send, length)
        else:
            await self._page(scope, send)

    # --- who asks ------------------------------------------------------------------------------------------

    def holder(self, scope: Scope) -> Principal | None:
        """Who sends a statement from a page of the console: its session, with the session's key in `X-Tilth-Key`; None for all else."""
        headers = dict(scope["headers"])
        if b"authorization" in headers or b"x-tilth-key" not in headers:
            return None
        signed = self._signed(scope)
        assert signed.session is not None  # it had no token
        signed.session.require(headers[b"x-tilth-key"].decode("latin-1"))
        return signed.by

    def _signed(self, scope: Scope, right: Right = Right.READ) -> _Signed:
        """Who asks; AuthError when nobody does, or may not."""
        if any(name == b"authorization" for name, _ in scope["headers"]):
            self._guard.check(scope["headers"], (right,))
            assert self._guard.by is not None
            scope[BY] = self._guard.by
            return _Signed(self._guard.by)
        given = self._given(scope)
        session = None if given is None else self._sessions.find(given)
        if session is None or given is None:
            raise AuthError("This needs somebody who is signed in.", hint=ASK)
        try:
            by = self._guard.holding(session.token)
        except AuthError:
            self._sessions.end(given)
            raise
        scope[BY] = by
        require(by, right, "This page")
        return _Signed(by, session)

    def _given(self, scope: Scope) -> str | None:
        """What the cookie of this server holds."""
        for name, value in scope["headers"]:
            if name == b"cookie":
                for part in value.decode("latin-1").split(";"):
                    key, _, given = part.strip().partition("=")
                    if key == self._cookie:
                        return str(given)
        return None

    async def _form(
        self, scope: Scope, send: Send, error: TilthError | None = None, to: str | None = None
    ) -> None:
        """The page that asks for a token."""
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        to = places.here(asked.get("to", "/") if to is None else to)
        words = (
            error.message
            if error
            else ENDED
            if "ended" in asked
            else "This page needs somebody who is signed in."
        )
        hint = f"{error.hint} {ASK}" if error and error.hint else ASK
        status = 200 if error is None else error.http_status
        kind = "bad" if error else "soft"
        await answer(
            send,
            status,
            _static("sign-in.html", title="Sign in", words=words, kind=kind, hint=hint, to=to),
            HTML,
            HEADERS,
        )

    async def _signing_in(self, scope: Scope, receive: Receive, send: Send, length: int) -> None:
        """Exchange a token for a session."""
        form = await forms.fields(receive, length)
        token = form.get("token", "").strip().encode()
        try:
            by = self._guard.who(token)
            scope[BY] = by
            require(by, Right.READ, "The console")
        except AuthError as error:
            await self._form(scope, send, error, form.get("to"))
            return
        if (before := self._given(scope)) is not None:
            self._sessions.end(before)
        cookie = f"{self._cookie}={self._sessions.begin(sha256(token).hexdigest())}{self._attributes}"
        await _redirect(send, places.here(form.get("to", "/")), ((b"set-cookie", cookie.encode()),))

    async def _signing_out(self, scope: Scope, receive: Receive, send: Send, length: int) -> None:
        session = self._signed(scope).session
        given = self._given(scope)
        if session is None or given is None:
            raise RightError("There is no session to end.", hint="A token ends by DROP TOKEN.")
        session.require((await forms.fields(receive, length)).get("key", ""))
        self._sessions.end(given)
        await _redirect(
            send, "/sign-in", ((b"set-cookie", f"{self._cookie}={self._attributes}; Max-Age=0".encode()),)
        )

    # --- pages ---------------------------------------------------------------------------------------------

    async def _page(self, scope: Scope, send: Send) -> None:
        signed = self._signed(scope)
        query = tuple(sorted(dict(parse_qsl(scope["query_string"].decode("latin-1"))).items()))
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        moment = self._pulse.moment()
        key = Key(raw.decode("latin-1"), query, self._environment, signed.by.role.value, moment)
        drawn = await self._drawing.page(key, self._served(), self._marks)
        body = self._own(drawn.html.encode(), signed)
        await answer(send, drawn.status, body, HTML, HEADERS)

    def _own(self, html: bytes, signed: _Signed) -> bytes:
        """The page with what is the session's own."""
        session = signed.session
        said = [] if session is None else session.messages(monotonic())
        values = {
            b"key": b"" if session is None else session.key.encode(),
            b"who": escape(f"{signed.by.text} ({signed.by.role.value})").encode(),
            b"said": "".join(f'<p class="{kind}">{escape(words)}</p>' for kind, words in said).encode(),
        }
        return self._mark.sub(lambda found: values[found[1]], html)

    async def _file(self, path: str, send: Send) -> None:
        found = files.at(path)
        if found is None:
            raise UnknownNameError("There is no such file.", hint="Load the page again.")
        kept = (
            (b"cache-control", b"public, max-age=31536000, immutable"),
            (b"x-content-type-options", b"nosniff"),
        )
        await answer(send, 200, found[0], found[1], kept)

    async def _failed(self, scope: Scope, send: Send, error: Exception) -> None:
        """A page of its own, which needs nobody to draw it; JSON for what is no browser."""
        if not isinstance(error, TilthError):
            self._tell(f"console: a request failed: {type(error).__name__}: {error}")
            error = TilthError("The server failed at this request.", hint="Its log says why.")
        known = public(error, self._root)
        to = places.here(scope["path"]) if scope["method"] == "GET" else "/"
        more: Pairs = ((b"allow", known.allowed.encode()),) if isinstance(known, WrongMethodError) else ()
        more += ((b"www-authenticate", b'Bearer realm="tilth"'),) if known.http_status == 401 else ()
        if not _shows_pages(scope):
            await answer(send, known.http_status, failure(known), JSON, (*HEADERS, *more))
            return
        words = f"{known.message}{''.join(f' {d}' for d in known.detail)}"
        page = _static("plain.html", title="It did not work", words=words, hint=known.hint or "", to=to)
        await answer(send, known.http_status, page, HTML, (*HEADERS, *more))

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A line to the browser whenever something moved, until it goes away or its session ends."""
        self._signed(scope)
        gone = asyncio.ensure_future(_gone(receive))
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", TEXT), *HEADERS]}
        )
        try:
            with self._pulse.listening() as listener:
                await send(_piece(f"retry: 2000\nevent: hello\ndata: {self._pulse.count}\n\n"))
                while not gone.done() and not self._ended.is_set():
                    moved = await listener.wait(PING, gone)
                    if self._ended.is_set() or not self._lives(scope):
                        break
                    await send(
                        _piece(
                            f"event: moved\ndata: {self._pulse.count}\n\n" if moved else ": still here\n\n"
                        )
                    )
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, GoneError):
                await gone
        await send({"type": "http.response.body", "body": b""})

    def _lives(self, scope: Scope) -> bool:
        """Whether who listens may still; whose session it is uses it."""
        try:
            self._signed(scope)
        except AuthError:
            return False
        return True

    # --- statements of the SQL page ------------------------------------------------------------------------

    async def _queried(self, scope: Scope, receive: Receive, send: Send, length: int) -> None:
        """A form of statements, the chart of a result, or what was asked before."""
        signed = self._signed(scope)
        if signed.session is None or self._asking is None:
            raise RightError("This path is for sessions.", hint="From a program: POST /sql with the token.")
        if scope["path"] == EDITOR:
            fields = await forms.fields(receive, length, STATEMENT)
            signed.session.require(fields.get("key", ""))
            await self._form_of_statements(send, signed.by, fields)
            return
        key = dict(scope["headers"]).get(b"x-tilth-key", b"").decode("latin-1")
        signed.session.require(key)
        loop = asyncio.get_running_loop()
        try:
            if scope["path"] == CHART:
                body = await read(receive, length, STATEMENT)
                svg = await loop.run_in_executor(self._asking.pool, queried.chart, body)
                await answer(send, 200, svg.encode(), b"image/svg+xml", HEADERS)
            else:
                found = await loop.run_in_executor(
                    self._asking.pool, queried.history, self._asking, signed.by
                )
                await answer(send, 200, found, JSON, HEADERS)
        except TilthError as error:
            known = public(error, self._root)
            await answer(send, known.http_status, failure(known), JSON, HEADERS)

    async def _form_of_statements(self, send: Send, by: Principal, fields: dict[str, str]) -> None:
        """The answer as a page, for browsers without scripts."""
        assert self._asking is not None
        text, name = fields.get("sql", ""), fields.get("environment") or self._environment
        status = 200
        try:
            said = await queried.answered(self._asking, by, text, name)
        except TilthError as error:
            known = public(error, self._root)
            status, hint = known.http_status, f"<p>{escape(known.hint)}</p>" if known.hint else ""
            said = f'<p class="bad">{escape(known.message)}</p>{hint}'
        to = places.url("query", sql=text if len(text) < LINKED else None, environment=name)
        page = _static("answered.html", sql=text, to=to).replace(b"<!--answer-->", said.encode())
        await answer(send, status, page, HTML, HEADERS)

    # --- acts ----------------------------------------------------------------------------------------------

    async def _act(self, scope: Scope, receive: Receive, send: Send, length: int) -> None:
        """Perform the statement of a form, and go back to a page that tells what came of it."""
        signed = self._signed(scope)
        fields = await forms.fields(receive, length)
        if signed.session is None or self._asking is None:
            raise RightError(
                "Acts of pages need a session.", hint="From a program: POST /sql with the token."
            )
        signed.session.require(fields.pop("key", ""))
        act = acts.act_of(scope["path"].rpartition("/")[2])
        statement = act.makes(fields)
        require(signed.by, act.right, act.title)
        name, seen = fields.get("environment") or self._environment, fields.get("seen", "")
        back = places.here(fields.get("back", "/"))
        words = show(statement).rstrip(";\n")
        work = asyncio.get_running_loop().run_in_executor(
            self._asking.pool, self._performed, statement, name, seen, signed.by
        )
        done, _ = await asyncio.wait({work}, timeout=WAITED)
        if not done:
            signed.session.tell("warn", _waits(words))
            task = asyncio.ensure_future(self._told(work, signed.session, words))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        elif isinstance(error := work.exception(), StaleError):
            raise error
        else:
            await self._told(work, signed.session, words)
        await _redirect(send, back)

    def _performed(self, statement: Any, name: str, seen: str, by: Principal) -> tuple[str, str]:
        """In a thread: the outcome as a kind and words. StaleError when the environment is not what was looked at."""
        assert self._asking is not None
        session = self._asking.session(name, by, Silent())
        environments.require(session.work.state, name)
        _fresh(session.work.state, name, seen)
        result = session.perform(statement)
        if result.reader is not None:
            result.reader.close()
        said = " ".join(part for part in (result.text, *result.told) if part) or "Done."
        return ("bad" if result.refused else "good"), said

    async def _told(self, work: asyncio.Future[tuple[str, str]], session: Session, words: str) -> None:
        """Keep what came of it for the session's next page."""
        try:
            kind, said = await work
        except TilthError as error:
            known = public(error, self._root)
            kind, said = "bad", " ".join([known.message, *known.detail, known.hint or ""])
        except Exception as error:
            self._tell(f"console: {words}: {type(error).__name__}: {error}")
            kind, said = "bad", "The server failed at it. Its log says why."
        session.tell(kind, f"{words}: {said}", _waits(words))
        self._pulse.beat()


def _waits(words: str) -> str:
    return f"{words}: under way. What comes of it is told here."


def _fresh(state: Any, name: str, seen: str) -> None:
    now = environments.current_number(state, name)
    if seen == str(now):
        return
    since = [
        f"Generation {g.number} by {g.actor}: {g.reason}."
        for g in environments.generations(state, name, 5) if seen.isdecimal() and len(seen) < LONG and g.number > int(seen)
    ]  # fmt: skip
    raise StaleError(
        f"Nothing was done: `{name}` is at generation {now}, and the page showed {seen[:20] or 'none'}.",
        detail=tuple(since), hint="Look at the page as it is now, and ask again.",
    )  # fmt: skip


def _is_page(scope: Scope) -> bool:
    """Whether a browser asks for a page to show."""
    return scope["method"] in {"GET", "HEAD"} and _shows_pages(scope)


def _shows_pages(scope: Scope) -> bool:
    return b"text/html" in next((v for n, v in scope["headers"] if n == b"accept"), b"")


def _sign_in(scope: Scope, *, ended: bool) -> str:
    query = scope["query_string"].decode("latin-1")
    to = quote(scope["path"]) + (f"?{query}" if query else "")
    return places.url("sign-in", to=None if to == "/" else to, ended=1 if ended else None)


def _static(name: str, **values: str) -> bytes:
    """A page of the package that nobody draws, with values escaped."""
    page, urls = files.text(name), files.names()
    known = {**values, "style": urls["style_css"], "script": urls["console_js"], "icon": urls["leaf_svg"]}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: escape(known[found[1]]), page).encode()


async def _redirect(send: Send, to: str, more: Pairs = ()) -> None:
    await answer(send, 303, b"", HTML, (*HEADERS, (b"location", to.encode("latin-1", "replace")), *more))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _piece(text: str) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}
