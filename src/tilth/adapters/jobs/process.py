"""What runs inside a worker process: reads a job, locks itself up, does the task, answers on a channel of its own.

Started by `local` as `python -m tilth.adapters.jobs.process CHANNEL`. A job is one line of JSON on stdin, for which the process divides
into a `warden` and the worker; what the worker says is JSON lines: `{"step": ...}` and `{"found": ...}` any number of times, then one
`{"result": ...}` or `{"error": ...}`. When all of the worker has ended the warden reads the next job, for which libraries are loaded
then, and ends when none comes. What user code prints goes to stderr. There is no key, no secret and no state database in
this process, and no task is known here: they come by entry point.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tilth.adapters.jails.jail import enter
from tilth.adapters.jobs.warden import guard
from tilth.core.errors import ResourceLimitError, TilthError, TrainingError
from tilth.ports import registry

Say: TypeAlias = Callable[[Mapping[str, Any]], None]
IDLE = 30.0  # seconds without a job after which the process ends
MORE = "Give the model more: USING (memory = '8 GB'), or train on fewer rows or columns."


def main() -> int:
    """Do the jobs of this process, one after the other; in a worker the exit status is 0 when it has a result."""
    while (job := _next_job()) is not None:
        with contextlib.suppress(Exception):  # the worker loads it again, and says why it does not load
            _warmed(job)
        if guard(job, int(sys.argv[1])):
            return _work(job)
    return 0


def _next_job() -> dict[str, Any] | None:
    """The next line of stdin; None where it ends, or nothing comes."""
    heard = b""
    while not heard.endswith(b"\n"):
        if not heard and not select.select([0], [], [], IDLE)[0]:
            return None
        more = os.read(0, 1 << 20)
        if not more:
            return None
        heard += more
    found: dict[str, Any] = json.loads(heard)
    return found


def _warmed(job: Mapping[str, Any]) -> None:
    """Load here what every worker of the task would load for itself."""
    warm = getattr(registry.load("tilth.tasks", job["task"]), "warm", None)
    if warm is not None:
        warm(job["spec"])


def _work(job: Mapping[str, Any]) -> int:
    """Do the job, in a process that is its alone."""
    os.chdir(job["scratch"])
    os.environ |= {"HOME": job["scratch"], "TMPDIR": job["scratch"]}
    say = _channel()
    try:
        task = registry.load("tilth.tasks", job["task"])
        task.prepare(job["spec"])
        write = [path for path in (job["out"], job["scratch"], "/dev/null") if path]
        locked = enter(job["files"].values(), write, job["memory"], job["seconds"])
        facts = task.run(job["spec"], job["files"], job["out"], _Report(say))
        say({"result": facts, "jail": locked})
    except BaseException as error:
        say({"error": described(error)})
        return 1
    return 0


class _Report:
    """A task's way to say how far it is, and what it found."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def __call__(self, what: str, done: float | None) -> None:
        self._say({"step": what, "done": done})

    def found(self, what: Mapping[str, Any]) -> None:
        """See `ports.jobs.Finding`."""
        self._say({"found": dict(what)})


def described(error: BaseException) -> dict[str, Any]:
    """The error as data, so that the starter can raise it again; strangers' errors say where they arose."""
    if isinstance(error, MemoryError):
        error = ResourceLimitError("The training ran out of memory.", hint=MORE)
    if not isinstance(error, TilthError):
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        detail = tuple(f"{os.path.basename(f.filename)}:{f.lineno} in {f.name}" for f in frames)
        error = TrainingError(
            f"The training failed: {type(error).__name__}: {str(error)[:500]}", detail=detail
        )
    return {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "detail": list(error.detail),
    }


def _channel() -> Say:
    """A way to say lines that nobody else writes to: stdout is kept aside, and descriptor 1 becomes stderr."""
    kept = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def say(message: Mapping[str, Any]) -> None:
        kept.write(json.dumps(message, default=str).encode() + b"\n")

    return say


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # taking the libraries down is work for nothing
