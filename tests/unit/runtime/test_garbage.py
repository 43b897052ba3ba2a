"""What gc takes and what it leaves, on records and files in memory."""

import pytest
from memories import BY, DAY, NOW, manifest, pointed, published, remember, version, workspace

from tilth.runtime.applying import garbage
from tilth.runtime.record import environments, snapshots, versions
from tilth.runtime.workspace import Workspace


@pytest.fixture
def work() -> Workspace:
    """Three snapshots and three versions; prod served 1, then 2, and now serves 3."""
    made = workspace()
    remember(made, *(manifest(n) for n in (1, 2, 3)), *(version(n) for n in (1, 2, 3)))
    for n in (1, 2, 3):
        published(made, *pointed(n, n))
    return made


@pytest.mark.parametrize(
    ("keep", "left"),
    [(1, [3]), (2, [2, 3]), (0, [3]), (9, [1, 2, 3])],
    ids=["one", "two", "never none", "all"],
)
def test_what_the_newest_generations_point_at_stays_with_its_files(
    work: Workspace, keep: int, left: list[int]
) -> None:
    freed = garbage.collect(work, keep, BY)
    gone = 3 - len(left)
    assert (freed.generations, freed.snapshots, freed.versions, freed.files) == (gone, gone, gone, 2 * gone)
    assert [g.number for g in environments.generations(work.state, "prod")] == left[::-1]
    assert sorted(snapshots.ids(work.state)) == sorted(manifest(n).id for n in left)
    assert [v.version for v in versions.all_of(work.state) if v.removed_at is None] == left
    assert [d for d, _ in work.blobs.digests()] == [f"blob{n}" for n in left]
    assert [d for d, _ in work.bundles.digests()] == [f"bundle{n}" for n in left]
    assert {v.status for v in versions.all_of(work.state)} == {"promoted"}


@pytest.mark.parametrize(
    ("status", "age", "bundle", "rows"),
    [
        ("candidate", 0, True, True),
        ("candidate", 400, True, True),
        ("refused", 0, True, False),
        ("held", 89, True, False),
        ("refused", 91, False, False),
        ("held", 91, False, False),
        ("promoted", 0, False, False),
    ],
)
def test_a_version_that_nothing_points_at_stays_by_its_status_and_age(
    work: Workspace, status: str, age: int, bundle: bool, rows: bool
) -> None:
    remember(work, manifest(4), version(4, status, NOW - age * DAY))
    garbage.collect(work, 9, BY)
    assert ("bundle4" in dict(work.bundles.digests())) is bundle
    assert (manifest(4).id in snapshots.ids(work.state)) is rows
    found = versions.require(work.state, "m", 4)
    assert (found.status, found.removed_at is None) == (status, bundle)


def test_what_another_environment_points_at_stays(work: Workspace) -> None:
    published(work, *pointed(1, 1), environment="dev")
    garbage.collect(work, 1, BY)
    assert [d for d, _ in work.bundles.digests()] == ["bundle1", "bundle3"]


def test_what_an_endpoint_falls_back_to_stays_with_the_rows_that_it_knows() -> None:
    work = workspace()
    remember(work, *(manifest(n) for n in (1, 2)), *(version(n) for n in (1, 2)))
    for n in (1, 2):
        published(work, *pointed(n, n, " ROLLOUT (shadow = '9 requests')"))
    garbage.collect(work, 1, BY)
    assert [d for d, _ in work.bundles.digests()] == ["bundle1", "bundle2"]
    assert len(snapshots.ids(work.state)) == 2
