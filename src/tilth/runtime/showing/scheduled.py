"""Jobs and triggers as `tilth.jobs`, `tilth.triggers` and `status` show them: who declared them, when they run next, what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tilth.core.time import Instant, naive, show_duration, show_instant
from tilth.plan.calendar import Calendar, after
from tilth.plan.snapshot import Pointer
from tilth.runtime.record import declarations, environments, names, schedules
from tilth.runtime.record.schedules import Schedule
from tilth.runtime.workspace import Workspace
from tilth.sql.language.scheduled import CreateJob, CreateTrigger
from tilth.sql.language.statements import Kind

_STANDING: Mapping[str, str] = {
    "runs_here": "bool", "declared_by": "text", "since": "time", "last_done": "time", "last_run": "int", "failures": "int",
    "next_try": "time", "under_way": "bool", "error": "text", "said": "text", "definition": "text",
}  # fmt: skip
JOBS: Mapping[str, str] = {
    "environment": "text", "name": "text", "every": "text", "start_at": "time", "end_at": "time", "missed": "text",
    "next_due": "time", **_STANDING,
}  # fmt: skip
TRIGGERS: Mapping[str, str] = {
    "environment": "text", "name": "text", "source": "text", "table_name": "text", "every": "text", **_STANDING,
}  # fmt: skip


def jobs(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """A row a job."""
    out = []
    for pointer, one in _standing(work, environment, Kind.JOB):
        declared = declarations.declared(pointer.text)
        assert isinstance(declared, CreateJob)
        said = {
            "environment": environment, "name": pointer.name, "missed": declared.missed.value,
            "every": None if declared.every is None else show_duration(declared.every),
            "start_at": _naive(declared.start), "end_at": _naive(declared.end),
            "next_due": _next(declared, one) if environment == work.serving else None,
        }  # fmt: skip
        out.append({**said, **_facts(work, environment, pointer, one)})
    return out


def triggers(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """A row a trigger."""
    out = []
    for pointer, one in _standing(work, environment, Kind.TRIGGER):
        declared = declarations.declared(pointer.text)
        assert isinstance(declared, CreateTrigger)
        said = {
            "environment": environment, "name": pointer.name, "source": declared.source, "table_name": declared.table,
            "every": show_duration(declared.every),
        }  # fmt: skip
        out.append({**said, **_facts(work, environment, pointer, one)})
    return out


def listed(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """Both for `status`: when each runs next and was last done, and what it did, or why it failed; times as the state keeps them."""
    rows = [{"kind": Kind.JOB.value, **r} for r in jobs(work, environment)]
    rows += [{"kind": Kind.TRIGGER.value, **r} for r in triggers(work, environment)]
    return [
        {
            "kind": r["kind"], "name": r["name"], "next_due": _shown(r.get("next_try") or r.get("next_due")), "last_done": _shown(r.get("last_done")),
            "failures": r.get("failures", 0), "said": r.get("error") or r.get("said"),
        }
        for r in rows
    ]  # fmt: skip


def _shown(at: datetime | None) -> str | None:
    return None if at is None else show_instant(at.replace(tzinfo=UTC))


def _standing(work: Workspace, environment: str, kind: Kind) -> list[tuple[Pointer, Schedule | None]]:
    """What the environment points at, and how it stands."""
    with work.state.reading() as reader:
        known = names.origins(reader)
        found = {(s.kind, s.name): s for s in schedules.of(reader, environment)}
        pointers = [p for p in environments.pointers_now(reader, environment) if p.kind is kind]
    return [(p, found.get((kind, known.origin(kind, p.name)))) for p in pointers]


def _next(declared: CreateJob, one: Schedule | None) -> Any:
    if one is None:
        return None
    return _naive(after(Calendar(one.since, declared.start, declared.end, declared.every), one.last_due))


def _naive(at: Instant | None) -> Any:
    return None if at is None else naive(at)


def _facts(work: Workspace, environment: str, pointer: Pointer, one: Schedule | None) -> dict[str, Any]:
    here = environment == work.serving
    if one is None or one.recipe != pointer.recipe:
        return {"runs_here": here, "definition": pointer.text}
    return {
        "runs_here": here, "declared_by": one.declared_by, "since": _naive(one.since), "last_done": _naive(one.last_done),
        "last_run": one.last_run, "failures": one.failures, "next_try": _naive(one.next_try), "under_way": one.turn is not None,
        "error": one.error, "said": one.said, "definition": pointer.text,
    }  # fmt: skip
