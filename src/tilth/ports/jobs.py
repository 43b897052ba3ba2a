"""Running work apart: a worker process with limits, that can be cancelled and may be killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tilth.ports.progress import Progress


@dataclass(frozen=True, slots=True)
class Job:
    """`task` names the work; `spec` is JSON-able; the worker may read `read` paths and write below `write`."""

    task: str
    spec: Mapping[str, object]
    read: tuple[str, ...]
    write: str
    memory: int  # bytes of address space beyond what the libraries take
    seconds: float


class Jobs(Protocol):
    def run(self, job: Job, progress: Progress) -> Mapping[str, object]:
        """The worker's result. Raises TrainingError (with the worker's own error), or ResourceLimitError."""
        ...
