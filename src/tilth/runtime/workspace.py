"""What the runtime works with: the ports of one opened project, as one frozen value.

`tilth.app.project` makes it from adapters; nothing in the runtime names one. `version_of` is how every part gets a model:
verified, tried in a jail at least once (`members`), and then loaded from the bytes that were verified.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilth.core.errors import UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import Schema
from tilth.ml.bundles.provenance import Subject
from tilth.ml.bundles.signing import Verified, verify
from tilth.plan.snapshot import SERVING
from tilth.ports import registry
from tilth.ports.blobs import Blobs
from tilth.ports.bundles import BundleStore
from tilth.ports.clock import Clock
from tilth.ports.engine import QueryEngine
from tilth.ports.jobs import Jobs
from tilth.ports.locks import Locks
from tilth.ports.predictions import PredictionLog
from tilth.ports.signing import Keys
from tilth.ports.snapshots import Manifest, Part
from tilth.ports.state import Row, State
from tilth.runtime.project.settings import KEEP, Keep

if TYPE_CHECKING:
    from tilth.ml.model.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Workspace:
    """The ports of a project. `engine`, `keys` and `log` are made when first asked for: not every command needs them."""

    root: str  # the project's folder; relative paths of sources start here
    state: State
    blobs: Blobs
    bundles: BundleStore
    locks: Locks
    jobs: Jobs
    clock: Clock
    engine_of: Callable[[], QueryEngine]
    keys_of: Callable[[], Keys]
    log_of: Callable[[], PredictionLog]
    serving: str = SERVING  # the environment where gates hold
    keep: Keep = KEEP

    @property
    def engine(self) -> QueryEngine:
        return self.engine_of()

    @property
    def keys(self) -> Keys:
        return self.keys_of()

    @property
    def log(self) -> PredictionLog:
        return self.log_of()


def version_of(work: Workspace, model: str, version: int, threads: int | None = None) -> Predictor:
    """The version, verified and loaded; TamperError when its bundle is not the one that was sealed for it."""
    from tilth.ml.model.predictor import Predictor
    from tilth.runtime.members import require_checked

    row = version_row(work.state, model, version)
    found = verified(work, row)
    require_checked(work, found)
    return Predictor.load(
        found.files, lambda name: registry.load("tilth.scorers", name), version, found.digest, threads
    )


def verified(work: Workspace, row: Row) -> Verified:
    """The bundle of a row of `versions`: its bytes, found to be what was signed for exactly this version."""
    subject = Subject(
        str(row["model"]), int(row["version"] or 0), str(row["recipe"]), str(row["snapshot"] or "")
    )
    digest = str(row["digest"])
    return verify(Path(work.bundles.path(digest)), subject, work.keys, digest)


def version_row(state: State, model: str, version: int) -> Row:
    """Its row of `versions`; UnknownNameError with those there are."""
    found = state.read("version", model=model, version=version)
    if not found:
        have = [str(r["version"]) for r in state.read("versions") if r["model"] == model]
        raise UnknownNameError(
            f"There is no version {version} of the model `{model}`.",
            hint=f"Versions: {', '.join(have)}." if have else "Run `tilth apply` to train one.",
        )
    return found[0]


def manifest_of(state: State, snapshot: str) -> Manifest:
    """A snapshot's manifest; UnknownNameError when it is not (or no longer) there."""
    found = state.read("snapshot", id=snapshot)
    if not found:
        have = [str(r["id"]) for r in state.read("snapshots")]
        raise UnknownNameError(
            f"There is no snapshot `{snapshot}`.", hint=did_you_mean(snapshot, have, "snapshots")
        )
    return read_manifest(found[0])


def read_manifest(row: Row) -> Manifest:
    """The manifest in a row of `snapshots`."""
    kept = json.loads(str(row["manifest"]))
    parent = None if kept.get("parent") is None else str(kept["parent"])
    return Manifest(
        str(row["dataset"]),
        str(row["recipe"]),
        Schema.from_plain(kept["schema"]),
        tuple(Part(**part) for part in kept["parts"]),
        None if row["watermark"] is None else str(row["watermark"]),
        parent,
    )


def manifest_plain(manifest: Manifest) -> Mapping[str, object]:
    """What of a manifest stands in the JSON column of `snapshots`."""
    parts = [
        {
            "blob": p.blob,
            "content": p.content,
            "rows": p.rows,
            "bytes": p.bytes,
            "event_min": p.event_min,
            "event_max": p.event_max,
            "ids": p.ids,
        }
        for p in manifest.parts
    ]
    return {"schema": manifest.schema.plain(), "parts": parts, "parent": manifest.parent}
