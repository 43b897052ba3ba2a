"""Running work apart: a job is a task by name, values and files by digest, so any machine that has the files can run it.

What a job's files are called is between the task and who asks; what they hold is their sha256. A runner fetches them, runs
the task where it can do no harm, and hands over what the task left. The tasks themselves come by entry point
(`tilth.tasks`) and know neither runner nor place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeAlias

from tilth.ports.blobs import Blobs
from tilth.ports.progress import Progress

Report: TypeAlias = Callable[[str, float | None], None]
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Job:
    """`task` names the work and `spec`, which is JSON-able, says how; neither names a place on a machine."""

    task: str
    spec: Mapping[str, object]
    inputs: Mapping[str, str]  # the sha256 of each file that the task reads, by the name it knows it by
    memory: int  # bytes of address space beyond what the libraries take
    seconds: float
    leaves: bool = True  # whether the task leaves files


@dataclass(frozen=True, slots=True)
class Output:
    """What a job left. Its files are data like any other: nothing is known of them but what they hold."""

    facts: Mapping[str, object]  # what the task says
    files: Mapping[str, str] = field(default_factory=dict)  # sha256 by name
    folder: str = ""  # holds these files and nothing else, here; whoever asked moves or removes it
    memory: int = 0  # bytes that the task held at most, 0 where nobody knows
    jail: Mapping[str, str] = field(
        default_factory=dict
    )  # what held the task: "on (...)" or "off: why", by mechanism


class Jobs(Protocol):
    def run(self, job: Job, progress: Progress, beside: Mapping[str, str] = NOTHING) -> Output:
        """What the job left. `beside` says where inputs lie here that are in no store: paths by sha256.

        Raises the task's own error (TrainingError, TargetError ...), ResourceLimitError when memory or time ran out or
        the task was ended, DamagedError for an input that is not what its digest says, KeyboardInterrupt when
        `progress` says so. Nothing of a job that did not end well is left.
        """
        ...


class JobsAdapter(Protocol):
    """What the entry point of a runner stands for; its name in `tilth.toml` is `jobs`. A runner that keeps something between
    jobs has `close`.
    """

    @staticmethod
    def opened(address: str, blobs: Blobs, folder: str) -> Jobs:
        """A runner. `address` is what `tilth.toml` says, `folder` is where outputs are put, on the disk of the bundles."""
        ...


class Finding(Protocol):
    """What a task's `report` also offers where the runner passes on what is found before the task has ended."""

    def found(self, what: Mapping[str, object]) -> None:
        """Tell it: a JSON-able mapping. Who asked keeps it, or nobody does."""
        ...


class Task(Protocol):
    """What an entry point of `tilth.tasks` stands for: most are modules.

    One that also has `warm(spec)` has it called before the worker divides from a process that stays: it loads libraries that
    start no thread, and the next worker has them.
    """

    @staticmethod
    def prepare(spec: Mapping[str, object]) -> None:
        """Load libraries: the disk is still in reach, and memory is not counted yet. No code of a project runs here."""
        ...

    @staticmethod
    def run(
        spec: Mapping[str, object], files: Mapping[str, str], out: str, report: Report
    ) -> Mapping[str, object]:
        """Do it; what is to be said of it. `files` are local paths of the inputs by name; `out` is an empty folder to leave
        files in, "" where the job leaves none.
        """
        ...


class Measured:
    """Jobs that remember the most memory that a task held since `restart`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.peak: int | None = None

    def restart(self) -> None:
        self.peak = None

    def run(self, job: Job, progress: Progress, beside: Mapping[str, str] = NOTHING) -> Output:
        done = self._jobs.run(job, progress, beside)
        if done.memory:
            self.peak = max(self.peak or 0, done.memory)
        return done
