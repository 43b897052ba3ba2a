"""A plan in words, computed from the same values that are executed."""

from __future__ import annotations

from datetime import timedelta

from tilth.core.canonical import plain
from tilth.core.time import show_duration
from tilth.plan.actions import Action, Plan

NOTHING_DECLARED = (
    "Nothing to do: nothing is declared yet. Write CREATE statements into the *.sql files of the project; those that "
    "`tilth init` made hold a commented example each."
)
"""What is said of an environment that never had anything, and is to have nothing."""


def sentence(action: Action) -> str:
    """What the action does, why, and what it would take."""
    return f"{action.sign} {action.kind} {action.name}: {action.does} ({action.reason}){_cost(action)}"


def _cost(action: Action) -> str:
    seconds, memory = action.estimate.seconds, action.estimate.memory
    if not seconds:
        return ""
    size = f", {memory / 1e6:.0f} MB" if memory else ""
    return f", about {show_duration(timedelta(seconds=max(1, round(seconds))))}{size}"


def words(plan: Plan) -> str:
    """The whole plan for people; one line an action."""
    rows = [sentence(a) for a in plan.actions]
    rows += [f"  {n.name}: {n.text}" for n in plan.notes]
    if not plan.actions:
        withheld = sorted({n.name for n in plan.notes if n.withheld})
        if not (plan.generation or plan.notes):
            return NOTHING_DECLARED
        state = f"as declared, but for {', '.join(withheld)}" if withheld else "as declared"
        rows.append(f"Nothing to do: {plan.environment} is {state}.")
    return "\n".join(rows)


def facts(plan: Plan) -> dict[str, object]:
    """The whole plan for programs (`--json`)."""
    return {
        "environment": plan.environment,
        "generation": plan.generation,
        "actions": [{"text": sentence(a), **_fields(a)} for a in plan.actions],
        "notes": [plain(n) for n in plan.notes],
    }


def _fields(action: Action) -> dict[str, object]:
    shown = plain(action)
    assert isinstance(shown, dict)
    return {"action": shown.pop("$"), **shown}
