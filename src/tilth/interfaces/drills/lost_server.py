"""The drill of a lost node: a second serving process is asked, killed in the middle of it, and started again.

It serves a copy of the project's state with the same bundles from a temporary folder, so its answers go into a log of its own
and the project's is not touched. What must hold: every answer that a client got is in the log, and the process
serves again. It is started and asked as a user would: `tilth up`, HTTP, `tilth sql`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tilth.core.errors import ResourceLimitError, StorageError
from tilth.runtime.workspace import Workspace

START_SECONDS = 60.0
ASK_SECONDS = 1.0  # for how long it is asked before it is killed
LEAST_ASKED = 50
KEEP = ("tilth.toml",)
HOME = ".tilth"
NEEDED = ("head.json", "keys/signing_key.pub")  # a server signs nothing: the private key stays where it is


def rehearse(
    work: Workspace, environment: str, endpoint: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[bool, list[str], dict[str, Any]]:
    """Whether it held, in words and as facts."""
    with _copied(work) as folder:
        first = _Server.start(folder, environment)
        try:
            asked = _ask_until_killed(first, endpoint, rows)
        finally:
            first.kill()
        started = time.monotonic()
        second = _Server.start(folder, environment)
        try:
            again = second.predict(endpoint, _body(rows[0]))
            seconds = time.monotonic() - started
            kept = _logged(folder, environment)
        finally:
            second.kill()
    asked.append(again)
    lost = [i for i in asked if i not in kept]
    facts = {
        "acknowledged": len(asked),
        "lost_acknowledged": len(lost),
        "logged": len(kept),
        "answered_again_seconds": round(seconds, 2),
    }
    ok = not lost and len(asked) > LEAST_ASKED
    words = [
        f"A second server answered {len(asked) - 1:,} requests and was killed (SIGKILL) while it was asked.",
        f"Started again, it answered after {seconds:.1f} s.",
        f"{'No' if not lost else len(lost)} acknowledged prediction was lost: {len(kept):,} are in its log.",
    ]
    return ok, words, facts


@contextlib.contextmanager
def _copied(work: Workspace) -> Iterator[str]:
    """A folder with what a server needs: settings, a copy of the state with its head, the bundles and the public key."""
    folder = tempfile.mkdtemp(prefix="tilth-drill-")
    try:
        home = os.path.join(folder, HOME)
        os.makedirs(os.path.join(home, "keys"), 0o700)
        for name in KEEP:
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(os.path.join(work.root, name), folder)
        for name in NEEDED:  # the head before the state, so that it is not ahead of it
            shutil.copy(os.path.join(work.root, HOME, name), os.path.join(home, name))
        shutil.copytree(
            os.path.join(work.root, HOME, "bundles"), os.path.join(home, "bundles"), copy_function=_shared
        )
        blobs = os.path.join(work.root, HOME, "blobs")
        if os.path.isdir(blobs):  # a forecast goes on from the newest rows
            shutil.copytree(blobs, os.path.join(home, "blobs"), copy_function=_shared)
        work.state.backup(os.path.join(home, "state.db"))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shared(path: str, goal: str) -> str:
    """The file under a second name; its bytes again where that is on another disk."""
    try:
        os.link(path, goal)
    except OSError:
        shutil.copy2(path, goal)
    return goal


@dataclass(slots=True)
class _Server:
    """A `tilth up` of our own."""

    process: subprocess.Popen[str]
    port: int
    token: str

    @classmethod
    def start(cls, folder: str, environment: str) -> _Server:
        """It, once it answers; its log stays in the folder."""
        arguments = [
            "up",
            "--project",
            folder,
            "--env",
            environment,
            "--port",
            "0",
            "--no-reconcile",
            "--json",
        ]
        with open(os.path.join(folder, "up.log"), "a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tilth", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder,
            )  # fmt: skip
        try:
            port = _port(process, folder)
            with open(os.path.join(folder, HOME, "token"), encoding="utf-8") as file:
                return cls(process, port, file.read().strip())
        except BaseException:
            _end(process)
            raise

    def predict(self, endpoint: str, body: bytes) -> str:
        """The id of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return self.predict_on(connection, endpoint, body)
        finally:
            connection.close()

    def predict_on(self, connection: http.client.HTTPConnection, endpoint: str, body: bytes) -> str:
        head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", f"/predict/{endpoint}", body, head)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200:
            why = said.get("error", {}).get("message", answer.reason)
            raise StorageError(f"The server in the drill refused a prediction: {why}")
        return str(said["id"])

    def kill(self) -> None:
        _end(self.process)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait(30)
    if process.stdout is not None:
        process.stdout.close()


def _port(process: subprocess.Popen[str], folder: str) -> int:
    """The port from the one line that the server prints when it is ready."""
    assert process.stdout is not None
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    try:
        return int(json.loads(line)["port"])
    except (ValueError, KeyError, TypeError) as error:
        with open(os.path.join(folder, "up.log"), encoding="utf-8", errors="replace") as log:
            last = log.read().strip().splitlines()[-3:]
        raise ResourceLimitError(
            f"A second server could not be started within {START_SECONDS:g} s.",
            hint="Look whether `tilth up --port 0` works in the project.",
            detail=tuple(last),
        ) from error


def _ask_until_killed(server: _Server, endpoint: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ask on one connection until the kill breaks it; the ids of all that was acknowledged."""
    bodies = [_body(r) for r in rows]
    acknowledged: list[str] = [server.predict(endpoint, bodies[0])]
    timer = threading.Timer(ASK_SECONDS, server.process.send_signal, (signal.SIGKILL,))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    timer.start()
    try:
        while True:
            body = bodies[len(acknowledged) % len(bodies)]
            acknowledged.append(server.predict_on(connection, endpoint, body))
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        return acknowledged
    finally:
        timer.join()
        connection.close()


def _body(row: Mapping[str, Any]) -> bytes:
    plain = {k: v.isoformat() if isinstance(v, date | datetime) else v for k, v in row.items()}
    return json.dumps({k: v for k, v in plain.items() if v is not None}, default=float).encode()


def _logged(folder: str, environment: str) -> set[str]:
    """The ids in the log of the copy, read through the language."""
    query = "SELECT id FROM tilth.predictions"
    done = subprocess.run(
        [sys.executable, "-m", "tilth", "sql", query, "--project", folder, "--env", environment, "--json"],
        capture_output=True, text=True, timeout=120, check=False, cwd=folder,
    )  # fmt: skip
    if done.returncode != 0:
        raise StorageError(f"The log of the drill cannot be read: {done.stderr.strip()[-300:]}")
    return {str(row["id"]) for row in _rows(json.loads(done.stdout))}


def _rows(said: Any) -> list[Mapping[str, Any]]:
    return said if isinstance(said, list) else list(said["rows"])
