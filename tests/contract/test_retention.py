"""What `[keep]` says is old goes, and nothing that a plan or a gate decides on."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import shop_project as c
from tilth.adapters.files.predictions import FilePredictions
from tilth.app.project import Project
from tilth.core.errors import UnknownNameError
from tilth.core.principals import Principal, person
from tilth.core.time import show_instant
from tilth.ml.data.drift import ColumnDrift
from tilth.ml.watching.monitoring import Look
from tilth.runtime.applying import garbage
from tilth.runtime.keeping.reconciler import Reconciler
from tilth.runtime.record import endpoints, looks, messages, versions
from tilth.runtime.record.endpoints import Revision
from tilth.runtime.record.versions import Version

BY = person("test")

DATA = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET deliveries KEY (id) EVENT TIME ordered_at EXPECT (minutes < 30 ON FAIL QUARANTINE)
  AS SELECT * FROM ops.deliveries;
CREATE MODEL m PREDICT minutes FROM deliveries OBJECTIVE (label_delay = '100 days') USING (engine = 'linear');
"""


def record(at: datetime) -> bytes:
    texts = dict.fromkeys(("id", "endpoint", "model", "digest", "environment", "role"), "x")
    row = {"at": show_instant(at), **texts, "version": 1, "inputs": {}, "outputs": {}, "score": 0.5}
    return json.dumps(row, separators=(",", ":")).encode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return c.opened(c.make(tmp_path / "shop", DATA))


def declared(project: Project) -> None:
    """The source and the dataset, without the model: it takes seconds to train."""
    text = (Path(project.root) / "shop.sql").read_text()
    (Path(project.root) / "shop.sql").write_text(text[: text.index("CREATE MODEL")])


def later(project: Project, days: float) -> Project:
    return c.opened(Path(project.root), c.NOW + timedelta(days=days))


def add_version(project: Project, version: int, status: str, snapshot: str, made: datetime) -> None:
    bundle = Path(project.work().bundles.scratch())
    (bundle / "member").write_text(f"{version}")
    digest = f"{version:064x}"
    project.work().bundles.put(digest, str(bundle))
    with project.state().change(BY, show_instant(made)) as change:
        versions.add(
            change,
            Version(
                "m", version, "2:r", snapshot, digest, status, "linear", 1, 1, None, "{}", "new", 0.0, made
            ),
        )
        change.audit("train", "m", {})


def test_the_same_rows_are_held_back_once(project: Project) -> None:
    declared(project)
    project.apply()
    first = project.state().read("quarantine")
    project.sql("REFRESH DATASET deliveries")
    assert project.state().read("quarantine") == first
    assert len(first) == 1
    assert [
        r["rows_quarantined"] for r in project.sql("SELECT rows_quarantined FROM tilth.refreshes").rows()
    ] == [first[0]["rows"]] * 2


@pytest.mark.parametrize("by_hand", [True, False])
def test_rows_held_back_go_when_they_are_old_and_their_counts_stay(project: Project, by_hand: bool) -> None:
    declared(project)
    project.apply()
    (held,) = project.state().read("quarantine")
    assert garbage.retire(later(project, 89).work(), BY) == garbage.Freed()
    old = later(project, 91)
    freed = old.gc() if by_hand else garbage.retire(old.work(), BY)
    assert (freed.quarantine, freed.quarantine_bytes) == (1, held["bytes"])
    assert old.state().read("quarantine") == ()
    assert held["blob"] not in dict(old.work().blobs.digests())
    assert old.sql("SELECT rows_quarantined FROM tilth.refreshes").rows() == [
        {"rows_quarantined": held["rows"]}
    ]


@pytest.mark.parametrize(
    ("status", "age", "goes"),
    [("refused", 91, True), ("held", 91, True), ("refused", 89, False), ("candidate", 91, False)],
)
def test_the_bundle_of_a_candidate_that_lost_goes_after_a_while_and_its_row_stays(
    project: Project, status: str, age: float, goes: bool
) -> None:
    declared(project)
    project.apply()
    add_version(project, 1, status, "0" * 32, c.NOW)
    old = later(project, age)
    assert old.gc().refused == goes
    (row,) = old.state().read("versions")
    assert (row["status"], row["removed_at"] is not None) == (status, goes)
    assert bool(list(old.work().bundles.digests())) is not goes
    if goes:
        with pytest.raises(UnknownNameError, match="The bundle of version 1 of `m` was removed on"):
            old.model("m", 1)


@pytest.mark.parametrize(("status", "kept"), [("candidate", True), ("refused", False), ("promoted", False)])
def test_the_rows_that_an_unjudged_candidate_was_fitted_on_stay(
    project: Project, status: str, kept: bool
) -> None:
    declared(project)
    project.apply()
    (first,) = project.state().read("snapshots")
    add_version(project, 1, status, str(first["id"]), c.NOW)
    c.add(Path(project.root), c.deliveries(c.DAYS, c.DAYS + 1))
    project.sql("REFRESH DATASET deliveries")
    project.gc(keep=1)
    assert (first["id"] in {r["id"] for r in project.state().read("snapshots")}) is kept


def test_the_rows_that_the_serving_version_was_fitted_on_stay(project: Project) -> None:
    """The gate asks them which rows the champion knows."""
    declared(project)
    project.apply()
    (first,) = project.state().read("snapshots")
    add_version(project, 1, "promoted", str(first["id"]), c.NOW)
    number = int(project.state().read("environment", name="prod")[0]["generation"] or 0)
    with project.state().change(BY, show_instant(c.NOW)) as change:
        endpoints.add(change, Revision("prod", "e", 1, "m", 2, 1, "full", "{}", "", c.NOW))
        change.audit("test", "prod", {"generation": number})
    c.add(Path(project.root), c.deliveries(c.DAYS, c.DAYS + 1))
    project.sql("REFRESH DATASET deliveries")
    project.gc(keep=1)
    assert first["id"] in {r["id"] for r in project.state().read("snapshots")}


def test_looks_go_when_they_are_old_but_for_the_newest(project: Project) -> None:
    declared(project)
    project.apply()
    with project.state().change(BY, show_instant(c.NOW)) as change:
        for n in range(60):
            at = show_instant(c.NOW - timedelta(days=n))
            drift = ColumnDrift("x", 0.1, 0.1, 0.0, 0.0, 1, 0.1)
            looks.add(change, "prod", Look("m", 1, at, (drift,), 0.1, 0.1, "mae", 1.0, 1, 1, 0.0, at, at))
        change.audit("look", "m", {})
    assert later(project, 300).gc().looks == 0
    old = later(project, 500)
    assert old.gc().looks == 10
    kept = looks.newest(old.state(), "prod", "m", 100)
    assert len(kept) == garbage.NEWEST


def test_messages_go_when_they_are_old_but_for_what_nobody_took_and_the_newest(project: Project) -> None:
    """The newest stays: its number is in the ids that receivers know messages by, and the next one counts on from it."""
    declared(project)
    project.apply()

    def add(days: float, status: str) -> int:
        at = c.NOW - timedelta(days=days)
        with project.state().change(BY, show_instant(at)) as change:
            made = messages.Message(0, "ops", "failed", "d", "{}", at, 0, 0.0)
            number = messages.add(change, "prod", made)
            if status != messages.WAITING:
                messages.tried(change, messages.Tried(number, 1, status), at)
            change.audit("notify", "ops", {})
        return number

    old = [add(91, messages.DELIVERED), add(200, messages.DELIVERED)]
    kept = [
        add(91, messages.DEAD),
        add(91, messages.WAITING),
        add(89, messages.DELIVERED),
        add(91, messages.DELIVERED),
    ]
    assert garbage.retire(project.work(), BY).messages == len(old)
    columns, rows = project.state().table("messages")
    assert [dict(zip(columns, r, strict=True))["id"] for r in rows] == kept
    assert garbage.retire(project.work(), BY).messages == 0
    assert messages.next_number(project.state()) == kept[-1] + 1
    assert project.verify().audit_rows > 0


# --- predictions -------------------------------------------------------------------------------------------

DAY0 = datetime(2024, 1, 1, tzinfo=UTC)


def folder_of(folder: Path, *days: int, compacted: bool) -> FilePredictions:
    """A closed file for each day."""
    for day in days:
        one = FilePredictions(str(folder))
        one.append(record(DAY0 + timedelta(days=day)))
        one.append(record(DAY0 + timedelta(days=day, hours=1)))
        one.close()
    log = FilePredictions(str(folder))
    if compacted:
        log.compact()
    return log


@pytest.mark.parametrize("compacted", [True, False])
def test_files_of_predictions_go_when_their_newest_is_old(tmp_path: Path, compacted: bool) -> None:
    log = folder_of(tmp_path, 0, 1, 2, compacted=compacted)
    size = sum(p.stat().st_size for p in tmp_path.iterdir())
    files, freed = log.forget(show_instant(DAY0 + timedelta(days=1, minutes=30)))
    assert files == 1
    assert 0 < freed < size
    table, _ = log.table()
    assert table.num_rows == 4
    assert len(list(log.records())) == 4


def test_a_file_that_is_written_to_stays(tmp_path: Path) -> None:
    log = FilePredictions(str(tmp_path))
    log.append(record(DAY0))
    assert log.forget("9999") == (0, 0)
    log.close()
    assert log.forget("9999")[0] == 1


def test_a_reader_that_goes_on_after_old_files_went_reads_the_rest(tmp_path: Path) -> None:
    log = folder_of(tmp_path, 0, 1, compacted=True)
    _, mark = log.table()
    log.forget(show_instant(DAY0 + timedelta(days=1)))
    folder_of(tmp_path, 2, compacted=False)
    assert log.table(mark)[0].num_rows == 2


@pytest.mark.parametrize(("age", "goes"), [(106, 0), (108, 1)])
def test_predictions_stay_while_a_deployed_model_waits_for_its_labels(
    project: Project, age: int, goes: int
) -> None:
    declared(project)
    project.apply()
    text = DATA[DATA.index("CREATE MODEL") :].strip().rstrip(";")
    with project.state().change(BY, show_instant(c.NOW)) as change:
        number = project.state().read("environment", name="prod")[0]["generation"]
        change.write("add_definition", digest="d", text=text)
        change.write(
            "add_pointer", environment="prod", generation=number, kind="model", name="m", recipe="2:r",
            definition="d", target=None,
        )  # fmt: skip
        change.audit("test", "prod", {})
    log = project.work().log
    log.append(record(c.NOW))
    log.flush()
    log.close()
    assert garbage.retire(later(project, age).work(), BY).predictions == goes


def test_the_footer_says_how_old_a_file_is(tmp_path: Path) -> None:
    folder_of(tmp_path, 0, compacted=True)
    (path,) = tmp_path.glob("*.parquet")
    assert pq.read_metadata(path).row_group(0).column(0).statistics.max == show_instant(
        DAY0 + timedelta(hours=1)
    )


def test_the_reconciler_lets_go_of_what_is_old_once_a_day(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared(project)
    project.apply()
    calls, told = list[tuple[datetime, str]](), list[str]()
    retire = garbage.retire

    def counted(work: Any, by: Principal) -> garbage.Freed:
        calls.append((work.clock.now(), by.text))
        return retire(work, by)

    monkeypatch.setattr(garbage, "retire", counted)
    old = later(project, 91)
    loop = Reconciler(old.work(), "prod", lambda: old.deployed("prod"), tell=told.append)
    for hours in (0, 5, 23, 24, 30):
        loop.step(c.NOW + timedelta(days=91, hours=hours))
    assert [by for _, by in calls] == ["reconciler:prod"] * 2
    assert old.state().read("quarantine") == ()
    assert any(line.startswith("what [keep] says is old went: ") for line in told)
