"""Revisions of endpoints: which version answers, which one is on its way in, made in the transaction that needs them.

An ENDPOINT pointer names a revision, and a revision names a version of the endpoint's model. Whenever a generation is
inserted, an endpoint whose model now stands at another version gets a new revision, which begins in the first stage of
the endpoint's ROLLOUT (a rollback goes straight to `full`). How stages go on is in `rollouts`.
"""

from __future__ import annotations

import json
from dataclasses import replace

from tilth.core.errors import ProjectError
from tilth.core.time import parse_instant, show_instant
from tilth.kinds import parse_one
from tilth.ml.watching.rollout import Stage, start
from tilth.plan.snapshot import Pointer
from tilth.ports.state import Change, Row
from tilth.sql.language.statements import CreateEndpoint, Kind, Rollout

SUPERSEDED = "superseded"


def deploy(
    change: Change,
    environment: str,
    pointers: tuple[Pointer, ...],
    before: tuple[Pointer, ...],
    at: str,
    reason: str,
    *,
    at_once: bool = False,
) -> tuple[Pointer, ...]:
    """The pointers with each endpoint at a revision of its environment that leads to its model's version.

    `before` are the environment's pointers up to now. An endpoint whose model has no version yet is left out.
    """
    versions = {p.name: p.target for p in pointers if p.kind is Kind.MODEL}
    serving = {p.name: p for p in before if p.kind is Kind.ENDPOINT}
    out: list[Pointer] = []
    for p in pointers:
        if p.kind is not Kind.ENDPOINT:
            out.append(p)
            continue
        declared = declaration(p)
        version = versions.get(declared.model)
        if version is None:
            continue
        row = _row(change, environment, serving.get(p.name))
        if row is not None and _leads_to(row, declared.model, int(version), at_once):
            out.append(replace(p, target=str(row["revision"])))
            continue
        number = _insert(change, environment, p.name, declared, int(version), row, at, reason, at_once)
        out.append(replace(p, target=str(number)))
    return tuple(out)


def declaration(pointer: Pointer) -> CreateEndpoint:
    """What an ENDPOINT pointer's text declares."""
    found = parse_one(pointer.text)
    if not isinstance(found, CreateEndpoint):
        raise ProjectError(
            f"The pointer `{pointer.name}` does not hold an endpoint.", hint="Run `tilth verify`."
        )
    return found


def answering(row: Row) -> int | None:
    """The version that answers most requests under a revision: the new one once it is full, before that and after a
    rollout that failed or was superseded the previous one.
    """
    value = row["version"] if row["stage"] == Stage.FULL.value else row["previous"]
    return None if value is None else int(value)


def _row(change: Change, environment: str, pointer: Pointer | None) -> Row | None:
    if pointer is None or pointer.target is None:
        return None
    found = change.read(
        "revision", environment=environment, endpoint=pointer.name, revision=int(pointer.target)
    )
    return found[0] if found else None


def _leads_to(row: Row, model: str, version: int, at_once: bool) -> bool:
    if row["model"] != model:
        return False
    if row["stage"] in (Stage.SHADOW.value, Stage.CANARY.value):
        return not at_once and row["version"] == version
    return answering(row) == version


def _insert(
    change: Change,
    environment: str,
    endpoint: str,
    declared: CreateEndpoint,
    version: int,
    row: Row | None,
    at: str,
    reason: str,
    at_once: bool,
) -> int:
    previous = answering(row) if row is not None and row["model"] == declared.model else None
    if row is not None and row["stage"] in (Stage.SHADOW.value, Stage.CANARY.value):
        change.write(
            "set_revision",
            environment=environment,
            endpoint=endpoint,
            revision=row["revision"],
            stage=SUPERSEDED,
            counts=row["counts"],
            reason="superseded by another version",
            at=at,
        )
    number = int(change.read("next_revision", environment=environment, endpoint=endpoint)[0]["revision"] or 1)
    first = start(Rollout() if at_once else declared.rollout, first=previous is None or previous == version)
    change.write(
        "add_revision",
        endpoint=endpoint,
        revision=number,
        environment=environment,
        model=declared.model,
        version=version,
        previous=previous,
        stage=first.stage.value,
        counts=json.dumps(first.counts()),
        reason=f"{reason}; {first.reason}{_until(declared.rollout, first.decided, at)}",
        at=at,
    )
    return number


def _until(rollout: Rollout, decided: bool, at: str) -> str:
    """When a rollout that begins now is rolled back if it is still undecided; how long it is held, if nothing says so."""
    if decided:
        return ""
    if rollout.deadline is None:
        return ", held until these came"
    return f", held until these came, at most until {show_instant(parse_instant(at) + rollout.deadline)}"
