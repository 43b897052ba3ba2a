"""`tilth deploy` prints files that their programs take."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tilth.interfaces.cli.commands import tilth
from tilth.interfaces.cli.deploy import FILES


def printed(*line: str) -> str:
    done = CliRunner().invoke(tilth, ["deploy", *line], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "the shop 100%"
    made.mkdir()
    (made / "tilth.toml").touch()
    return made


@pytest.mark.parametrize("what", FILES)
def test_a_file_is_printed_whole_and_nothing_is_written(folder: Path, what: str) -> None:
    text = printed(what, "--project", str(folder), "--port", "9000")
    assert "@@" not in text
    assert text.endswith("\n")
    assert (what in {"systemd", "container"}) is ("9000" in text)
    assert what != "grafana" or json.loads(text)["title"] == "tilth"
    assert [p.name for p in folder.iterdir()] == ["tilth.toml"]


@pytest.mark.parametrize("name", ["shop", "the shop 100%", "läden", "a$b"])
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path, name: str) -> None:
    project = tmp_path / name
    project.mkdir()
    (project / "tilth.toml").touch()
    text = printed("systemd", "--project", str(project))
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "User=tilth"):
        assert line in text.splitlines()
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here: the unit was not verified by it")
    unit = tmp_path / "tilth-x.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "tilth-x.service" not in done.stderr


BAD = [
    (["--user", "no body"], "is no name of a user"),
    (["--user", "x\nExecStart=/bin/sh"], "is no name of a user"),
    (["--user", ""], "is no name of a user"),
    (["--port", "0"], "not in the range"),
    (["--project", "/no/such/folder"], "There is no folder"),
]


@pytest.mark.parametrize(("options", "words"), BAD)
def test_what_a_unit_cannot_say_is_refused(folder: Path, options: list[str], words: str) -> None:
    line = ["deploy", "systemd", *([] if "--project" in options else ["--project", str(folder)]), *options]
    done = CliRunner().invoke(tilth, line)
    assert done.exit_code != 0
    assert words in done.output + str(done.exception)


def test_a_folder_with_a_quote_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / 'a"b'
    bad.mkdir()
    (bad / "tilth.toml").touch()
    done = CliRunner().invoke(tilth, ["deploy", "systemd", "--project", str(bad)])
    assert "cannot name" in done.output + str(done.exception)


def test_a_word_that_is_no_file_is_refused() -> None:
    assert CliRunner().invoke(tilth, ["deploy", "kubernetes"]).exit_code == 2
