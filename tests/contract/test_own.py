"""What lies in `.tilth` and is a link, another user's or open to others is refused by name, with the command that mends it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tilth.adapters.files import own
from tilth.adapters.files.blobs import FileBlobs
from tilth.adapters.files.locks import FileLocks
from tilth.core.errors import StorageError

LINKS: list[tuple[str, Callable[[Path], object], str]] = [
    ("a link", lambda p: p.symlink_to(p.parent.parent / "precious"), "is a link"),
    ("a link to a device", lambda p: p.symlink_to("/dev/null"), "is a link"),
    ("a link to itself", lambda p: p.symlink_to(p.name), "is a link"),
    ("a dangling link", lambda p: p.symlink_to("../made by tilth"), "is a link"),
    ("a hard link", lambda p: p.hardlink_to(p.parent.parent / "precious"), "another name of a file"),
    ("a FIFO", os.mkfifo, "is not a file"),
    ("a folder", lambda p: p.mkdir(), "is not a file"),
    ("open to others", lambda p: (p.touch(), p.chmod(0o666)), "Run: chmod go-w"),
    ("open to the group", lambda p: (p.touch(), p.chmod(0o620)), "Run: chmod go-w"),
]


@pytest.mark.parametrize(("make", "says"), [c[1:] for c in LINKS], ids=[c[0] for c in LINKS])
def test_a_lock_follows_nothing_and_cuts_nothing(tmp_path: Path, make, says: str) -> None:
    (tmp_path / "precious").write_text("all my rows")
    home = tmp_path / ".tilth"
    home.mkdir()
    make(home / "the project.lock")
    with pytest.raises(StorageError) as caught, FileLocks(str(home)).hold("the project"):
        pass
    assert says in str(caught.value)
    assert "the project.lock" in caught.value.message
    assert (tmp_path / "precious").read_text() == "all my rows"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tilth", "precious"]


@pytest.mark.parametrize(
    "name", ["state.db", "state.db-wal", "keys", "blobs", "bundles", "head.json", "token"]
)
@pytest.mark.parametrize(("make", "says"), [c[1:] for c in LINKS[:4]], ids=[c[0] for c in LINKS[:4]])
def test_a_link_right_in_the_folder_is_refused_before_anything_is_opened(
    tmp_path: Path, name: str, make, says: str
) -> None:
    home = tmp_path / ".tilth"
    home.mkdir(mode=0o700)
    make(home / name)
    with pytest.raises(StorageError, match=says) as caught:
        own.check_home(str(home))
    assert name in caught.value.message


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("temp", True),
        ("blobs", True),
        ("keys", True),
        ("state.db", False),
        ("token", False),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_refused_and_the_other_way_round(
    tmp_path: Path, name: str, folder: bool
) -> None:
    home = tmp_path / ".tilth"
    (home / name).mkdir(0o700, parents=True) if folder else (home.mkdir(), (home / name).touch())
    home.chmod(0o700)
    own.check_home(str(home))
    (home / name).rmdir() if folder else (home / name).unlink()
    (home / name).touch() if folder else (home / name).mkdir(0o700)
    with pytest.raises(StorageError, match="is not a f") as caught:
        own.check_home(str(home))
    assert name in caught.value.message


@pytest.mark.parametrize(("mode", "fine"), [(0o700, True), (0o755, True), (0o777, False), (0o770, False)])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int, fine: bool) -> None:
    home = tmp_path / ".tilth"
    home.mkdir()
    home.chmod(mode)
    if fine:
        own.check_home(str(home))
        return
    with pytest.raises(StorageError, match="Other users may write") as caught:
        own.check_home(str(home))
    assert f"chmod go-w {home}" in str(caught.value.hint)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(tmp_path: Path) -> None:
    home = tmp_path / ".tilth"
    home.mkdir(mode=0o700)
    (home / "state.db").touch(mode=0o600)
    os.chown(home / "state.db", 65534, 65534)
    with pytest.raises(StorageError, match="belongs to another user") as caught:
        own.check_home(str(home))
    assert "chown 0 " in str(caught.value.hint)


def test_gc_follows_no_linked_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "making-x").mkdir(parents=True)
    (elsewhere / "making-x" / "work").write_text("of somebody")
    (elsewhere / "ab").mkdir()
    (tmp_path / "blobs").symlink_to(elsewhere)
    blobs = FileBlobs(str(tmp_path / "blobs"))
    for act in (blobs.tidy, lambda: list(blobs.digests()), blobs.scratch):
        with pytest.raises(StorageError, match="is a link"):
            act()
    assert (elsewhere / "making-x" / "work").read_text() == "of somebody"
