"""The project is found from inside it, names complete, and every command says what to do next."""

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from tilth.interfaces.cli.commands import LATER, tilth
from tilth.interfaces.cli.folders import above, folder_of
from tilth.runtime.showing.next_steps import AFTER, MOST, after

DECLARED = "CREATE SOURCE s ENGINE files WITH (path = 'data');\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop" / "models" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "data").mkdir()
    (tmp_path / "shop" / "tilth.toml").write_text('serving = "live"\n')
    (tmp_path / "shop" / "models" / "all.sql").write_text(DECLARED)
    return tmp_path / "shop"


def run(folder: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(folder)
    return CliRunner().invoke(tilth, arguments)


@pytest.mark.parametrize("inside", ["models", "models/deep", "data"])
def test_the_project_is_found_from_inside_and_told(
    project: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(project / inside, "plan", monkeypatch=monkeypatch)
    assert f"The project is {project}." in done.stderr
    assert "source s: declare (new)" in done.stdout
    assert "The project is" not in run(project, "plan", monkeypatch=monkeypatch).stderr


def test_the_nearest_project_is_meant_and_a_named_one_is_taken_as_it_is(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert above(str(project / "models")) == str(project)
    (project / "models" / "deep" / "tilth.toml").write_text("")
    assert above(str(project / "models" / "deep")) == str(project)
    monkeypatch.chdir(project / "models" / "deep")
    assert folder_of(".") == "."
    assert folder_of("..") == ".."
    monkeypatch.chdir(project.parent)
    assert folder_of(".", tell=False) in (".", above(str(project.parent)))


def test_a_stranger_s_project_around_is_not_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, path = os.stat, str(project / "tilth.toml")

    def stat(name: Any, *a: Any, **k: Any) -> Any:
        found = real(name, *a, **k)
        if name != path:
            return found
        return os.stat_result((*found[:4], 12345, *found[5:10]))

    monkeypatch.setattr("os.stat", stat)
    assert above(str(project / "models")) != str(project)


@pytest.mark.parametrize(("arguments", "status"), [(("--exit-code",), 10), ((), 0)])
def test_a_plan_says_by_its_status_whether_something_would_change(
    project: Path, arguments: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(project, "plan", *arguments, monkeypatch=monkeypatch).exit_code == status
    assert run(project, "apply", monkeypatch=monkeypatch).exit_code == 0
    assert run(project, "plan", *arguments, monkeypatch=monkeypatch).exit_code == 0


def test_environments_say_where_they_stand(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(project, "environments", monkeypatch=monkeypatch).stdout == "There is no environment yet.\n"
    assert not (project / ".tilth").exists()
    run(project, "apply", "--env", "dev", monkeypatch=monkeypatch)
    found = json.loads(run(project, "environments", "--json", monkeypatch=monkeypatch).stdout)
    assert [(e["name"], e["generation"]) for e in found["environments"]] == [("dev", 1)]
    assert (found["serving"], found["default"]) == ("live", "prod")
    assert found["next"] == ["tilth promote dev live   give live all that it points at"]


STEPS: dict[str, dict[str, Any]] = {
    "plan": {"actions": [], "generation": 0, "environment": "dev"},
    "apply": {"environment": "dev", "generation": 2},
    "check": {"ok": True},
    "sql": {"statement": "RefreshDataset", "name": "d", "refused": False},
    "deploy": {"what": "systemd", "name": "shop", "read": False},
    "up": {"environment": "dev", "endpoints": ["api"], "generation": 1},
    "demo": {"kept": None},
    "fmt": {"problems": [], "changed": ["a.sql"], "written": False},
    "promote": {"environment": "live"},
    "rollback": {"environment": "live", "from": 3},
    "drill": {"model": "late"},
    "gc": {},
    "profile": {"name": "d"},
    "backfill": {"statement": "RefreshDataset", "name": "d", "refused": False},
    "test": {"cases": []},
    "diff": {"second": "late@2"},
    "watch": {"environment": "dev", "looks": [{"model": "late"}]},
    "verify": {},
    "backup": {},
    "restore": {},
    "init": {"folder": "it's"},
    "describe": {"kind": "dataset", "name": "d", "deployed": True, "environment": "dev"},
    "report": {"name": "late"},
    "suggest": {"dataset": "d", "proposals": [{}], "file": None},
    "predict": {"model": "late"},
    "export": {"model": "late"},
    "adopt": {"adopted": ["late"], "file": "adopted.sql"},
    "import": {"model": "late", "version": 2, "status": "held"},
    "install": {"engine": "autogluon"},
    "environments": {"environments": [], "serving": "prod"},
}


@pytest.mark.parametrize("command", AFTER)
def test_a_command_says_what_to_do_next(command: str) -> None:
    steps = after(command, STEPS[command], " --env dev")
    assert 1 <= len(steps) <= MOST
    assert all("   " in step or "CREATE" in step for step in steps)


def test_every_command_has_a_next_step() -> None:
    assert {*LATER, *tilth.commands} - set(AFTER) == {"status", "reconcile"}
    assert after("init", {"folder": "it's"})[0].startswith("cd 'it'\"'\"'s' && ")
    assert after("plan", {"actions": [1], "generation": 0, "environment": "dev"}, " --env dev") == [
        "tilth apply --env dev   do this"
    ]


COMPLETES = [
    (["describe"], "", ["s"]),
    (["describe"], "x", []),
    (["watch"], "", []),
    (["plan", "--env"], "", ["dev", "live", "prod"]),
    (["promote"], "d", ["dev"]),
    (["rollback"], "l", ["live"]),
    (["init", "x", "--template"], "f", ["flights"]),
    (["diff"], "", []),
    (["apply"], "pl", ["pl"]),  # a file: the shell's own
    (["plan", "--out"], "", [""]),
    (["fmt", "a.sql"], "b", ["b"]),
]


@pytest.mark.parametrize(
    ("words", "begun", "found"), COMPLETES, ids=[" ".join(w) + b for w, b, _ in COMPLETES]
)
def test_the_shell_completes_names(
    project: Path, words: list[str], begun: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, "apply", "--env", "dev", monkeypatch=monkeypatch)
    complete = ShellComplete(tilth, {}, "tilth", "_TILTH_COMPLETE")
    assert [c.value for c in complete.get_completions(words, begun)] == found


def test_completing_where_no_project_is_says_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    complete = ShellComplete(tilth, {}, "tilth", "_TILTH_COMPLETE")
    assert complete.get_completions(["describe"], "") == []
    assert complete.get_completions(["describe", "--project", "nowhere"], "") == []
    assert [c.type for c in complete.get_completions(["plan", "--project"], "sh")] == ["dir"]
    assert os.listdir(tmp_path) == []
    assert capsys.readouterr() == ("", "")
    assert isinstance(tilth, click.Group)
