"""What gc takes and what it leaves, on records and files in memory."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from memories import (
    BY,
    DAY,
    ENDPOINT,
    MODEL,
    NOW,
    manifest,
    pointed,
    published,
    remember,
    version,
    workspace,
)

from tilth.core.time import show_instant
from tilth.ml.watching.monitoring import Look
from tilth.ml.watching.rollout import Progress, Stage
from tilth.ports.predictions import MemoryLog
from tilth.runtime.act import Act
from tilth.runtime.applying import garbage
from tilth.runtime.record import environments, looks, refreshes, snapshots, versions
from tilth.runtime.record.refreshes import Quarantined, Refresh
from tilth.runtime.serving import rollouts
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


@pytest.mark.parametrize(("age", "stays"), [(0, True), (89, True), (91, False)])
def test_what_was_asked_by_predict_goes_with_its_rows_when_it_is_old(
    work: Workspace, age: int, stays: bool
) -> None:
    asked = version(4, "candidate", NOW - age * DAY, reason=versions.REASON + "PREDICT (y FROM d)")
    remember(work, manifest(4), asked)
    for _ in range(2):
        garbage.collect(work, 9, BY)
    assert ("bundle4" in dict(work.bundles.digests())) is stays
    assert (manifest(4).id in snapshots.ids(work.state)) is stays
    assert (versions.unjudged(work.state, "m", {"1:m"}, manifest(4).id) is not None) is stays


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


@pytest.mark.parametrize(("age", "stays"), [(0, True), (91, False)])
def test_what_a_rollout_refused_stays_by_its_age_but_while_its_revision_is_the_endpoint_s_last(
    age: int, stays: bool
) -> None:
    work = workspace()
    remember(work, *(manifest(n) for n in (1, 2)), version(1), version(2, made=NOW - age * DAY))
    for n in (1, 2):
        published(work, *pointed(n, n, " ROLLOUT (shadow = '9 requests')"))
    assert rollouts.decide(Act(work, "prod", BY), "e", 2, Progress(Stage.ROLLED_BACK, reason="errors"), NOW)
    garbage.collect(work, 1, BY)
    assert [d for d, _ in work.bundles.digests()] == ["bundle1", "bundle2"]
    remember(work, version(3))
    published(work, *pointed(3, 2, " ROLLOUT (shadow = '9 requests')"))
    garbage.collect(work, 1, BY)
    assert ("bundle2" in dict(work.bundles.digests())) is stays


def test_what_is_gone_is_not_removed_again(work: Workspace) -> None:
    assert garbage.collect(work, 1, BY).versions == 2
    first = versions.require(work.state, "m", 1).removed_at
    assert garbage.collect(work, 1, BY).versions == 0
    assert versions.require(work.state, "m", 1).removed_at == first


def test_a_refused_version_that_is_pointed_at_stays_however_old_it_is() -> None:
    work = workspace()
    remember(work, manifest(1), version(1, "refused", NOW - 400 * DAY))
    published(work, *pointed(1, 1), environment="dev")
    freed = garbage.collect(work, 1, BY)
    assert (freed.refused, [d for d, _ in work.bundles.digests()]) == (0, ["bundle1"])


# --- what people look at -----------------------------------------------------------------------------------


def held_back(work: Workspace, name: str, days: float) -> None:
    """A file of rows that a refresh held back so many days ago."""
    at = NOW - timedelta(days=days)
    with work.state.change(BY, show_instant(at)) as change:
        number = refreshes.add(change, Refresh(name, "1:d", refreshes.PUBLISHED, at, {}), ())
        refreshes.hold(change, Quarantined(number, name, f"rows of {name}", 3, 10, at))
        change.audit("refresh", name, {})
    files: Any = work.blobs
    files.there.add(f"rows of {name}")


@pytest.mark.parametrize("way", [garbage.retire, lambda work, by: garbage.collect(work, 1, by)])
def test_rows_that_are_held_back_stay_as_long_as_is_said(way: Any) -> None:
    work = workspace()
    days = work.keep.quarantine / DAY
    held_back(work, "young", days - 0.1)
    held_back(work, "old", days + 0.1)
    freed = way(work, BY)
    assert (freed.quarantine, freed.quarantine_bytes, freed.files, freed.bytes) == (1, 10, 1, 10)
    assert [q.dataset for q in refreshes.quarantine(work.state)] == ["young"]
    assert [d for d, _ in work.blobs.digests()] == ["rows of young"]


def record(days: float) -> bytes:
    at = show_instant(NOW - timedelta(days=days))
    texts = "".join(f'"{n}":"x",' for n in ("id", "endpoint", "model", "digest", "environment", "role"))
    return f'{{"at":"{at}",{texts}"version":1,"inputs":{{}},"outputs":{{}},"score":0.5}}'.encode()


@pytest.mark.parametrize(
    ("delay", "left"),
    [
        (None, [20, 29.9]),
        (10, [20, 29.9]),
        (50, [20, 29.9, 40, 56.9]),
        (10_000_000, [20, 29.9, 40, 56.9, 57.1, 400]),
    ],
    ids=["as is said", "a short delay", "a long delay and a week", "for ever"],
)
def test_predictions_stay_as_long_as_a_model_waits_for_its_labels(
    delay: int | None, left: list[float]
) -> None:
    log = MemoryLog()
    days = [20, 29.9, 40, 56.9, 57.1, 400]
    for n in days:
        log.append(record(n))
    made = workspace()
    work = replace(made, log_of=lambda: log, keep=replace(made.keep, predictions=30 * DAY))
    remember(work, manifest(1), version(1))
    said = "" if delay is None else f" OBJECTIVE (label_delay = '{delay} days')"
    published(work, replace(MODEL, target="1", text=f"{MODEL.text}{said}"))
    freed = garbage.retire(work, BY)
    assert freed.predictions == len(days) - len(left)
    assert log.table()[0]["at"].to_pylist() == [show_instant(NOW - timedelta(days=n)) for n in left]


def look(days: float) -> Look:
    at = show_instant(NOW - timedelta(days=days))
    return Look("m", 1, at, (), 0.1, None, "roc_auc", 0.9, 10, 10)


@pytest.mark.parametrize(("count", "left"), [(60, 50), (30, 30)])
def test_old_looks_go_but_for_the_newest(count: int, left: int) -> None:
    work = workspace()
    with work.state.change(BY, show_instant(NOW)) as change:
        for n in range(count):
            looks.add(change, "prod", look(work.keep.looks / DAY + 1 + n))
        change.audit("look", "m", {})
    assert garbage.retire(work, BY).looks == count - left
    assert len(looks.newest(work.state, "prod", "m", 1000)) == left


def test_where_nothing_is_old_nothing_is_written(work: Workspace) -> None:
    before = work.state.verify_audit()
    assert garbage.retire(work, BY) == garbage.Freed()
    assert work.state.verify_audit() == before
    held_back(work, "old", work.keep.quarantine / DAY + 1)
    before = work.state.verify_audit()
    assert garbage.retire(work, BY).quarantine == 1
    assert work.state.verify_audit() == before + 1


def test_what_is_kept_for_longer_than_there_are_days_is_kept() -> None:
    made = workspace()
    work = replace(
        made, keep=replace(made.keep, quarantine=timedelta(days=10**8), refused=timedelta(days=10**8))
    )
    held_back(work, "old", 400)
    remember(work, manifest(1), version(1, "refused", NOW - 400 * DAY))
    freed = garbage.collect(work, 1, BY)
    assert (freed.quarantine, freed.refused) == (0, 0)
    assert "bundle1" in dict(work.bundles.digests())


def test_generations_of_every_environment_are_forgotten(work: Workspace) -> None:
    for n in (1, 2):
        published(work, *pointed(n, n), environment="dev")
    assert garbage.collect(work, 1, BY).generations == 3
    for name, number in (("prod", 3), ("dev", 2)):
        assert [g.number for g in environments.generations(work.state, name)] == [number]


def test_an_endpoint_that_is_dropped_keeps_what_it_served_last(work: Workspace) -> None:
    remember(work, manifest(4), version(4))
    published(work, *pointed(3, 3), ENDPOINT)
    published(work, *pointed(4, 4))
    garbage.collect(work, 1, BY)
    assert [d for d, _ in work.bundles.digests()] == ["bundle3", "bundle4"]
