"""How a model learns again: what `retrain` of USING asks for, the version that is gone on from, and what `auto` has measured.

A version is gone on from where it serves, was made by the same recipe, and the rows of every snapshot that it knows are there;
else the training is a full one and its notice says why. Whether its members can be gone on from is asked where it trains
(`ml.learning.starting`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from tilth.core.errors import TilthError, UnknownNameError
from tilth.ml.learning import task
from tilth.ml.learning.retraining import AUTO
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import FULL
from tilth.ports.snapshots import Manifest, Part
from tilth.resources.kinds import Resource
from tilth.runtime.loading import verified
from tilth.runtime.members import require_checked
from tilth.runtime.record import versions
from tilth.runtime.record.rows import Reader
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import LOST, Version
from tilth.runtime.workspace import Workspace

MOST_TURNS = 10  # after so many, what was fitted first is too old to be gone on from
LASTS = 5  # trainings, for which what `auto` measured holds


@dataclass(frozen=True, slots=True)
class Begun:
    """A training with what it begins with: its inputs by name, and where those lie that are no blobs."""

    spec: TrainingSpec
    inputs: dict[str, str]
    beside: dict[str, str]


class _UnfitError(Exception):
    """Why a version is not gone on from, in words."""


def begun(
    work: Workspace, resource: Resource, spec: TrainingSpec, manifest: Manifest, champion: Version | None
) -> Begun:
    """The training as `retrain` asks for it; a full one, which says why, where there is nothing to go on from."""
    if spec.retrain == FULL:
        return Begun(spec, {}, {})
    try:
        if champion is None:
            raise _UnfitError("no version serves yet")
        known = _known(work, resource, manifest, champion)
        found = verified(work, champion)
        require_checked(work, found)
    except (_UnfitError, TilthError) as error:
        about = f"version {champion.version} is not gone on from: " if champion is not None else ""
        return Begun(replace(spec, no_start=about + str(error)), {}, {})
    if spec.retrain == AUTO:
        spec = replace(spec, retrain=_measured(work.state, resource, champion) or AUTO)
        if spec.retrain == FULL:
            return Begun(replace(spec, retrain=AUTO, no_start=_CHEAPEST), {}, {})
    folder, files = work.bundles.path(champion.digest), dict(found.statement.files)
    beside = {digest: os.path.join(folder, name) for name, digest in files.items()}
    own = replace(spec, start_version=champion.version, start_digest=champion.digest)
    return Begun(own, task.begins(files, known), beside)


_CHEAPEST = "when all ways were tried last, it took the least of those that lose no more"


def _known(work: Workspace, resource: Resource, manifest: Manifest, champion: Version) -> list[Part]:
    """The parts of all snapshots that the version knows: its own, and those of what it was gone on from."""
    if champion.recipe not in resource.recipes:
        raise _UnfitError("it was made by another definition")
    own = _chain(work.state, champion)
    if len(own) > MOST_TURNS:
        raise _UnfitError(f"it was gone on from {MOST_TURNS} times, so everything is due to be fitted anew")
    parts: dict[str, Part] = {}
    for one in own:
        try:
            before = manifest_of(work.state, one.snapshot)
        except UnknownNameError:
            raise _UnfitError(f"the rows of version {one.version} are gone") from None
        if before.schema.plain() != manifest.schema.plain():
            raise _UnfitError("its rows had other columns")
        parts |= {part.blob: part for part in before.parts}
    return list(parts.values())


def _chain(reader: Reader, last: Version) -> list[Version]:
    """The version, what it was gone on from, and so on to the one that was fitted whole."""
    out = [last]
    while True:
        said = out[-1].facts.get("retraining") or {}
        before = (said.get("start") or {}).get("version")
        if said.get("way", FULL) == FULL or before is None or before >= out[-1].version:
            return out
        out.append(versions.require(reader, last.model, int(before)))


def _measured(reader: Reader, resource: Resource, champion: Version) -> str | None:
    """The way that was best when all were tried; None where none were, that is too long ago, or one that went on has lost."""
    made = [one.number for one in versions.made(reader, champion.model)]
    for number in reversed(made[-LASTS:]):
        one = versions.require(reader, champion.model, number)
        said = one.facts.get("retraining") or {}
        if one.recipe not in resource.recipes or (one.status in LOST and said.get("way", FULL) != FULL):
            return None
        if said.get("losses"):
            return str(said["way"])
    return None
