"""Jobs and triggers begin with the generation that first points at them, in the transaction that inserts it: who declared them, and since when."""

from __future__ import annotations

from collections.abc import Iterable

from tilth.core.time import Instant
from tilth.plan.snapshot import Pointer
from tilth.runtime.record import names, schedules
from tilth.runtime.record.rows import Change
from tilth.sql.language.statements import Kind

KINDS = (Kind.JOB, Kind.TRIGGER)


def schedule(change: Change, environment: str, pointers: Iterable[Pointer], at: Instant) -> None:
    """Begin what is new or says something else, forget what is not pointed at any more; the others go on as they were."""
    known = names.origins(change)
    wanted = {(p.kind, known.origin(p.kind, p.name)): p.recipe for p in pointers if p.kind in KINDS}
    there = {(one.kind, one.name): one.recipe for one in schedules.of(change, environment)}
    for (kind, name), recipe in wanted.items():
        if there.get((kind, name)) != recipe:
            schedules.begin(change, environment, kind, name, recipe, at)
    for kind, name in there.keys() - wanted.keys():
        schedules.forget(change, environment, kind, name, at)
