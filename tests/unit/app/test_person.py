"""Who acts through a project that is opened here."""

import os
import pwd

import pytest

from tilth.app import person as module
from tilth.app.person import person_here


def test_it_is_the_user_of_this_process_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert person_here().text == f"person:{pwd.getpwuid(os.geteuid()).pw_name}"


def test_a_user_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(module.pwd, "getpwuid", unknown)
    assert person_here().text == f"person:{os.geteuid()}"
