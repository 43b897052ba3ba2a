"""A person takes a version of a model that its gate did not take: who and why is written down, and it serves from then on.

That is what `PROMOTE IF manual` waits for. A version that was refused is taken only with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.errors import GateRefusedError, ProjectError, StorageError
from tilth.core.time import show_instant
from tilth.plan.snapshot import Pointer
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.act import Act
from tilth.runtime.moving.publishing import Move, insert
from tilth.runtime.record import environments, evidence, runs, versions
from tilth.runtime.record.versions import PROMOTED, REFUSED, Version
from tilth.sql.language.statements import Kind


@dataclass(frozen=True, slots=True)
class Wish:
    """The version of a model that is to be taken, and why."""

    model: str
    version: int
    because: str | None = None


def approve(act: Act, graph: Graph, wish: Wish) -> int:
    """Point the environment at the version, in one transaction; the new generation's number.

    `graph` declares the model as the version was made: ProjectError when it declares another one, or when what the model
    is made from is not deployed as it is declared; GateRefusedError for a refused version without a reason.
    """
    at = act.now()
    with act.change(at) as change:
        version = versions.require(change, wish.model, wish.version)
        number = environments.current_number(change, act.environment)
        pointers = {(p.kind, p.name): p for p in environments.pointers_now(change, act.environment)}
        resource = graph.get(wish.model)
        _may_be_taken(version, wish)
        _is_declared(version, resource, graph, pointers)
        key = (Kind.MODEL, wish.model)
        made = Pointer(Kind.MODEL, wish.model, resource.recipe, str(wish.version), resource.text)
        if pointers.get(key) == made:
            raise ProjectError(
                f"{act.environment} points at version {wish.version} of `{wish.model}` already.",
                hint="SELECT * FROM tilth.versions lists the others.",
            )
        last = evidence.last(change, wish.model, wish.version)
        versions.set_status(change, wish.model, wish.version, PROMOTED)
        runs.settle(change, act.environment, {wish.model, *(r.name for r in graph.downstream(wish.model))})
        said = "" if last is None else f"{last.outcome}: {last.reason}"
        change.audit(
            "approve", wish.model, {"version": wish.version, "because": wish.because or "", "gate": said}
        )
        why = f": {wish.because}" if wish.because else ""
        move = Move(
            act.environment, number, f"{wish.model}: version {wish.version} taken by hand{why}", at, "promote"
        )
        return insert(change, move, {**pointers, key: made}.values())


def _may_be_taken(version: Version, wish: Wish) -> None:
    if version.removed_at is not None:
        raise StorageError(
            f"The bundle of version {version.version} of `{version.model}` was removed on {show_instant(version.removed_at)[:10]}.",
            hint=f"RETRAIN MODEL {version.model} makes a new one.",
        )
    if version.status == REFUSED and wish.because is None:
        raise GateRefusedError(
            f"Version {version.version} of `{version.model}` was refused by its gate.",
            hint=f"Say why it is taken all the same: PROMOTE MODEL {version.model} VERSION {version.version} BECAUSE '...'.",
        )


def _is_declared(
    version: Version, resource: Resource, graph: Graph, pointers: dict[tuple[Kind, str], Pointer]
) -> None:
    """Raise when the version is of another declaration, or when its rows are."""
    if version.recipe not in resource.recipes:
        raise ProjectError(
            f"Version {version.version} of `{version.model}` was made by another declaration than the one there is now.",
            hint="Declare it again as it was then, or ROLLBACK ENVIRONMENT to a generation that had it.",
        )
    for need in map(graph.get, resource.depends):
        pointer = pointers.get((need.kind, need.name))
        if pointer is None or (need.kind is not Kind.SOURCE and pointer.recipe not in need.recipes):
            raise ProjectError(
                f"`{version.model}` is made from `{need.name}`, which is not deployed as it is declared.",
                hint="APPLY first; then promote the version.",
            )
