"""The table `runs`: one row for each action that was begun, with what became of it. Written by whoever performs a plan."""

from __future__ import annotations

import os

from tilth.core.time import show_instant
from tilth.plan.actions import Action
from tilth.runtime.act import Act
from tilth.sql.language.statements import Kind


def start(act: Act, action: Action, kind: Kind) -> int:
    """The number of the run that begins now."""
    at = show_instant(act.now())
    with act.change() as change:
        number = change.insert(
            "start_run",
            environment=act.environment,
            action=type(action).__name__,
            kind=kind.value,
            name=action.name,
            reason=action.reason,
            pid=os.getpid(),
            at=at,
        )
        change.audit("start", action.name, {"run": number, "action": type(action).__name__})
    return number


def finish(
    act: Act,
    number: int,
    status: str,
    seconds: float,
    error: str | None,
    memory: int | None,
) -> None:
    """The run is over: `error` says why it is not done, `memory` is the peak of its workers in bytes."""
    at = show_instant(act.now())
    with act.change() as change:
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


def forget_abandoned(act: Act) -> None:
    """Runs of a process that died while it held the lock have ended."""
    environment = act.environment
    recent = act.work.state.read("recent_runs", environment=environment, limit=50)
    if not any(r["status"] == "running" for r in recent):
        return
    at = show_instant(act.now())
    with act.change() as change:
        count = change.write("abandoned_runs", environment=environment, at=at)
        change.audit("abandon", environment, {"runs": count})
