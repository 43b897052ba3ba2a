"""The server of the demo: `tilth up` as a real process, asked over HTTP by a client that remembers what was acknowledged."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from tilth.core.errors import TilthError
from tilth.core.time import Instant
from tilth.interfaces.http.guard import token
from tilth.runtime.record import nodes
from tilth.runtime.record.rows import State

START = 30.0  # seconds a server may take to answer
REST = 120.0  # seconds a day of the replay may take
ROUTE = "/predict/late_api"


class DemoError(TilthError):
    """A step of the demo did not show what it should."""


@dataclass
class Answers:
    """What clients have got: identities of rows that were acknowledged, requests, and those that failed."""

    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    requests: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(count or 1 for _, count in self.acknowledged)

    def ids(self) -> set[str]:
        """The identity of every acknowledged row, as the log has it."""
        return {f"{i}.{n}" if count else i for i, count in self.acknowledged for n in range(count or 1)}


def _left(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a connection on which nothing was asked: there is its end to be read."""
    return connection.sock is not None and bool(select.select([connection.sock], [], [], 0)[0])


class Client:
    """One connection; an answer that is not 200, or none, counts as failed."""

    def __init__(self, port: int, secret: str, answers: Answers) -> None:
        self._port, self._answers = port, answers
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, body: bytes, rows: int = 0) -> dict[str, Any] | None:
        """The answer to a body with one row, or with so many; None when the request failed."""
        self._answers.requests += 1
        began = time.perf_counter()
        try:
            if self._connection is not None and _left(self._connection):
                self.close()  # it rested longer than the server keeps connections
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._connection.request("POST", ROUTE, body, self._headers)
            answer = self._connection.getresponse()
            text = answer.read()
            found: dict[str, Any] = json.loads(text)
            if answer.status != http.HTTPStatus.OK:
                raise http.client.HTTPException(text.decode())
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            self._answers.failed += 1
            return None
        finally:
            self._answers.seconds += time.perf_counter() - began
        self._answers.acknowledged.append((str(found["id"]), rows))
        return found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Server:
    """`tilth up` of a project, with the clock of the replay."""

    def __init__(self, root: str, home: str, clock: str, log: str) -> None:
        self._root, self._home, self._clock, self._log = root, home, clock, log
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self.port = 0

    def start(self) -> float:
        """Start it and wait until it answers; the seconds that took."""
        began = time.monotonic()
        line = [sys.executable, "-m", "tilth", "up", "--project", self._root, "--port", "0", "--json", "--clock", self._clock]  # fmt: skip
        self._said = open(self._log, "ab")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said
        )
        assert self._process.stdout is not None
        self.port = _port(self._process.stdout.readline())
        if not self.port:
            self.stop()
            raise DemoError("The server did not start.", hint=f"Look into {self._log}.")
        while not self._answers():
            if time.monotonic() - began > START:
                raise DemoError("The server does not answer.", hint=f"Look into {self._log}.")
            time.sleep(0.02)
        return time.monotonic() - began

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self, answers: Answers) -> Client:
        return Client(self.port, token(self._home), answers)

    def kill(self) -> None:
        """As if the machine had lost it: no chance to finish anything."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._forget()

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _forget(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        if self._said is not None:
            self._said.close()
        self._process = self._said = None

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return bool(json.loads(connection.getresponse().read()).get("status") == "ok")
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()


def _port(told: bytes) -> int:
    """The port in the line that a ready server prints; 0 when it says something else, or nothing."""
    try:
        return int(json.loads(told)["port"])
    except (ValueError, KeyError):
        return 0


def wait_for_rest(state: State, at: Instant, pid: int) -> None:
    """Wait until the reconciler has done all that was due at the instant."""
    until = time.monotonic() + REST
    while True:
        if any(
            n.pid == pid and n.reconciled_at is not None and n.reconciled_at >= at
            for n in nodes.all_of(state)
        ):
            return
        if time.monotonic() > until:
            raise DemoError(
                f"The reconciler did not come to rest at {at:%Y-%m-%d} in {REST:.0f} s.",
                hint="Look into the log of the server.",
            )
        time.sleep(0.004)


def wait_for_generation(state: State, generation: int, pid: int, seconds: float = 30.0) -> None:
    """Wait until the server serves the generation."""
    until = time.monotonic() + seconds
    while not any(n.pid == pid and n.generation >= generation for n in nodes.all_of(state)):
        if time.monotonic() > until:
            raise DemoError(f"The server does not serve generation {generation}.", hint="Look into its log.")
        time.sleep(0.001)


def total(parts: Sequence[Answers]) -> Answers:
    """All of them as one."""
    whole = Answers()
    for part in parts:
        whole.acknowledged += part.acknowledged
        whole.requests, whole.failed = whole.requests + part.requests, whole.failed + part.failed
        whole.seconds += part.seconds
    return whole
