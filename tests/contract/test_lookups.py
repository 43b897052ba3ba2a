"""Stores of rows that complete requests: found by key and time, whole or not there, and never a wrong answer."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tilth.adapters.files.lookups import ProjectLookups
from tilth.core.errors import DamagedError, StorageError
from tilth.ports.lookups import Kept, Lookups, MemoryLookups

NAME = "a" * 32


@pytest.fixture(params=["memory", "file"])
def lookups(request: pytest.FixtureRequest, tmp_path: Path) -> Lookups:
    return MemoryLookups() if request.param == "memory" else ProjectLookups.opened(str(tmp_path))


def rows(*of: tuple[bytes, int, int, int, bytes]) -> list[Kept]:
    return [Kept(*one) for one in of]


def test_the_newest_row_that_is_seen_is_found(lookups: Lookups) -> None:
    made = lookups.made(
        NAME,
        rows(
            (b"a", 1, 0, 1, b"old"), (b"a", 5, 0, 5, b"new"), (b"a", 5, 2, 5, b"corrected"), (b"a", 9, 0, 99, b"later"),
            (b"b", -(2**63), -(2**63), -(2**63), b"always"), (b'["\\u0000"]', 1, 1, 1, b""),
        ),
    )  # fmt: skip
    assert [made.find(b"a", now) for now in (0, 1, 5, 98, 99)] == [
        None,
        b"old",
        b"corrected",
        b"corrected",
        b"later",
    ]
    assert made.find(b"b", 0) == b"always"
    assert made.find(b"c", 0) is None
    assert made.find(b"", 0) is None
    assert len(made) == 6


def test_what_brute_force_finds_is_found(lookups: Lookups) -> None:
    random = Random(3)
    kept = []
    for n in range(2_000):
        at, known = random.randrange(40), random.randrange(40)
        kept.append(Kept(b"%d" % random.randrange(60), at, known * 2000 + n, max(at, known), b"%d" % n))
    made = lookups.made(NAME, kept)
    for _ in range(500):
        key, now = b"%d" % random.randrange(62), random.randrange(42)
        known_by_now = [k for k in kept if k.key == key and k.seen <= now]
        expected = max(known_by_now, key=lambda k: (k.at, k.known)).row if known_by_now else None
        assert made.find(key, now) == expected


def test_a_store_is_opened_again_by_name_and_those_that_are_not_kept_are_gone(lookups: Lookups) -> None:
    assert lookups.opened(NAME) is None
    assert lookups.keep(()) == 0
    open_still = lookups.made(NAME, rows((b"a", 1, 1, 1, b"x")))
    lookups.made("b" * 32, ())
    again = lookups.opened(NAME)
    assert again is not None
    assert again.find(b"a", 1) == b"x"
    assert lookups.keep(["b" * 32]) == 1
    assert lookups.opened(NAME) is None
    assert open_still.find(b"a", 1) == b"x"
    empty = lookups.opened("b" * 32)
    assert empty is not None
    assert (len(empty), empty.find(b"a", 1)) == (0, None)


def test_rows_that_end_in_an_error_leave_nothing(lookups: Lookups, tmp_path: Path) -> None:
    def broken():
        yield Kept(b"a", 1, 1, 1, b"x")
        raise StorageError("gone", hint="none")

    with pytest.raises(StorageError, match="gone"):
        lookups.made(NAME, broken())
    assert lookups.opened(NAME) is None
    assert not list(tmp_path.rglob("*.rows*"))


@pytest.mark.parametrize("what", ["truncated", "empty", "text", "another form", "a row"])
def test_a_damaged_file_gives_no_answer(tmp_path: Path, what: str) -> None:
    lookups = ProjectLookups.opened(str(tmp_path))
    lookups.made(NAME, rows(*((b"%d" % n, 1, 1, 1, b"value-%06d" % n * 30) for n in range(2_000))))
    path = next(tmp_path.rglob("*.rows"))
    whole = path.read_bytes()
    if what == "another form":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        path.write_bytes(
            {
                "truncated": whole[: len(whole) // 3 // 4096 * 4096],
                "empty": b"",
                "text": b"no database",
                "a row": whole.replace(b"value-000007", b"value-000008"),
            }[what]
        )
    found = lookups.opened(NAME)
    if found is None:
        return
    with pytest.raises(DamagedError):
        for n in range(2_000):
            found.find(b"%d" % n, 1)
    assert found.damaged


def test_a_process_that_is_killed_leaves_no_store_and_what_it_left_is_swept(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom tilth.adapters.files.lookups import ProjectLookups\nfrom tilth.ports.lookups import Kept\n"
        "def rows():\n    for n in range(50_000): yield Kept(b'%d' % n, 1, 1, 1, b'x' * 200)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"ProjectLookups.opened(sys.argv[1]).made({NAME!r}, rows())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    lookups = ProjectLookups.opened(str(tmp_path))
    assert lookups.opened(NAME) is None
    assert len(list((tmp_path / "lookups").iterdir())) == 1
    assert lookups.keep([NAME]) == 1
    assert not list((tmp_path / "lookups").iterdir())


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "lookups").write_text("a file")
    with pytest.raises(StorageError, match="rows to look up"):
        ProjectLookups.opened(str(tmp_path)).made(NAME, ())
