"""Frees what nothing needs: old generations, and the snapshots, bundles and blobs that only they pointed at.

Kept is what the newest generations of every environment point at, what an endpoint serves or falls back to, versions that
still wait for their gate, and every quarantine file. Rows of `versions`, `gates` and `audit` stay: they are evidence.
Nothing is removed while an apply is under way.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.time import show_instant
from tilth.ports.state import Change
from tilth.runtime.executor import MAKING
from tilth.runtime.workspace import Workspace, read_manifest
from tilth.sql.statements import Kind


@dataclass(frozen=True, slots=True)
class Freed:
    """What was removed, and the bytes that are free again."""

    generations: int = 0
    snapshots: int = 0
    versions: int = 0
    files: int = 0
    bytes: int = 0


def collect(work: Workspace, keep: int) -> Freed:
    """Remove all but the newest `keep` generations of each environment, and what only they needed."""
    keep = max(1, keep)
    with work.locks.hold(MAKING):
        environments = [str(r["name"]) for r in work.state.read("environments")]
        at = show_instant(work.clock.now())
        with work.state.change("gc", at) as change:
            old = sum(_forget_generations(change, name, keep) for name in environments)
            snapshots = _forget_snapshots(change)
            versions = _forget_versions(change, at)
            change.audit("gc", "project", {"generations": old, "snapshots": snapshots, "versions": versions})
        files, freed = _sweep(work)
    return Freed(old, snapshots, versions, files, freed)


def _forget_generations(change: Change, environment: str, keep: int) -> int:
    current = change.read("environment", name=environment)[0]["generation"]
    rows = change.read("generations", environment=environment, limit=1_000_000)
    old = [r["number"] for r in rows[keep:] if r["number"] != current]
    for number in old:
        change.write("forget_generation_pointers", environment=environment, generation=number)
        change.write("forget_generation", environment=environment, number=number)
    return len(old)


def _targets(change: Change, kind: Kind) -> set[tuple[str, str]]:
    """(name, target) of every pointer of the kind that is left."""
    return {(str(r["name"]), str(r["target"])) for r in change.read("all_targets") if r["kind"] == kind.value}


def _forget_snapshots(change: Change) -> int:
    """A snapshot is needed by a pointer, or by a candidate that is still to be judged on it."""
    needed = {target for _, target in _targets(change, Kind.DATASET)}
    needed |= {str(r["snapshot"]) for r in change.read("versions") if r["status"] == "candidate"}
    old = [str(r["id"]) for r in change.read("snapshots") if str(r["id"]) not in needed]
    for snapshot in old:
        change.write("forget_snapshot", id=snapshot)
    return len(old)


def _forget_versions(change: Change, at: str) -> int:
    """Remove bundles that nothing needs; what their gates said stays, since planner and gate decide on it."""
    needed = {(name, int(target)) for name, target in _targets(change, Kind.MODEL)}
    for environment in change.read("environments"):
        for r in change.read("latest_revisions", environment=environment["name"]):
            needed |= {(str(r["model"]), int(v)) for v in (r["version"], r["previous"]) if v is not None}
    old = [
        (str(r["model"]), int(r["version"] or 0))
        for r in change.read("versions")
        if r["status"] != "candidate"
        and r["removed_at"] is None
        and (str(r["model"]), int(r["version"] or 0)) not in needed
    ]
    for model, version in old:
        change.write("remove_version", model=model, version=version, at=at)
    return len(old)


def _sweep(work: Workspace) -> tuple[int, int]:
    """Delete every file that no row names any more; how many, and their bytes."""
    blobs = {
        blob
        for r in work.state.read("snapshots")
        for part in read_manifest(_full(work, r["id"])).parts
        for blob in part.blobs
    }
    blobs |= {str(r["blob"]) for r in work.state.read("quarantine")}
    bundles = {str(r["digest"]) for r in work.state.read("versions") if r["removed_at"] is None}
    files = freed = 0
    for digest, _ in tuple(work.blobs.digests()):
        if digest not in blobs:
            files, freed = files + 1, freed + work.blobs.delete(digest)
    for digest, _ in tuple(work.bundles.digests()):
        if digest not in bundles:
            files, freed = files + 1, freed + work.bundles.delete(digest)
    freed += work.blobs.tidy() + work.bundles.tidy()
    return files, freed


def _full(work: Workspace, snapshot: object) -> dict[str, None | int | float | str | bytes]:
    return dict(work.state.read("snapshot", id=str(snapshot))[0])
