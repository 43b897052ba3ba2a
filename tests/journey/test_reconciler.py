"""The reconciler acts unattended: refreshes, retrains when the rule says so, survives what fails, and can be waited for."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import returns
from tilth.adapters.clocks import FileClock
from tilth.app.person import person_here
from tilth.app.project import Project
from tilth.core.errors import BusyError
from tilth.core.time import show_instant
from tilth.ports.clock import ManualClock
from tilth.resources.graph import Graph
from tilth.runtime.applying import executor
from tilth.runtime.keeping.reconciler import Reconciler


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = returns.make(tmp_path_factory.mktemp("shop") / "shop", promote="not_worse_by(0.05)")
    project, _ = returns.opened(folder)
    assert not project.apply().refusals
    project.close()
    return folder


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Iterator[tuple[Project, ManualClock]]:
    shutil.copytree(applied, tmp_path / "shop")
    made, clock = returns.opened(tmp_path / "shop")
    yield made, clock
    made.close()


def reconciler(project: Project, lines: list[str], **more: object) -> Reconciler:
    return Reconciler(
        project.work(),
        "prod",
        lambda: project.deployed("prod"),
        tell=lines.append,
        replay=True,
        **more,  # type: ignore[arg-type]
    )


def rows(project: Project, table: str) -> list[dict[str, object]]:
    columns, found = project.state().table(table)
    return [dict(zip(columns, r, strict=True)) for r in found]


def test_days_pass_data_drifts_a_candidate_is_trained_and_promoted_unattended(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    lines: list[str] = []
    loop = reconciler(made, lines)
    version = 1
    for n in range(16):
        shift = 1.5 if n >= 6 else 0.0
        returns.ask(made, returns.HISTORY + n, shift, version)
        returns.add(Path(made.root), returns.HISTORY + n, shift=shift)
        clock.set(returns.at(returns.HISTORY + n + 1))
        assert loop.step(clock.now())
        assert not loop.step(clock.now())
        (node,) = rows(made, "nodes")
        assert node["reconciled_at"] == show_instant(clock.now())
        version = int(next(p.target for p in made.current("prod").pointers if p.name == "returns") or 0)
    versions = rows(made, "versions")
    assert [v["status"] for v in versions[:2]] == ["promoted", "promoted"]
    assert "drift" in str(versions[1]["reason"])
    assert version >= 2
    looks = rows(made, "quality")
    assert len(looks) == 16
    assert max(float(v["drift"] or 0) for v in looks if v["version"] == 1) > 0.2  # type: ignore[arg-type]
    assert made.current("prod").snapshots[0].rows > 16 * 190 + 60 * 190
    assert any(line.startswith("looked at returns@1") for line in lines)
    assert made.verify().audit_rows > 0
    assert {str(g["actor"]) for g in rows(made, "generations")[1:]} == {"reconciler:prod"}
    assert {str(a["actor"]) for a in rows(made, "audit")} == {person_here().text, "reconciler:prod"}


def test_without_a_generation_there_is_nothing_to_do(tmp_path: Path) -> None:
    made, clock = returns.opened(returns.make(tmp_path / "shop"))
    assert not reconciler(made, []).step(clock.now())
    assert rows(made, "runs") == []
    assert [n["reconciled_at"] for n in rows(made, "nodes")] == [show_instant(clock.now())]
    made.close()


def test_a_source_that_is_down_is_told_and_tried_again_later_without_a_hot_loop(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    lines: list[str] = []
    loop = reconciler(made, lines)
    database = Path(made.root) / "ops.db"
    database.rename(database.with_suffix(".away"))
    clock.set(returns.at(returns.HISTORY + 1))
    returns.ask(made, returns.HISTORY)
    loop.step(clock.now())
    assert len(rows(made, "quality")) == 1, "the model is looked at although its source is down"
    failed = [r for r in rows(made, "runs") if r["status"] == "failed"]
    assert len(failed) == 1
    assert "ops.db" in str(failed[0]["error"])
    for _ in range(5):
        assert not loop.step(clock.now())
    assert len([r for r in rows(made, "runs") if r["status"] == "failed"]) == 1
    database.with_suffix(".away").rename(database)
    time.sleep(0.3)  # the shortest rest on the wall
    clock.set(returns.at(returns.HISTORY + 1.1))
    loop.step(clock.now())
    assert rows(made, "refreshes")[-1]["status"] == "published"


def test_bad_rows_stop_a_refresh_and_the_champion_stays(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    lines: list[str] = []
    loop = reconciler(made, lines)
    before = made.current("prod").pointers
    returns.add(Path(made.root), returns.HISTORY)
    with closing(sqlite3.connect(Path(made.root) / "ops.db")) as db, db:
        db.execute("UPDATE orders SET shop = NULL WHERE id = ?", (returns.HISTORY * returns.A_DAY,))
    clock.set(returns.at(returns.HISTORY + 1))
    loop.step(clock.now())
    assert rows(made, "refreshes")[-1]["status"] == "stopped"
    assert made.current("prod").pointers == before
    assert any("shop IS NOT NULL" in line for line in lines)
    with closing(sqlite3.connect(Path(made.root) / "ops.db")) as db, db:
        db.execute("UPDATE orders SET shop = 'a' WHERE shop IS NULL")
    clock.set(returns.at(returns.HISTORY + 2))
    time.sleep(0.3)
    loop.step(clock.now())
    assert rows(made, "refreshes")[-1]["status"] == "published"


def test_what_is_published_in_the_middle_of_a_step_is_not_undone(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    models = Path(made.root) / "models.sql"
    models.write_text(models.read_text().replace("engine = 'linear'", "engine = 'linear', seed = 8"))
    made.apply()
    lines: list[str] = []
    loop = reconciler(made, lines)

    def meanwhile() -> Graph:
        graph = made.deployed("prod")
        if not rolled:
            rolled.append(made.rollback("prod"))
        return graph

    rolled: list[int] = []
    loop._graph_of = meanwhile
    for _ in range(3):
        loop.step(clock.now())
    assert made.current("prod").generation == rolled[0]
    assert not any(": done: " in line for line in lines)


def test_a_bundle_that_was_tampered_with_is_told_once_and_the_loop_comes_to_rest(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    lines: list[str] = []
    loop = reconciler(made, lines)
    (bundle,) = (Path(made.home) / "bundles").glob("*/*/profile.json")
    bundle.chmod(0o644)
    bundle.write_bytes(bundle.read_bytes().replace(b"a", b"b", 1))
    for n in range(3):
        returns.add(Path(made.root), returns.HISTORY + n)
        clock.set(returns.at(returns.HISTORY + n + 1))
        loop.step(clock.now())
    assert [n["reconciled_at"] for n in rows(made, "nodes")] == [show_instant(clock.now())]
    assert rows(made, "quality") == []
    assert len([line for line in lines if "cannot be looked at" in line]) == 1
    assert [r["status"] for r in rows(made, "refreshes")] == ["published"] * 4


def test_another_apply_under_way_is_waited_for(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    loop = reconciler(made, [])
    clock.set(returns.at(returns.HISTORY + 1))
    with made.work().locks.hold("apply-prod"), pytest.raises(BusyError):
        loop.step(clock.now())
    assert loop.step(clock.now())


def test_a_changed_source_refreshes_a_dataset_once(applied: Path, tmp_path: Path) -> None:
    folder = returns.make(tmp_path / "shop", refresh="ON CHANGE")
    (folder / "models.sql").unlink()
    (folder / "endpoints.sql").unlink()
    made, clock = returns.opened(folder)
    made.apply()
    loop = reconciler(made, [])
    assert not loop.step(clock.now())
    returns.add(folder, returns.HISTORY)
    clock.set(returns.at(returns.HISTORY + 0.01))
    assert loop.step(clock.now())
    assert not loop.step(clock.now())
    assert [r["status"] for r in rows(made, "refreshes")] == ["published", "published"]
    made.close()


def test_a_changed_source_is_planned_and_applied_by_hand_too(tmp_path: Path) -> None:
    folder = returns.make(tmp_path / "shop", refresh="ON CHANGE")
    (folder / "models.sql").unlink()
    (folder / "endpoints.sql").unlink()
    made, clock = returns.opened(folder)
    made.apply()
    assert not made.plan()
    returns.add(folder, returns.HISTORY)
    clock.set(returns.at(returns.HISTORY + 0.01))
    (found,) = made.plan().actions
    assert (found.name, found.reason) == ("orders", "its source has changed")
    assert [d.status for d in made.apply().did] == ["done"]
    assert not made.plan()
    (folder / "ops.db").rename(folder / "away.db")
    (note,) = made.plan().notes
    assert (note.name, note.text[:46]) == ("orders", "its source cannot be asked whether it changed:")
    assert made.apply().plan.notes == (note,)
    made.close()


def test_an_error_that_is_not_ours_does_not_end_the_loop(project: tuple[Project, ManualClock]) -> None:
    made, _ = project
    lines: list[str] = []
    stop = threading.Event()

    def broken() -> None:
        if len(lines) >= 1:
            stop.set()
        raise ZeroDivisionError("oh")

    loop = Reconciler(made.work(), "prod", broken, tell=lambda line: (lines.append(line), stop.set()))  # type: ignore[arg-type,return-value]
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert lines == ["cannot go on for now: ZeroDivisionError: oh"]


def test_the_process_follows_a_clock_file_and_ends_with_sigterm(
    project: tuple[Project, ManualClock], tmp_path: Path
) -> None:
    made, clock = project
    clock_file = tmp_path / "clock"
    moved = FileClock(str(clock_file))
    moved.set(clock.now())
    arguments = ["reconcile", "--project", made.root, "--env", "prod", "--clock", str(clock_file)]
    process = subprocess.Popen([sys.executable, "-m", "tilth", *arguments], stderr=subprocess.PIPE, text=True)
    try:
        for n in range(3):
            returns.add(Path(made.root), returns.HISTORY + n)
            moved.set(returns.at(returns.HISTORY + n + 1))
            _wait(made, show_instant(moved.now()))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait(10)
    assert process.returncode == 0
    assert said.rstrip().endswith("stopped")
    assert [r["status"] for r in rows(made, "refreshes")] == ["published"] * 4


def _wait(project: Project, instant: str) -> None:
    for _ in range(600):
        if any(n["reconciled_at"] == instant for n in rows(project, "nodes")):
            return
        time.sleep(0.05)
    pytest.fail(f"the reconciler did not come to rest at {instant}")


def test_what_fails_rests_longer_each_time_by_the_clock_and_on_the_wall() -> None:
    from tilth.runtime.keeping.backoff import Backoff

    rest, now = Backoff(), returns.at(0)
    assert rest.ready("a", now, 0.0)
    rest.failed("a", now, 0.0)
    assert rest.ready("b", now, 0.0)
    assert not rest.ready("a", returns.at(1), 0.1)
    assert not rest.ready("a", now, 1000.0)
    assert rest.ready("a", returns.at(1), 0.2)
    for _ in range(30):
        rest.failed("a", now, 0.0)
    assert rest.next_wall(returns.at(1)) == 60.0
    assert rest.next_wall(now) is None
    rest.worked("a")
    assert rest.ready("a", now, 0.0)


def test_an_action_that_never_comes_to_rest_is_done_once_a_step(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    calls: list[int] = []

    def idle(*arguments: object, **named: object) -> executor.Applied:
        calls.append(1)
        return executor.Applied(named["plan"], 1)  # type: ignore[arg-type]

    loop = reconciler(made, [], apply=idle)
    clock.set(returns.at(returns.HISTORY + 1))
    loop.step(clock.now())
    assert len(calls) == 1
