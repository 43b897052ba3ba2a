"""Where an environment stands, gathered from the state's tables: what `tilth status` shows. It knows nothing of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from tilth.core.time import Instant, show_instant
from tilth.kinds import KINDS
from tilth.plan.snapshot import Pointer
from tilth.runtime.record import (
    assumptions,
    endpoints,
    environments,
    evidence,
    looks,
    messages,
    nodes,
    notices,
    refreshes,
    runs,
    scrubs,
    snapshots,
    versions,
    waits,
    writes,
)
from tilth.runtime.record.evidence import Gate
from tilth.runtime.record.looks import Looked
from tilth.runtime.record.nodes import Node
from tilth.runtime.record.refreshes import Checks
from tilth.runtime.record.rows import Reader
from tilth.runtime.record.versions import Version
from tilth.runtime.showing import arriving, scheduled
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

FAILURES = 10  # names whose last run did not end well that are shown, the newest
WAITED = timedelta(days=1)  # for which one that was never read is said to wait
UNDER_WAY = timedelta(hours=1)  # for which a write that began is taken to go on
NEVER: Mapping[str, Any] = {
    "generation": 0,
    "reason": None,
    "datasets": [],
    "models": [],
    "endpoints": [],
    "jobs": [],
    "servers": [],
    "failures": [],
    "held": [],
    "waiting": [],
    "undelivered": [],
    "damage": [],
}


def standing(work: Workspace, environment: str) -> dict[str, Any]:
    """The environment's generation and what stands in it, as of one moment; times as the state keeps them."""
    jobs = scheduled.listed(work, environment)
    with work.state.reading() as reader:
        number, pointers = environments.checked(reader, environment)
        known = environments.generation(reader, environment, number)
        unsettled = _unsettled(reader, environment, {(p.kind, p.name) for p in pointers})
        unsettled["failures"] += _unwritten(reader, environment, work.clock.now())
        if known is None:
            waiting = _waiting(reader, environment, (), work.clock.now())
            return {
                **NEVER, "environment": environment, **unsettled, "waiting": waiting, "damage": _damage(reader),
            }  # fmt: skip
        of = {kind: [p for p in pointers if p.kind is kind] for kind in KINDS.order}
        return {
            "environment": environment,
            "generation": number,
            "reason": known.reason,
            "at": show_instant(known.created_at),
            "datasets": _datasets(reader, environment, of[Kind.DATASET]),
            "models": _models(reader, environment, of[Kind.MODEL]),
            "endpoints": _endpoints(reader, environment, of[Kind.ENDPOINT]),
            "jobs": jobs,
            "servers": [_node(n, number) for n in nodes.of(reader, environment)],
            **unsettled,
            "waiting": _waiting(reader, environment, of[Kind.DATASET], work.clock.now()),
            "undelivered": [
                {"channel": d.channel, "messages": d.messages, "error": d.error}
                for d in messages.dead(reader, environment)
            ],
            "damage": _damage(reader),
        }


def _unsettled(
    reader: Reader, environment: str, deployed: AbstractSet[tuple[Kind, str]]
) -> dict[str, list[dict[str, Any]]]:
    """What failed the last time it was tried, and what was made and is held back, with why."""
    rows = [
        {
            "at": _shown(one.at), "action": one.action, "name": one.name, "status": one.status, "error": one.error,
            "deployed": (one.kind, one.name) in deployed,
        }
        for one in runs.unsettled(reader, environment, FAILURES)
    ]  # fmt: skip
    return {
        "failures": [r for r in rows if r["status"] == "failed"],
        "held": [r for r in rows if r["status"] != "failed"],
    }


def _waiting(
    reader: Reader, environment: str, pointers: Sequence[Pointer], now: Instant
) -> list[dict[str, Any]]:
    """Datasets that wait for their READY WHEN, and those whose rows are late."""
    late = arriving.late(reader, environment, pointers, now)
    mine, named = {p.recipe: p.name for p in pointers}, {p.name for p in pointers}
    rows: list[dict[str, Any]] = []
    for recipe, one in waits.all_of(reader).items():
        if recipe in mine or (one.dataset not in named and now - one.asked_at < WAITED):
            name = mine.get(recipe, one.dataset)
            late.pop(name, None)
            state = "late" if one.late(now) else "waiting"
            rows.append(
                {"name": name, "status": state, "since": show_instant(one.since), "text": one.words(now)}
            )
    rows += [
        {"name": name, "status": "late", "since": None, "text": words} for name, words in sorted(late.items())
    ]
    return rows


def _unwritten(reader: Reader, environment: str, now: Instant) -> list[dict[str, Any]]:
    """Tables of sources whose last write did not end well; one that has only just begun may be under way."""
    return [
        {
            "at": show_instant(one.at), "action": "write", "name": one.place, "status": one.status, "error": one.error,
            "deployed": False,
        }
        for one in writes.ill(reader, environment, FAILURES)
        if one.status != writes.BEGAN or now - one.at > UNDER_WAY
    ]  # fmt: skip


def _shown(at: Instant | None) -> str | None:
    return None if at is None else show_instant(at)


def _damage(reader: Reader) -> list[dict[str, Any]]:
    """What the last look at the content found missing or changed, whatever environment it belongs to."""
    return [{"of": s.owner, "damage": s.damage, "at": show_instant(s.at)} for s in scrubs.damaged(reader)]


def _datasets(reader: Reader, environment: str, pointers: Sequence[Pointer]) -> list[dict[str, Any]]:
    current, last = snapshots.current(reader, environment), refreshes.last_attempts(reader)
    checks, held = refreshes.last_checks(reader), refreshes.rows_held(reader)
    told = notices.current(reader, environment)
    out = []
    for p in pointers:
        snapshot, attempt = current.get(p.name), last.get(p.recipe)
        checked = checks.get(p.recipe, Checks())
        out.append(
            {
                "name": p.name,
                "snapshot": p.target,
                "rows": None if snapshot is None else snapshot.rows,
                "newest": None if snapshot is None else snapshot.watermark,
                "refreshed_at": None if attempt is None else show_instant(attempt.at),
                "last_refresh": None if attempt is None else attempt.status,
                "reason": None if attempt is None else attempt.reason,
                "checks": checked.count,
                "checks_failed": checked.failed,
                "contradicted": _contradicted(reader, p.name) if checked.failed else [],
                "quarantined": held.get(p.recipe, 0),
                "days_checked": None
                if attempt is None or attempt.compared.by is None
                else attempt.compared.checked,
                "days_healed": None if attempt is None else attempt.compared.healed,
                "notices": notices.lines(told.get((notices.DATASET, p.name), ())),
            }
        )
    return out


def _contradicted(reader: Reader, dataset: str) -> list[dict[str, Any]]:
    """The checks that do not hold now, and since when."""
    return [
        {
            "expectation": one.expectation,
            "on_fail": one.on_fail,
            "since": one.since,
            "refreshes": one.refreshes,
            "observed": one.observed,
        }
        for one in assumptions.history(reader, dataset)
        if one.until is None and one.state == assumptions.CONTRADICTED
    ]


def _models(reader: Reader, environment: str, pointers: Sequence[Pointer]) -> list[dict[str, Any]]:
    current, told = versions.current(reader, environment), notices.current(reader, environment)
    gates, last = evidence.newest(reader, environment), looks.last(reader, environment)
    return [
        {
            "name": p.name,
            **_version(current.get(p.name), last.get(p.name)),
            **_looked(last.get(p.name)),
            **_judged(gates.get(p.name)),
            "notices": notices.lines(told.get((notices.MODEL, p.name), ())),
        }
        for p in pointers
    ]


def _version(one: Version | None, look: Looked | None) -> dict[str, Any]:
    metrics = {} if one is None else one.facts
    seen = json.loads(look.targets) if look and one and look.targets and look.version == one.version else []
    quality = {found["output"]: found["quality"] for found in seen}
    kept = ("output", "target", "metric", "value", "money")
    return {
        **{k: getattr(one, k, None) for k in ("version", "engine", "digest")},
        "metric": metrics.get("metric"),
        "value": metrics.get("value"),
        "money": metrics.get("money"),
        "targets": [
            {**{k: t.get(k) for k in kept}, "quality": quality.get(t["output"])}
            for t in metrics.get("targets", ())
        ],
        "trained_at": None if one is None else show_instant(one.created_at),
        "rows": None if one is None else one.rows,
    }


def _looked(one: Looked | None) -> dict[str, Any]:
    return {
        "drift": None if one is None else one.drift,
        "prediction_drift": None if one is None else one.prediction_drift,
        "quality": None if one is None else one.value,
        **{k: getattr(one, k, None) for k in ("left_out", "without_key", "gaps", "outside")},
        "looked_at": None if one is None else show_instant(one.at),
    }


def _judged(one: Gate | None) -> dict[str, Any]:
    return {
        "last_gate": None if one is None else f"{one.outcome} (version {one.candidate})",
        "last_gate_reason": None if one is None else one.reason,
    }


def _endpoints(reader: Reader, environment: str, pointers: Sequence[Pointer]) -> list[dict[str, Any]]:
    current = endpoints.current(reader, environment)
    names = ("model", "revision", "version", "stage", "previous", "counts", "reason")
    return [{"name": p.name, **{n: getattr(current.get(p.name), n, None) for n in names}} for p in pointers]


def _node(one: Node, generation: int) -> dict[str, Any]:
    return {
        "name": one.name,
        "url": one.url,
        "pid": one.pid,
        "generation": one.generation,
        "behind": generation - one.generation,
        "alive": _alive(one.pid),
        "seen_at": show_instant(one.seen_at),
        "reconciled_at": _shown(one.reconciled_at),
        "looks_up": [asdict(u) for u in one.looked_up],
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
