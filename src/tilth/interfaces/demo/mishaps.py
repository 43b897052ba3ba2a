"""What goes wrong on purpose: bad data, a bad release, a flipped bit, killed processes; and how it is gone back from.

Each step shows that production was not harmed, with the state, the log or the server itself as its witness.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from tilth.core.errors import TamperError
from tilth.core.time import show_instant
from tilth.interfaces.demo import data
from tilth.interfaces.demo.scene import DATASET, MODEL, PROD, Scene, hold, instant, live
from tilth.interfaces.demo.serving import Answers, DemoError, wait_for_generation, wait_for_rest

SWAPS = 10
RESTS = 20_000  # rows that the load before the end has at most, so that it is bounded
SHUFFLED = """
-- A release that somebody made in a hurry: the labels of the rows to learn from have lost their rows.
CREATE DATASET shuffled KEY (flight_id) EVENT TIME sched_dep AS
SELECT * REPLACE (
  CASE WHEN sched_dep < TIMESTAMP '{true_from}'
       THEN coalesce(lag(arr_late, 997) OVER (ORDER BY hash(flight_id)), false)
       ELSE arr_late END AS arr_late)
FROM departures WHERE sched_dep >= TIMESTAMP '{since}';
"""


# --- data and releases -------------------------------------------------------------------------------------


def bad_day(scene: Scene) -> str:
    """A day whose delays arrive in seconds, and the correction on the day after."""
    day, champion = scene.day, scene.target("model", MODEL)
    inputs, client = list(scene.project.model(MODEL).inputs), scene.server.client(scene.answers)
    held_before = _quarantined(scene)
    live(scene, client, inputs, "a day in seconds", spoil=True)
    held = _quarantined(scene) - held_before
    flights = data.flights(day, scene.day)
    arrived = flights.num_rows - flights["arr_delay"].null_count
    inside = _between(scene, day, scene.day)
    hold(held > arrived / 2, f"most flights of the bad day are held back ({held} of {arrived})")
    hold(_worst(scene) <= 1500, "no delay in seconds got into a snapshot")
    hold(inside + held == arrived, "every flight is in the snapshot or in quarantine")
    hold(scene.target("model", MODEL) == champion, "the champion still serves")
    scene.airline.corrects(day, scene.day)
    live(scene, client, inputs, "the day after")
    client.close()
    hold(_between(scene, day, day + data.DAY) == arrived, "the corrected day is whole")
    hold(scene.answers.failed == 0, "no request failed")
    return (
        f"{day:%d %B}: {held:,} of {arrived:,} flights held in quarantine, each with its reasons; version {champion} went on "
        f"serving. The airline corrected them, the next refresh looked back two days, and all {arrived:,} are in."
    )


def _quarantined(scene: Scene) -> int:
    return int(scene.number("SELECT coalesce(sum(rows), 0) FROM tilth.quarantine"))


def _between(scene: Scene, since: Any, until: Any) -> int:
    return int(
        scene.number(
            f"SELECT count(*) FROM departures WHERE sched_dep >= TIMESTAMP '{since}' AND sched_dep < TIMESTAMP '{until}'"
        )
    )


def _worst(scene: Scene) -> float:
    return float(scene.number("SELECT max(arr_delay) FROM departures"))


def bad_release(scene: Scene) -> str:
    """A model whose labels were shuffled, applied to production."""
    champion = scene.target("model", MODEL)
    since, true_from = scene.day - timedelta(days=60), scene.day - timedelta(days=7)
    path = os.path.join(scene.root, "shuffled.sql")
    with open(path, "w", encoding="utf-8") as file:
        file.write(SHUFFLED.format(since=since, true_from=true_from))
    undo = scene.edit(
        "models.sql", r"FROM departures\n  FEATURES \(\* EXCEPT", r"FROM shuffled\n  FEATURES (* EXCEPT"
    )
    try:
        done = scene.apply()
    finally:
        undo()
        os.unlink(path)
    refused = [d for d in done.refusals if d.action.name == MODEL]
    hold(refused, "the gate refused the release")
    hold(scene.target("model", MODEL) == champion, "the champion still serves")
    scene.apply()
    hold(not scene.project.plan().actions, "with the files as they were there is nothing to do")
    return f"{refused[0].text} Version {champion} goes on serving."


def development(scene: Scene) -> str:
    """An environment in which one of two models is another."""
    scene.edit("models.sql", r"distance, sched_dep, wind_speed\)", "distance, sched_dep, wind_speed, temp)")
    before = _bytes(scene)
    began = time.monotonic()
    done = scene.apply("dev")
    took = time.monotonic() - began
    trained = [d for d in done.did if type(d.action).__name__ == "TrainModel"]
    copied = _bytes(scene) - before
    scene.figures |= {"dev_models_trained": len(trained), "dev_bytes_copied": copied}
    hold([d.action.name for d in trained] == ["airborne"], "dev trains the changed model and no other")
    hold(copied == 0, f"no data is copied ({copied:,} bytes were)")
    hold(scene.target("dataset", DATASET, "dev") == scene.target("dataset", DATASET), "dev shares the data")
    return (
        f"tilth apply --env dev: airborne is trained ({took:.1f} s), late and {scene.number('SELECT count(*) FROM departures'):,} "
        f"rows are shared, {copied} bytes copied."
    )


def _bytes(scene: Scene) -> int:
    return sum(size for _, size in scene.project.work().blobs.digests())


# --- under load --------------------------------------------------------------------------------------------


def promotion(scene: Scene) -> str:
    """The development environment becomes prod, and prod goes back and forth between two versions, while clients ask without a pause."""
    load, calls, swaps = Answers(), list[float](), list[float]()
    with _asking(scene, load):
        number = scene.project.promote("dev", PROD)
        hold(
            scene.target("model", "airborne") == scene.target("model", "airborne", "dev"),
            "prod has dev's models",
        )
        wait_for_generation(scene.project.state(), number, scene.server.pid)
        here, there = number, _with_another(scene)
        for turn in range(SWAPS):
            began = time.perf_counter()
            number = scene.project.rollback(PROD, there if turn % 2 == 0 else here)
            calls.append(time.perf_counter() - began)
            wait_for_generation(scene.project.state(), number, scene.server.pid)
            swaps.append(time.perf_counter() - began)
    scene.answers.requests += load.requests
    scene.answers.failed += load.failed
    scene.answers.acknowledged += load.acknowledged
    scene.figures |= {"rollback_ms": _ms(calls), "swap_ms_p99": _ms(swaps)}
    hold(
        load.failed == 0,
        f"no request fails while versions are swapped ({load.failed} of {load.requests} did)",
    )
    hold(not scene.project.plan().actions, "in the end production is as declared")
    return (
        f"dev is promoted in one transaction; then {SWAPS} times back and forth between two versions: the rollback is "
        f"committed within {_ms(calls):.0f} ms and served within {_ms(swaps):.0f} ms (the slowest), "
        f"{load.requests:,} requests meanwhile, {load.failed} failed."
    )


def _ms(seconds: list[float]) -> float:
    """The slowest: of ten, the 99th percentile."""
    return round(max(seconds) * 1000, 1)


def _with_another(scene: Scene) -> int:
    """The newest generation in which another version of the model served."""
    from tilth.runtime.record.environments import pointers_at
    from tilth.sql.language.statements import Kind

    now = scene.target("model", MODEL)
    for one in scene.project.generations(PROD, 400):
        pointers = pointers_at(scene.project.state(), PROD, one.number)
        target = next((p.target for p in pointers if p.kind is Kind.MODEL and p.name == MODEL), now)
        if target != now:
            return one.number
    raise DemoError("Production never had another version.", hint="The replay should have promoted one.")


@contextlib.contextmanager
def _asking(scene: Scene, answers: Answers) -> Iterator[None]:
    """A client that asks without a pause, in a thread of its own, until the block ends."""
    stop = threading.Event()
    inputs = list(scene.project.model(MODEL).inputs)
    bodies = _single_rows(scene, inputs)

    def ask() -> None:
        client = scene.server.client(answers)
        for number in range(RESTS):
            if stop.is_set():
                break
            client.ask(bodies[number % len(bodies)])
        client.close()

    thread = threading.Thread(target=ask, name="client", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def _single_rows(scene: Scene, inputs: list[str]) -> list[bytes]:
    hour, _ = next(scene.airline.asks(scene.day, inputs))
    return [json.dumps(row).encode() for row in json.loads(hour)]


# --- tampering and killing ---------------------------------------------------------------------------------


def flipped_bit(scene: Scene) -> str:
    """One bit of the served bundle is turned over on the disk."""
    from tilth.app.project import Project

    number = scene.target("model", MODEL)
    version = next(v for v in scene.versions(MODEL) if str(v.version) == number)
    folder = scene.project.work().bundles.path(version.digest)
    path = max((os.path.join(folder, n) for n in os.listdir(folder)), key=os.path.getsize)
    middle = os.path.getsize(path) // 2
    with _flipped(path, middle):
        fresh = Project(scene.root, scene.clock)
        reason = _refused(lambda: fresh.model(MODEL).name)
        audited = _refused(fresh.verify)
        fresh.close()
    scene.figures["tamper_refused"] = reason is not None and audited is not None
    hold(reason is not None, "a bundle with a flipped bit is not loaded")
    hold(audited is not None, "tilth verify finds it")
    scene.project.verify()
    return f"Bit 0 of byte {middle:,} of {os.path.basename(path)} flipped: refused. {reason}"


@contextlib.contextmanager
def _flipped(path: str, place: int) -> Iterator[None]:
    """The file with one bit turned over; as it was, afterwards."""
    mode = os.stat(path).st_mode
    os.chmod(path, 0o600)
    _flip(path, place)
    try:
        yield
    finally:
        _flip(path, place)
        os.chmod(path, mode)


def _flip(path: str, place: int) -> None:
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def _refused(act: Any) -> str | None:
    try:
        act()
    except TamperError as error:
        return error.message
    return None


def kills(scene: Scene) -> str:
    """A training worker and the server end without a chance to finish anything."""
    generation = scene.generation()
    child = _retraining(scene)
    worker = _worker_of(child)
    time.sleep(0.5)  # it has begun
    os.kill(worker, signal.SIGKILL)
    status = child.wait(60)
    hold(status != 0, "a retraining whose worker is killed says so")
    hold(scene.generation() == generation, "and moves nothing")
    again = _retraining(scene).wait(120)
    hold(again in (0, 8), f"the next retraining works (status {again})")
    scene.apply()  # the files ask for what they say: without the seed that made the retraining another one
    hold(not scene.project.plan().actions, "prod is as declared")
    back = _server_killed(scene)
    missing = scene.all_answers().ids() - {r["id"] for r in scene.rows("SELECT id FROM tilth.predictions")}
    scene.figures |= {"kill_recovered": True, "lost_acknowledged": len(missing)}
    hold(not missing, f"no acknowledged prediction is lost ({len(missing)} are)")
    return (
        f"Worker {worker} killed while it trained: nothing moved, and the next one finished. The server killed in the middle "
        f"of {scene.torn.requests:,} requests: it answers again {back:.1f} s later, and of {scene.all_answers().rows:,} "
        f"acknowledged predictions {len(missing)} are missing."
    )


def _retraining(scene: Scene) -> subprocess.Popen[bytes]:
    line = [
        sys.executable, "-m", "tilth", "sql", "RETRAIN MODEL airborne USING (seed = 8)", "--project", scene.root,
        "--clock", os.path.join(scene.root, "clock"),
    ]  # fmt: skip
    with open(scene.log, "ab") as log:
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _worker_of(child: subprocess.Popen[bytes]) -> int:
    """The training worker that the child has started."""
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        for name in os.listdir("/proc"):
            if name.isdigit() and _is_worker(name, child.pid):
                return int(name)
        time.sleep(0.01)
    raise DemoError("No training worker was started.", hint="Run the demo again with --keep FOLDER.")


def _is_worker(name: str, parent: int) -> bool:
    try:
        with open(f"/proc/{name}/stat", encoding="utf-8") as file:
            ours = int(file.read().rpartition(")")[2].split()[1]) == parent
        with open(f"/proc/{name}/cmdline", "rb") as file:
            return ours and b"tilth.adapters.jobs.process" in file.read()
    except (OSError, ValueError):
        return False


def _server_killed(scene: Scene) -> float:
    """Kill the server while it is asked, and start it again; the seconds until it answers."""
    with _asking(scene, scene.torn):
        time.sleep(0.5)
        began = time.monotonic()
        scene.server.kill()
    before = len(scene.torn.acknowledged)
    hold(before > 10, "the server was answering when it was killed")
    scene.server.start()
    client = scene.server.client(scene.answers)
    hold(client.ask(_single_rows(scene, list(scene.project.model(MODEL).inputs))[0]), "it answers again")
    client.close()
    back = time.monotonic() - began
    now = instant(scene.day) + timedelta(minutes=1)
    scene.clock.set(now)
    wait_for_rest(scene.project.state(), now, scene.server.pid)
    return back


def audit(scene: Scene) -> str:
    """Everything that was done stands in a chain of hashes, and what is served is what was signed."""
    found = scene.project.verify()
    scene.figures["audit_chain_ok"] = True
    hold(found.audit_rows > 100, "what was done was written down")
    return (
        f"{found.audit_rows:,} audit rows in one chain of hashes until {show_instant(scene.clock.now())[:10]}, "
        f"{found.pointers} pointers and {found.bundles} signed bundles: all hold."
    )
