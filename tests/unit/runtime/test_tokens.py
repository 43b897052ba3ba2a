"""Tokens: which path each role is let in to, and what ends one. CREATE TOKEN and DROP TOKEN as a session says them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import memories
import pytest
from memories import BY, NOW

from tilth.core.errors import ProjectError, TilthError, UnknownNameError
from tilth.core.principals import Role, person
from tilth.interfaces.http.door import Door
from tilth.interfaces.http.guard import Guard
from tilth.interfaces.http.paths import PATHS
from tilth.plan.rights import RIGHTS, Right
from tilth.ports.clock import ManualClock
from tilth.ports.progress import Silent
from tilth.resources.graph import Graph
from tilth.runtime.asking.session import Session
from tilth.runtime.record import tokens
from tilth.runtime.serving.holders import Holders
from tilth.runtime.workspace import Workspace

SECRET = "s" * 43
NODE: Any = SimpleNamespace(
    table=None, health=lambda: {"status": "starting", "reasons": []}, route=lambda _name: 1 / 0
)


class Key(memories.Key):
    key_id = "0123456789abcdef"


@pytest.fixture
def work() -> Workspace:
    return replace(memories.workspace(), keys_of=Key, clock=ManualClock(NOW))


def session(work: Workspace) -> Session:
    empty = Graph(())
    return Session(work, "prod", BY, lambda: empty, lambda _env: empty, lambda _all: empty, Silent())


def made(work: Workspace, role: Role, more: str = "", name: str = "ci") -> str:
    found = session(work).run(f"CREATE TOKEN '{name}' FOR {role} {more}")
    return str(found.facts["token"])


class Shown:
    async def status(self) -> dict[str, Any]:
        return {"health": NODE.health()}

    async def promises(self) -> dict[str, Any]:
        return {}

    async def figures(self) -> bytes:
        return b""

    async def document(self, _rights: Any) -> dict[str, Any]:
        return {}


def asked(work: Workspace, path: str, given: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to a request with this token."""

    holders = Holders(work)
    holders.refresh()
    counts: Any = SimpleNamespace(text=lambda *_a: b"", add=lambda *_a: None)
    door = Door(NODE, NODE, Guard(SECRET, others=holders.who), counts, Shown())
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + given)]
    method = PATHS[path].method
    place = path.replace("<endpoint>", "e")
    scope = {"type": "http", "path": place, "method": method, "headers": headers, "query_string": b""}
    asyncio.run(door(scope, receive, send))  # type: ignore[arg-type]
    return int(sent[0]["status"]), sent[1]["body"]


def ended(work: Workspace, how: str, role: Role) -> tuple[bytes, str]:
    """A token of that state, and what is said to who sends it."""
    match how:
        case "good":
            return made(work, role).encode(), ""
        case "expired":
            given = made(work, role, "EXPIRES '1 hour'").encode()
            work.clock.set(NOW + timedelta(hours=1))  # type: ignore[attr-defined]
            return given, "The token `ci` expired on 2024-06-01."
        case "dropped":
            given = made(work, role).encode()
            session(work).run("DROP TOKEN 'ci'")
            return given, "The token `ci` was dropped on 2024-06-01."
        case "foreign":
            given = made(work, role).encode()
            return given.replace(b"01234567", b"89abcdef"), "This token is of another project."
        case "malformed":
            return made(work, role).encode()[:-1], "The token is wrong."
        case "another secret":
            return tokens.written("01234567", "A" * 43).encode(), "The token is wrong."
        case "not of ASCII":
            return "tilth_é".encode(), "The token is wrong."
    return made(work, role).encode() * 133, "The token is wrong."


HOW = ("good", "expired", "dropped", "foreign", "malformed", "another secret", "not of ASCII", "10 kB")
OPEN = [p for p, path in PATHS.items() if not path.rights]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("path", PATHS)
def test_each_path_lets_in_each_role_while_its_token_is_good(
    work: Workspace, path: str, role: Role, how: str
) -> None:
    given, said = ended(work, how, role)
    status, body = asked(work, path, given)
    rights = PATHS[path].rights
    if not rights:
        assert status in {200, 503}
    elif how == "good":
        assert (status != 403) is not RIGHTS[role].isdisjoint(rights)
        assert status != 401
        assert role is Role.OWNER or f"token:ci is a {role}".encode() in body or status != 403
    else:
        assert status == 401
        assert said.encode() in body
        assert given not in body
        assert f"FOR {role}".encode() in body or how not in {"expired", "dropped"}


@pytest.mark.parametrize("role", Role)
def test_a_reader_reads_and_a_predictor_predicts_and_no_more(role: Role, work: Workspace) -> None:
    given = made(work, role).encode()
    refused = {p for p in PATHS if asked(work, p, given)[0] == 403}
    only = {right: {p for p, path in PATHS.items() if path.rights == (right,)} for right in Right}
    assert refused == {
        Role.OWNER: set(), Role.READER: only[Right.PREDICT], Role.PREDICTOR: only[Right.READ]
    }[role]  # fmt: skip


def test_a_token_is_shown_once_and_kept_as_a_hash_that_nobody_can_ask_for(work: Workspace) -> None:
    result = session(work).run("CREATE TOKEN 'ci' FOR reader EXPIRES '90 days'")
    given = str(result.facts["token"])
    assert given in result.text
    assert result.facts["expires_at"] == "2024-08-30T00:00:00.000000Z"
    columns, rows = work.state.table("tokens")
    assert dict(zip(columns, rows[0], strict=True)) == {
        "id": 1, "name": "ci", "role": "reader", "created_at": "2024-06-01T00:00:00.000000Z", "made_by": BY.text,
        "expires_at": "2024-08-30T00:00:00.000000Z", "dropped_at": None, "used_on": None,
    }  # fmt: skip
    assert "token_hashes" not in work.state.tables()
    kept = [dict(r) for q in ("tokens", "audit") for r in work.state.read(q)]
    assert given not in repr(kept)
    assert tokens.hashed(given.encode()) not in repr([dict(r) for r in work.state.read("audit")])


def test_the_audit_names_who_made_and_dropped_it(work: Workspace) -> None:
    made(work, Role.READER)
    session(work).run("DROP TOKEN 'ci'")
    said = [(r["actor"], r["verb"], r["subject"]) for r in work.state.read("audit")]
    assert said == [(BY.text, "create token", "ci"), (BY.text, "drop token", "ci")]


def test_a_use_is_written_down_once_a_day(work: Workspace) -> None:
    given = made(work, Role.READER).encode()
    holders = Holders(work)
    for day in (0, 0, 1):
        work.clock.set(NOW + timedelta(days=day))  # type: ignore[attr-defined]
        holders.refresh()
        for _ in range(3):
            principal = holders.who(given)
        assert principal is not None
        assert principal.text == "token:ci"
        holders._turn()
    used = [r["detail"] for r in work.state.read("audit") if r["verb"] == "use token"]
    assert used == ['{"day":"2024-06-01"}', '{"day":"2024-06-02"}']
    assert tokens.there(work.state)["ci"].used_on == "2024-06-02"


BAD: list[tuple[str, type[TilthError], str]] = [
    ("CREATE TOKEN 'ci' FOR reader", ProjectError, "There is a token `ci` already"),
    ("DROP TOKEN 'cj'", UnknownNameError, "There is no token `cj`"),
    ("DROP TOKEN 'old'", UnknownNameError, "There is no token `old`"),
]


@pytest.mark.parametrize(("text", "error", "words"), BAD)
def test_what_cannot_be_done_changes_nothing(
    work: Workspace, text: str, error: type[TilthError], words: str
) -> None:
    made(work, Role.READER)
    made(work, Role.READER, name="old")
    session(work).run("DROP TOKEN 'old'")
    before = work.state.read("audit")
    with pytest.raises(error, match=words):
        session(work).run(text)
    assert work.state.read("audit") == before
    assert session(work).run("DROP TOKEN IF EXISTS 'cj'").facts == {"name": "cj", "dropped": False}


def test_a_name_is_free_again_once_its_token_is_dropped(work: Workspace) -> None:
    first = made(work, Role.READER)
    session(work).run("DROP TOKEN 'ci'")
    second = made(work, Role.PREDICTOR)
    assert asked(work, "/status", first.encode())[0] == 401
    assert asked(work, "/v2", second.encode())[0] == 200


def test_while_the_state_cannot_be_read_what_was_known_holds(work: Workspace) -> None:
    given, told = made(work, Role.READER).encode(), list[str]()
    broken = SimpleNamespace(version_counter=lambda: 1 / 0)
    holders = Holders(work, told.append)
    holders.refresh()
    holders._work = replace(work, state=broken)  # type: ignore[arg-type]
    holders._turn()
    holders._turn()
    assert told == ["tokens: ZeroDivisionError: division by zero; those known before hold"]
    found = holders.who(given)
    assert found is not None
    assert found.role is Role.READER
    assert person("x") != found
