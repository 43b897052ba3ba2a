"""What the console page shows, as JSON: read from the state's tables and from this server's own counts."""

from __future__ import annotations

from typing import Any

from tilth.core.time import show_instant
from tilth.interfaces.http.metrics import Metrics
from tilth.runtime.record import declarations, environments, evidence, looks, versions
from tilth.runtime.record.versions import Version
from tilth.runtime.serving.node import Node
from tilth.runtime.showing.standing import standing
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateModel, Kind

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
    generations = environments.generations(work.state, node.environment, NEWEST)
    return {
        **found,
        "now": show_instant(work.clock.now()),
        "health": node.health(),
        "generations": [
            {
                **{k: getattr(g, k) for k in ("number", "parent", "reason", "actor")},
                "created_at": show_instant(g.created_at),
            }
            for g in generations
        ],
        "versions": [_version(work, one) for one in versions.last(work.state, node.environment, 2 * NEWEST)],
        "limits": _limits(work, node.environment),
        "looks": {m["name"]: _looks(work, node.environment, m["name"]) for m in found["models"]},
        "columns": {m["name"]: _columns(work, node.environment, m["name"]) for m in found["models"]},
    }


def _version(work: Workspace, one: Version) -> dict[str, Any]:
    gate, facts = evidence.last(work.state, one.model, one.version), one.facts
    judged = ("outcome", "reason", "delta", "lower", "upper", "rule")
    return {
        **{k: getattr(one, k) for k in ("model", "version", "status", "engine", "rows", "reason")},
        "created_at": show_instant(one.created_at),
        "digest": one.digest[:12],
        "metric": facts.get("metric"),
        "value": facts.get("value"),
        "targets": [{k: t.get(k) for k in ("output", "metric", "value")} for t in facts.get("targets", ())],
        "gate": None if gate is None else {k: getattr(gate, k) for k in judged},
    }


def _limits(work: Workspace, environment: str) -> dict[str, list[dict[str, Any]]]:
    """What RETRAIN WHEN of each model says of what is looked at: the lines of its charts."""
    out = {}
    for p in environments.pointers_now(work.state, environment):
        declared = declarations.declared(p.text) if p.kind is Kind.MODEL else None
        if isinstance(declared, CreateModel):
            out[p.name] = [
                {"signal": c.signal, "op": c.op, "value": c.value}
                for c in declared.retrain
                if isinstance(c.value, float)
            ]
    return out


def _looks(work: Workspace, environment: str, model: str) -> list[dict[str, Any]]:
    """Drift and quality over time, oldest first."""
    found = looks.newest(work.state, environment, model, LOOKS)
    kept = ("version", "drift", "prediction_drift", "metric", "value", "outcomes", "predictions")
    return [{"at": show_instant(one.at), **{k: getattr(one, k) for k in kept}} for one in reversed(found)]


def _columns(work: Workspace, environment: str, model: str) -> list[dict[str, Any]]:
    """The newest look's drift by column, the greatest first."""
    newest = looks.newest(work.state, environment, model, 1)
    if not newest:
        return []
    found = looks.columns(work.state, environment, model, newest[0].at)
    return [{k: getattr(c, k) for k in ("column", "psi", "js", "score", "rows")} for c in found[:NEWEST]]
