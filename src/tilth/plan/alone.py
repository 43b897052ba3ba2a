"""A plan of one resource: what a declaration at a prompt asks for, and nothing that happens to be due elsewhere.

That is the resource itself, what it is made from and is not there yet, and what is made from it and has another recipe
now. Whatever else is due is done by the next apply, or by the reconciler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tilth.plan.actions import Plan
from tilth.plan.deciding import Deciding
from tilth.plan.snapshot import Current
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import Kind


def alone(whole: Plan, name: str, graph: Graph, current: Current, kinds: Mapping[Kind, Deciding]) -> Plan:
    """The part of the plan that belongs to one resource, in the same order; a dropped one is not in the graph."""
    names = {name}
    if name in graph:
        names |= {r.name for r in graph.upstream(name) if not kinds[r.kind].is_there(r, current)}
        names |= {r.name for r in graph.downstream(name) if _follows(r, current)}
    return replace(
        whole,
        actions=tuple(a for a in whole.actions if a.name in names),
        notes=tuple(n for n in whole.notes if n.name in names),
    )


def _follows(resource: Resource, current: Current) -> bool:
    pointer = current.pointer(resource.kind, resource.name)
    return pointer is None or pointer.recipe not in resource.recipes
