"""The limits that the page of help names are those of the code, and its commands and tables are there."""

import re
from pathlib import Path

import pytest

from tilth.app.beginning import CLASSES
from tilth.app.looked import SAMPLE
from tilth.core import errors
from tilth.interfaces.cli import planning, texts
from tilth.interfaces.cli.commands import LATER, STOPPED, tilth
from tilth.interfaces.http import bodies, crowd, predictions
from tilth.ml.learning.target import MOST_CLASSES
from tilth.runtime.project import loader
from tilth.runtime.project.settings import KEYS
from tilth.sql.language import tokens

PAGE = (Path(__file__).parents[2] / "docs" / "help.md").read_text("utf-8")
SAID = {
    "a text of statements": f"{tokens.MOST_TEXT:,} characters",
    "a file of declarations": f"{loader.LIMIT >> 20} MB",
    "a request's body": f"{bodies.LIMIT >> 20} MB",
    "rows in one request": f"{predictions.MOST_ROWS:,}; {predictions.MOST_EXPLAINED} with explanations",
    "connections": f"{crowd.MOST:,}",
    "classes of a target": f"{MOST_CLASSES:,}",
    "rows that `tilth init --from` reads": f"{SAMPLE:,}",
}


@pytest.mark.parametrize("what", SAID)
def test_a_limit_is_that_of_the_code(what: str) -> None:
    assert f"| {what} | {SAID[what]} |" in PAGE


def test_the_limits_of_a_statement_are_the_settings() -> None:
    found = {k.name: k.default for k in KEYS}
    assert f"{found['limits.statement_timeout']} and {found['limits.statement_memory']}" in PAGE
    assert CLASSES == MOST_CLASSES


def test_commands_and_links_are_there() -> None:
    for command in re.findall(r"`tilth ([a-z]+)", PAGE):
        assert command in {*LATER, *tilth.commands}, command
    for link in re.findall(r"\]\(([a-z]+\.md)\)", PAGE):
        assert (Path(__file__).parents[2] / "docs" / link).is_file()


def test_every_exit_status_is_told() -> None:
    table = PAGE[PAGE.index("| status | says |") : PAGE.index("## Coming from")]
    told = {int(n) for n in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert told == {0, planning.CHANGES, texts.CHANGES, STOPPED, *statuses(errors.TilthError)}


def statuses(cls: type[errors.TilthError]) -> set[int]:
    return {cls.exit_status, *(s for child in cls.__subclasses__() for s in statuses(child))}


def test_the_hooks_are_commands() -> None:
    hooks = re.findall(r"entry: tilth (\w+)", PAGE)
    assert hooks == ["fmt", "check"]
    assert set(hooks) <= set(LATER)
