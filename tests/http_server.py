"""A real `tilth up` on a free loopback port, and one way to ask it."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shop_project
from tilth.app.project import Project

ROW = {"id": 7, "ordered_at": "2024-04-30T20:00:00", "carrier": "slow", "distance": 50.5}
STAGES = "ROLLOUT (shadow = '20 requests', canary = '50% for 20 requests')"
QUICK = shop_project.DECLARED
TREES = QUICK.replace("'linear', time", "'lightgbm', time")
NARROW = QUICK.replace("EXCEPT (minutes)", "EXCEPT (minutes, distance)")


def staged(declared: str = QUICK) -> str:
    """The project's text with a rollout in stages."""
    return declared.replace("FOR MODEL late\n", f"FOR MODEL late {STAGES}\n")


def applied(folder: Path, declared: str = QUICK) -> Path:
    """A project that was applied once; copies of it are quick."""
    project = shop_project.opened(shop_project.make(folder, declared))
    assert not project.apply().refusals
    project.close()
    return folder


def copied(applied: Path, to: Path) -> Project:
    """A copy of an applied project, opened."""
    shutil.copytree(applied, to)
    return shop_project.opened(to)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The error's message and next step."""
        found = self.json["error"]
        return found if isinstance(found, str) else f"{found['message']} {found.get('hint', '')}"


@dataclass
class Up:
    """A server under test."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    folder: Path
    log: Path
    postgres: int = 0
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        token: bool = True,
    ) -> Answer:
        """Send one request over the kept connection; anything but bytes is sent as JSON."""
        given = {"Authorization": f"Bearer {self.token}"} if token else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.connection.request(method, path, data, {**given, **(headers or {})})
            found = self.connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def predict(self, body: Any = ROW, path: str = "/predict/late_api", **more: Any) -> Answer:
        return self.ask("POST", path, body, **more)

    def records(self) -> list[dict[str, Any]]:
        """Everything in the log, oldest first."""
        paths = sorted((self.folder / ".tilth" / "predictions").glob("*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]

    def rss(self) -> int:
        """Resident memory in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) << 10


@contextlib.contextmanager
def up(folder: Path, *options: str, files: int | None = None) -> Iterator[Up]:
    """Run it for the block; by default without its reconciler. `files`: how many descriptors it may have."""
    limited = [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
    line = [sys.executable, "-m", "tilth", "up", "--project", str(folder), "--port", "0", "--json"]
    log = folder / "server.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*limited, *line, *(options or ("--no-reconcile",))], stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        try:
            told = process.stdout.readline()
            assert told, log.read_text()
            facts = json.loads(told)
            found = Up(
                process,
                facts["port"],
                facts["url"].partition("token=")[2],
                folder,
                log,
                facts.get("postgres", 0),
            )
            with contextlib.closing(found.connection):
                yield found
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
            process.stdout.close()


def wait(until: Any, seconds: float = 20.0) -> Any:
    """What `until()` gives once it is true; an assertion when it does not become so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = until()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"not so within {seconds} s")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
