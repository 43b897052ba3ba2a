"""The table `runs`: one row for each action that was begun, with what became of it. Written by whoever performs a plan."""

from __future__ import annotations

import os

from tilth.core.time import show_instant
from tilth.plan.actions import Action
from tilth.runtime.workspace import Workspace


def start(work: Workspace, environment: str, actor: str, action: Action) -> int:
    """The number of the run that begins now."""
    at = show_instant(work.clock.now())
    with work.state.change(actor, at) as change:
        number = change.insert(
            "start_run",
            environment=environment,
            action=type(action).__name__,
            kind=action.kind.value,
            name=action.name,
            reason=action.reason,
            pid=os.getpid(),
            at=at,
        )
        change.audit("start", action.name, {"run": number, "action": type(action).__name__})
    return number


def finish(
    work: Workspace,
    actor: str,
    number: int,
    status: str,
    seconds: float,
    error: str | None,
    memory: int | None,
) -> None:
    """The run is over: `error` says why it is not done, `memory` is the peak of its workers in bytes."""
    at = show_instant(work.clock.now())
    with work.state.change(actor, at) as change:
        change.write(
            "finish_run",
            id=number,
            status=status,
            error=error,
            seconds=round(seconds, 3),
            memory=memory,
            at=at,
        )
        change.audit("finish", str(number), {"status": status})


def forget_abandoned(work: Workspace, environment: str) -> None:
    """Runs of a process that died while it held the lock have ended."""
    recent = work.state.read("recent_runs", environment=environment, limit=50)
    if not any(r["status"] == "running" for r in recent):
        return
    at = show_instant(work.clock.now())
    with work.state.change("apply", at) as change:
        count = change.write("abandoned_runs", environment=environment, at=at)
        change.audit("abandon", environment, {"runs": count})
