"""What runs inside a worker process: reads a job, locks itself up, does the task, answers on a channel of its own.

Started by `workers` as `python -m tilth.runtime.worker CHANNEL`, where it divides into a `warden` and the worker. The job is
one JSON object on stdin; what the worker says is JSON lines: `{"step": ...}` any number of times, then one `{"result": ...}`
or `{"error": ...}`. What user code prints goes to stderr. There is no key, no secret and no state database in this process.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tilth.core.errors import ResourceLimitError, TilthError, TrainingError
from tilth.ports import registry
from tilth.runtime.jail import enter
from tilth.runtime.warden import guard

Say: TypeAlias = Callable[[Mapping[str, Any]], None]
Report: TypeAlias = Callable[[str, float | None], None]
MORE = "Give the model more: USING (memory = '8 GB'), or train on fewer rows or columns."


def main() -> int:
    """Do the one job of this process; the exit status is 0 when it has a result."""
    job = json.loads(sys.stdin.buffer.read())
    ended = guard(job, int(sys.argv[1]))
    if ended is not None:
        return ended
    say = _channel()
    try:
        prepare, task = TASKS[job["task"]]
        prepare(job["spec"])
        write = [path for path in (job["write"], job["scratch"], "/dev/null") if path]
        locked = enter(job["read"], write, job["memory"], job["seconds"])
        result = task(job["spec"], job["write"], lambda what, done: say({"step": what, "done": done}))
        say({"result": {**result, "jail": locked}})
    except BaseException as error:
        say({"error": described(error)})
        return 1
    return 0


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


class _NoPandas:
    """Where only our own learners and scorers work, pyarrow need not load pandas: half a second of a training's one."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("Not in this process.", name=name)


def _lean(engines: tuple[str, ...]) -> None:
    if {"linear", "lightgbm"}.issuperset(engines):
        sys.meta_path.insert(0, _NoPandas())


# --- training ----------------------------------------------------------------------------------------------


def _prepare_training(spec: Mapping[str, Any]) -> None:
    """Load the libraries while the disk is in reach and before memory is counted."""
    engines = {"auto": ("linear", "lightgbm")}.get(spec["engine"], ("linear", spec["engine"]))
    _lean(engines)
    for name in ("numpy", "pyarrow.parquet", "pyarrow.compute", "tilth.ml.learning.training"):
        importlib.import_module(name)
    for name in engines:
        warm = getattr(registry.load("tilth.learners", name), "warm", None)
        if warm is not None:
            warm()


def _train(spec: Mapping[str, Any], out: str, report: Report) -> dict[str, object]:
    """A TrainingSpec's fields; `rows`, the paths of its Parquet files; `ids`, those of their rows' ids or None."""
    from tilth.ml.learning.training import Files, train
    from tilth.ml.model.spec import TrainingSpec

    files = Files([str(path) for path in spec["rows"]], spec.get("ids", ()))
    wanted = TrainingSpec.from_plain({k: v for k, v in spec.items() if k not in ("rows", "ids")})

    def learners(name: str) -> Any:
        return registry.load("tilth.learners", name)

    def scorers(name: str) -> Any:
        return registry.load("tilth.scorers", name)

    return train(wanted, files, out, learners, scorers, report)


# --- checking ----------------------------------------------------------------------------------------------


def _prepare_checking(spec: Mapping[str, Any]) -> None:
    """Load what the member's format needs while memory is not counted yet."""
    _lean((spec["scorer"],))
    importlib.import_module("tilth.ml.model.predictor")
    importlib.import_module("tilth.runtime.members")
    warm = getattr(registry.load("tilth.scorers", spec["scorer"]), "warm", None)
    if warm is not None:
        warm()


def _check(spec: Mapping[str, Any], _out: str, _report: Report) -> dict[str, object]:
    """The path of a bundle's folder; see `members.tried`."""
    from tilth.runtime.members import tried

    return tried(spec["folder"])


TASKS: dict[str, tuple[Callable[[Mapping[str, Any]], None], Callable[..., dict[str, object]]]] = {
    "train": (_prepare_training, _train),
    "check": (_prepare_checking, _check),
}


if __name__ == "__main__":
    sys.exit(main())
