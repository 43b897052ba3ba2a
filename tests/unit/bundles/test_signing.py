"""Sealing and verifying: one table of what an intruder may do to a bundle."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tilth.adapters.files.keys import PRIVATE, LocalKeys, PublicKey, PublicKeys
from tilth.core.errors import StateChangedError, StorageError, TamperError
from tilth.ml.bundles.manifest import ENVELOPE
from tilth.ml.bundles.provenance import Statement, Subject, read_statement, write_statement
from tilth.ml.bundles.signing import seal, verify, whole

WANTED = Subject("delays", 2, "1:aa", "1:bb")


def make(folder: Path, keys: LocalKeys, subject: Subject = WANTED, body: bytes = b"tree\n" * 9) -> Path:
    folder.mkdir()
    (folder / "model.txt").write_bytes(body)
    (folder / "model.json").write_bytes(b"{}")
    seal(folder, subject, keys, {"rows": 9, "metric": ("auc", 0.5)})
    return folder


def flip(name: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return act


def add(folder: Path) -> None:
    (folder / ".gitattributes").write_bytes(b"")


def add_folder(folder: Path) -> None:
    (folder / ".git").mkdir()


def remove(folder: Path) -> None:
    (folder / "model.json").unlink()


def link(folder: Path) -> None:
    (folder / "model.txt").rename(folder.parent / "elsewhere")
    (folder / "model.txt").symlink_to(folder.parent / "elsewhere")


def fifo(folder: Path) -> None:
    (folder / "model.txt").unlink()
    os.mkfifo(folder / "model.txt")


def swap(subject: Subject, body: bytes = b"tree\n" * 9) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        shutil.rmtree(folder)
        make(folder, LocalKeys(folder.parent / "keys"), subject, body)

    return act


def other_key(folder: Path) -> None:
    shutil.rmtree(folder)
    make(folder, LocalKeys(folder.parent / "other_keys"))


def claimed_key(folder: Path) -> None:
    other_key(folder)
    mine, theirs = (PublicKey.read(folder.parent / n).key_id for n in ("keys", "other_keys"))
    path = folder / ENVELOPE
    path.write_text(path.read_text().replace(theirs, mine))


def no_envelope(folder: Path) -> None:
    (folder / ENVELOPE).unlink()


def replaced(data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / ENVELOPE).write_bytes(data) and None


def edited(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        raw = json.loads((folder / ENVELOPE).read_bytes())
        change(raw)
        (folder / ENVELOPE).write_text(json.dumps(raw, sort_keys=True, separators=(",", ":")))

    return act


def bit_of_signature(raw: dict) -> None:
    one = raw["dsseEnvelope"]["signatures"][0]
    one["sig"] = one["sig"][:20] + ("A" if one["sig"][20] != "A" else "B") + one["sig"][21:]


def payload_of_another(raw: dict) -> None:
    raw["dsseEnvelope"]["payload"] = "e30="


TABLE = {
    "one bit of the model": (flip("model.txt"), "changed file: 'model.txt'"),
    "one bit of the envelope": (flip(ENVELOPE), "envelope|signature"),
    "an added file": (add, "added file: '.gitattributes'"),
    "an added folder": (add_folder, "'.git' in the bundle"),
    "a missing file": (remove, "missing file: 'model.json'"),
    "a symlink": (link, "is a symlink"),
    "a pipe": (fifo, "not a regular file"),
    "another model's signature": (swap(Subject("prices", 2, "1:aa", "1:bb")), "model: signed for 'prices'"),
    "an older version in place": (swap(Subject("delays", 1, "1:aa", "1:bb")), "version: signed for 1"),
    "another recipe": (swap(Subject("delays", 2, "1:cc", "1:bb")), "recipe: signed for"),
    "another snapshot": (swap(Subject("delays", 2, "1:aa", "1:cc")), "snapshot: signed for"),
    "a second bundle of the same version": (swap(WANTED, b"other"), "not the one that was recorded"),
    "a wrong key": (other_key, "signed with another key"),
    "a wrong key that claims to be ours": (claimed_key, "signature does not hold"),
    "no envelope": (no_envelope, "missing file"),
    "an empty envelope": (replaced(b""), "not a DSSE envelope"),
    "an envelope that is a list": (replaced(b"[]"), "not a DSSE envelope"),
    "an envelope nested without end": (replaced(b"[" * 100_000), "not a DSSE envelope"),
    "two signatures": (
        edited(lambda r: r["dsseEnvelope"]["signatures"].append({})),
        "not a DSSE envelope",
    ),
    "another payload type": (
        edited(lambda r: r["dsseEnvelope"].update(payloadType="text/plain")),
        "the one form",
    ),
    "an unknown field": (edited(lambda r: r.update(more=1)), "the one form"),
    "one character of the signature": (edited(bit_of_signature), "envelope|signature does not hold"),
    "another payload": (edited(payload_of_another), "signature does not hold"),
}


@pytest.mark.parametrize(("act", "reason"), TABLE.values(), ids=TABLE)
def test_what_was_changed_is_refused_with_the_reason(
    act: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    keys = LocalKeys(tmp_path / "keys")
    folder = make(tmp_path / "bundle", keys)
    kept_as = verify(folder, WANTED, keys).digest
    act(folder)
    with pytest.raises(TamperError) as caught:
        verify(folder, WANTED, keys, kept_as)
    assert any(r in str(caught.value) for r in reason.split("|")), str(caught.value)


def test_a_sealed_bundle_opens_with_the_public_key_alone(tmp_path: Path) -> None:
    keys = LocalKeys(tmp_path / "keys")
    folder = make(tmp_path / "bundle", keys)
    opened = verify(folder, Subject("delays", 2), PublicKey.read(tmp_path / "keys"))
    assert opened.files == {"model.txt": b"tree\n" * 9, "model.json": b"{}"}
    assert opened.statement.subject == WANTED
    assert opened.statement.facts == {"rows": 9, "metric": ["auc", 0.5]}
    assert opened.key_id == keys.key_id


def test_the_digest_names_files_and_subject(tmp_path: Path) -> None:
    keys = LocalKeys(tmp_path / "keys")
    first, same, later = (
        verify(make(tmp_path / n, keys, s), s, keys).digest
        for n, s in (("a", WANTED), ("b", WANTED), ("c", Subject("delays", 3, "1:aa", "1:bb")))
    )
    assert first == same != later


def test_a_folder_is_sealed_once_and_never_empty(tmp_path: Path) -> None:
    keys = LocalKeys(tmp_path / "keys")
    folder = make(tmp_path / "bundle", keys)
    with pytest.raises(StorageError, match="sealed already"):
        seal(folder, WANTED, keys, {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="empty"):
        seal(tmp_path / "empty", WANTED, keys, {})


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.txt").write_bytes(b"x" * 1000)
    sealed = seal(tmp_path / "bundle", WANTED, LocalKeys(tmp_path / "keys"), {})
    assert sealed.size == sum(p.stat().st_size for p in (tmp_path / "bundle").iterdir())
    assert set(sealed.files) == {"model.txt"}


def statement(**more: object) -> bytes:
    said = json.loads(write_statement(WANTED, {"a": "1"}, {"rows": 9}))
    return json.dumps({**said, **more}, sort_keys=True, separators=(",", ":")).encode()


FOREIGN = {
    "another type": statement(_type="https://in-toto.io/Statement/v0.1"),
    "a field more": statement(more=1),
    "with blanks": statement().replace(b",", b", ", 1),
    "no object": b"[]",
    "no subject": statement(predicate={"files": {}, "facts": {}}),
    "another subject than its files": statement(subject=[]),
}


@pytest.mark.parametrize("payload", FOREIGN.values(), ids=FOREIGN)
def test_a_statement_that_tilth_did_not_write_is_refused(payload: bytes) -> None:
    assert read_statement(statement()) == Statement(WANTED, {"a": "1"}, {"rows": 9})
    with pytest.raises(TamperError, match="not about a tilth bundle"):
        read_statement(payload)


CHECKERS = [
    ({"checked": {"checker": 2}}, 2), ({"checked": {"checker": True}}, 0), ({"checked": {"checker": "2"}}, 0),
    ({"checked": {}}, 0), ({"checked": 2}, 0), ({}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "number"), CHECKERS)
def test_the_check_that_a_bundle_passed_is_a_number_or_none(facts: dict[str, object], number: int) -> None:
    found = Statement(WANTED, {}, facts).checker
    assert (found, type(found)) == (number, int)


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = LocalKeys(tmp_path / "keys")
    assert not (tmp_path / "keys").exists()
    first.ready()
    private = tmp_path / "keys" / "signing_key.pem"
    assert private.stat().st_mode & 0o777 == 0o600
    assert LocalKeys(tmp_path / "keys").key_id == first.key_id
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == ["signing_key.pem", "signing_key.pub"]
    private.chmod(0o640)
    with pytest.raises(StorageError, match="chmod 600"):
        LocalKeys(tmp_path / "keys").ready()


def test_a_file_that_is_no_key_is_said_so(tmp_path: Path) -> None:
    LocalKeys(tmp_path / "keys").ready()
    (tmp_path / "keys" / "signing_key.pem").write_text("nothing")
    with pytest.raises(StorageError, match="not a P-256 key"):
        LocalKeys(tmp_path / "keys").ready()


def signer(folder: Path) -> str:
    keys = LocalKeys(folder)
    keys.ready()
    return keys.key_id


LOST = [
    # what is there, whether old signatures verify, what signing says
    (("signing_key.pem",), True, None),
    (("signing_key.pub",), True, "signing_key.pem is gone"),
    ((), False, "both keys are gone"),
]


@pytest.mark.parametrize(("left", "verifies", "says"), LOST, ids=["public", "private", "both"])
def test_a_lost_key_is_never_replaced(
    tmp_path: Path, left: tuple[str, ...], verifies: bool, says: str | None
) -> None:
    folder, bundles = tmp_path / "keys", tmp_path / "bundles"
    first = LocalKeys(folder, [bundles])
    signature = first.sign(b"x")
    (bundles / "ab").mkdir(parents=True)
    for path in folder.iterdir():
        if path.name not in left:
            path.unlink()
    keys = LocalKeys(folder, [bundles])
    if verifies:
        keys.verify(b"x", signature, first.key_id)
    else:
        with pytest.raises(StateChangedError, match="no key is there"):
            keys.verify(b"x", signature, first.key_id)
    if says is None:
        assert keys.sign(b"y")
    else:
        with pytest.raises(StateChangedError, match=says) as caught:
            keys.sign(b"y")
        assert "tilth restore" in str(caught.value.hint)
        assert sorted(p.name for p in folder.iterdir()) == sorted(left)


def test_a_public_key_of_another_pair_is_an_error_and_stays(tmp_path: Path) -> None:
    LocalKeys(tmp_path / "keys").ready()
    LocalKeys(tmp_path / "other").ready()
    other = (tmp_path / "other" / "signing_key.pub").read_bytes()
    (tmp_path / "keys" / "signing_key.pub").write_bytes(other)
    keys = LocalKeys(tmp_path / "keys")
    for _ in range(2):  # what was refused once is not taken the next time
        with pytest.raises(StateChangedError, match="exchanged"):
            keys.sign(b"x")
        with pytest.raises(StateChangedError, match="exchanged"):
            keys.verify(b"x", b"y", "z")
    assert (tmp_path / "keys" / "signing_key.pub").read_bytes() == other


def test_what_only_verifies_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(StateChangedError, match="no key is there"):
        LocalKeys(tmp_path / "keys").verify(b"x", b"y", "z")
    assert not (tmp_path / "keys").exists()


def test_many_who_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: signer(tmp_path / "keys"), range(16)))
    assert set(made) == {PublicKey.read(tmp_path / "keys").key_id}


def test_without_the_key_a_bundle_is_whole_or_the_file_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "b", LocalKeys(tmp_path / "keys"))
    found = whole(folder)
    assert found.statement.subject == WANTED
    assert set(found.files) == {"model.txt", "model.json"}
    flip("model.txt")(folder)
    with pytest.raises(TamperError, match="not the ones that were signed") as told:
        whole(folder)
    assert told.value.detail == ("changed file: 'model.txt'",)
    (folder / ENVELOPE).unlink()
    with pytest.raises(TamperError, match="missing file"):
        whole(folder)


def test_who_only_looks_verifies_and_never_signs_nor_reads_the_private_key(tmp_path: Path) -> None:
    keys = LocalKeys(tmp_path / "keys")
    signature = keys.sign(b"payload")
    (tmp_path / "keys" / PRIVATE).unlink()
    looks = PublicKeys(tmp_path / "keys")
    assert looks.key_id == keys.key_id
    looks.verify(b"payload", signature, keys.key_id)
    with pytest.raises(TamperError):
        looks.verify(b"another", signature, keys.key_id)
    for act in (looks.ready, lambda: looks.sign(b"payload")):
        with pytest.raises(StateChangedError, match="only looks"):
            act()
