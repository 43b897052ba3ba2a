"""The console's parts: its URLs, who is signed in, what a form may do, what is drawn once, and that every text is text."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tilth.core.errors import AuthError, TilthError
from tilth.core.principals import Principal, Role, token
from tilth.interfaces.console import acts, files, pages, places
from tilth.interfaces.console.drawing_process import FRESH, DrawingError, DrawingProcess, Key
from tilth.interfaces.console.kept import Kept
from tilth.interfaces.console.rendering import templates
from tilth.interfaces.console.sessions import IDLE, LONGEST, MOST, Sessions, WrongKeyError
from tilth.interfaces.drawing import graph
from tilth.interfaces.http.console import POLICY, Console
from tilth.interfaces.http.guard import Guard
from tilth.interfaces.http.pulse import Pulse
from tilth.kinds import show
from tilth.plan.rights import Right

SECRET = "s" * 32
EVIL = '<img src=x onerror="alert(1)">'

# --- URLs ----------------------------------------------------------------------------------------------------

MATCHED: list[tuple[str, tuple[str, dict[str, str]] | None]] = [
    ("/", ("/", {})),
    ("/acts/refresh", ("/acts/<act>", {"act": "refresh"})),
    ("/acts/a%2Fb%3C", ("/acts/<act>", {"act": "a/b<"})),
    ("/acts/", None),
    ("/acts/a/b", None),
    ("//", None),
    ("/../etc/passwd", None),
]


@pytest.mark.parametrize(("path", "found"), MATCHED)
def test_a_path_is_a_place_with_its_names_or_nothing(path: str, found: Any) -> None:
    assert places.match(path) == found


def test_each_place_has_a_page_and_no_page_is_elsewhere() -> None:
    assert set(pages.PAGES) == set(places.PLACES)


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil", "https://evil.example", "", "/a\nb", "/" + "x" * 3000]
)
def test_one_goes_back_to_this_server_alone(path: str) -> None:
    assert places.here(path) == "/"


# --- sessions ------------------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


SPANS = [(0.0, True), (IDLE - 1, True), (IDLE, False)]


@pytest.mark.parametrize(("rested", "lives"), SPANS)
def test_a_session_ends_when_nobody_uses_it(rested: float, lives: bool) -> None:
    clock = Clock()
    found = Sessions(clock)
    given = found.begin("hash")
    clock.now = rested
    assert (found.find(given) is not None) is lives


def test_a_session_that_is_used_goes_on_and_ends_all_the_same() -> None:
    clock = Clock()
    found = Sessions(clock)
    given = found.begin("hash")
    while clock.now < LONGEST - IDLE / 2:
        assert found.find(given) is not None
        clock.now += IDLE / 2
    clock.now = LONGEST
    assert found.find(given) is None


def test_sessions_are_random_bounded_and_over_when_they_are_ended() -> None:
    found = Sessions(Clock())
    given = [found.begin("hash") for _ in range(MOST + 1)]
    assert len(set(given)) == MOST + 1
    assert all(len(g) == 43 for g in given)
    assert found.find(given[0]) is None
    assert found.find(given[-1]) is not None
    found.end(given[-1])
    assert found.find(given[-1]) is None
    one = found.find(given[-2])
    assert one is not None
    with pytest.raises(WrongKeyError):
        one.require("x")
    one.require(one.key)


# --- acts ----------------------------------------------------------------------------------------------------

MADE = [
    ("refresh", {"name": "d"}, "REFRESH DATASET d"),
    ("look", {"name": "e", "kind": "endpoint"}, "LOOK AT ENDPOINT e"),
    ("retrain", {"name": "m"}, "RETRAIN MODEL m"),
    ("promote", {"name": "m", "version": "7", "because": "it's right"}, "PROMOTE MODEL m VERSION 7 BECAUSE 'it''s right'"),
    ("promote_environment", {"source": "dev", "environment": "prod"}, "PROMOTE ENVIRONMENT dev TO prod"),
    ("roll_back", {"environment": "prod", "generation": "3"}, "ROLLBACK ENVIRONMENT prod TO GENERATION 3"),
    ("release", {"name": "d", "where": "id = 7", "because": "seen"}, "RELEASE QUARANTINE d WHERE id = 7 BECAUSE 'seen'"),
    ("release", {"name": "d", "where": "id = 7", "set": "x = abs(x)", "because": "a sign"}, "RELEASE QUARANTINE d WHERE id = 7 SET x = abs(x) BECAUSE 'a sign'"),
    ("run_job", {"name": "j"}, "RUN JOB j"),
    ("cancel_run", {"run": "12"}, "CANCEL RUN '12'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "statement"), MADE)
def test_an_act_is_a_statement(name: str, fields: dict[str, str], statement: str) -> None:
    act = acts.act_of(name)
    assert show(act.makes(fields)).rstrip(";\n") == statement
    assert act.right in Right
    assert isinstance(act.makes(fields), act.kind)


def test_each_act_has_a_statement_here() -> None:
    assert {name for name, _, _ in MADE} == set(acts.ACTS)


REFUSED = [
    ("refresh", {"name": "d; DROP MODEL m"}),
    ("promote", {"name": "m", "version": "1 OR 1"}),
    ("promote", {"name": "m", "version": "9" * 30}),
    ("roll_back", {"environment": "prod; DROP"}),
    ("release", {"name": "d", "where": "TRUE BECAUSE 'x'; DROP DATASET d", "because": "y"}),
    ("release", {"name": "d", "where": "", "because": "y"}),
    ("release", {"name": "d", "where": "TRUE BECAUSE 'x' --", "because": "y"}),
    ("release", {"name": "d", "where": "TRUE", "set": "x = 1 BECAUSE 'z'; DROP MODEL m; --", "because": "y"}),
    ("nothing", {}),
]


@pytest.mark.parametrize(("name", "fields"), REFUSED)
def test_a_form_makes_one_statement_or_none(name: str, fields: dict[str, str]) -> None:
    with pytest.raises(TilthError) as raised:
        acts.act_of(name).makes(fields)
    assert raised.value.hint


# --- what is drawn -------------------------------------------------------------------------------------------


def test_a_template_escapes_what_it_is_given() -> None:
    made = templates().from_string(
        "{% from 'macros.html' import table, tag, link %}{{ table(['a'], [[x]]) }}{{ tag(x) }}{{ link(x, x) }}"
    )
    html = made.render(x=EVIL)
    assert "<img" not in html
    assert html.count("&lt;img") >= 3


def test_a_picture_escapes_what_is_in_it_and_folds_what_is_too_much() -> None:
    boxes = [
        graph.Box("source", "s"),
        *(graph.Box("model", f"m{n:03}", "good", (EVIL,), ("s",)) for n in range(100)),
    ]
    boxes.append(graph.Box("endpoint", "e", "bad", (), ("m099",), "/endpoints/e?a=<&"))
    drawn = graph.graph(
        boxes, ("source", "model", "endpoint"), lambda column, n: graph.Box(column, f"{n} more")
    )
    assert "<img" not in drawn
    assert "89 more" in drawn
    assert drawn.count('class="node"') == 1 + 12 + 1
    assert drawn.count('class="edge"') == 12 + 1
    assert "a=&lt;&amp;" in drawn


def test_what_never_changes_is_made_once_and_the_oldest_goes() -> None:
    kept, made = Kept(2), []

    def make(key: str) -> Callable[[], str]:
        return lambda: made.append(key) or key  # type: ignore[func-returns-value]

    for key in ("a", "a", "b", "a", "c", "a", "b"):
        assert kept.get(key, make(key)) == key
    assert made == ["a", "b", "c", "b"]


def test_a_server_that_nobody_looks_at_loads_no_templates() -> None:
    code = "import sys, tilth.interfaces.http.server; print({'jinja2', 'markupsafe'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


DRAWER = """
import os, sys, time, msgspec
from tilth.interfaces.console.frames import Wanted, Drawn, packed, read
count = 0
while (body := read(sys.stdin.buffer)) is not None:
    asked = msgspec.json.decode(body, type=Wanted)
    count += 1
    if asked.path == "/dies": os._exit(3)
    sys.stdout.buffer.write(packed(Drawn(asked.number, 200, f"{asked.path} {count} {os.getpid()}"))); sys.stdout.buffer.flush()
"""


def test_a_page_is_drawn_once_for_all_who_look_and_anew_by_another_process_when_one_died() -> None:
    told: list[str] = []

    async def run() -> None:
        drawing = DrawingProcess([sys.executable, "-c", DRAWER], {}, told.append)
        one = Key("/", (), "prod", "reader", 1)
        first = await asyncio.gather(*(drawing.page(one, {}, {}) for _ in range(10)))
        assert {d.html.rsplit(" ", 1)[0] for d in first} == {"/ 1"}
        assert FRESH > 1
        assert (await drawing.page(one, {}, {})).html == first[0].html
        others = [one._replace(role="owner"), one._replace(moment=2), one._replace(query=(("a", "b"),))]
        assert [(await drawing.page(o, {}, {})).html.split()[1] for o in others] == ["2", "3", "4"]
        with pytest.raises(DrawingError, match="ended"):
            await drawing.page(one._replace(path="/dies"), {}, {})
        again = await drawing.page(one._replace(moment=3), {}, {})
        assert again.html.split()[1] == "1"
        assert again.html.split()[2] != first[0].html.split()[2]
        for moment in range(4, 14):  # it is dead, and nobody knows yet
            assert drawing.pid is not None
            os.kill(drawing.pid, signal.SIGKILL)
            assert (await drawing.page(one._replace(moment=moment), {}, {})).html.split()[1] == "1"
        await drawing.stop()
        assert drawing.pid is None

    asyncio.run(run())
    said = "console: the process that draws pages ended with status 3; the next page starts it again"
    assert told[:2] == [said, said]  # it was asked for twice
    assert all("status -9" in one for one in told[2:])


def test_the_process_that_draws_ends_when_nobody_looks_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tilth.interfaces.console.drawing_process.REST", 0.05)
    told: list[str] = []

    async def run() -> None:
        drawing = DrawingProcess([sys.executable, "-c", DRAWER], {}, told.append)
        one = Key("/", (), "prod", "reader", 1)
        await drawing.page(one, {}, {})
        async with asyncio.timeout(20):
            while drawing.pid is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await drawing.page(one, {}, {})).html.startswith("/ 1 ")
        await drawing.stop()

    asyncio.run(run())
    assert not told


# --- the door ------------------------------------------------------------------------------------------------


class Drawing:
    """Draws marks, and says who asked for what."""

    def __init__(self) -> None:
        self.asked: list[Key] = []

    async def page(self, key: Key, _served: Any, marks: dict[str, str]) -> Any:
        self.asked.append(key)
        return SimpleNamespace(status=200, html=" ".join(marks[n] for n in ("who", "key", "said")))


class Browser:
    """Keeps the cookie of a console."""

    def __init__(self, *, secure: bool = False, holders: dict[str, Principal] | None = None) -> None:
        self.holders = holders if holders is not None else {}
        guard = Guard(SECRET, others=lambda given: self._held(given.decode()), kept=self._kept)
        self.drawing = Drawing()
        self.pulse = Pulse(lambda: 1, lambda: 1)
        self.console = Console(guard, self.drawing, self.pulse, dict, secure=secure)  # type: ignore[arg-type]
        self.cookie = b""

    def _held(self, given: str) -> Principal | None:
        return self.holders.get(given)

    def _kept(self, kept: str) -> Principal | None:
        from hashlib import sha256

        return next((p for t, p in self.holders.items() if sha256(t.encode()).hexdigest() == kept), None)

    def ask(
        self, method: str, path: str, body: bytes = b"", *headers: tuple[bytes, bytes]
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        return asyncio.run(self.sent(method, path, body, *headers))

    async def sent(
        self, method: str, path: str, body: bytes = b"", *headers: tuple[bytes, bytes]
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        path, _, query = path.partition("?")
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        own = [(b"host", b"127.0.0.1"), (b"accept", b"text/html"), *headers]
        own += [(b"cookie", self.cookie)] if self.cookie else []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": own,
        }
        await self.console(scope, receive, send)
        found = dict(sent[0]["headers"])
        self.cookie = found.get(b"set-cookie", self.cookie).partition(b";")[0]
        return sent[0]["status"], found, sent[1]["body"]

    def sign_in(self, given: str = SECRET, to: str = "/") -> tuple[int, dict[bytes, bytes], bytes]:
        return self.ask("POST", "/sign-in", f"token={given}&to={to}".encode())


def test_who_is_not_signed_in_is_asked_for_a_token_and_comes_back_to_the_page() -> None:
    browser = Browser()
    status, headers, _ = browser.ask("GET", "/acts/refresh?name=d")
    assert (status, headers[b"location"]) == (303, b"/sign-in?to=%2Facts%2Frefresh%3Fname%3Dd")
    status, headers, body = browser.ask("GET", headers[b"location"].decode())
    assert status == 200
    assert b'value="/acts/refresh?name=d"' in body
    assert headers[b"content-security-policy"] == POLICY.encode()
    assert "unsafe" not in POLICY
    status, headers, _ = browser.sign_in(to="%2Facts%2Frefresh%3Fname%3Dd")
    assert (status, headers[b"location"]) == (303, b"/acts/refresh?name=d")
    assert headers[b"set-cookie"].endswith(b"; Path=/; HttpOnly; SameSite=Strict")
    status, _, body = browser.ask("GET", "/")
    who, key, *_ = body.decode().rsplit(" ", 2)
    assert (status, who) == (200, "token:project (owner)")
    assert len(key) == 43
    assert browser.drawing.asked[0].role == "owner"


def test_over_tls_the_cookie_goes_by_tls_alone() -> None:
    _, headers, _ = Browser(secure=True).sign_in()
    assert headers[b"set-cookie"].startswith(b"__Host-tilth-")
    assert headers[b"set-cookie"].endswith(b"; Secure")


SIGNED: list[tuple[str, int, bytes]] = [
    ("x" * 32, 401, b"The token is wrong."),
    ("", 401, b"This needs a token."),
    ("predictor", 403, b"token:p is a predictor"),
    (EVIL, 401, b"The token is wrong."),
]


@pytest.mark.parametrize(("given", "status", "said"), SIGNED)
def test_who_may_not_look_is_told_why(given: str, status: int, said: bytes) -> None:
    browser = Browser(holders={"predictor": token("p", Role.PREDICTOR)})
    found, headers, body = browser.sign_in(given, "//evil.example")
    assert found == status
    assert said in body
    assert b'name="to" value="/"' in body
    assert b"set-cookie" not in headers
    assert b"<img" not in body


FOREIGN = [(b"sec-fetch-site", b"cross-site"), (b"origin", b"https://evil.example")]


@pytest.mark.parametrize("header", FOREIGN)
@pytest.mark.parametrize("path", ["/sign-in", "/acts/refresh", "/sign-out"])
def test_a_page_of_others_can_neither_sign_in_nor_act(path: str, header: tuple[bytes, bytes]) -> None:
    status, headers, _ = Browser().ask("POST", path, f"token={SECRET}".encode(), header)
    assert status == 403
    assert b"set-cookie" not in headers


def test_a_token_that_only_predicts_opens_no_page() -> None:
    browser = Browser(holders={"p" * 40: token("p", Role.PREDICTOR)})
    for path in ("/", "/events", "/acts/refresh"):
        status, _, body = browser.ask("GET", path, b"", (b"authorization", b"Bearer " + b"p" * 40))
        assert status == 403
        assert b"token:p is a predictor" in body
    assert not browser.drawing.asked


def test_a_session_ends_with_its_token_and_says_so() -> None:
    holders = {"reader": token("r", Role.READER)}
    browser = Browser(holders=holders)
    assert browser.sign_in("reader")[0] == 303
    assert browser.ask("GET", "/")[0] == 200
    holders.clear()
    status, headers, _ = browser.ask("GET", "/")
    assert (status, headers[b"location"]) == (303, b"/sign-in?ended=1")
    assert b"The session ended" in browser.ask("GET", "/sign-in?ended=1")[2]


def test_who_signs_in_again_gets_another_session_and_the_one_before_is_over() -> None:
    browser = Browser()
    browser.sign_in()
    before = browser.cookie
    browser.sign_in()
    assert browser.cookie != before
    assert browser.ask("GET", "/")[0] == 200
    browser.cookie = before
    assert browser.ask("GET", "/")[0] == 303


def test_a_token_opens_a_page_without_a_session_and_gets_no_key() -> None:
    browser = Browser()
    status, headers, body = browser.ask("GET", "/", b"", (b"authorization", b"Bearer " + SECRET.encode()))
    assert (status, body) == (200, b"token:project (owner)  ")
    assert b"set-cookie" not in headers
    assert browser.ask("GET", "/", b"", (b"authorization", b"Bearer x"))[0] == 303


def test_what_a_form_does_needs_its_key_and_signing_out_ends_all() -> None:
    browser = Browser()
    browser.sign_in()
    assert browser.ask("POST", "/sign-out", b"key=x")[0] == 403
    key = browser.ask("GET", "/")[2].split()[2]
    assert (
        browser.ask("POST", "/acts/refresh", b"name=d&key=" + key)[0] == 403
    )  # nothing here performs statements
    before = browser.cookie
    assert browser.ask("POST", "/sign-out", b"key=" + key)[0] == 303
    browser.cookie = before
    assert browser.ask("GET", "/")[0] == 303


METHODS = [
    ("DELETE", "/sign-in", b"GET, HEAD, POST"),
    ("PUT", "/acts/refresh", b"GET, HEAD, POST"),
    ("PATCH", "/query", b"GET, HEAD, POST"),
    ("GET", "/query/chart", b"POST"),
    ("POST", "/query/history", b"GET, HEAD"),
    ("GET", "/sign-out", b"POST"),
    ("HEAD", "/events", b"GET"),
    ("POST", "/", b"GET, HEAD"),
    ("POST", "/static/x", b"GET, HEAD"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), METHODS)
def test_a_path_has_its_methods(method: str, path: str, allowed: bytes) -> None:
    status, headers, _ = Browser().ask(method, path)
    assert (status, headers[b"allow"]) == (405, allowed)


FORMS: list[tuple[str, bytes, int, bytes]] = [
    ("/sign-in", b"&".join(b"a%d=1" % n for n in range(150)), 422, b"over 100 fields"),
    ("/sign-in", b"token=" + b"x" * (65 << 10), 413, b"over the limit of 64 KB"),
    ("/sign-in", b"token=\xff%ff%00&to=%0d%0aX:y", 401, b"The token is wrong."),
]


@pytest.mark.parametrize(("path", "body", "status", "said"), FORMS)
def test_a_form_that_is_none_is_refused_with_its_reason(
    path: str, body: bytes, status: int, said: bytes
) -> None:
    found, _, page = Browser().ask("POST", path, body)
    assert found == status
    assert said in page


@pytest.mark.parametrize("by", ["session", "token", "signed out"])
def test_who_listens_is_let_go_once_nothing_lets_in_any_more(by: str) -> None:
    holders = {"r" * 40: token("r", Role.READER)}
    browser = Browser(holders=holders)
    browser.sign_in("r" * 40)
    key = browser.ask("GET", "/")[2].split()[2]
    headers = [(b"host", b"127.0.0.1"), (b"cookie", browser.cookie)]
    if by == "token":
        headers.append((b"authorization", b"Bearer " + b"r" * 40))
    sent: list[Any] = []

    async def run() -> None:
        began = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message)
            if b"hello" in message.get("body", b""):
                began.set()

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        scope = {"type": "http", "method": "GET", "path": "/events", "query_string": b"", "headers": headers}
        listening = asyncio.ensure_future(browser.console(scope, receive, send))
        await began.wait()
        if by == "signed out":
            await browser.sent("POST", "/sign-out", b"key=" + key)
        else:
            holders.clear()
        browser.pulse.beat()
        await asyncio.wait_for(listening, 10)

    asyncio.run(run())
    assert sent[-1] == {"type": "http.response.body", "body": b""}
    assert not any(b"moved" in m.get("body", b"") for m in sent)


def test_a_statement_of_a_page_needs_the_key_of_its_session() -> None:
    browser = Browser()
    browser.sign_in()
    key = browser.ask("GET", "/")[2].split()[2]
    scope: dict[str, Any] = {"headers": [(b"cookie", browser.cookie), (b"x-tilth-key", key)]}
    found = browser.console.holder(scope)
    assert found is not None
    assert found.text == "token:project"
    with pytest.raises(WrongKeyError):
        browser.console.holder({"headers": [(b"cookie", browser.cookie), (b"x-tilth-key", b"y")]})
    with pytest.raises(AuthError):
        browser.console.holder({"headers": [(b"x-tilth-key", key)]})
    assert browser.console.holder({"headers": [(b"cookie", browser.cookie)]}) is None


def test_a_file_has_the_url_of_what_is_in_it_and_is_kept() -> None:
    for name, url in files.names().items():
        status, headers, body = Browser().ask("GET", url)
        assert (status, len(body) > 0) == (200, True), name
        assert b"immutable" in headers[b"cache-control"]
    assert Browser().ask("GET", "/static/0000000000000000/console.js")[0] == 404
    assert Browser().ask("GET", "/static/../console.py")[0] == 404


def test_who_listens_is_told_when_something_moved_and_nothing_is_looked_at_else() -> None:
    marks = iter([0, 0, *[1] * 100])

    async def run() -> list[bool]:
        pulse, gone = Pulse(lambda: next(marks), lambda: 0), asyncio.get_running_loop().create_future()
        with pulse.listening() as one:
            first = await one.wait(5, gone)
            pulse.beat()
            second = await one.wait(5, gone)
            gone.set_result(None)
            return [first, second, await one.wait(5, gone)]

    assert asyncio.run(run()) == [True, True, False]
