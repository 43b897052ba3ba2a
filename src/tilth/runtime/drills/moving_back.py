"""The drill of a rollback: a promotion and a rollback in a scratch environment."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from tilth.plan.snapshot import Pointer
from tilth.runtime.act import Act
from tilth.runtime.drills.subject import Shown, Subject
from tilth.runtime.moving.promotion import promote
from tilth.runtime.moving.publishing import Move, publish, rollback
from tilth.runtime.record import endpoints, environments
from tilth.sql.language.statements import Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

SCRATCH = "drill-"


def moved_back(subject: Subject) -> Shown:
    """A promotion and a rollback in a scratch environment that is dropped after; the pointers must come back equal."""
    work, by, name = subject.work, subject.act.by, SCRATCH + uuid.uuid4().hex[:12]
    for left in environments.names(work.state):
        if left.startswith(SCRATCH):  # left by a drill that was killed
            _drop(subject.act, left)
    now, before = work.clock.now(), _earlier(subject)
    try:
        first = publish(work.state, Move(name, 0, "drill", now), before, by)
        start = time.perf_counter()
        promote(work.state, subject.environment, name, by, now, work.serving)
        promoted = time.perf_counter()
        _, at_promotion = environments.pointers_of(work.state, name)
        middle = time.perf_counter()
        rollback(work.state, name, first, by, now)
        done = time.perf_counter()
        _, after = environments.pointers_of(work.state, name)
    finally:
        _drop(subject.act, name)
    equal = _plain(after) == _plain(before) and _plain(at_promotion) == _plain(subject.pointers)
    facts = {
        "pointers": len(after),
        "promotion_ms": round(1000 * (promoted - start), 2),
        "rollback_ms": round(1000 * (done - middle), 2),
        "pointers_equal": equal,
    }
    words = [
        f"Promoted {len(at_promotion)} pointers into a scratch environment in {facts['promotion_ms']} ms and rolled back in {facts['rollback_ms']} ms.",
        "All pointers stand where they stood." if equal else "The pointers are not what they were.",
    ]
    return equal, words, facts


def _earlier(subject: Subject) -> tuple[Pointer, ...]:
    """The pointers of the generation before this one, if there is one; else the present ones."""
    state, environment = subject.work.state, subject.environment
    found = environments.generation(state, environment, subject.number)
    if found is None or found.parent is None:
        return subject.pointers
    return environments.pointers_at(state, environment, found.parent) or subject.pointers


def _plain(pointers: tuple[Pointer, ...]) -> list[tuple[str, ...]]:
    """What must be equal: endpoints have revisions of their own in each environment."""
    rows = [
        (p.kind.value, p.name, p.recipe, "" if p.kind is Kind.ENDPOINT else p.target or "") for p in pointers
    ]
    return sorted(rows)


def _drop(act: Act, name: str) -> None:
    """Remove a scratch environment with all that only it had."""
    assert name.startswith(SCRATCH)
    with act.change() as change:
        endpoints.forget(change, name)
        environments.forget(change, name)
        change.audit("drop", name, {"reason": "a drill has ended"})
