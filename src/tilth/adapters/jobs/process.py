"""What runs inside a worker process: reads a job, locks itself up, does the task, answers on a channel of its own.

Started by `local` as `python -m tilth.adapters.jobs.process CHANNEL`, where it divides into a `warden` and the worker. The job
is one JSON object on stdin; what the worker says is JSON lines: `{"step": ...}` and `{"found": ...}` any number of times, then one
`{"result": ...}` or `{"error": ...}`. What user code prints goes to stderr. There is no key, no secret and no state
database in this process, and no task is known here: they come by entry point.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tilth.adapters.jobs.jail import enter
from tilth.adapters.jobs.warden import guard
from tilth.core.errors import ResourceLimitError, TilthError, TrainingError
from tilth.ports import registry

Say: TypeAlias = Callable[[Mapping[str, Any]], None]
MORE = "Give the model more: USING (memory = '8 GB'), or train on fewer rows or columns."


def main() -> int:
    """Do the one job of this process; the exit status is 0 when it has a result."""
    job = json.loads(sys.stdin.buffer.read())
    ended = guard(job, int(sys.argv[1]))
    if ended is not None:
        return ended
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
    sys.exit(main())
