"""Whether one environment may be given what another points at, and the move itself. Nothing is rebuilt by it."""

from __future__ import annotations

from collections.abc import Iterable

from tilth.core.errors import GateRefusedError, ProjectError
from tilth.core.principals import Principal
from tilth.core.time import Instant, show_instant
from tilth.plan.snapshot import SERVING, Pointer
from tilth.runtime.moving.publishing import Move, insert
from tilth.runtime.record import declarations, environments, evidence, names, runs
from tilth.runtime.record.rows import Change, State
from tilth.sql.language.statements import CreateModel, Kind, PromoteRule


def promote(
    state: State, source: str, target: str, by: Principal, at: Instant, serving: str = SERVING
) -> int:
    """Give `target` all pointers of `source` in one transaction; the new generation's number.

    Into where models serve (`serving`) only versions come that won against the one there, or whose rule is `manual`.
    """
    if source == target:
        raise ProjectError(
            f"`{source}` cannot be promoted to itself.", hint="Write PROMOTE ENVIRONMENT dev TO prod."
        )
    with state.change(by, show_instant(at)) as change:
        pointers = environments.checked(change, environments.require(change, source))[1]
        expected = environments.current_number(change, target)
        if target == serving:
            _may_serve(change, target, pointers)
        runs.settle(change, target, _changed(change, target, pointers))
        return insert(change, Move(target, expected, f"promoted from {source}", at, "promote"), pointers)


def _changed(change: Change, target: str, pointers: Iterable[Pointer]) -> set[str]:
    """The names that point elsewhere in the target until now, or nowhere."""
    there = {(p.kind, p.name): (p.recipe, p.target) for p in environments.pointers_now(change, target)}
    return {p.name for p in pointers if there.get((p.kind, p.name)) != (p.recipe, p.target)}


def _may_serve(change: Change, target: str, pointers: Iterable[Pointer]) -> None:
    """GateRefusedError for a version that did not win against the one that the target serves."""
    there = environments.pointers_now(change, target)
    known = names.origins(change)
    served = {known.origin(p.kind, p.name): p.target for p in there if p.kind is Kind.MODEL}
    for p in pointers:
        have = served.get(known.origin(p.kind, p.name))
        if p.kind is Kind.MODEL and p.target is not None and p.target != have:
            _check_won(change, target, p, have)


def _check_won(change: Change, target: str, model: Pointer, champion: str | None) -> None:
    """The rule that counts is the one declared now, with what is promoted; the version may have been judged by another."""
    declared, version = declarations.declared(model.text), int(model.target or 0)
    assert isinstance(declared, CreateModel)
    gates = evidence.gates_of(change, model.name)
    own = next((g for g in gates if g.candidate == version), None)
    if declared.promote.rule is PromoteRule.MANUAL:
        return
    if own is None:
        raise GateRefusedError(
            f"Version {version} of `{model.name}` was never judged by a gate.",
            hint=f"RETRAIN MODEL {model.name} in the environment that you promote, and promote it if it wins.",
        )
    if own.outcome != evidence.PASS:
        raise GateRefusedError(
            f"Version {version} of `{model.name}` did not pass its gate ({own.outcome}): {own.reason}",
            hint="Train a better one, or decide by hand: write PROMOTE IF manual, apply it to the environment that you "
            "promote, and promote that.",
        )
    if champion is not None and not evidence.has_won(gates, version, int(champion), declared.promote):
        raise GateRefusedError(
            f"Version {version} of `{model.name}` was never shown to pass PROMOTE IF {declared.promote.text} against version "
            f"{champion}, which {target} serves now.",
            hint=f"RETRAIN MODEL {model.name} in the environment that you promote, and promote it if it wins.",
        )
