"""Rehearsals of mishaps on the real things: DRILL MODEL m (drift | rollback | bad_data | node_loss).

A drill asks what would happen, with the version that is served, the rows there are, and the rules as declared. It
changes nothing in production: it leaves a row in `runs` and its audit row. Each kind is a module beside this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TilthError
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.drills.bad_data import bad_data
from tilth.runtime.drills.drift import drift
from tilth.runtime.drills.lost_node import lost_node
from tilth.runtime.drills.moving_back import moved_back
from tilth.runtime.drills.subject import Shown, Subject
from tilth.runtime.record import runs
from tilth.runtime.record.runs import Begun, Ended
from tilth.sql.language.acts import DrillKind
from tilth.sql.language.statements import Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill showed: `ok` when nothing would have gone unnoticed or been lost; facts for programs."""

    ok: bool
    text: str
    facts: dict[str, Any]


def drill(act: Act, graph: Graph, model: str, kind: DrillKind) -> Drilled:
    """Rehearse, and record that it was rehearsed. One drill at a time."""
    started, subject = time.monotonic(), Subject(act, graph, model)
    with act.work.locks.hold("drill"):
        try:
            ok, words, facts = DRILLS[kind](subject)
        except TilthError as error:
            _record(subject, kind, "failed", error.message, time.monotonic() - started)
            raise
        seconds = time.monotonic() - started
        _record(subject, kind, "done" if ok else "refused", None if ok else words[-1], seconds)
    head = {"drill": kind.value, "model": model, "version": subject.version, "ok": ok}
    return Drilled(ok, "\n".join(words), {**head, **facts, "seconds": round(seconds, 3)})


def _record(subject: Subject, kind: DrillKind, status: str, error: str | None, seconds: float) -> None:
    now, begun = subject.act.now(), Begun("Drill", Kind.MODEL, subject.model, f"drill: {kind.value}")
    with subject.act.change(now) as change:
        number = runs.begin(change, subject.environment, begun, now)
        runs.end(change, number, Ended(status, seconds, error), now)
        change.audit(
            "drill", subject.model, {"kind": kind.value, "status": status, "version": subject.version}
        )


DRILLS: Mapping[DrillKind, Callable[[Subject], Shown]] = {
    DrillKind.DRIFT: drift,
    DrillKind.ROLLBACK: moved_back,
    DrillKind.BAD_DATA: bad_data,
    DrillKind.NODE_LOSS: lost_node,
}
