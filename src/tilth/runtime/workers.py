"""Runs a job in a process of its own on this machine: clean environment, limits, a jail, and an end that is certain.

The worker holds no key and no secret. It ends with its job, with its time, with a cancel, or with this process. How it
locks itself up is in `jail`, what it does is in `worker`. Its words are data: user code in it can lie, so what it made
is checked and signed by the caller like any other input.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from tilth.core import errors
from tilth.core.errors import ResourceLimitError, TilthError, TrainingError
from tilth.ports.jobs import Job
from tilth.ports.progress import Progress

BEAT = 0.2  # seconds between looks at whether somebody cancelled
MOST_WORDS = 32 << 20  # bytes that a worker may say
TAIL = 2_000
_log = logging.getLogger("tilth.workers")
_told: set[str] = set()


class LocalJobs:
    """Implements `ports.jobs.Jobs` with one jailed process a job."""

    def __init__(self, threads: int | None = None, python: str = sys.executable) -> None:
        self._threads = threads or os.cpu_count() or 1
        self._python = python

    def run(self, job: Job, progress: Progress) -> Mapping[str, object]:
        """The worker's result, with what held of the jail under `jail`.

        Raises the worker's own error (TrainingError, TargetError ...), ResourceLimitError when memory or time ran
        out or the process was killed, KeyboardInterrupt when `progress` says so. The caller removes `job.write`.
        """
        with (
            tempfile.TemporaryDirectory(prefix="tilth-worker-") as scratch,
            self._started(scratch) as process,
        ):
            _send(process, job, scratch)
            talk = _Talk(process, job, progress)
            talk.listen()
            result = talk.result()
        _tell_what_is_off(result.get("jail"))
        return result

    @contextlib.contextmanager
    def _started(self, scratch: str) -> Iterator[subprocess.Popen[bytes]]:
        """The process; whatever happens in the block, it and its threads are gone after it."""
        process = subprocess.Popen(
            [self._python, "-s", "-P", "-m", "tilth.runtime.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self._environment(scratch), cwd=scratch, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _environment(self, scratch: str) -> dict[str, str]:
        """Nothing of ours but where libraries are; thread counts; OpenMP threads that sleep instead of spinning."""
        threads = str(self._threads)
        kept = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
        return kept | {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOME": scratch,
            "TMPDIR": scratch,
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_WAIT_POLICY": "passive",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "MALLOC_ARENA_MAX": "2",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "JOBLIB_MULTIPROCESSING": "0",
        }


def _send(process: subprocess.Popen[bytes], job: Job, scratch: str) -> None:
    message = {
        "task": job.task,
        "spec": dict(job.spec),
        "read": list(job.read),
        "write": job.write,
        "scratch": scratch,
        "memory": job.memory,
        "seconds": job.seconds,
        "parent": os.getpid(),
    }
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once: its end says why
        process.stdin.write(json.dumps(message).encode())
        process.stdin.close()


class _Talk:
    """What a worker says until it ends."""

    def __init__(self, process: subprocess.Popen[bytes], job: Job, progress: Progress) -> None:
        self._process = process
        self._job = job
        self._progress = progress
        self._deadline = time.monotonic() + job.seconds
        self._said, self._half, self._tail = 0, b"", b""
        self._step: tuple[str, float | None] = (f"starting a worker for {job.task}", None)
        self._last: dict[str, Any] = {}

    def listen(self) -> None:
        """Pass progress on until the process has closed its pipes."""
        with selectors.DefaultSelector() as ready:
            for pipe in (self._process.stdout, self._process.stderr):
                assert pipe is not None
                ready.register(pipe, selectors.EVENT_READ)
            while ready.get_map():
                events = ready.select(BEAT)
                for key, _ in events:
                    data = os.read(key.fd, 65_536)
                    if not data:
                        ready.unregister(key.fileobj)
                    elif key.fileobj is self._process.stdout:
                        self._hear(data)
                    else:
                        self._tail = (self._tail + data)[-TAIL:]
                if not events:
                    self._progress.step(*self._step)
                if time.monotonic() > self._deadline:
                    self._out_of_time()

    def result(self) -> dict[str, Any]:
        """The result, or the error that the end of the process stands for."""
        status = self._process.wait()
        if "error" in self._last:
            _raise(self._last["error"])
        if status < 0:
            self._killed(-status)
        if status != 0 or not isinstance(self._last.get("result"), dict):
            raise TrainingError(
                f"The worker ended with status {status} and no result.", detail=self._last_words(), hint=AGAIN
            )
        found: dict[str, Any] = self._last["result"]
        return found

    def _hear(self, data: bytes) -> None:
        self._said += len(data)
        if self._said > MOST_WORDS:
            raise TrainingError("The worker says too much.", hint=AGAIN)
        *lines, self._half = (self._half + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError as error:
                raise TrainingError("The worker says what is not JSON.", hint=AGAIN) from error
            if not isinstance(message, dict):
                raise TrainingError("The worker says what is not an object.", hint=AGAIN)
            self._last = message
            if "step" in message:
                done = message.get("done")
                self._step = str(message["step"]), done if isinstance(done, float | int) else None
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
        return (lines[-1][:300],) if lines else ()


AGAIN = "Run the command again; if it happens again, report it with the line above."


def _raise(said: object) -> NoReturn:
    """The worker's error, as its own class where it is one of ours."""
    fields = said if isinstance(said, dict) else {}
    found = getattr(errors, str(fields.get("class")), None)
    cls = found if isinstance(found, type) and issubclass(found, TilthError) else TrainingError
    hint = fields.get("hint")
    detail = fields.get("detail")
    raise cls(
        str(fields.get("message", "The worker failed.")),
        hint=str(hint) if hint else None,
        detail=tuple(map(str, detail)) if isinstance(detail, list) else (),
    )


def _tell_what_is_off(jail: object) -> None:
    """Say once in the log which parts of the jail this kernel does not offer."""
    for name, state in jail.items() if isinstance(jail, dict) else ():
        if str(state).startswith("off") and name not in _told:
            _told.add(name)
            _log.warning("Workers run without %s: %s", name, state)
