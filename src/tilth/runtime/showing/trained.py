"""A model over its life: its versions with what their gates said, its looks with the lines of RETRAIN WHEN, and what training cost.

What one version is and does is `asking.reporting`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tilth.core.time import show_instant
from tilth.plan.policy import way_of
from tilth.runtime.record import environments, evidence, looks, notices, versions
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateModel

VERSIONS = 50  # the newest, that are told
GATES = 40
LOOKS = 400  # points of a chart
COLUMNS = 12  # that moved most


def trained(work: Workspace, environment: str, name: str, declared: CreateModel | None) -> dict[str, Any]:
    """The facts of a model, as of one moment; `declared` has the rules of RETRAIN WHEN."""
    with work.state.reading() as reader:
        current = versions.current(reader, environment).get(name)
        rows = versions.newest(reader, name, VERSIONS)
        gates = evidence.gates_of(reader, name, GATES)
        seen = looks.newest(reader, environment, name, LOOKS)
        columns = looks.columns(reader, environment, name, seen[0].at)[:COLUMNS] if seen else ()
        told = () if current is None else notices.of(reader, notices.MODEL, name, str(current.version))
        generation = environments.current_number(reader, environment)
    serves = None if current is None else current.version
    metric = seen[0].metric if seen else ""
    last = {g.candidate: g for g in reversed(gates)}
    return {
        "name": name,
        "generation": generation,
        "serves": serves,
        "versions": [_version(v, last.get(v.version), serves) for v in rows],
        "gates": [{**asdict(g), "at": show_instant(g.at)} for g in gates],
        "looks": tuple(reversed(seen)),
        "columns": columns,
        "limits": {
            c.signal: (way_of(c, metric), c.value)
            for c in (declared.retrain if declared else ())
            if isinstance(c.value, float)
        },
        "notices": notices.lines(told),
    }


def _version(one: Version, gate: evidence.Gate | None, serves: int | None) -> dict[str, Any]:
    facts = one.facts
    each = facts.get("targets") or [facts]
    return {
        "version": one.version,
        "status": one.status,
        "serves": one.version == serves,
        "engine": one.engine,
        "rows": one.rows,
        "reason": one.reason,
        "created_at": one.created_at,
        "removed": one.removed_at is not None,
        "seconds": one.seconds,
        "cpu_seconds": facts.get("cpu_seconds"),
        "measured": [(t.get("output"), t.get("metric"), t.get("value")) for t in each if t.get("metric")],
        "money": facts.get("money"),
        "outcome": None if gate is None else gate.outcome,
        "gate_reason": None if gate is None else gate.reason,
        "digest": one.digest[:12],
    }


def columns_of(one: Version) -> list[dict[str, Any]]:
    """What became of each column when the version was trained: what it was used as, or why it was left out; and what it is worth."""
    out: list[dict[str, Any]] = []
    for part in one.parts:
        worth = {c["name"]: c for c in (part.facts.get("column_value") or {}).get("columns", ())}
        leaks = {
            c.get("column") or c.get("name"): c for c in part.facts.get("leaks") or () if isinstance(c, dict)
        }
        out += (
            {
                "output": part.facts.get("output"), "name": c["name"], "used": bool(c.get("used")), "kind": c.get("kind"), "why": c.get("why"),
                "missing": c.get("missing"), "verdict": (worth.get(c["name"]) or {}).get("verdict"),
                "relevance": (worth.get(c["name"]) or {}).get("relevance"), "leak": bool(leaks.get(c["name"])),
            }
            for c in part.facts.get("columns", ())
        )  # fmt: skip
    return out
