"""What a client's text asks for, and the settings of a connection."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.core.errors import LanguageError, Position, TilthError, UnknownNameError, UnsupportedError
from tilth.interfaces.pgwire import commands as c
from tilth.interfaces.pgwire.failures import offset, reported
from tilth.interfaces.pgwire.settings import FIXED, NAMES, ONLY, REPORTED, Settings, seconds


def query(text: str, start: int = 0, *words: str) -> c.Tilth:
    return c.Tilth(text, start, words)


READ: dict[str, list[c.Command]] = {
    "": [],
    " ; ;; ": [],
    "-- nothing": [],
    "SELECT 1": [query("SELECT 1", 0, "SELECT")],
    "select 1; SHOW MODELS": [query("select 1", 0, "SELECT"), query("SHOW MODELS", 10, "SHOW", "MODELS")],
    "SELECT ';' AS \";\" -- ; \n": [query("SELECT ';' AS \";\"", 0, "SELECT", "AS")],
    "(SELECT 1) UNION (SELECT 2)": [query("(SELECT 1) UNION (SELECT 2)", 0, "SELECT")],
    "CREATE JOB j AS (SELECT 1; SELECT 2); SELECT 3": [
        query("CREATE JOB j AS (SELECT 1; SELECT 2)", 0, "CREATE", "JOB", "J", "AS"), query("SELECT 3", 38, "SELECT"),
    ],
    "BEGIN": [c.Transaction(c.BEGIN)],
    "begin isolation level serializable": [c.Transaction(c.BEGIN)],
    "START TRANSACTION READ ONLY": [c.Transaction(c.BEGIN)],
    "END": [c.Transaction(c.COMMIT)],
    "COMMIT AND CHAIN": [c.Transaction(c.COMMIT, chain=True)],
    "ROLLBACK": [c.Transaction(c.ROLLBACK)],
    "ABORT WORK": [c.Transaction(c.ROLLBACK)],
    'ROLLBACK TO SAVEPOINT "Mixed"': [c.Transaction(c.BACK_TO, "Mixed")],
    "ROLLBACK TO a": [c.Transaction(c.BACK_TO, "a")],
    "ROLLBACK ENVIRONMENT prod": [query("ROLLBACK ENVIRONMENT prod", 0, "ROLLBACK", "ENVIRONMENT", "PROD")],
    "SAVEPOINT A": [c.Transaction(c.SAVEPOINT, "a")],
    "RELEASE SAVEPOINT a": [c.Transaction(c.RELEASE, "a")],
    "SET active = m.3": [query("SET active = m.3", 0, "SET", "ACTIVE", "M")],
    "SET model_active m.3": [query("SET model_active m.3", 0, "SET", "MODEL_ACTIVE", "M")],
    "SET extra_float_digits = 3": [c.SetTo("extra_float_digits", "3")],
    "SET LOCAL search_path TO a, b": [c.SetTo("search_path", "a, b", local=True)],
    "SET TIME ZONE 'UTC'": [c.SetTo("timezone", "UTC")],
    "SET NAMES 'UTF8'": [c.SetTo("client_encoding", "UTF8")],
    "SET tilth.environment = 'dev'": [c.SetTo("tilth.environment", "dev")],
    "SET statement_timeout = DEFAULT": [c.SetTo("statement_timeout", None)],
    "RESET statement_timeout": [c.SetTo("statement_timeout", None)],
    "RESET ALL": [c.ResetAll()],
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": [c.Nothing("SET")],
    "SHOW server_version": [c.ShowSetting("server_version")],
    "SHOW ALL": [c.ShowSetting("all")],
    "SHOW TRANSACTION ISOLATION LEVEL": [c.ShowSetting("transaction_isolation")],
    "SHOW TIME ZONE": [c.ShowSetting("timezone")],
    "COPY d TO STDOUT": [c.CopyOut(c.Tilth("SELECT * FROM d", 5, ("SELECT",)))],
    "COPY s.d (a, b) TO STDOUT WITH CSV HEADER": [c.CopyOut(c.Tilth("SELECT a, b FROM s.d", 5, ("SELECT",)), "csv", header=True)],
    "COPY (SELECT (1)) TO STDOUT (FORMAT csv, HEADER false, DELIMITER ';', NULL 'x')": [
        c.CopyOut(query("SELECT (1)", 6, "SELECT"), "csv", delimiter=";", null="x"),
    ],
    "COPY (SELECT 1) TO STDOUT BINARY": [c.CopyOut(query("SELECT 1", 6, "SELECT"), "binary")],
    "DECLARE a NO SCROLL CURSOR WITH HOLD FOR SELECT 1": [c.Declare("a", query("SELECT 1", 41, "SELECT"), hold=True)],
    "FETCH a": [c.Fetch("a", 1)],
    "FETCH NEXT FROM a": [c.Fetch("a", 1)],
    "FETCH 7 IN a": [c.Fetch("a", 7)],
    "MOVE FORWARD ALL IN a": [c.Fetch("a", c.ALL, silent=True)],
    "CLOSE ALL": [c.CloseCursor(None)],
    'CLOSE "A"': [c.CloseCursor("A")],
    "DEALLOCATE PREPARE a": [c.Deallocate("a")],
    "DEALLOCATE ALL": [c.Deallocate(None)],
    "DISCARD ALL": [c.Discard()],
    "UNLISTEN *": [c.Nothing("UNLISTEN")],
    "RESET ROLE": [c.Nothing("RESET")],
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_what_a_text_asks_for(text: str) -> None:
    assert c.commands(text, NAMES) == READ[text]


REFUSED: dict[str, type[TilthError]] = {
    "COPY d FROM STDIN": UnsupportedError, "COPY (SELECT 1) TO 'file'": UnsupportedError, "COPY (SELECT 1) TO PROGRAM 'rm'": UnsupportedError,
    "COPY () TO STDOUT": LanguageError, "COPY (SELECT 1) TO STDOUT (FORMAT parquet)": LanguageError, "COPY (SELECT 1) TO STDOUT (SHINY)": LanguageError,
    "SET ROLE x": UnsupportedError, "SET SESSION AUTHORIZATION x": UnsupportedError, "SET x =": LanguageError,
    "PREPARE a AS SELECT 1": UnsupportedError, "LISTEN a": UnsupportedError, "NOTIFY a": UnsupportedError, "FETCH BACKWARD 1 FROM a": UnsupportedError,
    "DECLARE a SCROLL CURSOR FOR SELECT 1": UnsupportedError, "DECLARE a": LanguageError, "SELECT 'never": LanguageError,
    "DECLARE a CURSOR FOR": LanguageError,
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_done_is_refused(text: str) -> None:
    with pytest.raises(REFUSED[text]) as caught:
        c.commands(text, NAMES)
    assert caught.value.hint


WORDS = st.sampled_from(
    ["SELECT", "1", "'a;b'", ";", "(", ")", "SET", "x", "=", "TO", "COPY", "STDOUT", "BEGIN", "FETCH", "FROM", "ALL", ",", "$1", '"q"', "--c\n", "DECLARE", "CURSOR", "FOR"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=12))
def test_any_text_is_read_or_refused_in_words(words: list[str]) -> None:
    with contextlib.suppress(TilthError):
        assert all(isinstance(one, c.Command) for one in c.commands(" ".join(words), NAMES))


# --- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500", 0.5), ("0", 0), ("5s", 5), ("2min", 120), ("1h", 3600), ("250ms", 0.25), ("1d", 86400), ("30 seconds", 30), (" 5 s ", 5)],
)  # fmt: skip
def test_a_time_is_read_as_postgresql_and_as_tilth_write_it(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5", "5x", "s", "1e9999 s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TilthError):
        seconds(text)


def test_what_a_client_is_told_at_the_start_is_there() -> None:
    assert set(Settings.of("tilth", {}).values()) == set(REPORTED)


@pytest.mark.parametrize("name", sorted(ONLY))
def test_what_has_one_meaning_takes_it_and_nothing_else(name: str) -> None:
    found = Settings.of("tilth", {})
    for value in ONLY[name]:
        found.set(name, value)
    with pytest.raises(UnsupportedError):
        found.set(name, "something else")


@pytest.mark.parametrize("name", sorted(FIXED))
def test_what_nobody_sets_stays(name: str) -> None:
    found = Settings.of("tilth", {})
    with pytest.raises(TilthError, match="cannot be changed"):
        found.set(name, "other")
    assert found.get(name) == FIXED[name]


def test_what_a_client_comes_with_and_is_not_done_is_told() -> None:
    found = Settings.of(
        "tilth", {"TimeZone": "Europe/Berlin", "geqo": "off", "DateStyle": "ISO", "application_name": "a"}
    )
    assert (found.get("timezone"), found.get("application_name")) == ("UTC", "a")
    assert len(found.told) == 2
    assert "TimeZone" in found.told[0]
    with pytest.raises(UnsupportedError, match="client_encoding"):
        Settings.of("tilth", {"client_encoding": "LATIN1"})


def test_a_setting_of_a_transaction_goes_back() -> None:
    found = Settings.of("tilth", {"application_name": "a"})
    assert found.set("application_name", "b", local=True) == "application_name"
    assert found.get("APPLICATION_NAME") == "b"
    found.ended()
    assert found.get("application_name") == "a"
    found.set("statement_timeout", "5s")
    assert found.get("statement_timeout") == "5s"
    found.reset()
    assert found.get("statement_timeout") == "0"
    with pytest.raises(UnknownNameError, match="no setting"):
        found.set("nothing", "1")


# --- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("SELECT x", Position(1, 8), 7), ("SELECT\n x", Position(2, 2), 8), ("a", Position(9, 1), None), ("é x", Position(1, 3), 2),
        ("a", Position(1, 1, file="f.sql"), None),
    ],
)  # fmt: skip
def test_a_place_is_a_character(text: str, where: Position, expected: int | None) -> None:
    assert offset(text, where) == expected


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (UnknownNameError("`d` has no column `x`."), "42703"), (UnknownNameError("There is no dataset `x`."), "42P01"),
        (UnknownNameError("Scalar Function with name x does not exist."), "42883"), (UnknownNameError("There is no token `x`."), "42704"),
        (LanguageError("x"), "42601"), (KeyboardInterrupt(), "57014"), (ValueError("secret"), "XX000"),
    ],
)  # fmt: skip
def test_an_error_has_the_state_that_clients_know(error: BaseException, state: str) -> None:
    found = reported(error)
    assert found.state == state
    assert "secret" not in found.words
