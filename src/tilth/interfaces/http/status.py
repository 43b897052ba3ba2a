"""What the console page shows, as JSON: read from the state's tables and from this server's own counts."""

from __future__ import annotations

import json
from typing import Any

from tilth.interfaces.http.metrics import Metrics
from tilth.ports.state import Row
from tilth.runtime.serving.node import Node
from tilth.runtime.showing.standing import standing
from tilth.runtime.workspace import Workspace

LOOKS = 400  # points of a chart
NEWEST = 30


def status(work: Workspace, node: Node, metrics: Metrics) -> dict[str, Any]:
    """The environment as it stands, its history, and what this server answered."""
    found = standing(work, node.environment)
    for endpoint in found["endpoints"]:
        route = node.table.routes.get(endpoint["name"]) if node.table else None
        endpoint["requests"] = metrics.requests(endpoint["name"])
        endpoint["rows_without_key"] = metrics.without_key.get(endpoint["name"], 0)
        endpoint["answering"] = [] if route is None else [s.version for s in route.sides()]
        endpoint["live_stage"] = None if route is None else route.live_stage
        rolling = None if route is None else route.rolling
        endpoint["rollout"] = None if rolling is None else rolling.progress.counts()
    generations = work.state.read("generations", environment=node.environment, limit=NEWEST)
    return {
        **found,
        "now": work.clock.now().isoformat(),
        "health": node.health(),
        "generations": [
            {k: row[k] for k in ("number", "parent", "reason", "actor", "created_at")} for row in generations
        ],
        "versions": [_version(work, row) for row in work.state.read("versions")][-2 * NEWEST :][::-1],
        "looks": {m["name"]: _looks(work, node.environment, m["name"]) for m in found["models"]},
        "columns": {m["name"]: _columns(work, node.environment, m["name"]) for m in found["models"]},
    }


def _version(work: Workspace, row: Row) -> dict[str, Any]:
    gates = work.state.read("gate_of", model=row["model"], candidate=row["version"])
    gate: Row = gates[0] if gates else {}
    metrics = json.loads(str(row["metrics"]))
    return {
        **{k: row[k] for k in ("model", "version", "status", "engine", "rows", "reason", "created_at")},
        "digest": str(row["digest"])[:12],
        "metric": metrics.get("metric"),
        "value": metrics.get("value"),
        "gate": {k: gate.get(k) for k in ("outcome", "reason", "delta", "lower", "upper", "rule")}
        if gate
        else None,
    }


def _looks(work: Workspace, environment: str, model: str) -> list[dict[str, Any]]:
    """Drift and quality over time, oldest first."""
    rows = work.state.read("quality_of", environment=environment, model=model, limit=LOOKS)
    kept = ("at", "version", "drift", "prediction_drift", "metric", "value", "outcomes", "predictions")
    return [{k: row[k] for k in kept} for row in reversed(rows)]


def _columns(work: Workspace, environment: str, model: str) -> list[dict[str, Any]]:
    """The newest look's drift by column, the greatest first."""
    looks = work.state.read("quality_of", environment=environment, model=model, limit=1)
    if not looks:
        return []
    rows = work.state.read("drift_of", environment=environment, model=model, at=looks[0]["at"])
    return [{k: row[k] for k in ("column", "psi", "js", "score", "rows")} for row in rows[:NEWEST]]
