"""From what is to what is wanted: one pure function, and no other place that decides what to do.

It is asked the same way by `tilth plan`, by `tilth apply` and by the reconciler; after a crash it is asked again and
goes on where the state says things are. What one resource asks for is decided by its kind, in `tilth.kinds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tilth.core.time import Instant
from tilth.plan import renaming
from tilth.plan.actions import Action, DropResource, Note, Plan
from tilth.plan.deciding import Deciding
from tilth.plan.renaming import Rewritten, as_it_is
from tilth.plan.snapshot import Current
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import Kind


def plan(
    desired: Iterable[Resource],
    current: Current,
    now: Instant,
    kinds: Mapping[Kind, Deciding],
    rewritten: Rewritten = as_it_is,
) -> Plan:
    """The actions that lead from what is to what is wanted, in an order that can be executed.

    `desired` comes in dependency order (a Graph does), `kinds` in an order in which each comes after what it can need.
    `rewritten` gives the text of a declaration in which resources have other names.
    Resources with equal recipes share their artifacts, whatever environment they live in.

    >>> from datetime import UTC, datetime
    >>> plan((), Current.empty(), datetime(2013, 5, 1, tzinfo=UTC), {}).actions
    ()
    """
    wanted = tuple(desired)
    renames = {a.name: a for a in renaming.renames(wanted, current)}
    current = renaming.called(wanted, current, rewritten)
    actions: list[Action] = []
    notes: list[Note] = []
    for resource in wanted:
        if (rename := renames.get(resource.name)) is not None:
            actions.append(rename)
        notes += renaming.notes(resource, rename, current)
        did, said = kinds[resource.kind].decide(resource, current, now)
        actions += did
        notes += said
        notes += [Note(resource.name, text) for text in getattr(resource.declaration, "told", ()) if did]
    for kind in kinds.values():
        notes += kind.notes(wanted)
    kept = {(r.kind, r.name) for r in wanted}
    order = list(kinds)
    gone = sorted(
        (p for p in current.pointers if (p.kind, p.name) not in kept),
        key=lambda p: (-order.index(p.kind), p.name),
    )
    actions += [DropResource(p.kind, p.name, "no longer declared") for p in gone]
    return Plan(current.environment, current.generation, tuple(actions), tuple(notes))
