"""What is wrong with the state, its head or the keys is an error at every command, with the next step; nothing begins anew."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import damage as d
from tilth.core.errors import TilthError
from tilth.interfaces.cli.commands import run

COMMANDS = {
    "status": ["status"],
    "sql": ["sql", "SELECT count(*) AS n FROM d"],
    "plan": ["plan"],
    "apply": ["apply"],
    "up": ["up", "--port", "0", "--no-reconcile"],
    "verify": ["verify"],
    "verify --quick": ["verify", "--quick"],
    "gc": ["gc"],
    "backup": ["backup", "x.tilth"],
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An applied project, and beside it its state as it was half way."""
    folder = tmp_path_factory.mktemp("good") / "p"
    project = d.applied(folder)
    project.state().backup(str(folder.parent / "old.db"))
    project.sql("REFRESH DATASET d")
    project.apply("dev")
    project.close()
    return folder


def execute(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


def replace_state(home: Path, by: Path) -> None:
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (home / name).unlink(missing_ok=True)
    shutil.copyfile(by, home / "state.db")


def page(home: Path) -> None:
    """Harm the first page of the table of environments, which every command reads."""
    with closing(sqlite3.connect(home / "state.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'environments'").fetchone()
    with open(home / "state.db", "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 200)


def say_less(home: Path) -> None:
    """A head of an earlier row, with the signature of the newest."""
    said = json.loads((home / "head.json").read_text())
    with closing(sqlite3.connect(home / "state.db")) as db:
        (said["hash"],) = db.execute("SELECT hash FROM audit WHERE sequence = 2").fetchone()
    (home / "head.json").write_text(json.dumps({**said, "sequence": 2}))


Harm = Callable[[Path], object]
CASES: dict[str, tuple[Harm, str, str, str]] = {
    # harm, code, what is said, what is to be done
    "state gone": (
        lambda h: [p.unlink() for p in h.glob("state.db*")],
        "E-STATE",
        "is missing",
        "tilth restore FILE",
    ),
    "state empty": (lambda h: (h / "state.db").write_bytes(b""), "E-STATE", "is empty", "tilth restore FILE"),
    "state is another file": (
        lambda h: (h / "state.db").write_bytes(b"no database " * 999),
        "E-STATE",
        "is damaged",
        "tilth restore FILE",
    ),
    "old state": (
        lambda h: replace_state(h, h.parent.parent / "old.db"),
        "E-STATE",
        "older than its signed head",
        "tilth restore FILE",
    ),
    "audit rows deleted": (
        lambda h: execute(
            h / "state.db", "DELETE FROM audit WHERE sequence > (SELECT max(sequence) - 3 FROM audit)"
        ),
        "E-STATE",
        "older than its signed head",
        "tilth restore FILE",
    ),
    "another history": (
        lambda h: execute(
            h / "state.db", "UPDATE audit SET hash = 'x' WHERE sequence = (SELECT max(sequence) FROM audit)"
        ),
        "",
        "is another",
        "tilth restore FILE",
    ),
    "state page": (page, "E-STATE", "damaged", "tilth restore FILE"),
    "head gone": (lambda h: (h / "head.json").unlink(), "E-STATE", "head.json, is missing", "--new-head"),
    "head tampered": (say_less, "E-TAMPER", "not signed by this project's key", "--new-head"),
    "head garbage": (
        lambda h: (h / "head.json").write_bytes(b"\x00{"),
        "E-TAMPER",
        "cannot be read",
        "tilth restore",
    ),
    "head without end": (
        lambda h: (h / "head.json").write_text(
            '{"sequence": 1e400, "hash": "x", "key_id": "x", "signature": ""}'
        ),
        "E-TAMPER",
        "cannot be read",
        "tilth restore",
    ),
    "both keys gone": (
        lambda h: shutil.rmtree(h / "keys"),
        "E-STATE",
        "no key is there",
        "tilth restore FILE",
    ),
    "state is a link": (
        lambda h: ((h / "state.db").rename(h.parent / "s.db"), (h / "state.db").symlink_to("../s.db")),
        "E-STORAGE",
        "is a link",
        "rm ",
    ),
    "state is a device": (
        lambda h: ((h / "state.db").unlink(), (h / "state.db").symlink_to("/dev/null")),
        "E-STORAGE",
        "is a link",
        "rm ",
    ),
    "open to others": (
        lambda h: (h / "state.db").chmod(0o666),
        "E-STORAGE",
        "Other users may write",
        "chmod go-w",
    ),
}


@pytest.fixture
def copy(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the good project, with the folder as the present one."""
    shutil.copytree(good.parent, tmp_path / "good")
    folder = tmp_path / "good" / "p"
    monkeypatch.chdir(folder)
    return folder


def kept(home: Path) -> list[tuple[str, int]]:
    """Names and sizes of what matters: locks, the token and what SQLite keeps beside its file do not."""
    beside = ("state.db-", "token", "null-journal", "blobs.verified")
    found = ((str(p.relative_to(home)), os.lstat(p).st_size) for p in home.rglob("*") if p.suffix != ".lock")
    return sorted(f for f in found if not f[0].startswith(beside))


@pytest.mark.parametrize("name", CASES)
def test_each_command_says_what_is_wrong_and_changes_nothing(
    copy: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    harm, code, says, step = CASES[name]
    home = copy / ".tilth"
    harm(home)
    before = kept(home)
    for command, arguments in COMMANDS.items():
        status = run(arguments)
        told = capsys.readouterr().err
        assert status in (5, 7), (command, told)
        assert "Traceback" not in told
        if command.startswith("verify") and name == "another history":
            assert "audit chain breaks" in told  # it says that first, and the rest below
            continue
        assert says in told, (command, told)
        assert step in told, (command, told)
        assert code in told, (command, told)
    assert kept(home) == before


def test_with_the_private_key_gone_what_is_there_is_asked_and_nothing_new_is_made(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / ".tilth" / "keys" / "signing_key.pem").unlink()
    public = (copy / ".tilth" / "keys" / "signing_key.pub").read_bytes()
    for command in ("status", "sql", "plan", "verify"):
        assert run(COMMANDS[command]) == 0, capsys.readouterr().err
    capsys.readouterr()
    for arguments in (["sql", "REFRESH DATASET d"], ["gc"], ["rollback"]):
        assert run(arguments) == 5
        told = capsys.readouterr().err
        assert "signing_key.pem is gone" in told
        assert "tilth restore FILE" in told
    assert [p.name for p in (copy / ".tilth" / "keys").iterdir()] == ["signing_key.pub"]
    assert (copy / ".tilth" / "keys" / "signing_key.pub").read_bytes() == public
    assert run(["backup", "x.tilth"]) == 0
    assert run(["backup", "y.tilth", "--with-keys"]) == 5


def test_a_lost_head_can_be_signed_anew_after_the_chain_was_verified(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / ".tilth" / "head.json").unlink()
    assert run(["restore", "--new-head"]) == 0
    assert run(["verify"]) == 0
    capsys.readouterr()
    assert run(["sql", "SELECT verb FROM tilth.audit ORDER BY sequence DESC LIMIT 1", "--json"]) == 0
    assert "head" in capsys.readouterr().out
    execute(copy / ".tilth" / "state.db", "UPDATE audit SET actor = 'x' WHERE sequence = 2")
    assert run(["restore", "--new-head"]) == 7


def test_a_head_that_lags_is_fine_and_catches_up(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = copy / ".tilth" / "head.json"
    before = head.read_bytes()
    project = d.opened(copy)
    project.sql("REFRESH DATASET d")
    project.close()
    head.write_bytes(before)  # as after a crash between commit and head
    for command in ("status", "sql", "plan", "verify"):
        assert run(COMMANDS[command]) == 0, capsys.readouterr().err
    assert "rows behind" in capsys.readouterr().out
    assert run(["sql", "REFRESH DATASET d"]) == 0
    capsys.readouterr()
    assert run(["verify"]) == 0
    assert "behind" not in capsys.readouterr().out


def test_an_open_project_whose_state_is_exchanged_writes_nothing_to_it(copy: Path) -> None:
    project = d.opened(copy)
    assert project.sql("SELECT count(*) AS n FROM d").rows()
    project.close()
    project = d.opened(copy)
    project.state()
    execute(copy / ".tilth" / "state.db", "DELETE FROM audit WHERE sequence > 4")
    with pytest.raises(TilthError, match="older than its signed head"):
        project.sql("REFRESH DATASET d")


def test_a_question_in_a_new_project_makes_no_key(tmp_path: Path) -> None:
    project = d.opened(d.make(tmp_path / "p"))
    assert project.sql("SELECT 1 AS one").rows() == [{"one": 1}]
    assert not (tmp_path / "p" / ".tilth" / "keys").exists()


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_folder_that_is_no_project_is_refused_and_nothing_is_made_there(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert "is not a project" in capsys.readouterr().err
    assert run([*arguments, "--project", "nosuch"]) == 5
    assert "There is no folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


EDITED = {
    # what was done to the state: the command that reads it, what is said
    "UPDATE audit SET detail = '[1]' WHERE verb = 'publish'": ("verify", "audit chain breaks"),
    "UPDATE audit SET detail = 'Infinity' WHERE verb = 'publish'": ("verify", "audit chain breaks"),
    "UPDATE snapshots SET manifest = '-1'": ("verify", "a manifest of dataset `d` is none"),
    "UPDATE snapshots SET manifest = '{}'": ("sql", "is no manifest"),
    "UPDATE snapshots SET watermark = '1e999'": ("verify", "is no manifest"),
    "UPDATE snapshots SET recipe = 'x'": ("verify", "is not what was published"),
    "UPDATE snapshots SET rows = rows + 1": ("verify", "is not what was published"),
    "UPDATE snapshots SET created_at = 'yesterday'": ("status", "does not hold an instant"),
    "UPDATE refreshes SET at = '0'": ("table", "does not hold an instant"),
}


@pytest.mark.parametrize("edit", EDITED)
def test_a_cell_that_tilth_did_not_write_is_told(
    copy: Path, edit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(copy / ".tilth" / "state.db", edit)
    command, says = EDITED[edit]
    commands = {**COMMANDS, "table": ["sql", "SELECT * FROM tilth.refreshes"]}
    assert run(commands[command]) in (5, 7)
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told
    assert "did not foresee" not in told
    for arguments in COMMANDS.values():
        if arguments[0] != "up":
            run(arguments)  # and none of the others breaks off
    assert "did not foresee" not in capsys.readouterr().err


FITTED = "UPDATE pointers SET target = 'x' WHERE environment = '{0}' AND kind = 'dataset'"
LAUNDERED = {
    "rollback": (["rollback"], FITTED.format("prod")),
    "promote": (["promote", "dev", "prod"], FITTED.format("dev")),
    "rollback to nothing": (["rollback"], "DELETE FROM pointers WHERE environment = 'prod'"),
}


@pytest.mark.parametrize("name", LAUNDERED)
def test_what_was_edited_is_not_made_a_generation_again(
    copy: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, edit = LAUNDERED[name]
    assert run(["promote", "dev", "prod"]) == 0  # generation 2
    execute(copy / ".tilth" / "state.db", edit)
    assert run(arguments) == 5
    assert "the state file was edited" in capsys.readouterr().err


def test_a_generation_whose_digest_was_made_to_fit_is_not_gone_back_to(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tilth.runtime.record import environments

    assert run(["promote", "dev", "prod"]) == 0  # generation 2
    path = copy / ".tilth" / "state.db"
    execute(path, FITTED.format("prod"))
    project = d.opened(copy)
    digest = environments.digest_of(environments.pointers_at(project.state(), "prod", 1))
    project.close()
    execute(path, f"UPDATE generations SET digest = '{digest}' WHERE environment = 'prod' AND number = 1")
    assert run(["rollback"]) == 5
    assert "not the one that the audit chain recorded" in capsys.readouterr().err


def test_an_error_that_nobody_foresaw_is_told_without_a_traceback(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise LookupError("no such luck")

    monkeypatch.setattr("tilth.app.project.Project.status", breaks)
    assert run(["status", "--json"]) == 1
    told = capsys.readouterr()
    assert "LookupError: no such luck" in told.err
    assert json.loads(told.out)["error"]["code"] == "E-TILTH"
