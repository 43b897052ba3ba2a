"""What is to be tidied up when the process ends. `python -m tilth` ends at once and runs no exit handlers of Python's, but these."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable

_tasks: list[Callable[[], object]] = []


def at_end(task: Callable[[], object]) -> None:
    """Run it once, before the process ends; what it raises is passed over."""
    _tasks.append(task)


@atexit.register
def leave() -> None:
    """Run what is to be run."""
    while _tasks:
        with contextlib.suppress(Exception):
            _tasks.pop()()
