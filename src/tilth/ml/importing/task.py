"""The task `import`: reads a model that another tool has fitted, where it can do no harm, and makes a bundle's files of it.

Its inputs are a snapshot's files, named as `ml.learning.task` names them, and those of the folder as `given/<name>`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilth.ml.learning import task as training
from tilth.ml.model.lean import spare_pandas
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import registry
from tilth.ports.jobs import Report
from tilth.ports.learning import facts_of
from tilth.ports.snapshots import Part

GIVEN = "given/"


def inputs(parts: Sequence[Part], given: Mapping[str, str]) -> dict[str, str]:
    """The inputs of an import by name: the snapshot's parts, and the digests of the folder's files by their names."""
    return training.inputs(parts, {}) | {GIVEN + name: digest for name, digest in given.items()}


def prepare(spec: Mapping[str, Any]) -> None:
    """Load what reads the model: its engine, or the formats of an exported bundle's members."""
    found = [registry.load("tilth.scorers", name) for name in spec["scorers"]]
    pandas = any(getattr(scorer, "pandas", True) for scorer in found)
    if spec["flavor"] != "tilth":
        learner = registry.load("tilth.learners", spec["flavor"])
        found, pandas = [learner, registry.load("tilth.scorers", "lightgbm")], facts_of(learner).pandas
    if not pandas:
        spare_pandas()
    for name in ("numpy", "pyarrow.parquet", "pyarrow.compute", "tilth.ml.importing.adopting"):
        importlib.import_module(name)
    for one in found:
        warm = getattr(one, "warm", None)
        if warm is not None:
            warm()


def run(spec: Mapping[str, Any], files: Mapping[str, str], out: str, report: Report) -> dict[str, object]:
    """Make the bundle's files; the facts of `adopting.adopted`."""
    from tilth.ml.importing.adopting import adopted
    from tilth.ml.importing.given import Given

    own = {n.removeprefix(GIVEN): Path(p).read_bytes() for n, p in files.items() if n.startswith(GIVEN)}
    given = Given(spec["flavor"], own, spec["about"], tuple(spec["inputs"]), spec["made_at"])

    def learners(name: str) -> Any:
        return registry.load("tilth.learners", name)

    def scorers(name: str) -> Any:
        return registry.load("tilth.scorers", name)

    wanted = TrainingSpec.from_plain(spec["training"])
    return adopted(wanted, training.rows_in(files), given, out, learners, scorers, report)
