"""Writes down where a rollout is, and what follows from its end; the decision itself is `ml.watching.rollout`'s.

A rollout that ends in `rolled_back` moves the model's pointer back too, in the same transaction: what the generation says
is what answers. Several servers may see the same rollout; a stage never goes back.
"""

from __future__ import annotations

import json
from dataclasses import replace

from tilth.core.time import Instant, parse_instant, show_instant
from tilth.ml.watching.rollout import Progress, Stage, late
from tilth.plan.snapshot import Pointer
from tilth.ports.state import Change, Row
from tilth.runtime.act import Act
from tilth.runtime.record import generations
from tilth.runtime.record.revisions import declaration
from tilth.sql.language.statements import Kind

UNDER_WAY = (Stage.SHADOW.value, Stage.CANARY.value)
ORDER = (Stage.SHADOW.value, Stage.CANARY.value, Stage.FULL.value)


def decide(act: Act, endpoint: str, revision: int, progress: Progress, at: Instant) -> bool:
    """Record the progress of a revision, and roll the model back when it failed; False when the record is further.

    Counts are those of the stage. A revision that somebody else superseded or decided stays as it is.
    """
    environment = act.environment
    if not _may_move(
        act.work.state.read("revision", environment=environment, endpoint=endpoint, revision=revision),
        progress,
    ):
        return False
    when = show_instant(at)
    with act.change(at, keyless=True) as change:
        found = change.read("revision", environment=environment, endpoint=endpoint, revision=revision)
        if not _may_move(found, progress):
            change.audit("rollout", endpoint, {"revision": revision, "kept": True})
            return False
        row = found[0]
        change.write(
            "set_revision",
            environment=environment,
            endpoint=endpoint,
            revision=revision,
            stage=progress.stage.value,
            counts=json.dumps(progress.counts()),
            reason=progress.reason or str(row["reason"]),
            at=when if progress.decided else None,
        )
        detail = {"revision": revision, "stage": progress.stage.value, **progress.counts()}
        change.audit("rollout", endpoint, {**detail, "reason": progress.reason})
        if progress.stage is Stage.ROLLED_BACK:
            _roll_back(change, environment, endpoint, row, progress.reason, when)
    return True


def expire(act: Act, now: Instant) -> tuple[str, ...]:
    """Roll back what is still under way at its deadline, counted from when its revision began; a line for each.

    It needs no request and no server: a canary that nobody asks ends here.
    """
    work, environment = act.work, act.environment
    _, pointers = generations.pointers_of(work.state, environment)
    told = []
    for p in pointers:
        if (
            p.kind is not Kind.ENDPOINT
            or p.target is None
            or (rollout := declaration(p).rollout).deadline is None
        ):
            continue
        found = work.state.read("revision", environment=environment, endpoint=p.name, revision=int(p.target))
        if not found or str(found[0]["stage"]) not in UNDER_WAY:
            continue
        seen = Progress(Stage(str(found[0]["stage"])), **json.loads(str(found[0]["counts"])))
        ended = late(rollout, seen, now - parse_instant(str(found[0]["created_at"])))
        if ended is not None and decide(act, p.name, int(p.target), ended, now):
            told.append(f"{p.name}: {ended.stage.value}: {ended.reason}")
    return tuple(told)


def _may_move(found: tuple[Row, ...], to: Progress) -> bool:
    have = str(found[0]["stage"]) if found else ""
    if have not in UNDER_WAY:
        return False
    return to.stage is Stage.ROLLED_BACK or ORDER.index(to.stage.value) >= ORDER.index(have)


def _roll_back(change: Change, environment: str, endpoint: str, row: Row, reason: str, when: str) -> None:
    """Refuse the version, and publish a generation whose model is at the version before."""
    model, version, previous = str(row["model"]), int(row["version"] or 0), row["previous"]
    change.write("set_version_status", model=model, version=version, status="refused")
    change.audit("refuse", model, {"version": version, "endpoint": endpoint, "reason": reason})
    found = change.read("environment", name=environment)
    number = int(found[0]["generation"] or 0) if found else 0
    pointers = generations._pointers(change.read("current_pointers", environment=environment))
    if previous is None or not any(_at(p, model, version) for p in pointers):
        return
    moved = tuple(_back(change, p, model, int(previous)) if _at(p, model, version) else p for p in pointers)
    words = f"{endpoint}: version {version} of {model} was rolled back: {reason}"
    generations.insert(change, environment, number, moved, words, when, "rollback")


def _at(pointer: Pointer, model: str, version: int) -> bool:
    return pointer.kind is Kind.MODEL and pointer.name == model and pointer.target == str(version)


def _back(change: Change, pointer: Pointer, model: str, version: int) -> Pointer:
    """The model's pointer at an earlier version, with the declaration that version was made from."""
    row = change.read("version", model=model, version=version)[0]
    recipe = str(row["recipe"])
    text = change.read("definition_of", kind=Kind.MODEL.value, name=model, recipe=recipe)
    return replace(
        pointer, recipe=recipe, target=str(version), text=str(text[0]["text"]) if text else pointer.text
    )
