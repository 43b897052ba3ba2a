"""What a session is told by SET holds for its next statements, and what it does is in the log, and can be ended from elsewhere."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import http_server
import shop_project as c
from tilth.core.errors import (
    CancelledError,
    InputError,
    ResourceLimitError,
    RightError,
    TilthError,
    UnknownNameError,
)
from tilth.core.principals import Role, token
from tilth.runtime.asking.statements import masked
from tilth.runtime.record import statements as record


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with c.opened(c.make(tmp_path_factory.mktemp("settings") / "shop")) as opened:
        opened.apply()
        opened.apply("dev")
        yield opened


READER = token("ci", Role.READER)
NAP = "SELECT sleep_ms(60000)"


@pytest.mark.parametrize(
    ("said", "shown", "value"),
    [
        ("SET statement_timeout = '30 s'", "statement_timeout", "30 s"),
        ("SET statement_timeout = 1500", "statement_timeout", "1.5 s"),
        ("SET statement_timeout TO '2 min'", "statement_timeout", "120 s"),
        ("SET statement_timeout = 0", "statement_timeout", "60 s"),
        ("SET statement_timeout = 5; SET statement_timeout TO DEFAULT", "statement_timeout", "60 s"),
        ("SET statement_memory = '512 MB'", "statement_memory", "512 MB"),
        ("SET statement_disk = '1 GB'", "statement_disk", "1 GB"),
        ("SET tilth.environment = 'dev'", "tilth.environment", "dev"),
        ("USE dev", "tilth.environment", "dev"),
        ("USE dev; SET statement_memory = '1 GB'; RESET ALL", "tilth.environment", "prod"),
        ("USE dev; RESET tilth.environment", "tilth.environment", "prod"),
        ("SET application_name = 'psql'", "application_name", "psql"),
        ("SET application_name = 'psql'; RESET ALL", "application_name", ""),
    ],
)
def test_a_setting_is_shown_as_it_was_set(project: Any, said: str, shown: str, value: str) -> None:
    session = project.session()
    session.client_first = {"application_name": ""}
    session.client = dict(session.client_first)
    session.run(said)
    assert session.run(f"SHOW {shown}").rows() == [{shown: value}]
    every = {r["name"]: r["setting"] for r in session.run("SHOW ALL").rows()}
    assert every[shown] == value
    assert set(every) == {
        "application_name", "statement_disk", "statement_memory", "statement_timeout", "tilth.environment"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("SET statement_timeout = 'soon'", InputError),
        ("SET statement_timeout = '-3 s'", InputError),
        ("SET statement_timeout = 999999999999", InputError),
        ("SET statement_memory = 'much'", InputError),
        ("SET tilth.environment = 'nowhere'", UnknownNameError),
        ("SET tilth.environment = 'No Name'", InputError),
        ("USE nowhere", UnknownNameError),
        ("SET statement_timeuot = 3", UnknownNameError),
        ("RESET work_mem", UnknownNameError),
        ("SHOW work_mem", UnknownNameError),
    ],
)
def test_a_setting_that_is_none_is_refused_and_changes_nothing(
    project: Any, said: str, error: type[TilthError]
) -> None:
    session = project.session()
    before = session.run("SHOW ALL").rows()
    with pytest.raises(error) as caught:
        session.run(said)
    assert caught.value.hint
    assert session.run("SHOW ALL").rows() == before


def test_settings_hold_for_the_next_statements(project: Any) -> None:
    session = project.session()
    session.run("SET statement_timeout = '400 ms'")
    with pytest.raises(ResourceLimitError, match=r"0\.4 seconds"):
        session.run(NAP)
    session.run("RESET ALL; SET statement_memory = '30 MB'")
    with pytest.raises(ResourceLimitError):
        session.run("SELECT list(hash(range)) FROM range(20000000)").rows()
    session.run("RESET ALL; USE dev")
    assert session.run("SELECT environment FROM tilth.models LIMIT 1").rows()
    assert session.environment == "dev"


def test_who_is_no_owner_takes_less_and_not_more(project: Any) -> None:
    session = project.session(by=READER)
    session.run("SET statement_timeout = '1 s'; SET statement_memory = '1 GB'")
    for said in (
        "SET statement_timeout = '2 h'",
        "SET statement_memory = '20 GB'",
        "SET statement_disk = '1 TB'",
    ):
        with pytest.raises(RightError, match="token:ci"):
            session.run(said)
    project.session().run("SET statement_timeout = '2 h'")


# --- the log ---


def logged(project: Any, **wanted: Any) -> list[dict[str, Any]]:
    from tilth.runtime.asking import statements

    statements.write(project.state())
    rows = project.session(door="").run("SELECT * FROM tilth.statements ORDER BY number").rows()
    return [r for r in rows if all(r[k] == v for k, v in wanted.items())]


def test_what_was_asked_is_in_the_log(project: Any) -> None:
    session = project.session("dev", by=READER, door="test")
    session.run("SELECT id FROM deliveries LIMIT 7").rows()
    session.run("SHOW MODELS").rows()
    with pytest.raises(UnknownNameError):
        session.run("SELECT * FROM nowhere")
    with pytest.raises(RightError):
        session.run("RETRAIN late")
    reader = session.run("SELECT range AS n FROM range(1000000)").reader
    reader.read_next_batch()
    reader.close()
    del reader
    session.run("SET statement_timeout = '300 ms'")
    with pytest.raises(ResourceLimitError):
        session.run(NAP)
    found = logged(project, door="test")
    assert [(r["text"], r["status"], r["rows"], r["code"]) for r in found] == [
        ("SELECT id FROM deliveries LIMIT 7", "done", 7, None),
        ("SHOW MODELS", "done", 2, None),
        ("SELECT * FROM nowhere", "failed", None, "E-NAME"),
        ("RETRAIN MODEL late", "failed", None, "E-RIGHT"),
        ("SELECT range AS n FROM range(1000000)", "done", 32_768, None),
        ("SET statement_timeout = '300 ms'", "done", None, None),
        (NAP, "failed", None, "E-LIMIT"),
    ]
    assert {(r["principal"], r["environment"]) for r in found} == {("token:ci", "dev")}
    assert found[-1]["seconds"] >= 0.3
    assert len({r["id"] for r in found}) == 7


MASKED = {
    "CREATE SOURCE s ENGINE postgres WITH (url = 'postgresql://u:hush@h/d', password = 'hush');": (
        "CREATE SOURCE s ENGINE postgres WITH (url = 'postgresql://u:***@h/d', password = '***');"
    ),
    "CREATE DATABASE d WITH ENGINE = 'mysql', PARAMETERS = {\"user\": 'a', \"password\": 'hu''sh'}": (
        "CREATE DATABASE d WITH ENGINE = 'mysql', PARAMETERS = {\"user\": 'a', \"password\": '***'}"
    ),
    "WITH (api_key='hush', token = 'hush')": "WITH (api_key='***', token = '***')",
    "SELECT * FROM t WHERE name = 'secret'": "SELECT * FROM t WHERE name = 'secret'",
    "x" * 2_000_000: "x" * 1999 + "…",
    "SELECT '" + "password" * 200_000: "SELECT '" + "password" * 248 + "passwor…",
    "password = '" + "y" * 2_000_000: "password = '***'",
    "://" * 700_000: "://" * 666 + ":…",
}  # fmt: skip


@pytest.mark.parametrize("text", MASKED, ids=lambda t: t[:20])
def test_a_password_is_not_logged(text: str) -> None:
    assert masked(text) == MASKED[text]


def test_a_statement_of_another_session_is_seen_and_ended(project: Any) -> None:
    failed: list[BaseException] = []

    def asks() -> None:
        try:
            project.session(by=READER, door="elsewhere").run(NAP)
        except TilthError as error:
            failed.append(error)

    thread = threading.Thread(target=asks)
    thread.start()
    owner, running = (
        project.session(),
        "SELECT id, text, principal FROM tilth.statements WHERE status = 'running' AND door = 'elsewhere'",
    )
    http_server.wait(lambda: owner.run(running).rows())
    (seen,) = owner.run(running).rows()
    assert (seen["text"], seen["principal"]) == (NAP, "token:ci")
    with pytest.raises(RightError):
        project.session(by=token("other", Role.READER)).run(f"CANCEL STATEMENT '{seen['id']}'")
    with pytest.raises(UnknownNameError):
        owner.run("CANCEL STATEMENT 'abcdef'")
    owner.run(f"CANCEL STATEMENT '{seen['id']}'")
    thread.join(10)
    assert isinstance(failed[0], CancelledError)
    assert owner.principal.text in str(failed[0])
    assert [r["code"] for r in logged(project, door="elsewhere")] == ["E-CANCEL"]
    assert owner.run(running).rows() == []


def test_the_log_is_bounded(project: Any) -> None:
    logged(project)
    before = project.state().read("audit_tail")
    old = [
        record.Noted(
            f"old{i}", f"2020-01-0{i}T00:00:00Z", "a", "old", "prod", "done", "SELECT 1", 0.1, 1, None
        )
        for i in range(1, 9)
    ]
    record.note(project.state(), old)
    assert len(logged(project, door="old")) == 8
    record.forget(project.state(), project.clock.now() - timedelta(days=30))
    assert logged(project, door="old") == []
    many = len(logged(project))
    record.forget(project.state(), project.clock.now() - timedelta(days=3000), 3)
    assert len(logged(project)) == min(3, many)
    assert project.state().read("audit_tail") == before  # nothing of it is in the chain


def test_a_project_that_was_never_applied_logs_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    with c.opened(c.make(tmp_path_factory.mktemp("never") / "shop")) as never:
        assert never.session().door == ""
        assert never.sql("SELECT 1 AS a").rows() == [{"a": 1}]
