"""Runs a job in a process of its own on this machine: clean environment, limits, a jail, and an end that is certain.

A process waits a while for another job, with libraries loaded, and each job is done by a worker that divides from it. The worker
holds no key and no secret. It ends with its job, with its time, with a cancel, or with this process: a `warden`
between the two sees to that, and this side waits for nothing without a deadline. How a worker locks itself up is in `jail`,
what runs in it is `process`, what it says is heard by `talk`. What it left is data: user code in it can lie, so it is
checked and signed by the caller like any other input.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping

from tilth.adapters.files import durable
from tilth.adapters.files.scratch import new_scratch
from tilth.adapters.jails.clean import OPTIONS, environment
from tilth.adapters.jails.folders import scratch_folder
from tilth.adapters.jobs.ends import MARK
from tilth.adapters.jobs.files import inputs_of, left_in
from tilth.adapters.jobs.talk import Talk, Warden
from tilth.ports.blobs import Blobs
from tilth.ports.jobs import NOTHING, Job, Output
from tilth.ports.progress import Progress

_log = logging.getLogger("tilth.workers")
_told: set[str] = set()
IDLE = 30.0  # seconds that a process waits for another job, as `process` has it


class LocalJobs:
    """Implements `ports.jobs.Jobs` with one jailed process a job. `folder` is where workers have their scratch and outputs."""

    def __init__(
        self,
        blobs: Blobs,
        folder: str,
        threads: int | None = None,
        python: str = sys.executable,
    ) -> None:
        self._blobs = blobs
        self._folder = folder
        self._threads = threads or os.cpu_count() or 1
        self._python = python
        self._idle: list[Warden] = []  # the process of the last job, which has its libraries
        weakref.finalize(self, _let_go, self._idle)

    @staticmethod
    def opened(address: str, blobs: Blobs, folder: str) -> LocalJobs:
        """Workers on this machine; the address says no more than that."""
        del address
        return LocalJobs(blobs, folder)

    def run(self, job: Job, progress: Progress, beside: Mapping[str, str] = NOTHING) -> Output:
        """See the port. What was tried of the jail and is off is said once in the log."""
        files = inputs_of(job, self._blobs, beside)
        out = self._new_folder() if job.leaves else ""
        try:
            with scratch_folder(self._folder) as scratch, self._warden() as warden:
                _send(warden.process, job, files, out, scratch)
                talk = Talk(warden, job, progress)
                talk.listen()
                facts, jail, memory = talk.result()
            left = left_in(out) if out else {}
        except BaseException:
            if out:
                shutil.rmtree(out, ignore_errors=True)
            raise
        _tell_what_is_off(jail)
        return Output(facts, left, out, memory, jail)

    def _new_folder(self) -> str:
        try:
            return new_scratch(self._folder)
        except OSError as error:
            raise durable.refused(f"{self._folder} cannot be written", self._folder, error) from error

    def close(self) -> None:
        """End the process that waits for another job."""
        _let_go(self._idle)

    @contextlib.contextmanager
    def _warden(self) -> Iterator[Warden]:
        """A process for one job. Where it went well the process is kept for the next; else it and all that came of it are
        gone after the block.
        """
        warden = self._waiting() or self._started()
        try:
            yield warden
        except BaseException:
            warden.end()
            raise
        warden.since = time.monotonic()
        self._idle.append(warden)
        _let_go(self._idle, but=1)

    def _waiting(self) -> Warden | None:
        """The process that is kept, where it still waits."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread was quicker
                found = self._idle.pop()
                if found.process.poll() is None and time.monotonic() - found.since < IDLE / 2:
                    return found
                found.end()
        return None

    def _started(self) -> Warden:
        """A new process."""
        mark = os.urandom(16).hex()
        hear, say = os.pipe()
        try:
            process = subprocess.Popen(
                [self._python, *OPTIONS, "-m", "tilth.adapters.jobs.process", str(say)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(say,),
                env=self._environment() | {MARK: mark}, cwd="/", start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(hear)
            raise
        finally:
            os.close(say)
        return Warden(process, os.fdopen(hear, "rb", buffering=0), mark)

    def _environment(self) -> dict[str, str]:
        """Nothing of ours but where libraries are; a worker's home is its scratch folder; thread counts; OpenMP threads that sleep instead of spinning.

        Linear algebra has one: more spin while they wait for each other, and the last digits follow their number.
        """
        threads = str(self._threads)
        return environment(self._folder) | {
            "PYTHONHASHSEED": "0",
            "OMP_WAIT_POLICY": "passive",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "JOBLIB_MULTIPROCESSING": "0",
        }


def _send(
    process: subprocess.Popen[bytes], job: Job, files: Mapping[str, str], out: str, scratch: str
) -> None:
    message = {
        "task": job.task,
        "spec": dict(job.spec),
        "files": dict(files),
        "out": out,
        "scratch": scratch,
        "memory": job.memory,
        "seconds": job.seconds,
        "parent": os.getpid(),
    }
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it died at once: its end says why
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()


def _let_go(idle: list[Warden], but: int = 0) -> None:
    """End the processes that wait, all but so many."""
    while len(idle) > but:
        with contextlib.suppress(IndexError):
            idle.pop(0).end()


def _tell_what_is_off(jail: Mapping[str, str]) -> None:
    """Say once in the log which parts of the jail this kernel does not offer."""
    for name, state in jail.items():
        if state.startswith("off") and name not in _told:
            _told.add(name)
            _log.warning("Workers run without %s: %s", name, state)
