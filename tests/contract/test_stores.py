"""What the ports say of blobs and bundles, of every store that there is: files, and those of one process for tests."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tilth.adapters.files.blobs import FileBlobs
from tilth.adapters.files.bundles import FileBundles
from tilth.adapters.files.memory import MemoryBlobs, MemoryBundles
from tilth.core.errors import DamagedError, StorageError
from tilth.ports.blobs import Blobs
from tilth.ports.bundles import BundleStore

BLOBS: dict[str, Callable[[Path], Blobs]] = {
    "files": lambda at: FileBlobs(str(at / "blobs")),
    "memory": lambda _: MemoryBlobs(),
}
BUNDLES: dict[str, Callable[[Path], BundleStore]] = {
    "files": lambda at: FileBundles(str(at / "bundles")),
    "memory": lambda _: MemoryBundles(),
}
NOT_DIGESTS = ["", "../../etc/passwd", "A" * 64, "ab"]


@pytest.fixture(params=BLOBS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return BLOBS[request.param](tmp_path)


@pytest.fixture(params=BUNDLES)
def bundles(request: pytest.FixtureRequest, tmp_path: Path) -> BundleStore:
    return BUNDLES[request.param](tmp_path)


def _made(blobs: Blobs, content: bytes) -> str:
    path = Path(blobs.scratch()) / "part"
    path.write_bytes(content)
    return str(path)


def test_a_put_file_is_moved_and_read_back_by_its_digest(blobs: Blobs) -> None:
    made = _made(blobs, b"rows")
    digest = blobs.put_file(made)
    assert digest == hashlib.sha256(b"rows").hexdigest()
    assert not os.path.exists(made)
    assert Path(blobs.path(digest)).read_bytes() == b"rows"
    assert stat.S_IMODE(os.stat(blobs.path(digest)).st_mode) == 0o444


def test_the_same_content_is_kept_once_and_scratch_is_not_a_blob(blobs: Blobs) -> None:
    first, again = blobs.put_file(_made(blobs, b"x")), blobs.put_file(_made(blobs, b"x"))
    assert first == again
    assert list(blobs.digests()) == [(first, 1)]


def test_deleting_tells_the_bytes_freed(blobs: Blobs) -> None:
    digest = blobs.put_file(_made(blobs, b"four"))
    assert (blobs.delete(digest), blobs.delete(digest)) == (4, 0)
    assert list(blobs.digests()) == []
    with pytest.raises(StorageError, match="missing"):
        blobs.path(digest)


@pytest.mark.parametrize("digest", NOT_DIGESTS)
def test_what_is_not_a_digest_is_refused(blobs: Blobs, digest: str) -> None:
    with pytest.raises(StorageError, match="not a digest"):
        blobs.path(digest)


def test_a_damaged_blob_is_not_given_out(blobs: Blobs) -> None:
    digest = blobs.put_file(_made(blobs, b"rows"))
    assert blobs.intact(digest)
    path = Path(blobs.path(digest))
    path.chmod(0o644)
    path.write_bytes(b"rowz")
    assert not blobs.intact(digest)
    for ask in (blobs.path, blobs.verified):
        with pytest.raises(DamagedError):
            ask(digest)


def test_what_was_being_made_is_tidied_away(blobs: Blobs, bundles: BundleStore) -> None:
    for store in (blobs, bundles):
        (Path(store.scratch()) / "half").write_bytes(b"half")
        assert (store.tidy(), store.tidy()) == (4, 0)
        assert list(store.digests()) == []


DIGEST = "ab" * 32


def test_a_bundle_is_kept_read_only_by_digest_and_deleted_whole(bundles: BundleStore) -> None:
    for _ in range(2):  # one that is there stays
        folder = Path(bundles.scratch())
        (folder / "metrics.json").write_text("{}")
        bundles.put(DIGEST, str(folder))
        assert not folder.exists()
    kept = Path(bundles.path(DIGEST)) / "metrics.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    assert list(bundles.digests()) == [(DIGEST, 2)]
    assert (bundles.delete(DIGEST), bundles.delete(DIGEST)) == (2, 0)
    with pytest.raises(StorageError, match="missing"):
        bundles.path(DIGEST)


@pytest.mark.parametrize("digest", NOT_DIGESTS)
def test_no_other_text_becomes_the_path_of_a_bundle(bundles: BundleStore, digest: str) -> None:
    with pytest.raises(StorageError, match="not a digest"):
        bundles.path(digest)
