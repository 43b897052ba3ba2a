"""A store of many rows made by a process of its own, so that the threads that answer have the machine to themselves.

The process is told what to do by JSON on its input, and says how far it is, and what went wrong, by lines of JSON. It ends when the one that
started it is gone.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from tilth.core.errors import StorageError, TilthError
from tilth.ports import registry
from tilth.ports.lookups import Kept
from tilth.runtime.serving.keeping import kept
from tilth.runtime.serving.looking_up import Store

STEP = 1_000_000  # rows after which it is said how far it is


@dataclass(frozen=True, slots=True)
class Task:
    """What the process is to make, where, of which files, and for whom."""

    home: str
    store: Store
    paths: tuple[str, ...]
    parent: int


def made(home: str, store: Store, paths: Sequence[str], rows: int, tell: Callable[[str], None]) -> None:
    """Have a store of these files made among those of `home`; StorageError with what the process says when it fails."""
    task = msgspec.json.encode(Task(home, store, tuple(paths), os.getpid()))
    line = [sys.executable, "-m", "tilth.runtime.serving.making"]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            process.stdin.write(task)
            process.stdin.close()
            _followed(process.stdout, store, rows, tell)
            said = process.stderr.read().decode("utf-8", "replace").strip()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        last = said.splitlines()[-1][:300] if said else f"it ended with status {process.returncode}"
        raise StorageError(
            f"The rows of `{store.dataset}` to look up could not be made: {last}.",
            hint="The server tries again; look whether memory and disk suffice.",
        )


def _followed(lines: Iterator[bytes], store: Store, rows: int, tell: Callable[[str], None]) -> None:
    """Tell what the process says until it says no more."""
    for line in lines:
        said = json.loads(line)
        if "error" in said:
            raise StorageError(said["error"], hint=said["hint"])
        tell(f"{store.dataset}: {said['rows']:,} of {rows:,} rows are ready to be looked up")


def _environment() -> dict[str, str]:
    """Of this process's what a Python needs, and nothing that could hold a secret."""
    return {k: v for k, v in os.environ.items() if k in _KEPT}


_KEPT = frozenset({"PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR"})


# --- the process -------------------------------------------------------------------------------------------


def main() -> int:
    """Make what the input says; 1 when it fails."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    os.nice(5)
    gc.disable()  # millions of rows pass, and none of them holds itself
    lookups = registry.load(registry.PARTS, "lookups").opened(task.home)
    engine = registry.load(registry.PARTS, "engine").opened(task.home)
    try:
        lookups.made(task.store.name, _counted(kept(task.store, task.paths, engine), task.parent))
    except TilthError as error:
        _say({"error": error.message, "hint": error.hint})
        return 1
    return 0


def _counted(rows: Iterator[Kept], parent: int) -> Iterator[Kept]:
    """The rows, with how many there were said now and then, while there is somebody to hear it."""
    for n, row in enumerate(rows, 1):
        yield row
        if n % STEP == 0:
            if os.getppid() != parent:
                sys.exit(1)
            _say({"rows": n})


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
