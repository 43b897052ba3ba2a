"""What a worker says until it ends, and what its warden says of the end: heard, bounded, and turned into a result or an error.

Words of a worker are data that may lie, flood or try to steer a terminal. Who starts it is in `local`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import time
from typing import IO, Any, NoReturn

from tilth.adapters.jobs.ends import PATIENCE, end
from tilth.core import errors
from tilth.core.errors import ResourceLimitError, TilthError, TrainingError
from tilth.ports.jobs import Job
from tilth.ports.progress import Progress

BEAT = 0.2  # seconds between looks at whether somebody cancelled
MOST_WORDS, MOST_LINES = 32 << 20, 200_000  # bytes and messages that a worker may say
TAIL = 2_000


class Warden:
    """A process that does jobs, and the pipe on which it says how each worker ended."""

    def __init__(self, process: subprocess.Popen[bytes], channel: IO[bytes], mark: str) -> None:
        self.process, self.channel, self._mark = process, channel, mark
        self.since = 0.0  # when its last job ended

    def end(self) -> None:
        """End it and all that came of it; where it waits for a job it ends by itself when none can come."""
        if self.since:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                assert self.process.stdin is not None
                self.process.stdin.close()
                self.process.wait(PATIENCE)
        end(self.process, self._mark)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr, self.channel):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Talk:
    """What a worker says until it ends, and what its warden says of the end."""

    def __init__(self, warden: Warden, job: Job, progress: Progress) -> None:
        self._process, self._channel = warden.process, warden.channel
        self._job = job
        self._progress = progress
        self._deadline = time.monotonic() + job.seconds
        self._said, self._lines, self._half, self._tail = 0, 0, bytearray(), b""
        self._step: tuple[str, float | None] = (f"starting a worker for {job.task}", None)
        self._last: dict[str, Any] = {}
        self._end: dict[str, Any] | None = None

    def listen(self) -> None:
        """Pass progress on until the worker has ended, whatever becomes of its pipes."""
        pipes = (self._process.stdout, self._process.stderr, self._channel)
        beat = time.monotonic() + BEAT
        with selectors.DefaultSelector() as ready:
            for pipe in pipes:
                assert pipe is not None
                os.set_blocking(pipe.fileno(), False)
                ready.register(pipe, selectors.EVENT_READ)
            while self._end is None:
                for key, _ in ready.select(BEAT):
                    if not self._read(key.fileobj):
                        ready.unregister(key.fileobj)
                now = time.monotonic()
                if self._end is None and now > self._deadline:
                    self._out_of_time()
                if now > beat:
                    self._progress.step(*self._step)
                    beat = now + BEAT
        for pipe in pipes[:2]:  # nobody is left to write: what was said before the end is all there is
            while self._read(pipe):
                pass

    def _read(self, pipe: Any) -> bool:
        """Take what a pipe has; False when it has no more."""
        try:
            data = os.read(pipe.fileno(), 65_536)
        except BlockingIOError:
            return False
        if pipe is self._channel:
            self._end = _report(data)
        elif pipe is self._process.stdout:
            self._hear(data)
        else:
            self._tail = (self._tail + data)[-TAIL:]
        return bool(data)

    def result(self) -> tuple[dict[str, Any], dict[str, str], int]:
        """What the task says, what held of its jail, and its bytes of memory; or the error that the end stands for."""
        end = self._end or {}
        limit, status = end.get("limit"), end.get("status")
        if limit == "time":
            self._out_of_time()
        if limit:
            raise ResourceLimitError(
                f"The worker wrote more than it may ({limit}) and was stopped.",
                hint="A model is a few files of at most 2 GB together; do not write others from estimators/.",
            )
        if not isinstance(status, int):
            status = -signal.SIGKILL  # its warden could not say: somebody killed both
        if status < 0:
            self._killed(-status)
        if "error" in self._last:
            _raise(self._last["error"])
        facts, jail = self._last.get("result"), self._last.get("jail")
        if status != 0 or not isinstance(facts, dict):
            raise TrainingError(
                f"The worker ended with status {status} and no result.", detail=self._last_words(), hint=AGAIN
            )
        held = {_plain(k, 40): _plain(v, 200) for k, v in jail.items()} if isinstance(jail, dict) else {}
        return facts, held, int(end.get("memory") or 0)

    def _hear(self, data: bytes) -> None:
        self._said += len(data)
        if self._said > MOST_WORDS:
            raise TrainingError("The worker says too much.", hint=AGAIN)
        self._half += data
        if b"\n" not in data:
            return
        *lines, rest = bytes(self._half).split(b"\n")
        self._half, self._lines = bytearray(rest), self._lines + len(lines)
        if self._lines > MOST_LINES:
            raise TrainingError("The worker says too much.", hint=AGAIN)
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TrainingError("The worker says what is not JSON.", hint=AGAIN) from error
        if not isinstance(message, dict):
            raise TrainingError("The worker says what is not an object.", hint=AGAIN)
        if isinstance(found := message.get("found"), dict):
            if keep := getattr(self._progress, "found", None):
                keep(found)
            return
        self._last = message
        if "step" in message:
            done = message.get("done")
            self._step = _plain(message["step"], 200), done if isinstance(done, float | int) else None
            self._progress.step(*self._step)

    def _out_of_time(self) -> NoReturn:
        raise ResourceLimitError(
            f"The {self._job.task} job took longer than its {self._job.seconds:g} s and was stopped.",
            hint="Give it more time: USING (time_limit = '10 min'), or fewer rows.",
        )

    def _killed(self, number: int) -> NoReturn:
        name = signal.Signals(number).name
        if number in (signal.SIGKILL, signal.SIGXCPU):
            raise ResourceLimitError(
                f"The worker was killed ({name}): the machine ran out of memory or time, or somebody stopped it.",
                hint="Run the command again; if it happens again, give more memory or train on fewer rows.",
            )
        raise TrainingError(f"The worker crashed ({name}).", detail=self._last_words(), hint=AGAIN)

    def _last_words(self) -> tuple[str, ...]:
        """The last line on stderr: enough for a library's message, too little for a table of data."""
        lines = self._tail.decode(errors="replace").strip().splitlines()
        return (_plain(lines[-1], 300),) if lines else ()


AGAIN = "Run the command again; if it happens again, report it with the line above."


def _raise(said: object) -> NoReturn:
    """The worker's error, as its own class where it is one of ours."""
    fields = said if isinstance(said, dict) else {}
    found = getattr(errors, str(fields.get("class")), None)
    cls = found if isinstance(found, type) and issubclass(found, TilthError) else TrainingError
    hint = fields.get("hint")
    detail = fields.get("detail")
    raise cls(
        _plain(fields.get("message", "The worker failed."), 2_000),
        hint=_plain(hint, 1_000) if hint else None,
        detail=tuple(_plain(d, 300) for d in detail[:20]) if isinstance(detail, list) else (),
    )


def _plain(words: object, most: int) -> str:
    """What a worker says, without what would steer a terminal."""
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", str(words)[:most])


def _report(data: bytes) -> dict[str, Any]:
    """How the worker ended; empty when its warden ended without a word."""
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
