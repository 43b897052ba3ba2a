"""`tilth up` as a process: swaps under load, a tampered bundle, rollouts, kill -9, an orderly end, and its reconciler."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import http_server
import shop_project
from http_server import ROW, Up, alive, up, wait
from tilth.app.project import Project
from tilth.core.principals import person
from tilth.runtime.moving.publishing import Move, publish
from tilth.runtime.record import environments
from tilth.sql.language.statements import Kind

BY = person("test")


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model has two versions; the second serves."""
    folder = http_server.applied(tmp_path_factory.mktemp("shop") / "shop")
    project = shop_project.opened(folder)
    shop_project.trained_again(project, "late")
    project.close()
    return folder


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Iterator[Project]:
    made = http_server.copied(applied, tmp_path / "shop")
    yield made
    made.close()


class Clients:
    """Threads that ask without pause until they are told to stop; what they got."""

    def __init__(self, server: Up, count: int = 3) -> None:
        self._server, self._stop = server, threading.Event()
        self.answers: list[dict[str, object]] = []
        self.failed: list[object] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        mine = Up(*(getattr(self._server, n) for n in ("process", "port", "token", "folder", "log")))
        while not self._stop.is_set():
            try:
                found = mine.predict()
            except Exception as error:
                self.failed.append(error)
                return
            if found.status == 200:
                self.answers.append(found.json)
            else:
                self.failed.append(found)
        mine.connection.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def point(project: Project, version: int) -> int:
    """Publish a generation whose model is at this version."""
    state = project.work().state
    number, pointers = environments.pointers_of(state, "prod")
    moved = [
        replace(p, target=str(version)) if p.name == "late" and p.kind is Kind.MODEL else p for p in pointers
    ]
    return publish(state, Move("prod", number, "test", project.clock.now()), moved, BY)


def served(project: Project, generation: int) -> bool:
    return any(int(n["generation"] or 0) >= generation for n in project.work().state.read("nodes"))


def test_no_request_fails_while_versions_are_swapped(project: Project) -> None:
    with up(Path(project.root)) as server:
        clients = Clients(server)
        for turn in range(10):
            made = point(project, 1) if turn % 2 == 0 else project.rollback("prod")
            wait(lambda made=made: served(project, made))
        clients.stop()
        assert not clients.failed
        assert {a["version"] for a in clients.answers} == {1, 2}
        assert {r["id"] for r in server.records()} == {a["id"] for a in clients.answers}
        assert server.predict().json["version"] == 2


def test_a_tampered_bundle_is_not_swapped_in(project: Project) -> None:
    state = project.work().state
    row = state.read("version", model="late", version=1)[0]
    path = Path(project.work().bundles.path(str(row["digest"]))) / "prepare.json"
    whole = path.read_bytes()
    os.chmod(path, 0o600)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with up(Path(project.root)) as server:
        made = point(project, 1)
        health = wait(lambda: (h := server.ask("GET", "/healthz").json)["status"] == "degraded" and h)
        assert "signed" in health["reasons"][0]
        assert health["generation"] == made - 1
        assert server.predict().json["version"] == 2
        assert b"tilth_rejected_total 1" in server.ask("GET", "/metrics").body
        assert not served(project, made)
        path.write_bytes(whole)
        wait(lambda: served(project, made))
        assert server.predict().json["version"] == 1
    assert "signed" in server.log.read_text()


def test_a_version_walks_through_its_stages(project: Project) -> None:
    folder = Path(project.root)
    (folder / "shop.sql").write_text(http_server.staged())
    project.apply()
    point(project, 1)
    state = project.work().state

    def stage() -> object:
        return state.read("latest_revisions", environment="prod")[0]["stage"]

    with up(folder) as server:
        assert stage() == "shadow"
        for _ in range(20):
            assert server.predict().json["version"] == 2
        wait(lambda: stage() == "canary")
        versions = [server.predict().json["version"] for _ in range(50)]
        assert set(versions) == {1, 2}
        wait(lambda: stage() == "full")
        wait(lambda: server.predict().json["version"] == 1)
        roles = [r["role"] for r in server.records()]
        assert (roles.count("shadow"), roles.count("canary")) == (20, 20)


def test_a_version_that_breaks_its_clients_is_rolled_back_by_itself(tmp_path: Path) -> None:
    folder = http_server.applied(tmp_path / "shop", http_server.staged(http_server.NARROW))
    (folder / "shop.sql").write_text(http_server.staged())
    project = shop_project.opened(folder)
    project.apply()
    old = {k: v for k, v in ROW.items() if k != "distance"}
    with up(folder) as server:
        assert [server.predict(old).status for _ in range(5)] == [200] * 5
        wait(
            lambda: (
                project.work().state.read("latest_revisions", environment="prod")[0]["stage"] == "rolled_back"
            )
        )
        number, pointers = environments.pointers_of(project.work().state, "prod")
        assert next(p.target for p in pointers if p.kind is Kind.MODEL and p.name == "late") == "1"
        wait(lambda: served(project, number))
        assert server.predict(old).json["version"] == 1
    project.close()


def test_kill_9_loses_nothing_that_was_acknowledged(project: Project) -> None:
    with up(Path(project.root)) as server:
        clients = Clients(server)
        wait(lambda: len(clients.answers) > 300)
        server.process.kill()
        server.process.wait()
        clients.stop()
        acknowledged = {a["id"] for a in clients.answers}
        assert len(acknowledged) > 300
        path = max((Path(project.root) / ".tilth" / "predictions").glob("*.jsonl"))
        logged = {json.loads(line)["id"] for line in path.read_bytes().split(b"\n")[:-1]}
        assert acknowledged <= logged
    with up(Path(project.root)) as again:
        assert again.predict().status == 200


def test_it_ends_in_order_and_takes_its_reconciler_along(project: Project) -> None:
    with up(Path(project.root), "--env", "prod") as server:
        children = Path(f"/proc/{server.process.pid}/task")

        def child() -> int | None:
            found = [c for t in children.iterdir() for c in (t / "children").read_text().split()]
            return int(found[0]) if found else None

        first = wait(child)
        wait(lambda: "reconciling prod" in server.log.read_text())
        os.kill(first, signal.SIGKILL)
        second = wait(lambda: (c := child()) and c != first and c)
        wait(lambda: server.log.read_text().count("reconciling prod") == 2)
        assert "started again" in server.log.read_text()
        rows = [ROW] * 5000
        answers: list[int] = []
        asked = threading.Thread(target=lambda: answers.append(server.predict(rows).status))
        asked.start()
        time.sleep(0.02)
        server.process.send_signal(signal.SIGTERM)
        asked.join(30)
        assert server.process.wait(30) == 0
        assert answers == [200]
        assert not alive(second)
        assert len(server.records()) == 5000


def test_the_reconciler_dies_with_a_server_that_is_killed(project: Project) -> None:
    with up(Path(project.root), "--env", "prod") as server:
        wait(lambda: "reconciling prod" in server.log.read_text())
        tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
        children = [int(c) for t in tasks for c in (t / "children").read_text().split()]
        assert len(children) == 1
        server.process.kill()
        server.process.wait()
        wait(lambda: not alive(children[0]))


def test_it_starts_before_anything_was_applied_and_serves_without_a_restart(tmp_path: Path) -> None:
    folder = shop_project.make(tmp_path / "shop")
    with up(folder) as server:
        found = server.predict()
        assert found.status == 503
        assert "tilth apply" in found.error
        assert server.ask("GET", "/healthz").status == 503
        assert server.ask("GET", "/v2/health/ready").status == 503
        project = shop_project.opened(folder)
        project.apply()
        wait(lambda: served(project, 1))
        assert server.predict().status == 200
        assert server.ask("GET", "/healthz").status == 200
        project.close()


def test_an_empty_folder_is_no_project(tmp_path: Path) -> None:
    import subprocess
    import sys

    line = [sys.executable, "-m", "tilth", "up", "--project", str(tmp_path), "--port", "0"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "E-PROJECT" in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_served_is_printed_for_people(project: Project) -> None:
    import subprocess
    import sys

    line = [sys.executable, "-m", "tilth", "up", "--project", project.root, "--port", "0", "--no-reconcile"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    first, second = process.stdout.readline(), process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()
    assert "#token=" in first
    assert "late version 2 (full)" in second


def test_answers_are_logged_at_the_instant_of_the_clock_that_is_given(
    project: Project, tmp_path: Path
) -> None:
    from tilth.adapters.clocks import FileClock
    from tilth.core.time import parse_instant, show_instant

    clock, now = FileClock(str(tmp_path / "clock")), parse_instant("2024-05-01T06:00:00Z")
    clock.set(now)
    with up(Path(project.root), "--no-reconcile", "--clock", str(tmp_path / "clock")) as server:
        server.predict()
        later = parse_instant("2024-06-01T06:00:00.5Z")
        clock.set(later)
        server.predict([ROW])
        assert [r["at"] for r in server.records()] == [show_instant(now), show_instant(later)]


def test_a_request_that_fills_the_disk_leaves_nothing_in_the_log(tmp_path: Path) -> None:
    import resource

    from tilth.adapters.files.predictions import FilePredictions
    from tilth.core.errors import StorageError

    log = FilePredictions(str(tmp_path / "log"))
    log.append(b'{"id":"one"}')
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # the next write is cut off at 100 bytes
        with pytest.raises(StorageError, match="not be written whole"):
            log.append(b"\n".join(b'{"id":"%d"}' % n for n in range(20)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    log.append(b'{"id":"two"}')
    assert list(log.records()) == [b'{"id":"one"}', b'{"id":"two"}']
    log.close()
