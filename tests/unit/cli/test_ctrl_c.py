"""Ctrl-C ends every command with 130, whatever the library that was at work made of it."""

import os
import signal
from collections.abc import Callable

import click
import pytest

from tilth.core.errors import SourceError
from tilth.interfaces.cli import show
from tilth.interfaces.cli.commands import run, tilth


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def raised() -> None:
    press()


def made_an_error() -> None:
    try:
        press()
    except KeyboardInterrupt as error:
        raise OSError("cannot read the stream") from error


def made_one_of_ours() -> None:
    try:
        press()
    except KeyboardInterrupt as error:
        raise SourceError("The source went away.") from error


def lost_in_a_callback() -> None:
    try:
        press()
    except KeyboardInterrupt:
        show.Line().step("the next step")
        pytest.fail("the work went on")


@pytest.mark.parametrize("work", [raised, made_an_error, made_one_of_ours, lost_in_a_callback])
def test_ctrl_c_ends_a_command(
    work: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(tilth.commands, "work", click.Command("work", callback=work))
    before = signal.getsignal(signal.SIGINT)
    assert run(["work"]) == 130
    assert signal.getsignal(signal.SIGINT) is before
    out, err = capsys.readouterr()
    assert out == ""
    assert err.strip().startswith("Stopped;")


def test_without_ctrl_c_an_error_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise OSError("cannot read the stream")

    monkeypatch.setitem(tilth.commands, "work", click.Command("work", callback=work))
    assert run(["plan", "--project", "/nowhere"]) != 130
    capsys.readouterr()
    assert run(["work"]) == 1
    assert "OSError: cannot read the stream" in capsys.readouterr().err
