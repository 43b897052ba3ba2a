"""Frees what nothing needs: old generations, and the snapshots, bundles and blobs that only they pointed at.

Kept is what the newest generations of every environment point at, what an endpoint serves or falls back to, versions that
still wait for their gate, and the rows that all of these were fitted on: the gate must know which they were. What is
there for people to look at goes when `[keep]` of tilth.toml says so, here and once a day by the reconciler. Rows of
`versions`, `gates`, `looks`, `refreshes` and `audit` stay: they are evidence. Nothing is removed while an apply is under way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from tilth.core.time import Instant, show_instant
from tilth.ports.principals import Principal
from tilth.ports.state import Change, Row, State
from tilth.resources.rules import duration_of
from tilth.runtime.applying.executor import MAKING
from tilth.runtime.workspace import Workspace, read_manifest
from tilth.sql.language.parser import parse_one
from tilth.sql.language.statements import CreateModel, Kind

WINDOW = timedelta(days=7)  # of served predictions that a look takes in, before the time that labels take
NEWEST = 50  # looks of a model that stay however old they are: a plan is made from them


@dataclass(frozen=True, slots=True)
class Freed:
    """What was removed, and the bytes that are free again; `bytes` is of all files together."""

    generations: int = 0
    snapshots: int = 0
    versions: int = 0
    files: int = 0
    bytes: int = 0
    quarantine: int = 0  # files of rows that were held back
    quarantine_bytes: int = 0
    refused: int = 0  # bundles of candidates that did not win
    refused_bytes: int = 0
    predictions: int = 0  # files
    predictions_bytes: int = 0
    looks: int = 0  # at drift and quality


def collect(work: Workspace, keep: int, by: Principal) -> Freed:
    """Remove all but the newest `keep` generations of each environment, what only they needed, and what is old."""
    keep, now = max(1, keep), work.clock.now()
    with work.locks.hold(MAKING):
        environments = [str(r["name"]) for r in work.state.read("environments")]
        at = show_instant(now)
        with work.state.change(by, at) as change:
            old = sum(_forget_generations(change, name, keep) for name in environments)
            snapshots = _forget_snapshots(change)
            versions = _forget_versions(change, at)
            change.audit("gc", "project", {"generations": old, "snapshots": snapshots, "versions": versions})
        freed = _retire(work, now, by)
        files, size = _sweep(work)
    files, size = files + freed.predictions, size + freed.predictions_bytes
    return replace(freed, generations=old, snapshots=snapshots, versions=versions, files=files, bytes=size)


def retire(work: Workspace, by: Principal) -> Freed:
    """Remove what `[keep]` says is old, and nothing else; BusyError while an apply is under way."""
    with work.locks.hold(MAKING):
        freed = _retire(work, work.clock.now(), by)
        if not (freed.quarantine or freed.refused or freed.predictions or freed.looks):
            return freed
        files, size = _sweep(work)
    return replace(freed, files=files + freed.predictions, bytes=size + freed.predictions_bytes)


def _retire(work: Workspace, now: Instant, by: Principal) -> Freed:
    """Forget what is old; its files, but for those of predictions, go with the next sweep."""
    quarantine = [
        r for r in work.state.read("quarantine") if str(r["at"]) < _before(now, work.keep.quarantine)
    ]
    refused = _old_refusals(work, _before(now, work.keep.refused))
    looks = work.state.read("old_looks", before=_before(now, work.keep.looks), newest=NEWEST - 1)
    predictions, size = work.log.forget(_before(now, _served_for(work)))
    sizes = dict(work.bundles.digests()) if refused else {}
    freed = Freed(
        quarantine=len(quarantine),
        quarantine_bytes=sum(int(r["bytes"] or 0) for r in quarantine),
        refused=len(refused),
        refused_bytes=sum(sizes.get(str(r["digest"]), 0) for r in refused),
        predictions=predictions,
        predictions_bytes=size,
        looks=len(looks),
    )
    if not (quarantine or refused or looks or predictions):
        return freed
    at = show_instant(now)
    with work.state.change(by, at) as change:
        for r in quarantine:
            change.write("forget_quarantine", refresh=r["refresh"], blob=r["blob"])
        for r in refused:
            change.write("remove_version", model=r["model"], version=r["version"], at=at)
        for r in looks:
            change.write("forget_quality", environment=r["environment"], model=r["model"], at=r["at"])
            change.write("forget_drift", environment=r["environment"], model=r["model"], at=r["at"])
        counts = {"quarantine": len(quarantine), "refused": len(refused), "looks": len(looks)}
        change.audit("retire", "project", {**counts, "predictions": predictions})
    return freed


def _before(now: Instant, span: timedelta) -> str:
    """The instant a span ago; the first there is when it reaches further."""
    try:
        return show_instant(now - span)
    except OverflowError:
        return ""


def _served_for(work: Workspace) -> timedelta:
    """How long served predictions are needed: as declared, and for as long as a deployed model waits for its labels."""
    spans = [work.keep.predictions]
    for environment in work.state.read("environments"):
        for r in work.state.read("current_pointers", environment=environment["name"]):
            declared = parse_one(str(r["text"])) if r["kind"] == Kind.MODEL.value else None
            if isinstance(declared, CreateModel):
                delay = duration_of(dict(declared.objective.items).get("label_delay"))
                spans.append((delay or timedelta()) + WINDOW)
    return max(spans)


def _old_refusals(work: Workspace, before: str) -> list[Row]:
    """Candidates that did not win, are needed by nothing, and were made before that instant."""
    with_bundle = [r for r in work.state.read("versions") if r["removed_at"] is None]
    needed = _needed(work.state)
    return [
        r
        for r in with_bundle
        if r["status"] in _LOST and str(r["created_at"]) < before and _number(r) not in needed
    ]


def _forget_generations(change: Change, environment: str, keep: int) -> int:
    current = change.read("environment", name=environment)[0]["generation"]
    rows = change.read("generations", environment=environment, limit=1_000_000)
    old = [r["number"] for r in rows[keep:] if r["number"] != current]
    for number in old:
        change.write("forget_generation_pointers", environment=environment, generation=number)
        change.write("forget_generation", environment=environment, number=number)
    return len(old)


_LOST = frozenset({"refused", "held"})


def _targets(reader: State | Change, kind: Kind) -> set[tuple[str, str]]:
    """(name, target) of every pointer of the kind that is left."""
    return {(str(r["name"]), str(r["target"])) for r in reader.read("all_targets") if r["kind"] == kind.value}


def _needed(reader: State | Change) -> set[tuple[str, int]]:
    """Versions that are pointed at, served, or fallen back to."""
    needed = {(name, int(target)) for name, target in _targets(reader, Kind.MODEL)}
    for environment in reader.read("environments"):
        for r in reader.read("latest_revisions", environment=environment["name"]):
            needed |= {(str(r["model"]), int(v)) for v in (r["version"], r["previous"]) if v is not None}
    return needed


def _number(row: Row) -> tuple[str, int]:
    return str(row["model"]), int(row["version"] or 0)


def _forget_snapshots(change: Change) -> int:
    """A snapshot is needed by a pointer, by a candidate that is to be judged on it, and by a version fitted on it that a
    candidate may have to beat: only it says which rows that version knows.
    """
    needed, versions = {target for _, target in _targets(change, Kind.DATASET)}, _needed(change)
    needed |= {
        str(r["snapshot"])
        for r in change.read("versions")
        if r["status"] == "candidate" or _number(r) in versions
    }
    old = [str(r["id"]) for r in change.read("snapshots") if str(r["id"]) not in needed]
    for snapshot in old:
        change.write("forget_snapshot", id=snapshot)
    return len(old)


def _forget_versions(change: Change, at: str) -> int:
    """Remove bundles that nothing needs, but those of lost candidates, which stay for a while; what their gates said
    stays, since planner and gate decide on it.
    """
    needed = _needed(change)
    old = [
        _number(r)
        for r in change.read("versions")
        if r["status"] not in {"candidate", *_LOST} and r["removed_at"] is None and _number(r) not in needed
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
