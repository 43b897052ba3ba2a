"""Blobs kept by their digest."""

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from tilth.adapters.file_blobs import FileBlobs
from tilth.core.errors import StorageError


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(str(tmp_path / "blobs"))


def _made(blobs: FileBlobs, content: bytes) -> str:
    path = Path(blobs.scratch()) / "part"
    path.write_bytes(content)
    return str(path)


def test_a_put_file_is_moved_and_read_back_by_its_digest(blobs: FileBlobs) -> None:
    made = _made(blobs, b"rows")
    digest = blobs.put_file(made)
    assert digest == hashlib.sha256(b"rows").hexdigest()
    assert not os.path.exists(made)
    assert Path(blobs.path(digest)).read_bytes() == b"rows"
    assert stat.S_IMODE(os.stat(blobs.path(digest)).st_mode) == 0o444


def test_the_same_content_is_kept_once_and_scratch_is_not_a_blob(blobs: FileBlobs) -> None:
    first, again = blobs.put_file(_made(blobs, b"x")), blobs.put_file(_made(blobs, b"x"))
    assert first == again
    assert list(blobs.digests()) == [(first, 1)]


def test_deleting_tells_the_bytes_freed(blobs: FileBlobs) -> None:
    digest = blobs.put_file(_made(blobs, b"four"))
    assert (blobs.delete(digest), blobs.delete(digest)) == (4, 0)
    assert list(blobs.digests()) == []
    with pytest.raises(StorageError, match="missing"):
        blobs.path(digest)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64])
def test_what_is_not_a_digest_is_refused(blobs: FileBlobs, digest: str) -> None:
    with pytest.raises(StorageError, match="not a digest"):
        blobs.path(digest)


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
