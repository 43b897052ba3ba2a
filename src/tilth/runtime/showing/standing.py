"""Where an environment stands, gathered from the state's tables: what `tilth status` shows. It knows nothing of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from tilth.kinds import KINDS
from tilth.ports.state import Row
from tilth.runtime.applying import notices
from tilth.runtime.record import generations
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

NEVER: Mapping[str, Any] = {
    "generation": 0,
    "reason": None,
    "datasets": [],
    "models": [],
    "endpoints": [],
    "servers": [],
    "failures": [],
    "damage": [],
}


def standing(work: Workspace, environment: str) -> dict[str, Any]:
    """The environment's generation and what stands in it; times as the state keeps them."""
    number, pointers = generations.pointers_of(work.state, environment)
    if not number:
        return {**NEVER, "environment": environment, "damage": _damage(work)}
    row = work.state.read("generation", environment=environment, number=number)[0]
    of = {kind: [p for p in pointers if p.kind is kind] for kind in KINDS.order}
    return {
        "environment": environment,
        "generation": number,
        "reason": row["reason"],
        "at": row["created_at"],
        "datasets": [_dataset(work, p.name, p.recipe, p.target) for p in of[Kind.DATASET]],
        "models": [_model(work, environment, p.name, p.target) for p in of[Kind.MODEL]],
        "endpoints": [_endpoint(work, environment, p.name, p.target) for p in of[Kind.ENDPOINT]],
        "servers": [_node(r, number) for r in work.state.read("nodes") if r["environment"] == environment],
        "failures": [
            {"at": r["finished_at"], "action": r["action"], "name": r["name"], "error": r["error"]}
            for r in work.state.read("recent_failures", environment=environment, limit=5)
        ],
        "damage": _damage(work),
    }


def _damage(work: Workspace) -> list[dict[str, Any]]:
    """What the last look at the content found missing or changed, whatever environment it belongs to."""
    return [{"of": r["owner"], "damage": r["damage"], "at": r["at"]} for r in work.state.read("damage")]


def _dataset(work: Workspace, name: str, recipe: str, target: str | None) -> dict[str, Any]:
    snapshot: Row = next(iter(work.state.read("snapshot", id=target)), {}) if target else {}
    last: Row = next((r for r in work.state.read("last_attempts") if r["recipe"] == recipe), {})
    checks: Row = next((r for r in work.state.read("last_checks") if r["dataset"] == name), {})
    held: Row = next((r for r in work.state.read("quarantined") if r["dataset"] == name), {})
    return {
        "name": name,
        "snapshot": target,
        "rows": snapshot.get("rows"),
        "newest": snapshot.get("watermark"),
        "refreshed_at": last.get("at"),
        "last_refresh": last.get("status"),
        "reason": last.get("reason"),
        "checks": checks.get("checks", 0),
        "checks_failed": checks.get("failed", 0),
        "quarantined": held.get("rows", 0),
        "notices": notices.lines(notices.recorded(work.state, "dataset", name, recipe)),
    }


def _model(work: Workspace, environment: str, name: str, target: str | None) -> dict[str, Any]:
    version: Row = next(iter(work.state.read("version", model=name, version=int(target or 0))), {})
    metrics = json.loads(str(version.get("metrics") or "{}"))
    gate: Row = next(iter(work.state.read("gates_of", model=name, limit=1)), {})
    looks = work.state.read("quality_of", environment=environment, model=name, limit=1)
    look: Row = looks[0] if looks else {}
    judged = f"{gate['outcome']!s} (version {gate['candidate']!s})" if gate else None
    return {
        "name": name,
        "version": version.get("version"),
        "engine": version.get("engine"),
        "digest": version.get("digest"),
        "metric": metrics.get("metric"),
        "value": metrics.get("value"),
        "trained_at": version.get("created_at"),
        "rows": version.get("rows"),
        "drift": look.get("drift"),
        "quality": look.get("value"),
        "left_out": look.get("left_out"),
        "without_key": look.get("without_key"),
        "gaps": look.get("gaps"),
        "looked_at": look.get("at"),
        "last_gate": judged,
        "last_gate_reason": gate.get("reason"),
        "notices": notices.lines(notices.recorded(work.state, "model", name, str(target))),
    }


def _endpoint(work: Workspace, environment: str, name: str, target: str | None) -> dict[str, Any]:
    found = work.state.read("revision", environment=environment, endpoint=name, revision=int(target or 0))
    row: Row = found[0] if found else {}
    return {"name": name} | {
        k: row.get(k) for k in ("model", "revision", "version", "stage", "previous", "counts", "reason")
    }


def _node(row: Row, generation: int) -> dict[str, Any]:
    return {
        "name": row["name"],
        "url": row["url"],
        "pid": row["pid"],
        "generation": row["generation"],
        "behind": generation - int(row["generation"] or 0),
        "alive": _alive(int(row["pid"] or 0)),
        "seen_at": row["seen_at"],
        "reconciled_at": row["reconciled_at"],
    }


def _alive(pid: int) -> bool:
    """Whether a process of that number is there; nodes of this version run on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
