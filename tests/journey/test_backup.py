"""One file holds everything and puts it back; what a backup must not do to a folder, it does not."""

import hashlib
import json
import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

import damage as d
import shop_project as c
from tilth.app import backups
from tilth.core.errors import BusyError, DamagedError, ProjectError, StorageError, TilthError
from tilth.interfaces.cli.commands import run
from tilth.runtime.serving.node import SERVED

QUESTION = "SELECT count(*) AS n, sum(v) AS s FROM d"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = c.make(tmp_path_factory.mktemp("kept") / "shop")
    c.opened(folder).apply()
    return folder


def asked(folder: Path) -> list[dict[str, object]]:
    row = "carrier = 'slow' AND distance = 41.5 AND ordered_at = TIMESTAMP '2024-04-01 20:00:00'"
    project = c.opened(folder)
    return [
        *project.sql(f"SELECT late, late_confidence FROM late WHERE {row}").rows(),
        *project.sql("SELECT count(*) AS n, sum(distance) AS s FROM deliveries").rows(),
        *project.sql("SELECT rows FROM tilth.quarantine").rows(),
    ]


@pytest.mark.parametrize("with_keys", [True, False])
def test_what_was_backed_up_is_restored_elsewhere_and_answers_the_same(
    shop: Path, tmp_path: Path, with_keys: bool
) -> None:
    project = c.opened(shop)
    file = tmp_path / "shop.tilth"
    made = backups.backup(project, str(file), with_keys=with_keys)
    assert file.stat().st_mode & 0o077 == 0
    assert any("signing_key.pem" in n for n in zipfile.ZipFile(file).namelist()) is with_keys
    assert not any("token" in n for n in zipfile.ZipFile(file).namelist())
    goal = tmp_path / "elsewhere"
    goal.mkdir()
    done = backups.restore(str(goal), str(file))
    assert (done.blobs, done.bundles, done.can_sign) == (made.blobs, made.bundles, with_keys)
    assert asked(goal) == asked(shop)
    checked = c.opened(goal).verify()
    assert checked.audit_rows == made.audit_rows + 1
    if with_keys:
        assert checked.behind == 0
        c.opened(goal).promote("prod", "dev")
    else:
        with pytest.raises(StorageError, match="cannot be used") as caught:
            c.opened(goal).promote("prod", "dev")
        assert "Put" in str(caught.value.hint)


def test_a_backup_while_another_applies_is_whole(tmp_path: Path) -> None:
    project = d.applied(tmp_path / "p")
    stop, failed = threading.Event(), []

    def refresh() -> None:
        mine = d.opened(tmp_path / "p")
        try:
            while not stop.is_set():
                mine.sql("REFRESH DATASET d")
        except TilthError as error:
            failed.append(error)
        finally:
            mine.close()

    busy = threading.Thread(target=refresh)
    busy.start()
    try:
        for number in range(4):
            file = tmp_path / f"{number}.tilth"
            backups.backup(project, str(file))
            (tmp_path / str(number)).mkdir()
            backups.restore(str(tmp_path / str(number)), str(file))
            assert d.opened(tmp_path / str(number)).sql(QUESTION).rows()[0]["n"] == d.ROWS
    finally:
        stop.set()
        busy.join(30)
    assert failed == []


def test_a_restore_mends_what_was_lost_and_deletes_nothing(tmp_path: Path) -> None:
    project = d.applied(tmp_path / "p")
    answer = project.sql(QUESTION).rows()
    file, home = tmp_path / "p.tilth", tmp_path / "p" / ".tilth"
    backups.backup(project, str(file))
    project.close()
    (home / "state.db").unlink()
    with pytest.raises(ProjectError, match="holds a state already") as caught:
        backups.restore(str(tmp_path / "p"), str(file))
    assert "--force" in str(caught.value.hint)
    done = backups.restore(str(tmp_path / "p"), str(file), force=True)
    assert done.can_sign, "the private key of the folder that was moved aside is of the same pair"
    assert done.aside is not None
    assert (Path(done.aside) / "keys" / "signing_key.pem").exists()
    again = d.opened(tmp_path / "p")
    assert again.sql(QUESTION).rows() == answer
    assert again.sql("SELECT verb FROM tilth.audit").rows()[-1] == {"verb": "restore"}
    again.sql("REFRESH DATASET d")
    assert [p.name for p in (tmp_path / "p").iterdir() if "restoring" in p.name] == []


def test_what_a_server_writes_to_is_not_moved_aside(tmp_path: Path) -> None:
    project = d.applied(tmp_path / "p")
    file = tmp_path / "p.tilth"
    backups.backup(project, str(file))
    before = sorted(os.listdir(tmp_path / "p"))
    with (
        project.work().locks.hold(SERVED, shared=True),
        pytest.raises(BusyError, match="A server of this project") as caught,
    ):
        backups.restore(str(tmp_path / "p"), str(file), force=True)
    assert "End `tilth up`" in str(caught.value.hint)
    assert sorted(os.listdir(tmp_path / "p")) == before
    assert backups.restore(str(tmp_path / "p"), str(file), force=True).aside is not None


@pytest.mark.parametrize("harm", d.HARM.values(), ids=d.HARM)
def test_damaged_data_gets_into_no_backup(tmp_path: Path, harm) -> None:
    project = d.applied(tmp_path / "p")
    harm(d.part(project))
    with pytest.raises(DamagedError):
        backups.backup(project, str(tmp_path / "x.tilth"))
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize("harm", ["flip", "add", "hide", "fifo"])
def test_a_damaged_bundle_gets_into_no_backup(shop: Path, tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "p"
    shutil.copytree(shop, folder)
    found = list((folder / ".tilth" / "bundles").rglob("metrics.json"))
    (member,) = (
        p for p in found if json.loads(p.with_name("signature.json").read_bytes())["model"] == "late"
    )
    if harm == "flip":
        d.flip(member)
    elif harm == "fifo":
        member.unlink()
        os.mkfifo(member)
    else:
        (member.parent / {"add": "more.txt", "hide": ".more"}[harm]).touch()
    project = c.opened(folder)
    with pytest.raises(TilthError, match="model late, version 1: ") as caught:
        backups.backup(project, str(tmp_path / "x.tilth"))
    assert "RETRAIN MODEL late" in str(caught.value.hint)
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


def repacked(file: Path, goal: Path, change) -> Path:
    """The backup with other entries: `change` gets them by name and the listing."""
    with zipfile.ZipFile(file) as old:
        entries = {n: old.read(n) for n in old.namelist()}
    listing = json.loads(entries.pop("backup.json"))
    links = change(entries, listing) or {}
    with zipfile.ZipFile(goal, "w") as new:
        new.writestr("backup.json", json.dumps(listing))
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = links.get(name, 0o600) << 16
            new.writestr(info, data, zipfile.ZIP_DEFLATED)
    return goal


def add(name: str, data: bytes = b"x", mode: int = 0o600, *, listed: bool = True):
    def change(entries: dict[str, bytes], listing: dict[str, dict[str, object]]) -> dict[str, int]:
        entries[name] = data
        if listed:
            listing["files"][name] = [len(data), hashlib.sha256(data).hexdigest()]
        return {name: mode}

    return change


def long(entries: dict[str, bytes], listing: dict[str, dict[str, object]]) -> None:
    """An entry that unpacks to more than is listed."""
    name = next(n for n in entries if n.startswith("blobs/"))
    entries[name] = b"\0" * (50 << 20)


def flipped(entries: dict[str, bytes], listing: dict[str, dict[str, object]]) -> None:
    name = next(n for n in entries if n.startswith("blobs/"))
    entries[name] = bytes([entries[name][0] ^ 1]) + entries[name][1:]


def other_blob(entries: dict[str, bytes], listing: dict[str, dict[str, object]]) -> None:
    """Bytes and listing agree, and are not what the blob's name says."""
    flipped(entries, listing)
    name = next(n for n in entries if n.startswith("blobs/"))
    listing["files"][name] = [len(entries[name]), hashlib.sha256(entries[name]).hexdigest()]


def cut_chain(entries: dict[str, bytes], listing: dict[str, dict[str, object]]) -> None:
    del entries["head.json"]
    del listing["files"]["head.json"]


CRAFTED = {
    "a name that leads out": add("../../evil"),
    "an absolute name": add("/tmp/evil"),
    "a name that leads out of blobs": add("blobs/../../evil"),
    "a link": add("blobs/ab/" + "c" * 62, b"/etc/passwd", 0o120777, listed=False),
    "a listed link out": add("keys/link", b"/etc/passwd", 0o120777),
    "a device": add("dev", b"", 0o020666),
    "an entry that is not listed": add("blobs/ab/" + "c" * 62, listed=False),
    "more bytes than listed": long,
    "other bytes than listed": flipped,
    "other bytes than the name says": other_blob,
    "no head": cut_chain,
    "a hidden file in a bundle": add("bundles/ab/" + "c" * 62 + "/.hidden"),
    "a newer format": lambda _e, listing: listing.update(format=99),
    "a listing that is no listing": lambda _e, listing: listing.update(files=[1]),
    "an endless length": lambda _e, listing: listing["files"].update({"state.db": [float("inf"), "x"]}),
    "a negative length": lambda _e, listing: listing["files"].update({"state.db": [-1, "x"]}),
}


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backed")
    backups.backup(d.applied(folder / "p"), str(folder / "p.tilth"))
    return folder / "p.tilth"


@pytest.mark.parametrize("change", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_backup_changes_nothing(backed_up: Path, tmp_path: Path, change) -> None:
    file = repacked(backed_up, tmp_path / "crafted.tilth", change)
    goal = tmp_path / "in" / "goal"
    goal.mkdir(parents=True)
    with pytest.raises(TilthError):
        backups.restore(str(goal), str(file))
    assert list(goal.iterdir()) == []
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["crafted.tilth", "goal", "in"]


@pytest.mark.parametrize("size", [0, 1, 100, -1, -30, -3000])
def test_a_backup_that_was_cut_short_changes_nothing(backed_up: Path, tmp_path: Path, size: int) -> None:
    (tmp_path / "cut.tilth").write_bytes(backed_up.read_bytes()[:size])
    (tmp_path / "goal").mkdir()
    with pytest.raises(StorageError):
        backups.restore(str(tmp_path / "goal"), str(tmp_path / "cut.tilth"))
    assert list((tmp_path / "goal").iterdir()) == []


def test_the_commands_say_what_they_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = d.applied(tmp_path / "p")
    project.close()
    monkeypatch.chdir(tmp_path / "p")
    assert run(["backup", "../x.tilth", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["blobs"], made["keys"]) == (3, False)
    assert made["bytes"] == os.path.getsize("../x.tilth")
    assert run(["backup", "../x.tilth"]) == 5
    assert "is there already" in capsys.readouterr().err
    os.makedirs("../new")
    assert run(["restore", "../x.tilth", "--project", "../new"]) == 0
    assert "Put signing_key.pem into .tilth/keys" in capsys.readouterr().out
    for wrong in (["restore"], ["restore", "x", "--new-head"]):
        assert run(wrong) == 2
    assert run(["restore", "nosuch", "--project", "../new", "--force"]) == 5
    assert run(["restore", "../x.tilth", "--project", "nowhere"]) == 5
