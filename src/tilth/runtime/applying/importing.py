"""From a folder of MLflow's to a sealed candidate of a model that is declared here; who asks has it judged as any other.

The folder is read as data, and what is in its files only by a jailed worker. Nothing is taken over of what it says about how
good it is: `ml.importing` measures it on the rows that are here.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilth.core.canonical import digest
from tilth.core.errors import TamperError, UnsupportedError
from tilth.ml.bundles.manifest import read_file
from tilth.ml.bundles.signing import whole
from tilth.ml.data import snapshots
from tilth.ml.importing import flavors, mlmodel, task
from tilth.ml.importing.flavors import Found
from tilth.ml.model.ensemble import members_in
from tilth.ml.model.joint import parts_of
from tilth.plan.snapshot import Pointer
from tilth.ports.jobs import Job
from tilth.resources.kinds import Resource
from tilth.resources.rules import size_of
from tilth.runtime.act import Act
from tilth.runtime.applying import candidates
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.sql.language.statements import CreateDataset, CreateModel

SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that may be imported: what its MLmodel says, and the files that are read, by name."""

    path: str
    found: Found
    files: Mapping[str, bytes]

    @property
    def scorers(self) -> list[str]:
        """The formats of an exported bundle's members."""
        if self.found.flavor != flavors.OURS:
            return []
        try:
            named = members_in(json.loads(self.files["calibration.json"]))
            return list(dict.fromkeys(str(m["scorer"]) for m in named))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise TamperError(
                f"The folder's bundle does not say what its members are: {type(error).__name__}.",
                hint="Export it again: tilth export MODEL --format mlflow.",
            ) from error


def looked_at(path: str) -> Folder:
    """The folder; UnsupportedError with the reason for one that is not read, TamperError for one that is not whole."""
    place = Path(path)
    if not place.is_dir():
        raise UnsupportedError(
            f"There is no folder {path}.",
            hint="Name a folder in which MLflow's save_model has put an MLmodel.",
        )
    if not os.path.lexists(place / flavors.FILE):
        raise UnsupportedError(
            f"There is no {flavors.FILE} in {path}.",
            hint="Name a folder that MLflow's save_model has written.",
        )
    found = flavors.found(mlmodel.read(read_file(place / flavors.FILE)))
    if found.flavor == flavors.OURS:
        files = whole(place / found.path).files
        if len(parts_of(files)) > 1:
            raise _of_one(f"The bundle in {path} is of a model of several targets.")
        return Folder(path, found, files)
    content = read_file(place / found.path)
    flavors.no_pickle(found.flavor, content)
    return Folder(path, found, {found.path: content})


def _of_one(what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} What is imported answers one target.",
        hint="Train it here, RETRAIN MODEL, or declare a model of the one target and import that.",
    )


def brought(act: Act, resource: Resource, data: tuple[CreateDataset, Pointer], folder: Folder) -> Version:
    """The row of a sealed candidate of the model, made of the folder and measured on the dataset's snapshot."""
    work, declared = act.work, resource.as_(CreateModel)
    if len(declared.targets) > 1:
        raise _of_one(f"Model `{declared.name}` predicts {len(declared.targets)} columns.")
    dataset, pointer = data
    manifest = manifest_of(work.state, pointer.target or "")
    training = candidates.spec_of(work, declared, dataset, manifest.schema)
    own = {name: digest(content) for name, content in folder.files.items()}
    memory = size_of(declared.using.get("memory", candidates.MEMORY))
    assert memory is not None, "the compiler has checked this"
    found = folder.found
    spec: dict[str, Any] = {
        "training": training.plain(), "flavor": found.flavor, "about": dict(found.about), "inputs": list(found.inputs),
        "made_at": found.made_at, "scorers": folder.scorers,
    }  # fmt: skip
    job = Job("import", spec, task.inputs(manifest.parts, own), memory, SECONDS)
    where = Path(os.path.abspath(folder.path)) / (found.path if found.flavor == flavors.OURS else "")
    with snapshots.damage_told(manifest):
        output = work.jobs.run(job, act.progress, {own[name]: str(where / name) for name in own})
    reason = f"imported from {os.path.basename(os.path.abspath(folder.path))}, a {found.flavor} model"
    try:
        return candidates.sealed(act, resource, manifest, output, reason, "import")
    finally:
        shutil.rmtree(output.folder, ignore_errors=True)
