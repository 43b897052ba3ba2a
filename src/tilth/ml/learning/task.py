"""The task `train`: what a job does where it runs. Its inputs are a snapshot's files and own estimators, its output is a bundle's files.

Inputs are called `rows/<n>`, `ids/<n>` and `estimators/<path>`, and are named here for those who ask; those of a version to
begin with are `start/<file>`, `seen/<n>` and `seen_ids/<n>`. What training does
is in `training`; where and how jobs run is not known here.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tilth.ml.learning.named import ESTIMATORS, IDS, ROWS, SEEN, SEEN_IDS, START
from tilth.ml.model.lean import spare_pandas
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import registry
from tilth.ports.jobs import Report
from tilth.ports.learning import BASELINE, facts_of, tried
from tilth.ports.snapshots import Part

TREES = "lightgbm"  # the engine of a forecast's trees
LIBRARIES = ("numpy", "pyarrow.parquet", "pyarrow.compute", "tilth.ml.learning.training")


def inputs(parts: Sequence[Part], estimators: Mapping[str, str]) -> dict[str, str]:
    """The inputs of a training by name: the snapshot's parts in order, and the files of own estimators by their paths there."""
    out = {f"{ROWS}{number:06}": part.blob for number, part in enumerate(parts)}
    out |= {f"{IDS}{number:06}": part.ids for number, part in enumerate(parts) if part.ids}
    return out | {ESTIMATORS + path: digest for path, digest in estimators.items()}


def begins(files: Mapping[str, str], parts: Sequence[Part]) -> dict[str, str]:
    """The inputs of a version that is gone on from: its files, and the parts of the snapshots that it has seen."""
    out = {f"{START}{name}": digest for name, digest in files.items()}
    out |= {f"{SEEN}{number:06}": part.blob for number, part in enumerate(parts)}
    return out | {f"{SEEN_IDS}{number:06}": part.ids for number, part in enumerate(parts) if part.ids}


def prepare(spec: Mapping[str, Any]) -> None:
    """Load the libraries of the engines that will be tried, and of the baseline."""
    if spec.get("forecast"):
        spare_pandas()
        registry.load("tilth.learners", TREES).warm()
        importlib.import_module("tilth.ml.learning.forecast")
        return
    asked = tried(spec["engine"], spec.get("preset", "fast"))
    taught = [spec["teacher"]] if spec.get("teacher") else []
    names = dict.fromkeys((BASELINE, *(engine.name for engine in asked), *taught))
    learners = [registry.load("tilth.learners", name) for name in names]
    if not any(facts_of(learner).pandas for learner in learners):
        spare_pandas()
    for name in LIBRARIES:
        importlib.import_module(name)
    if spec.get("search"):
        importlib.import_module("tilth.ml.learning.proposing").warm()
    for learner in learners:
        warm = getattr(learner, "warm", None)
        if warm is not None:
            warm()


def warm(spec: Mapping[str, Any]) -> None:
    """Load what every training loads, and the engines that start no thread by being loaded."""
    if spec.get("forecast"):
        importlib.import_module("tilth.ml.learning.forecast")
        return
    for name in LIBRARIES:
        importlib.import_module(name)
    for engine in (BASELINE, *(e.name for e in tried(spec["engine"], spec.get("preset", "fast")))):
        learner = registry.load("tilth.learners", engine)
        if getattr(learner, "forks", False):
            learner.warm()


def run(spec: Mapping[str, Any], files: Mapping[str, str], out: str, report: Report) -> dict[str, object]:
    """Train what the spec, a TrainingSpec's fields, says; the facts of `training.train`."""
    from tilth.ml.learning import forecast, several, training

    wanted = TrainingSpec.from_plain(spec)
    if wanted.forecast:
        return forecast.train(wanted, rows_in(files), out, report)
    if wanted.estimator:
        wanted = replace(wanted, estimators=_folder(files))

    def learners(name: str) -> Any:
        return registry.load("tilth.learners", name)

    def scorers(name: str) -> Any:
        return registry.load("tilth.scorers", name)

    if len(wanted.targets) > 1:
        return several.train(wanted, rows_in(files), out, learners, scorers, report)
    return training.train(wanted, rows_in(files), out, learners, scorers, report, files)


def rows_in(files: Mapping[str, str]) -> Any:
    """The snapshot's files among a job's, as `dealing.Files`."""
    from tilth.ml.learning.dealing import Files

    numbers = [name.removeprefix(ROWS) for name in sorted(files) if name.startswith(ROWS)]
    return Files([files[ROWS + n] for n in numbers], [files.get(IDS + n) for n in numbers])


def _folder(files: Mapping[str, str]) -> str:
    """The own estimators as the folder that they were: what was hashed is what is imported."""
    folder = tempfile.mkdtemp(prefix="estimators-")
    for name, path in files.items():
        if name.startswith(ESTIMATORS):
            goal = os.path.join(folder, name.removeprefix(ESTIMATORS))
            os.makedirs(os.path.dirname(goal), exist_ok=True)
            shutil.copyfile(path, goal)
    return folder
