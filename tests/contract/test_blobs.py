"""Blobs kept by their digest."""

import errno
import os
import time
from pathlib import Path

import pytest

from tilth.adapters.files import blobs as file_blobs
from tilth.adapters.files import own
from tilth.adapters.files.blobs import FileBlobs
from tilth.core.errors import DamagedError, StorageError


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(str(tmp_path / "blobs"))


def _made(blobs: FileBlobs, content: bytes) -> str:
    path = Path(blobs.scratch()) / "part"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("number", "step"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "read-only"), (errno.EACCES, "access")],
)
def test_a_disk_that_refuses_is_told_with_a_next_step(
    blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    made = _made(blobs, b"rows")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match=step):
        blobs.put_file(made)
    assert list(blobs.digests()) == []


def flip(path: str, at: int = 0) -> None:
    """Change one byte and nothing else."""
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    os.chmod(path, 0o444)


DAMAGE = [
    (flip, "is damaged"),
    (lambda p: (os.chmod(p, 0o644), os.truncate(p, 2)), "is damaged"),
    (lambda p: (os.chmod(p, 0o644), os.truncate(p, 0)), "is damaged"),
    (os.unlink, "is missing"),
    (lambda p: (os.unlink(p), os.symlink("/etc/passwd", p)), "is missing"),
    (lambda p: (os.unlink(p), os.mkfifo(p)), "is missing"),
]


@pytest.mark.parametrize(
    ("harm", "says"), DAMAGE, ids=["flipped", "cut", "emptied", "deleted", "a link", "a FIFO"]
)
def test_no_path_is_given_to_a_damaged_file_and_putting_it_again_mends_it(
    blobs: FileBlobs, harm, says: str
) -> None:
    digest = blobs.put_file(_made(blobs, b"rows"))
    assert blobs.intact(digest)
    harm(os.path.join(blobs._folder, digest[:2], digest[2:]))
    assert not blobs.intact(digest)
    for ask in (blobs.path, blobs.verified, FileBlobs(blobs._folder).path):
        with pytest.raises(DamagedError, match=says) as caught:
            ask(digest)
        assert "REFRESH" in str(caught.value.hint)
    assert blobs.put_file(_made(blobs, b"rows")) == digest
    assert Path(blobs.path(digest)).read_bytes() == b"rows"


def test_a_file_is_hashed_once_after_it_changed_and_not_again(
    blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = blobs.put_file(_made(blobs, b"rows"))
    time.sleep(0.05)  # until a further write would show in its times
    hashed: list[str] = []
    real = own.digest_of
    monkeypatch.setattr(own, "digest_of", lambda path: (hashed.append(path), real(path))[1])
    blobs.path(digest)
    assert len(hashed) <= 1  # once more at most: it was too young to be remembered when it was put
    known = len(hashed)
    for one in (blobs, FileBlobs(blobs._folder), FileBlobs(blobs._folder)):
        one.path(digest)
    assert len(hashed) == known
    os.utime(blobs.path(digest))
    time.sleep(0.05)
    for one in (blobs, FileBlobs(blobs._folder)):
        one.path(digest)
    assert len(hashed) == known + 1
    blobs.verified(digest)
    assert len(hashed) == known + 2


def test_bytes_that_rot_without_a_write_are_found_by_a_whole_look(
    blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = blobs.put_file(_made(blobs, b"rows"))
    time.sleep(0.05)
    blobs.path(digest)
    before = file_blobs._look(blobs.path(digest))
    flip(blobs.path(digest))
    monkeypatch.setattr(file_blobs, "_look", lambda _path: before)  # as below the file system
    blobs.path(digest)
    with pytest.raises(DamagedError, match="is damaged"):
        blobs.verified(digest)


def test_notes_of_what_was_hashed_are_a_cache(blobs: FileBlobs) -> None:
    digest, gone = blobs.put_file(_made(blobs, b"rows")), blobs.put_file(_made(blobs, b"old"))
    time.sleep(0.05)
    notes = Path(f"{blobs._folder}.verified")
    for one in (digest, gone):
        blobs.path(one)
    blobs.delete(gone)
    blobs.tidy()
    assert gone not in notes.read_text()
    assert digest in notes.read_text()
    for harm in (
        b"",
        b"\xff\x00 nonsense\n" + b"x" * 100,
        f"{digest} 1 2 3 4\n".encode(),
        f"{digest} 4".encode(),
    ):
        notes.write_bytes(harm)
        assert Path(FileBlobs(blobs._folder).path(digest)).read_bytes() == b"rows"
    os.truncate(notes, 1 << 40)
    assert Path(FileBlobs(blobs._folder).path(digest)).read_bytes() == b"rows"
