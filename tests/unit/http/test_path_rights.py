"""Every path names the right that it asks for, and the guard asks for it before anything is answered."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tilth.core.errors import AuthError
from tilth.core.principals import Role, token
from tilth.interfaces.http.door import Door
from tilth.interfaces.http.guard import Guard
from tilth.interfaces.http.paths import PATHS
from tilth.plan.rights import RIGHTS, Right

SECRET = "s" * 32
NODE: Any = SimpleNamespace(table=None, health=lambda: {"status": "starting", "reasons": []})


class Shown:
    async def status(self) -> dict[str, Any]:
        return {"health": NODE.health()}

    async def promises(self) -> dict[str, Any]:
        return {}

    async def figures(self) -> bytes:
        return b""

    async def document(self, _rights: Any) -> dict[str, Any]:
        return {}


def _asked(path: str, role: Role, *, given: str | None = SECRET) -> int:
    """The status of the answer to a request by somebody let in as that."""

    counts: Any = SimpleNamespace(text=lambda *_a: b"")
    door = Door(NODE, NODE, Guard(SECRET, token("t", role)), counts, Shown())
    headers = [(b"host", b"127.0.0.1")]
    headers += [(b"authorization", f"Bearer {given}".encode())] if given else []
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "path": path, "method": "GET", "headers": headers, "query_string": b""}
    asyncio.run(door(scope, receive, send))  # type: ignore[arg-type]
    return int(sent[0]["status"])


ASKED = {
    "/metrics": {Right.READ},
    "/openapi.json": {Right.READ, Right.PREDICT},
    "/promises": {Right.READ},
    "/status": {Right.READ},
    "/v2": {Right.PREDICT},
    "/nowhere": {Right.READ, Right.PREDICT},  # what is not there is told so to whoever holds a token
    "/STATUS": {Right.READ, Right.PREDICT},
    "/v2/repository/index": {Right.READ, Right.PREDICT},
}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("path", ASKED)
def test_a_path_is_answered_to_who_has_its_right_and_to_nobody_else(path: str, role: Role) -> None:
    allowed = not RIGHTS[role].isdisjoint(ASKED[path])
    found = _asked(path, role)
    assert (found != 403) is allowed
    assert (found in {200, 404}) is allowed
    assert _asked(path, role, given=None) == 401
    assert _asked(path, role, given="x" * 32) == 401


AUTHORIZATIONS: list[tuple[list[bytes], str]] = [
    ([], "This needs a token."),
    ([b""], "The header Authorization is empty, or given more than once."),
    ([b"Bearer " + SECRET.encode()] * 2, "The header Authorization is empty, or given more than once."),
    ([SECRET.encode()], "The header Authorization does not say `Bearer` before the token."),
    ([b"Basic " + SECRET.encode()], "The header Authorization does not say `Bearer` before the token."),
    ([b"Bearer"], "The token is wrong."),
    ([b"Bearer " + b"x" * 32], "The token is wrong."),
]


@pytest.mark.parametrize(("given", "said"), AUTHORIZATIONS)
def test_what_is_wrong_with_the_header_is_said(given: list[bytes], said: str) -> None:
    headers = [(b"host", b"127.0.0.1"), *((b"authorization", value) for value in given)]
    with pytest.raises(AuthError) as raised:
        Guard(SECRET).check(headers, (Right.READ,))
    assert raised.value.message == said
    assert "Authorization: Bearer <token>" in str(raised.value.hint)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("path", [p for p, known in PATHS.items() if not known.rights])
def test_what_holds_nothing_secret_asks_for_no_token(path: str) -> None:
    assert _asked(path, Role.PREDICTOR, given=None) in {200, 503}


def test_the_table_of_paths_is_the_one_that_answers() -> None:
    assert {p for p, known in PATHS.items() if not known.rights} == {"/healthz", "/ping"}
    assert PATHS["/predict/<endpoint>"].rights == (Right.PREDICT,)
