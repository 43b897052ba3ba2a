"""Whatever a loss of power leaves of blobs, bundles and keys under way: it opens, it verifies, and what had returned is there."""

import hashlib
import json
from pathlib import Path

from crashes import Recorder, states
from tilth.adapters.files import durable
from tilth.adapters.files.blobs import FileBlobs
from tilth.adapters.files.bundles import FileBundles
from tilth.adapters.files.keys import LocalKeys
from tilth.ml.bundles.provenance import Subject
from tilth.ml.bundles.signing import seal, verify

SUBJECT = Subject("late", 1, "1:abc", "s" * 32)


def put_blob(home: Path, content: bytes) -> str:
    blobs = FileBlobs(str(home / "blobs"))
    path = Path(blobs.scratch()) / "part"
    path.write_bytes(content)
    return blobs.put_file(str(path))


def put_bundle(home: Path, keys: LocalKeys) -> str:
    bundles = FileBundles(str(home / "bundles"))
    folder = Path(bundles.scratch())
    (folder / "model.txt").write_text("tree" * 50)
    (folder / "metrics.json").write_text(json.dumps({"auc": 0.9}))
    sealed = seal(folder, SUBJECT, keys, {})
    bundles.put(sealed.digest, str(folder))
    return sealed.digest


def keys_of(home: Path) -> LocalKeys:
    return LocalKeys(home / "keys", [home / "bundles"])


def recorded(root: Path, *, keep_syncs: bool = True) -> tuple[Recorder, dict[str, str]]:
    """A blob, the keys and a bundle, put one after the other; and the digests under which they are kept."""
    home = root / ".tilth"
    root.mkdir()
    recorder = Recorder(root)
    recorder.known.add(".")
    made = {}
    with durable.watch(recorder):
        durable.make_folder(str(home))
        made["blob"] = put_blob(home, b"rows" * 100)
        recorder.done("blob")
        keys = keys_of(home)
        keys.ready()
        recorder.done("keys")
        made["bundle"] = put_bundle(home, keys)
        recorder.done("bundle")
        made["second"] = put_blob(home, b"more rows")
        recorder.done("second")
    if not keep_syncs:
        recorder.ops = [o for o in recorder.ops if o.what != "sync"]
    return recorder, made


def flaws(home: Path, returned: set[str], made: dict[str, str]) -> list[str]:
    """What is wrong with a state: something half is served, or something that had returned is gone."""
    found = []
    blobs, bundles, keys = FileBlobs(str(home / "blobs")), FileBundles(str(home / "bundles")), keys_of(home)
    for digest, _ in blobs.digests():
        if hashlib.sha256(Path(blobs.path(digest)).read_bytes()).hexdigest() != digest:
            found.append("a blob is damaged")
    for digest, _ in bundles.digests():
        verify(Path(bundles.path(digest)), SUBJECT, keys, digest)
    found += [f"the {n} is gone" for n in ("blob", "second") if n in returned and not blobs.intact(made[n])]
    if "bundle" in returned and made["bundle"] not in {d for d, _ in bundles.digests()}:
        found.append("the bundle is gone")
    before = sorted(p.name for p in (home / "keys").iterdir()) if "keys" in returned else None
    keys.sign(b"what is signed after the crash")
    if before is not None and "signing_key.pem" not in before:
        found.append("the key is gone")
    return found


def examine(root: Path, recorder: Recorder, made: dict[str, str]) -> tuple[int, list[str]]:
    count, wrong = 0, []
    for folder, returned in states(recorder.ops, root):
        count += 1
        try:
            wrong += flaws(folder / ".tilth", returned, made)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
    return count, wrong


def test_every_state_that_a_crash_may_leave_is_whole(tmp_path: Path) -> None:
    recorder, made = recorded(tmp_path / "p")
    count, wrong = examine(tmp_path / "replayed", recorder, made)
    assert count > 200
    assert wrong == []


def test_without_syncs_the_same_replay_finds_what_is_lost(tmp_path: Path) -> None:
    recorder, made = recorded(tmp_path / "p", keep_syncs=False)
    _, wrong = examine(tmp_path / "replayed", recorder, made)
    assert any("gone" in w for w in wrong)
    assert any("damaged" in w.lower() or "Damaged" in w for w in wrong)
