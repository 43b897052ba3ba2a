"""Runs a job in a process of its own on this machine: clean environment, limits, a jail, and an end that is certain.

The worker holds no key and no secret. It ends with its job, with its time, with a cancel, or with this process: a `warden`
between the two sees to that, and this side waits for nothing without a deadline. How a worker locks itself up is in `jail`,
what it does is in `worker`. Its words are data: user code in it can lie, so what it made is checked and signed by the
caller like any other input.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any, NoReturn

from tilth.core import errors
from tilth.core.errors import ResourceLimitError, StorageError, TilthError, TrainingError
from tilth.ports.jobs import Job, Jobs
from tilth.ports.progress import Progress

BEAT = 0.2  # seconds between looks at whether somebody cancelled
MOST_WORDS, MOST_LINES = 32 << 20, 200_000  # bytes and messages that a worker may say
TAIL = 2_000
PATIENCE = 5.0  # seconds that a warden may take to end all it has below it
MAKING, OWN = (
    "making-",
    "making-worker-",
)  # gc clears the first, the next worker the second once its owner is gone
MARK = "TILTH_WORKER"
_log = logging.getLogger("tilth.workers")
_told: set[str] = set()


class LocalJobs:
    """Implements `ports.jobs.Jobs` with one jailed process a job. `folder` is where workers have their scratch."""

    def __init__(
        self, threads: int | None = None, python: str = sys.executable, folder: str | None = None
    ) -> None:
        self._threads = threads or os.cpu_count() or 1
        self._python = python
        self._folder = folder or tempfile.gettempdir()

    def run(self, job: Job, progress: Progress) -> Mapping[str, object]:
        """The worker's result, with what held of the jail under `jail` and its bytes of memory under `memory`.

        Raises the worker's own error (TrainingError, TargetError ...), ResourceLimitError when memory or time ran
        out or the process was killed, KeyboardInterrupt when `progress` says so. The caller removes `job.write`.
        """
        with scratch_folder(self._folder) as scratch, self._started(scratch) as warden:
            _send(warden.process, job, scratch)
            talk = _Talk(warden, job, progress)
            talk.listen()
            result = talk.result()
        _tell_what_is_off(result.get("jail"))
        return result

    @contextlib.contextmanager
    def _started(self, scratch: str) -> Iterator[_Warden]:
        """The process; whatever happens in the block, it and all that came of it are gone after it."""
        mark = os.urandom(16).hex()
        hear, say = os.pipe()
        try:
            process = subprocess.Popen(
                [self._python, "-s", "-P", "-m", "tilth.runtime.worker", str(say)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(say,),
                env=self._environment(scratch) | {MARK: mark}, cwd=scratch, start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(hear)
            raise
        finally:
            os.close(say)
        channel = os.fdopen(hear, "rb", buffering=0)
        try:
            yield _Warden(process, channel)
        finally:
            _end(process, mark)
            for pipe in (process.stdin, process.stdout, process.stderr, channel):
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


def _report(data: bytes) -> dict[str, Any]:
    """How the worker ended; empty when its warden ended without a word."""
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Have the warden end all that is below it; when it does not, or was killed, find and end them from here."""
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        if process.wait(PATIENCE) == 0:
            return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while (found := _marked(mark)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _log.warning(
            "The worker %d does not end; the kernel keeps it (a disk that does not answer?).", process.pid
        )


def _marked(mark: str) -> list[int]:
    """Living processes that were started with this mark in their environment."""
    out = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark.encode() in file.read(1 << 20):
                    out.append(int(name))
    return out


# --- scratch -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def scratch_folder(folder: str) -> Iterator[str]:
    """A new folder that is gone after the block, or after the next one when this process is killed in it."""
    try:
        os.makedirs(folder, exist_ok=True)
        _clear(folder)
        path, held = _held(folder)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror}).",
            hint="Free some space or give this user write access to it.",
        ) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def _held(folder: str) -> tuple[str, int]:
    """A folder that is locked before it has the name by which others look for abandoned ones; flock ends with us."""
    made = tempfile.mkdtemp(prefix=MAKING, dir=folder)
    held = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    path = os.path.join(folder, OWN + os.path.basename(made).removeprefix(MAKING))
    os.rename(made, path)
    return path, held


def _clear(folder: str) -> None:
    """Remove the folders of workers whose starter was killed."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(OWN) and not os.path.islink(path):
            with contextlib.suppress(OSError):
                held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(held)


# --- talking -----------------------------------------------------------------------------------------------


class _Warden:
    """The process that was started, and the pipe on which it says how its worker ended."""

    def __init__(self, process: subprocess.Popen[bytes], channel: IO[bytes]) -> None:
        self.process, self.channel = process, channel


class _Talk:
    """What a worker says until it ends, and what its warden says of the end."""

    def __init__(self, warden: _Warden, job: Job, progress: Progress) -> None:
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

    def result(self) -> dict[str, Any]:
        """The result, or the error that the end of the process stands for."""
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
        if status != 0 or not isinstance(self._last.get("result"), dict):
            raise TrainingError(
                f"The worker ended with status {status} and no result.", detail=self._last_words(), hint=AGAIN
            )
        found: dict[str, Any] = self._last["result"]
        return found | {"memory": int(end.get("memory") or 0)}

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


def _tell_what_is_off(jail: object) -> None:
    """Say once in the log which parts of the jail this kernel does not offer."""
    for name, state in jail.items() if isinstance(jail, dict) else ():
        if str(state).startswith("off") and name not in _told:
            _told.add(name)
            _log.warning("Workers run without %s: %s", name, state)


class Measured:
    """Jobs that remember the most memory that a worker held since `restart`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.peak: int | None = None

    def restart(self) -> None:
        self.peak = None

    def run(self, job: Job, progress: Progress) -> Mapping[str, object]:
        result = self._jobs.run(job, progress)
        memory = result.get("memory")
        if isinstance(memory, int) and memory:
            self.peak = max(self.peak or 0, memory)
        return result
