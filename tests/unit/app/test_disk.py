"""What `.tilth` holds, by kind, and what is said as it fills."""

from pathlib import Path

import pytest

from tilth.app.disk import KINDS, Disk, held
from tilth.core.errors import ResourceLimitError

MB = 1 << 20


def home(folder: Path) -> Path:
    made = folder / ".tilth"
    for name, size in (
        ("blobs/ab/x", 3 * MB),
        ("blobs.verified", 1000),
        ("bundles/b/member.txt", MB),
        ("predictions/p.parquet", 2 * MB),
    ):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    (made / "state.db-wal").write_bytes(b"x" * 500_000)
    (made / "token").write_text("t")
    (made / "elsewhere").symlink_to(folder.parent)
    return made


def test_each_kind_is_counted_and_links_are_not_followed(tmp_path: Path) -> None:
    found = held(str(home(tmp_path))).kinds
    assert set(found) == set(KINDS)
    expected = {"blobs": 3 * MB, "bundles": MB, "predictions": 2 * MB, "state": 500_000, "temp": 0}
    for kind, size in expected.items():
        assert size <= found[kind] <= size + 60_000, kind


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert held(str(tmp_path / "none")).total == 0


@pytest.mark.parametrize(
    ("total", "limit", "near", "full"),
    [
        (79, 100, False, False),
        (80, 100, True, False),
        (99, 100, True, False),
        (100, 100, True, True),
        (250, 100, True, True),
        (250, None, False, False),
    ],
)
def test_it_is_told_at_four_fifths_and_refused_when_full(
    total: int, limit: int | None, near: bool, full: bool
) -> None:
    kinds = {"blobs": total * MB - 1000, "bundles": 1000}
    disk = Disk(kinds, None if limit is None else limit * MB)
    assert (disk.near is not None) == near
    if near:
        assert disk.near == f".tilth holds {total:.1f} MB of the 100.0 MB that it may"
    if not full:
        disk.require()
        return
    with pytest.raises(
        ResourceLimitError, match="most of it snapshots and quarantine: nothing is collected"
    ) as raised:
        disk.require()
    assert "`tilth gc`" in (raised.value.hint or "")
