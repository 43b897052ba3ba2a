"""Runs a job's task in this process: no jail, no limits, no cancel in between. For tests of what asks for jobs.

Neighbour: `local`, which is what people use.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping

from tilth.adapters.jobs.files import inputs_of, left_in
from tilth.ports import registry
from tilth.ports.blobs import Blobs
from tilth.ports.jobs import NOTHING, Job, Output
from tilth.ports.progress import Progress


class InlineJobs:
    """Implements `ports.jobs.Jobs`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def run(self, job: Job, progress: Progress, beside: Mapping[str, str] = NOTHING) -> Output:
        files = inputs_of(job, self._blobs, beside)
        task = registry.load("tilth.tasks", job.task)
        out = tempfile.mkdtemp() if job.leaves else ""
        try:
            facts = task.run(job.spec, files, out, progress.step)
            return Output(facts, left_in(out) if out else {}, out)
        except BaseException:
            if out:
                shutil.rmtree(out, ignore_errors=True)
            raise
