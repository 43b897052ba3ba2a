"""The table `runs`: one row for each action that was begun, with what became of it. Written by whoever performs a plan."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.plan.actions import Action
from tilth.runtime.act import Act
from tilth.runtime.record.rows import (
    Change,
    Reader,
    Row,
    instant,
    instant_or_none,
    real_or_none,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from tilth.sql.language.statements import Kind

HELD, REFUSED = "held", "refused"
RECENT = 50  # runs among which one that was abandoned is looked for


@dataclass(frozen=True, slots=True)
class Begun:
    """What is run: an action of a plan, or a drill."""

    action: str
    kind: Kind
    name: str
    reason: str

    @classmethod
    def of(cls, action: Action) -> Begun:
        return cls(type(action).__name__, action.kind, action.name, action.reason)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of it: `error` says why it is not done, `memory` is the peak of its workers in bytes."""

    status: str  # done | failed | refused | held
    seconds: float
    error: str | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The last run of a name, which did not end well: `status` is failed | refused | held, `error` says why."""

    number: int
    action: str
    kind: Kind
    name: str
    status: str
    error: str | None
    at: Instant | None
    origin: str = ""  # the name that its history is kept under


@dataclass(frozen=True, slots=True)
class Run:
    """One row of `runs`: what was begun and, once it is over, what became of it."""

    number: int
    environment: str
    action: str
    kind: str
    name: str
    reason: str
    status: str
    error: str | None
    seconds: float | None
    memory: int | None  # bytes
    started_at: Instant
    finished_at: Instant | None


def get(reader: Reader, number: int) -> Run | None:
    """The run of that number; None when there is none."""
    found = reader.read("run", id=number)
    return _run(found[0]) if found else None


def before(
    reader: Reader, environment: str, number: int, limit: int, *, word: str = "", status: str = ""
) -> tuple[Run, ...]:
    """Runs of an environment that began before that number, the newest first; only those with the word, and of the status."""
    found = reader.read(
        "runs_before", environment=environment, before=number, limit=limit, word=word, status=status
    )
    return tuple(map(_run, found))


def _run(row: Row) -> Run:
    return Run(
        whole(row, "id"), text(row, "environment"), text(row, "action"), text(row, "kind"), text(row, "name"), text(row, "reason"),
        text(row, "status"), text_or_none(row, "error"), real_or_none(row, "seconds"), whole_or_none(row, "memory"),
        instant(row, "started_at"), instant_or_none(row, "finished_at"),
    )  # fmt: skip


def start(act: Act, begun: Begun) -> int:
    """The number of the run that begins now."""
    now = act.now()
    with act.change(now) as change:
        number = begin(change, act.environment, begun, now)
        change.audit("start", begun.name, {"run": number, "action": begun.action})
    return number


def finish(act: Act, number: int, ended: Ended) -> None:
    """The run is over."""
    now = act.now()
    with act.change(now) as change:
        end(change, number, ended, now)
        change.audit("finish", str(number), {"status": ended.status})


def begin(change: Change, environment: str, begun: Begun, at: Instant) -> int:
    """The number of a run that begins at that instant."""
    return change.insert(
        "start_run", environment=environment, action=begun.action, kind=begun.kind.value, name=begun.name,
        reason=begun.reason, pid=os.getpid(), at=show_instant(at),
    )  # fmt: skip


def end(change: Change, number: int, ended: Ended, at: Instant) -> None:
    """What became of a run that began."""
    change.write(
        "finish_run", id=number, status=ended.status, error=ended.error, seconds=round(ended.seconds, 3),
        memory=ended.memory, at=show_instant(at),
    )  # fmt: skip


def forget_abandoned(act: Act) -> None:
    """Runs of a process that died while it held the lock have ended."""
    recent = act.work.state.read("recent_runs", environment=act.environment, limit=RECENT)
    if not any(r["status"] == "running" for r in recent):
        return
    now = act.now()
    with act.change(now) as change:
        count = change.write("abandoned_runs", environment=act.environment, at=show_instant(now))
        change.audit("abandon", act.environment, {"runs": count})


def forget_undeclared(act: Act, declared: Container[str]) -> None:
    """What did not end well and is not declared any more is over: `status` does not tell it again.

    `declared` are the names under which what is declared is remembered.
    """
    gone = [one for one in unsettled(act.work.state, act.environment, RECENT) if one.origin not in declared]
    if not gone:
        return
    with act.change(act.now()) as change:
        for one in gone:
            change.write("run_gone", id=one.number)
        change.audit("forget", act.environment, {"runs": len(gone)})


def settle(change: Change, environment: str, names: Container[str]) -> None:
    """What was held or refused under these names is over: a version was brought there otherwise."""
    for one in unsettled(change, environment, RECENT):
        if one.name in names and one.status in (HELD, REFUSED):
            change.write("run_gone", id=one.number)


def unsettled(reader: Reader, environment: str, limit: int) -> tuple[Unsettled, ...]:
    """The names whose last run failed, was refused or is held, the latest first; a drill settles nothing."""
    return tuple(
        Unsettled(
            whole(r, "id"), text(r, "action"), Kind(text(r, "kind")), text(r, "name"), text(r, "status"),
            text_or_none(r, "error"), instant_or_none(r, "finished_at"), text(r, "origin"),
        )
        for r in reader.read("unsettled_runs", environment=environment, limit=limit)
    )  # fmt: skip
