"""From declarations to a served generation, on a real SQLite source: what an apply does, and what it leaves alone."""

import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import shop_project as c
from tilth.adapters.files.locks import FileLocks
from tilth.app.person import person_here
from tilth.core.errors import (
    BusyError,
    GateRefusedError,
    ServedDropError,
    StateChangedError,
    TamperError,
    TilthError,
)
from tilth.kinds import KINDS
from tilth.plan.actions import TrainModel
from tilth.runtime.act import Act
from tilth.runtime.applying import executor
from tilth.runtime.applying.handlers import HANDLERS


def statuses(done: Any) -> dict[str, str]:
    return {d.action.name: d.status for d in done.did}


def replace(folder: Path, old: str, new: str) -> None:
    text = (folder / "shop.sql").read_text()
    assert old in text
    (folder / "shop.sql").write_text(text.replace(old, new))


def test_every_action_has_a_handler() -> None:
    assert set(HANDLERS) == set(KINDS.actions)


def test_an_apply_makes_what_is_declared_and_a_second_has_nothing_to_do(shop: Path) -> None:
    project = c.opened(shop)
    done = project.apply()
    assert statuses(done) == dict.fromkeys(("ops", "deliveries", "duration", "late", "late_api"), "done")
    assert done.generation == 1
    assert not project.plan()
    assert project.apply().did == ()
    checked = project.verify()
    assert (checked.pointers, checked.bundles) == (5, 2)
    (revision,) = project.state().read("latest_revisions", environment="prod")
    assert (revision["version"], revision["stage"], revision["previous"]) == (1, "full", None)
    assert {r["status"] for r in project.sql("SELECT status FROM tilth.runs").rows()} == {"done"}
    for table in ("audit", "generations"):
        actors = project.sql(f"SELECT DISTINCT actor FROM tilth.{table}").rows()
        assert actors == [{"actor": person_here().text}]


def test_dev_shares_what_prod_has_and_trains_only_what_changed(applied: Path) -> None:
    project = c.opened(applied)
    files = {p for p in (applied / ".tilth" / "blobs").rglob("*") if p.is_file()}
    replace(applied, "FEATURES (* EXCEPT (late))", "FEATURES (distance, carrier)")
    done = project.apply("dev")
    trained = [d.action.name for d in done.did if isinstance(d.action, TrainModel)]
    assert trained == ["duration"]
    assert {p for p in (applied / ".tilth" / "blobs").rglob("*") if p.is_file()} == files
    assert project.model("late", environment="dev").version == project.model("late").version


def test_promotion_moves_everything_at_once_and_rollback_takes_it_back(applied: Path) -> None:
    project = c.opened(applied)
    replace(applied, "FEATURES (* EXCEPT (minutes))", "FEATURES (carrier, distance, ordered_at)")
    replace(applied, "OUTCOMES", "ROLLOUT (shadow = '5 requests') OUTCOMES")
    assert statuses(project.apply("dev"))["late"] == "done"
    assert project.promote("dev") == 2
    assert project.model("late").version == 2
    (revision,) = project.state().read("latest_revisions", environment="prod")
    assert (revision["version"], revision["previous"], revision["stage"]) == (2, 1, "shadow")
    assert project.rollback() == 3
    assert project.model("late").version == 1
    (revision,) = project.state().read("latest_revisions", environment="prod")
    assert (revision["version"], revision["stage"]) == (1, "full")
    assert project.verify().audit_rows > 0


def test_a_candidate_that_does_not_pass_its_gate_is_refused_and_the_champion_stays(applied: Path) -> None:
    project = c.opened(applied)
    with closing(sqlite3.connect(applied / "ops.db")) as db, db:
        db.execute("UPDATE deliveries SET late = (id * 7919) % 97 < 30")  # labels without meaning
    replace(applied, "KEY (id)", "KEY (id)\n  TAG (carrier = 'public')")
    replace(applied, "minutes BETWEEN 0 AND 600", "minutes BETWEEN 0 AND 601")
    done = project.apply()
    assert statuses(done)["late"] == "refused"
    assert "late" in {d.action.name for d in done.refusals}
    assert project.model("late").version == 1
    (gate, *_) = project.sql("SELECT * FROM tilth.gates WHERE candidate = 2 AND model = 'late'").rows()
    assert gate["outcome"] == "fail"
    assert "late" in {n.name for n in project.plan().notes}
    assert statuses(project.apply("dev"))["late"] == "done"
    with pytest.raises(GateRefusedError, match="did not pass its gate"):
        project.promote("dev")


def test_a_check_that_holds_nothing_back_gives_the_same_models_and_they_are_taken(applied: Path) -> None:
    project = c.opened(applied)
    replace(applied, "minutes BETWEEN 0 AND 600", "minutes BETWEEN 0 AND 601")
    done = project.apply()
    assert statuses(done) == dict.fromkeys(("deliveries", "duration", "late"), "done")
    gates = project.sql("SELECT model, reason FROM tilth.gates WHERE candidate = 2").rows()
    assert {g["model"] for g in gates} == {"duration", "late"}  # `duration` asks for better
    assert all("as the champion does" in g["reason"] for g in gates)
    assert not project.plan()


def test_due_data_is_collected_incrementally_and_age_retrains(applied: Path) -> None:
    project = c.opened(applied)
    c.add(applied, c.deliveries(c.DAYS, c.DAYS + 40))
    project.clock.set(c.NOW + timedelta(days=40))  # type: ignore[attr-defined]
    reasons = {a.name: a.reason for a in project.plan().actions}
    assert reasons["deliveries"].startswith("due")
    assert reasons["late"].startswith("age")
    done = project.apply()
    assert "2,101 rows read, 8,000 in the snapshot" in done.did[0].text
    assert statuses(done) == {"deliveries": "done", "late": "done"}
    assert project.model("late").version == 2


def test_bad_rows_wait_in_quarantine_and_a_broken_promise_stops_the_refresh(applied: Path) -> None:
    project = c.opened(applied)
    before = project.sql("SELECT count(*) AS n FROM deliveries").rows()
    c.add(applied, [(90001, "2024-04-30 10:00:00", "own", 5.0, 9000.0, True)])
    done = project.sql("REFRESH DATASET deliveries")
    assert "1 in quarantine" in done.facts["actions"][0]["text"]
    c.add(applied, [(90002, "2024-04-30 11:00:00", None, 5.0, 20.0, True)])
    with pytest.raises(TilthError, match="carrier IS NOT NULL does not hold"):
        project.sql("REFRESH DATASET deliveries")
    assert project.sql("SELECT count(*) AS n FROM deliveries").rows() == before
    assert project.sql("SELECT status FROM tilth.refreshes ORDER BY id").rows() == [
        {"status": "published"},
        {"status": "published"},
        {"status": "stopped"},
    ]
    assert project.model("late").version == 1


def test_an_apply_that_died_is_taken_up_where_it_was(shop: Path) -> None:
    project = c.opened(shop)

    class Died(BaseException):
        pass

    def die(did: Any) -> None:
        if did.action.name == "duration":
            raise Died

    with pytest.raises(Died):
        project.apply(tell=die)
    assert project.current("prod").generation == 0
    done = project.apply()
    shared = {d.action.name: type(d.action).__name__ for d in done.did}
    assert shared["deliveries"] == "ShareSnapshot"
    assert shared["duration"] == "ShareVersion"
    assert done.generation == 1


def test_two_applies_at_once_do_not_meet(shop: Path) -> None:
    project = c.opened(shop)
    project.state()
    with FileLocks(project.home).hold("apply-prod"), pytest.raises(BusyError, match="apply prod"):
        c.opened(shop).apply()
    assert project.current("prod").generation == 0
    done: list[Any] = []

    def apply() -> None:
        try:
            done.append(c.opened(shop).apply())
        except BusyError as error:
            done.append(error)

    threads = [threading.Thread(target=apply) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 2
    assert project.current("prod").generation == 1
    assert len(project.state().read("versions")) == 2


def test_gc_waits_for_an_apply_of_an_environment_that_is_not_there_yet(shop: Path) -> None:
    project, other = c.opened(shop), c.opened(shop)
    busy: list[str] = []

    def gc_meanwhile(_did: Any) -> None:
        with pytest.raises(BusyError) as caught:
            other.gc()
        busy.append(caught.value.message)

    graph = project.graph()
    executor.apply(Act(project.work(), "prod", project.by), graph, tell=gc_meanwhile)
    assert len(busy) == 5
    assert "busy with `the project`" in busy[0]
    assert other.gc().snapshots == 0
    assert other.sql("SELECT count(*) AS n FROM deliveries").rows() == [{"n": c.DAYS * c.A_DAY}]


def test_an_error_that_nobody_foresaw_is_told_with_its_place(
    applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a value of another planet")

    project = c.opened(applied)
    monkeypatch.setattr("tilth.runtime.applying.collecting.collect", broken)
    with pytest.raises(TilthError, match="ValueError: a value of another planet") as caught:
        project.sql("REFRESH DATASET deliveries")
    assert "in refresh, runtime/applying/collecting.py:" in str(caught.value)
    assert [r["status"] for r in project.sql("SELECT status FROM tilth.refreshes").rows()] == [
        "published",
        "failed",
    ]
    monkeypatch.undo()
    project.sql("REFRESH DATASET deliveries")


@pytest.mark.parametrize("door", ["promote", "apply"])
def test_what_won_in_dev_must_win_against_what_prod_serves_by_then(applied: Path, door: str) -> None:
    project = c.opened(applied)
    declared = (applied / "shop.sql").read_text()
    replace(applied, "FEATURES (* EXCEPT (late))", "FEATURES (distance, carrier, ordered_at)")
    replace(applied, "USING (engine = 'linear');", "USING (engine = 'linear') PROMOTE IF not_worse_by(5);")
    dev = project.apply("dev")
    assert "version 2" in next(d.text for d in dev.did if d.action.name == "duration")
    changed = (applied / "shop.sql").read_text()
    (applied / "shop.sql").write_text(declared)
    project.sql("RETRAIN MODEL duration USING (seed = 8)")
    assert project.model("duration").version == 3
    if door == "promote":
        with pytest.raises(
            GateRefusedError, match=r"never shown to pass PROMOTE IF not_worse_by\(5\.0\) against version 3"
        ):
            project.promote("dev")
    else:
        (applied / "shop.sql").write_text(changed)
        done = next(d for d in project.apply().did if d.action.name == "duration")
        assert done.text.startswith("version 2, judged anew")
        gates = project.sql(
            "SELECT * FROM tilth.gates WHERE candidate = 2 AND model = 'duration' ORDER BY id"
        ).rows()
        assert [(g["environment"], g["champion"]) for g in gates] == [("dev", 1), ("prod", 3)]


def test_gc_frees_what_nothing_points_at_and_never_what_a_pointer_needs(applied: Path) -> None:
    project = c.opened(applied)
    for day in range(3):
        c.add(applied, c.deliveries(c.DAYS + day, c.DAYS + day + 1))
        project.sql("REFRESH DATASET deliveries")
    project.sql("RETRAIN MODEL duration USING (seed = 8)")
    kept = project.sql("SELECT count(*) AS n FROM deliveries").rows()
    leftover = applied / ".tilth" / "blobs" / "making-dead"
    leftover.mkdir()
    (leftover / "half").write_bytes(b"x" * 1000)
    before = {name: folder_size(applied / ".tilth" / name) for name in ("blobs", "bundles")}
    freed = project.gc(keep=1)
    assert freed.snapshots >= 2
    assert freed.bytes >= 1000
    after = {name: folder_size(applied / ".tilth" / name) for name in before}
    assert after["blobs"] < before["blobs"]
    assert after["bundles"] == before["bundles"]  # the candidate that lost stays for people to look at
    assert sum(before.values()) - sum(after.values()) == freed.bytes
    assert not leftover.exists()
    assert c.opened(applied, c.NOW + timedelta(days=91)).gc(keep=1).refused == 1
    assert folder_size(applied / ".tilth" / "bundles") < before["bundles"]
    again = c.opened(applied)
    assert again.sql("SELECT count(*) AS n FROM deliveries").rows() == kept
    assert again.verify().bundles == 2
    assert again.model("late").version == 1


def folder_size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("how", ["flip", "add", "other model", "older version"])
def test_a_bundle_that_is_not_what_was_sealed_is_refused(applied: Path, how: str) -> None:
    project = c.opened(applied)
    project.sql("RETRAIN MODEL duration USING (seed = 8)")
    rows = {(r["model"], r["version"]): r["digest"] for r in project.state().read("versions")}
    assert project.model("duration").version == 2
    place = Path(project.work().bundles.path(str(rows["duration", 2])))
    place.chmod(0o755)
    if how in ("flip", "add"):
        name = "signature.json" if how == "flip" else "extra.txt"
        data = bytearray((place / name).read_bytes() if how == "flip" else b"hello")
        data[len(data) // 2] ^= 1
        (place / name).unlink(missing_ok=True)
        (place / name).write_bytes(bytes(data))
    else:
        other = ("late", 1) if how == "other model" else ("duration", 1)
        shutil.rmtree(place)
        shutil.copytree(project.work().bundles.path(str(rows[other])), place)
    with pytest.raises(TamperError):
        c.opened(applied).model("duration")
    with pytest.raises(TamperError):
        c.opened(applied).verify()


def test_an_edited_state_file_is_refused(applied: Path) -> None:
    project = c.opened(applied)
    project.close()
    with closing(sqlite3.connect(applied / ".tilth" / "state.db")) as db, db:
        db.execute("UPDATE pointers SET target = '7' WHERE kind = 'model'")
    with pytest.raises(StateChangedError, match="was edited"):
        c.opened(applied).apply()


@pytest.mark.parametrize("name", ["we ird", "../../elsewhere", "Prod", "", "a/b", "x" * 64])
def test_an_environment_needs_a_plain_name(shop: Path, name: str) -> None:
    from tilth.app.project import Project
    from tilth.runtime.applying import executor

    project: Project = c.opened(shop)
    with pytest.raises(TilthError, match="cannot be the name of an environment"):
        executor.apply(Act(project.work(), name, project.by), project.graph())
    assert project.state().read("environments") == ()
    assert not list(shop.parent.glob("*.lock"))


def test_an_edit_that_makes_the_digest_fit_is_found_by_the_audit_chain(applied: Path) -> None:
    from dataclasses import replace as changed

    from tilth.runtime.record import environments

    project = c.opened(applied)
    assert project.verify().pointers == 5
    _, pointers = environments.pointers_of(project.state(), "prod")
    bent = tuple(changed(p, target="7") if p.name == "duration" else p for p in pointers)
    project.close()
    with closing(sqlite3.connect(applied / ".tilth" / "state.db")) as db, db:
        db.execute("UPDATE pointers SET target = '7' WHERE name = 'duration'")
        db.execute("UPDATE generations SET digest = ?", (environments.digest_of(bent),))
    assert environments.pointers_of(c.opened(applied).state(), "prod")[1] == bent
    with pytest.raises(StateChangedError, match="audit chain recorded"):
        c.opened(applied).verify()


def test_a_retrain_on_unchanged_data_says_so_and_makes_nothing(applied: Path) -> None:
    project = c.opened(applied)
    count = "SELECT count(*) AS n FROM tilth.versions WHERE model = 'late'"
    for _ in range(2):
        done = project.sql("RETRAIN MODEL late")
        assert "Nothing is made: version 1 of `late` already is of these rows" in done.text
        assert (done.refused, done.facts["version"], done.facts["made"]) == (False, 1, False)
    assert len(project.generations()) == 1
    project.sql("RETRAIN MODEL late USING (seed = 8)")
    assert project.sql(count).rows() == [{"n": 2}]
    again = project.sql("RETRAIN MODEL late USING (seed = 8)")
    assert "version 2 of `late` already" in again.text
    c.add(applied, c.deliveries(c.DAYS, c.DAYS + 1))
    project.sql("REFRESH DATASET deliveries")
    assert "version 3" in project.sql("RETRAIN MODEL late").text
    assert project.sql(count).rows() == [{"n": 3}]


@pytest.mark.parametrize("harm", ["lost", "changed"])
def test_a_retrain_makes_another_where_the_version_of_these_rows_cannot_be_loaded(
    applied: Path, harm: str
) -> None:
    project = c.opened(applied)
    (row,) = [r for r in project.state().read("versions") if r["model"] == "duration"]
    place = Path(project.work().bundles.path(str(row["digest"])))
    place.chmod(0o755)
    if harm == "lost":
        shutil.rmtree(place)
    else:
        (place / "signature.json").chmod(0o644)
        (place / "signature.json").write_text("{}")
    fresh = c.opened(applied)
    with pytest.raises(TilthError, match=r"bundle|Bundle"):  # the gate cannot ask the champion
        fresh.sql("RETRAIN MODEL duration")
    assert [r["version"] for r in fresh.state().read("versions") if r["model"] == "duration"] == [1, 2]


def test_what_serves_is_dropped_only_when_somebody_says_so(applied: Path) -> None:
    project = c.opened(applied)
    file = applied / "shop.sql"
    text = file.read_text()
    file.write_text(text[: text.index("CREATE ENDPOINT")])
    assert "late_api: it answers requests; apply asks on a terminal" in project.sql("PLAN").text
    for ask in (project.apply, lambda: project.sql("APPLY"), lambda: project.apply(allow_drop=("other",))):
        with pytest.raises(ServedDropError, match="`late_api`: it answers requests") as caught:
            ask()
        assert (caught.value.names, "--allow-drop" in str(caught.value.hint)) == (("late_api",), True)
    assert len(project.generations()) == 1
    file.write_text(text[: text.index("CREATE MODEL late")])
    with pytest.raises(ServedDropError, match="`late`: it answers the requests of late_api") as caught:
        project.apply(allow_drop=("late_api",))
    assert caught.value.names == ("late",)
    assert [d.status for d in project.apply(allow_drop=True).did] == ["done"] * 3
    assert project.plan().notes == ()


def test_a_model_that_no_endpoint_answers_by_is_dropped_unasked(applied: Path) -> None:
    project = c.opened(applied)
    text = (applied / "shop.sql").read_text()
    start, end = text.index("CREATE MODEL duration"), text.index("CREATE ENDPOINT")
    (applied / "shop.sql").write_text(text[:start] + text[end:])
    assert [d.action.name for d in project.apply().did] == ["duration"]
    project.sql("DROP ENDPOINT late_api")
    assert project.deployed().find("late_api") is None


@pytest.mark.parametrize(("answer", "status", "left"), [(b"n\n", 2, True), (b"y\n", 0, False)])
def test_a_terminal_is_asked_before_what_serves_is_dropped(
    applied: Path, answer: bytes, status: int, left: bool
) -> None:
    text = (applied / "shop.sql").read_text()
    (applied / "shop.sql").write_text(text[: text.index("CREATE ENDPOINT")])
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tilth", "apply", "--project", str(applied)]
    child = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer)
    assert child.wait(60) == status
    assert b"Drop late_api?" in os.read(ours, 65_536)
    os.close(ours)
    assert (c.opened(applied).deployed().find("late_api") is not None) is left
    unasked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (unasked.returncode, "--allow-drop" in unasked.stderr) == ((2, True) if left else (0, False))
    if left:
        assert subprocess.run([*command, "--allow-drop"], capture_output=True, check=False).returncode == 0
