"""Writes down where a rollout is, and what follows from its end; the decision itself is `ml.watching.rollout`'s.

A rollout that ends in `rolled_back` moves the model's pointer back too, in the same transaction: what the generation says
is what answers. Several servers may see the same rollout; a stage never goes back.
"""

from __future__ import annotations

from dataclasses import replace

from tilth.core.time import Instant
from tilth.kinds import KINDS
from tilth.ml.watching.rollout import Progress, Stage, late
from tilth.plan.snapshot import Pointer
from tilth.runtime.act import Act
from tilth.runtime.moving.publishing import Move, insert
from tilth.runtime.record import declarations, endpoints, environments, names, versions
from tilth.runtime.record.endpoints import Revision
from tilth.runtime.record.rows import Change
from tilth.sql.language.statements import Kind

ORDER = (Stage.SHADOW.value, Stage.CANARY.value, Stage.FULL.value)


def decide(act: Act, endpoint: str, revision: int, progress: Progress, at: Instant) -> bool:
    """Record the progress of a revision, and roll the model back when it failed; False when the record is further.

    Counts are those of the stage. A revision that somebody else superseded or decided stays as it is.
    """
    if not _may_move(endpoints.get(act.work.state, act.environment, endpoint, revision), progress):
        return False
    with act.change(at, keyless=True) as change:
        found = endpoints.get(change, act.environment, endpoint, revision)
        if found is None or not _may_move(found, progress):
            change.audit("rollout", endpoint, {"revision": revision, "kept": True})
            return False
        endpoints.advance(change, found, progress, at)
        detail = {"revision": revision, "stage": progress.stage.value, **progress.counts()}
        change.audit("rollout", endpoint, {**detail, "reason": progress.reason})
        if progress.stage is Stage.ROLLED_BACK:
            _roll_back(change, found, progress.reason, at)
    return True


def expire(act: Act, now: Instant) -> tuple[str, ...]:
    """Roll back what is still under way at its deadline, counted from when its revision began; a line for each.

    It needs no request and no server: a canary that nobody asks ends here.
    """
    with act.work.state.reading() as reader:
        _, pointers = environments.checked(reader, act.environment)
        current = endpoints.current(reader, act.environment)
    told = []
    for p in pointers:
        found = current.get(p.name) if p.kind is Kind.ENDPOINT else None
        if found is None or not found.under_way:
            continue
        rollout = declarations.endpoint(p).rollout
        if rollout.deadline is None:
            continue
        ended = late(rollout, found.progress, now - found.created_at)
        if ended is not None and decide(act, p.name, found.revision, ended, now):
            told.append(f"{p.name}: {ended.stage.value}: {ended.reason}")
    return tuple(told)


def _may_move(found: Revision | None, to: Progress) -> bool:
    if found is None or not found.under_way:
        return False
    return to.stage is Stage.ROLLED_BACK or ORDER.index(to.stage.value) >= ORDER.index(found.stage)


def _roll_back(change: Change, found: Revision, reason: str, at: Instant) -> None:
    """Refuse the version, and publish a generation whose model is at the version before."""
    model, version = found.model, found.version
    versions.set_status(change, model, version, versions.REFUSED)
    change.audit("refuse", model, {"version": version, "endpoint": found.endpoint, "reason": reason})
    number = environments.current_number(change, found.environment)
    pointers = environments.pointers_now(change, found.environment)
    if found.previous is None or not any(_at(p, model, version) for p in pointers):
        return
    before = versions.require(change, model, found.previous)
    text = environments.definition_of(change, Kind.MODEL, model, before.recipe)
    text = text and KINDS.rewritten(text, names.as_called(pointers, names.origins(change)))
    moved = tuple(
        replace(p, recipe=before.recipe, target=str(before.version), text=text or p.text)
        if _at(p, model, version)
        else p
        for p in pointers
    )
    words = f"{found.endpoint}: version {version} of {model} was rolled back: {reason}"
    insert(change, Move(found.environment, number, words, at, "rollback"), moved)


def _at(pointer: Pointer, model: str, version: int) -> bool:
    return pointer.kind is Kind.MODEL and pointer.name == model and pointer.target == str(version)
