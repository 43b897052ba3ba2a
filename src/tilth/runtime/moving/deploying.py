"""Which revision each endpoint is at, decided in the transaction that inserts a generation.

An endpoint whose model now stands at another version gets a new revision, which begins in the first stage of the
endpoint's ROLLOUT (a rollback goes straight to `full`). How stages go on is in `serving.rollouts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tilth.core.time import Instant, show_instant
from tilth.ml.watching.rollout import start
from tilth.plan.snapshot import Pointer
from tilth.resources.naming import Histories
from tilth.runtime.record import declarations, endpoints, names
from tilth.runtime.record.endpoints import Revision
from tilth.runtime.record.rows import Change
from tilth.sql.language.statements import CreateEndpoint, Kind, Rollout


@dataclass(frozen=True, slots=True)
class Occasion:
    """What endpoints are deployed for: where, why and when; `at_once` without the stages of a rollout."""

    environment: str
    reason: str
    at: Instant
    at_once: bool = False


def deploy(
    change: Change, occasion: Occasion, pointers: Iterable[Pointer], before: Iterable[Pointer]
) -> tuple[Pointer, ...]:
    """The pointers with each endpoint at a revision of its environment that leads to its model's version.

    `before` are the environment's pointers up to now. An endpoint whose model has no version yet is left out.
    """
    wanted = tuple(pointers)
    versions = {p.name: p.target for p in wanted if p.kind is Kind.MODEL}
    known = names.origins(change)
    serving = {known.origin(p.kind, p.name): p for p in before if p.kind is Kind.ENDPOINT}
    out: list[Pointer] = []
    for p in wanted:
        if p.kind is not Kind.ENDPOINT:
            out.append(p)
            continue
        version = versions.get(declarations.endpoint(p).model)
        if version is not None:
            was = serving.get(known.origin(p.kind, p.name))
            number = _revision(change, occasion, p, int(version), was, known)
            out.append(replace(p, target=str(number)))
    return tuple(out)


def _revision(
    change: Change,
    occasion: Occasion,
    pointer: Pointer,
    version: int,
    before: Pointer | None,
    known: Histories,
) -> int:
    """The revision that leads to the version: the one there, or a new one."""
    declared, have = declarations.endpoint(pointer), None
    if before is not None and before.target is not None:
        have = endpoints.get(change, occasion.environment, pointer.name, int(before.target))
    same = have is not None and known.origin(Kind.MODEL, have.model) == known.origin(
        Kind.MODEL, declared.model
    )
    if have is not None and same and _leads_to(have, version, at_once=occasion.at_once):
        return have.revision
    return _begin(change, occasion, declared, version, have, same=same)


def _leads_to(have: Revision, version: int, *, at_once: bool) -> bool:
    if have.under_way:
        return not at_once and have.version == version
    return have.answering == version


def _begin(
    change: Change,
    occasion: Occasion,
    declared: CreateEndpoint,
    version: int,
    have: Revision | None,
    *,
    same: bool,
) -> int:
    """`same`: the revision there is of the model that is served now."""
    previous = have.answering if have is not None and same else None
    if have is not None and have.under_way:
        endpoints.supersede(change, have, "superseded by another version", occasion.at)
    rollout = Rollout() if occasion.at_once else declared.rollout
    first = start(rollout, first=previous is None or previous == version)
    until = "" if first.decided else _until(declared.rollout, occasion.at)
    made = Revision(
        occasion.environment,
        declared.name,
        endpoints.next_number(change, occasion.environment, declared.name),
        declared.model,
        version,
        previous,
        first.stage.value,
        json.dumps(first.counts()),
        f"{occasion.reason}; {first.reason}{until}",
        occasion.at,
    )
    endpoints.add(change, made)
    return made.revision


def _until(rollout: Rollout, at: Instant) -> str:
    """When a rollout that begins now is rolled back if it is still undecided; how long it is held, if nothing says so."""
    if rollout.deadline is None:
        return ", held until these came"
    return f", held until these came, at most until {show_instant(at + rollout.deadline)}"
