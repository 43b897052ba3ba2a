"""What is dropped while it serves: an endpoint, or a model that one answers by. A plan says so, and an apply wants to be told."""

from __future__ import annotations

from collections.abc import Collection

from tilth.core.errors import ServedDropError
from tilth.plan.actions import DropResource, Note, Plan
from tilth.plan.snapshot import Current
from tilth.runtime.record.declarations import endpoint
from tilth.sql.language.statements import Kind

NEEDS = "apply asks on a terminal before it drops it, and needs --allow-drop elsewhere"


def served(todo: Plan, now: Current) -> dict[str, str]:
    """What the plan drops that serves now, with what it does there."""
    by_model: dict[str, list[str]] = {}
    for p in now.pointers:
        if p.kind is Kind.ENDPOINT:
            by_model.setdefault(endpoint(p).model, []).append(p.name)
    found: dict[str, str] = {}
    for action in todo.actions:
        if not isinstance(action, DropResource):
            continue
        if action.kind is Kind.ENDPOINT:
            found[action.name] = "it answers requests"
        elif action.kind is Kind.MODEL and action.name in by_model:
            found[action.name] = f"it answers the requests of {', '.join(by_model[action.name])}"
    return found


def notes(todo: Plan, now: Current) -> tuple[Note, ...]:
    """The same as notes of the plan."""
    return tuple(Note(name, f"{what}; {NEEDS}") for name, what in served(todo, now).items())


def check(todo: Plan, now: Current, allowed: bool | Collection[str]) -> None:
    """ServedDropError for what serves and may not be dropped; `allowed` are names, or all of them."""
    if allowed is True:
        return
    may = allowed or ()
    held = {name: what for name, what in served(todo, now).items() if name not in may}
    if not held:
        return
    listed = "; ".join(f"`{name}`: {what}" for name, what in held.items())
    error = ServedDropError(
        f"What serves {todo.environment} would be dropped, since it is no longer declared. {listed}.",
        hint=f"Declare {'it' if len(held) == 1 else 'them'} again, or say that it is meant: tilth apply --allow-drop"
        f" (in Python apply(allow_drop=True)); at a prompt DROP says it. Nothing is changed.",
    )
    error.names = tuple(held)
    raise error
