"""Servers and applies that are killed at random moments: nothing acknowledged is lost, and what comes next goes on.

`make faults` runs many; among the other tests a few. The seed is printed and can be given: TILTH_FAULTS_SEED.
"""

import contextlib
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import http_server as h
import shop_project as c

COUNT = int(os.environ.get("TILTH_FAULTS", "2"))
SEED = int(os.environ.get("TILTH_FAULTS_SEED", str(int(time.time()))))
LONGEST = 1.5  # seconds that a server may answer before it is killed


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return h.applied(tmp_path_factory.mktemp("faults") / "shop")


@pytest.mark.timeout(3000)
def test_kills_of_the_server_lose_nothing_that_was_acknowledged(applied: Path, tmp_path: Path) -> None:
    project = h.copied(applied, tmp_path / "shop")
    chance = random.Random(SEED)
    known: set[str] = set()
    for turn in range(COUNT):
        with h.up(Path(project.root)) as server:
            lives = chance.uniform(0.05, LONGEST)
            killer = threading.Timer(lives, server.process.kill)
            killer.start()
            try:
                known |= _asked(server, turn)
            finally:
                killer.cancel()
            server.process.wait(30)
    with h.up(Path(project.root)) as server:
        assert server.predict().status == 200
    kept = project.sql("SELECT id FROM tilth.predictions").rows()
    lost = known - {str(r["id"]) for r in kept}
    print(f"seed {SEED}: {COUNT} kills, {len(known):,} acknowledged, {len(lost)} lost")
    assert not lost
    assert known


def _asked(server: h.Up, turn: int) -> set[str]:
    """The names of the answers that were answered until the server died."""
    out = set()
    for number in range(20_000):
        try:
            answer = server.predict({**h.ROW, "id": turn * 20_000 + number})
        except (OSError, http.client.HTTPException):
            return out
        if answer.status == 200:
            out.add(str(answer.json["id"]))
    return out


@pytest.mark.timeout(3000)
def test_kills_of_an_apply_leave_a_project_that_the_next_one_finishes(tmp_path: Path) -> None:
    chance = random.Random(SEED + 1)
    for turn in range(max(1, COUNT // 4)):
        folder = c.make(tmp_path / f"shop{turn}")
        for _ in range(3 if COUNT > 10 else 1):
            process = subprocess.Popen(
                [sys.executable, "-m", "tilth", "apply", "--project", str(folder)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.3, 4.0))
            process.kill()
            process.wait(30)
        project = c.opened(folder)
        project.apply()
        assert not project.plan().actions, (SEED, turn)
        assert project.model("late").version >= 1
        _whole(project)
        project.close()


def _whole(project: Any) -> None:
    """Every byte that is recorded is there, and the audit chain holds."""
    done = subprocess.run(
        [sys.executable, "-m", "tilth", "verify", "--project", project.root],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
