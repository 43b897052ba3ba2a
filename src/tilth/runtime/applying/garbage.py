"""Frees what nothing needs: old generations, and the snapshots, bundles and blobs that only they pointed at.

Kept is what the newest generations of every environment point at, what an endpoint serves or falls back to, versions that
still wait for their gate, and the rows that all of these were fitted on: the gate must know which they were. What is
there for people to look at, or was asked by PREDICT, goes when `[keep]` of tilth.toml says so, here and once a day by the reconciler. Rows of
`versions`, `gates`, `looks`, `refreshes` and `audit` stay: they are evidence. Nothing is removed while an apply is under way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from tilth.core.principals import Principal
from tilth.core.time import Instant, show_instant
from tilth.resources.rules import duration_of
from tilth.runtime.act import Act
from tilth.runtime.applying import forgetting
from tilth.runtime.applying.executor import MAKING
from tilth.runtime.applying.sweeping import sweep
from tilth.runtime.record import (
    declarations,
    endpoints,
    environments,
    looks,
    messages,
    names,
    refreshes,
    snapshots,
    states,
    versions,
)
from tilth.runtime.record.rows import Change, Reader
from tilth.runtime.record.versions import REASON, Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateEndpoint, CreateModel, Kind

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
    messages: int = 0  # that a channel took


def collect(work: Workspace, keep: int, by: Principal) -> Freed:
    """Remove all but the newest `keep` generations of each environment, what only they needed, and what is old."""
    keep, now = max(1, keep), work.clock.now()
    with work.locks.hold(MAKING):
        known = environments.names(work.state)
        with work.state.change(by, show_instant(now)) as change:
            old = sum(_forget_generations(change, name, keep) for name in known)
            rows = _forget_snapshots(change)
            _forget_states(change)
            bundles = _forget_versions(change, now)
            names.forget(change, names.unused(change))
            change.audit("gc", "project", {"generations": old, "snapshots": rows, "versions": bundles})
        freed = _retire(work, now, by)
        _resumed(work, by)
        files, size = sweep(work)
    files, size = files + freed.predictions, size + freed.predictions_bytes
    return replace(freed, generations=old, snapshots=rows, versions=bundles, files=files, bytes=size)


def _resumed(work: Workspace, by: Principal) -> None:
    """Do what is left of a FORGET."""
    forgetting.resume(Act(work, work.serving, by))


def retire(work: Workspace, by: Principal) -> Freed:
    """Remove what `[keep]` says is old, and nothing else; BusyError while an apply is under way."""
    with work.locks.hold(MAKING):
        _resumed(work, by)
        freed = _retire(work, work.clock.now(), by)
        if not (freed.quarantine or freed.refused or freed.predictions or freed.looks):
            return freed
        files, size = sweep(work)
    return replace(freed, files=files + freed.predictions, bytes=size + freed.predictions_bytes)


def _retire(work: Workspace, now: Instant, by: Principal) -> Freed:
    """Forget what is old; its files, but for those of predictions, go with the next sweep."""
    since = _before(now, work.keep.quarantine)
    quarantine = [q for q in refreshes.quarantine(work.state) if show_instant(q.at) < since]
    refused = _old_refusals(work, _before(now, work.keep.refused))
    old = looks.old(work.state, _before(now, work.keep.looks), NEWEST)
    told = messages.old(work.state, _before(now, work.keep.messages))
    predictions, size = work.log.forget(_before(now, _served_for(work)))
    sizes = dict(work.bundles.digests()) if refused else {}
    freed = Freed(
        quarantine=len(quarantine),
        quarantine_bytes=sum(q.bytes for q in quarantine),
        refused=len(refused),
        refused_bytes=sum(sizes.get(v.digest, 0) for v in refused),
        predictions=predictions,
        predictions_bytes=size,
        looks=len(old),
        messages=told,
    )
    if not (quarantine or refused or old or predictions or told):
        return freed
    with work.state.change(by, show_instant(now)) as change:
        for q in quarantine:
            refreshes.release(change, q)
        for v in refused:
            versions.remove(change, v.model, v.version, now)
        for look in old:
            looks.forget(change, look)
        messages.forget(change, _before(now, work.keep.messages))
        counts = {
            "quarantine": len(quarantine), "refused": len(refused), "looks": len(old), "messages": told
        }  # fmt: skip
        change.audit("retire", "project", {**counts, "predictions": predictions})
    return freed


def _before(now: Instant, span: timedelta) -> str:
    """The instant a span ago; the first there is when it reaches further."""
    try:
        return show_instant(now - span)
    except OverflowError:
        return ""


def _served_for(work: Workspace) -> timedelta:
    """How long served predictions are needed: as declared, and for as long as looks go back and labels are waited for."""
    windows, delays = [WINDOW], [timedelta()]
    for environment in environments.names(work.state):
        for p in environments.pointers_now(work.state, environment):
            declared = declarations.declared(p.text)
            if isinstance(declared, CreateModel):
                delays.append(duration_of(dict(declared.objective.items).get("label_delay")) or timedelta())
            elif isinstance(declared, CreateEndpoint):
                windows.append(declared.watch.window)
    return max(work.keep.predictions, max(windows) + max(delays))


def _old_refusals(work: Workspace, before: str) -> list[Version]:
    """Candidates that did not win or were asked by PREDICT, are needed by nothing, and were made before that instant."""
    needed = _needed(work.state)
    return [
        v
        for v in versions.all_of(work.state)
        if v.removed_at is None
        and (v.status in versions.LOST or v.reason.startswith(REASON))
        and show_instant(v.created_at) < before
        and (v.origin, v.version) not in needed
    ]


def _forget_generations(change: Change, environment: str, keep: int) -> int:
    old = [g.number for g in environments.generations(change, environment)[keep:]]
    for number in old:
        environments.forget_generation(change, environment, number)
    return len(old)


def _needed(reader: Reader) -> set[tuple[str, int]]:
    """Versions that are pointed at, served, or fallen back to."""
    needed = {(name, int(target)) for name, target in environments.targets(reader, Kind.MODEL)}
    for environment in environments.names(reader):
        for r in endpoints.latest(reader, environment):  # by the model's first name
            needed |= {(r.model, v) for v in (r.version, r.previous) if v is not None}
    return needed


def _forget_snapshots(change: Change) -> int:
    """A snapshot is needed by a pointer, by a candidate that is to be judged on it, and by a version fitted on it that a
    candidate may have to beat: only it says which rows that version knows.
    """
    needed, served = {target for _, target in environments.targets(change, Kind.DATASET)}, _needed(change)
    needed |= {
        v.snapshot
        for v in versions.all_of(change)
        if (v.status == versions.CANDIDATE and v.removed_at is None) or (v.origin, v.version) in served
    }
    old = [snapshot for snapshot in snapshots.ids(change) if snapshot not in needed]
    for snapshot in old:
        snapshots.forget(change, snapshot)
    return len(old)


def _forget_states(change: Change) -> None:
    """What was counted of rows that no snapshot has any more."""
    known = snapshots.all_of(change)
    contents = frozenset(p.content for one in known for p in one.manifest.parts)
    states.forget(change, frozenset(one.recipe for one in known), contents)


def _forget_versions(change: Change, at: Instant) -> int:
    """Remove bundles that nothing needs, but those of lost candidates, which stay for a while; what their gates said
    stays, since planner and gate decide on it.
    """
    needed = _needed(change)
    old = [
        v
        for v in versions.all_of(change)
        if v.status not in {versions.CANDIDATE, *versions.LOST}
        and v.removed_at is None
        and (v.origin, v.version) not in needed
    ]
    for v in old:
        versions.remove(change, v.model, v.version, at)
    return len(old)
