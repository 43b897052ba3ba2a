"""The pages of endpoints: what answers, how often and how fast, how a rollout stands, how answers drift and how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from markupsafe import Markup

from tilth.core.errors import InputError
from tilth.core.time import show_duration
from tilth.interfaces.console.looking import Looking, Page
from tilth.interfaces.console.overview import link
from tilth.interfaces.drawing.over_time import over_time
from tilth.interfaces.drawing.timeline import Line, timeline
from tilth.interfaces.statuses import STATUSES
from tilth.kinds import show
from tilth.ml.watching.rollout import Stage
from tilth.runtime.record import endpoints, requests
from tilth.runtime.showing.answered import Answered, Endpoint, endpoint
from tilth.sql.language.statements import CreateEndpoint, Kind, Rollout

SPANS: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(days=1), "7d": timedelta(days=7), "31d": timedelta(days=31),
}  # fmt: skip
DAY = "24h"
UNSERVED: Mapping[str, Any] = {"requests": {}, "rows_without_key": 0, "stage": None, "rollout": None}


def listed(at: Looking) -> Page:
    """The page at `/endpoints`."""
    with at.work.state.reading() as reader:
        current = endpoints.current(reader, at.environment)
        asked = requests.since(reader, at.environment, at.now - SPANS[DAY])
    rows = []
    for one in (r for r in at.graph if r.kind is Kind.ENDPOINT):
        revision = current.get(one.name)
        counts = asked.get(one.name, {})
        live = _live(at, one.name)
        rows.append({
            "name": one.name, "model": one.as_(CreateEndpoint).model, "version": None if revision is None else revision.answering, "stage": live.get("stage") or (revision.stage if revision else None),
            "requests": sum(counts.values()), "failed": sum(n for status, n in counts.items() if status >= 400), "reason": revision.reason if revision else "nothing answers yet",
            "now": sum(live.get("requests", {}).values()),
        })  # fmt: skip
    values = {"rows": rows, "link": lambda kind, name: link(at, kind, name), "live": bool(at.served)}
    return Page(
        "Endpoints", "endpoints.html", values, "SELECT * FROM tilth.endpoints", (("Overview", at.url()),)
    )


def shown(at: Looking) -> Page:
    """The page at `/endpoints/<name>`."""
    name, span = at.parameters["name"], at.query.get("span", DAY)
    if span not in SPANS:
        raise InputError(f"{span[:40]!r} is no span of time.", hint=f"Choose one of {', '.join(SPANS)}.")
    found = endpoint(at.work, at.environment, at.graph, name, at.now - SPANS[span], at.now)
    values = {
        "e": found, "name": name, "span": span, "spans": [(s, at.url("endpoints", name, span=s)) for s in SPANS], "live": _live(at, name),
        "charts": _asked(found.answered), "looked": _looked(found), "rules": _rules(found.declared.rollout), "drift": _drift(found),
        "definition": show(found.declared), "link": lambda kind, name: link(at, kind, name), "statuses": _statuses(found.answered.statuses),
        "window": show_duration(found.declared.watch.window), "every": show_duration(found.declared.watch.every),
        "examples": [(k, v) for k, v in found.described.get("example", {}).items() if k in ("curl", "python", "sql")], "rolling": _rolling(found),
    }  # fmt: skip
    query = f"SELECT * FROM tilth.requests WHERE endpoint = '{name}' ORDER BY began_at DESC"
    return Page(
        name, "endpoint.html", values, query, (("Overview", at.url()), ("Endpoints", at.url("endpoints")))
    )


def _live(at: Looking, name: str) -> Mapping[str, Any]:
    """What this server alone knows: its own counts since it started, and the stage that it is in."""
    if at.served.get("environment") != at.environment:
        return UNSERVED
    return {**UNSERVED, **(at.served.get("endpoints", {}).get(name) or {})}


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"


def _drawn(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704  # the drawing escapes what is in it


def _asked(found: Answered) -> list[tuple[str, Markup]]:
    """Requests and latency over the same time."""
    ends = (found.since, found.until)
    many = timeline(
        "requests over time", [Line("requests", [(b.at, float(b.requests)) for b in found.bins]), Line("not answered", [(b.at, float(b.failed)) for b in found.bins])],
        ends=ends, zero=True, show=lambda v: f"{v:,.0f}",
    )  # fmt: skip
    fast = timeline(
        "latency over time", [Line("p99", [(b.at, b.p99) for b in found.bins]), Line("p50", [(b.at, b.p50) for b in found.bins])], ends=ends, zero=True, show=_milliseconds
    )  # fmt: skip
    return [(title, _drawn(svg)) for title, svg in (("Requests", many), ("Latency: p99", fast)) if svg]


def _looked(found: Endpoint) -> list[tuple[str, Markup]]:
    """Quality and drift over the looks, each with the rule that retrains."""
    looks = found.looks[::-1]
    if not looks:
        return []
    rules = {c.signal: (c.op, c.value) for c in found.retrain if isinstance(c.value, float)}
    return [
        (title, _drawn(over_time(title, [(one.at, getattr(one, field), one.version) for one in looks], rules.get(signal))))
        for title, field, signal in (
            (f"Realised {looks[-1].metric or 'quality'}", "value", "quality"), ("Drift of inputs, by importance", "drift", "drift"),
            ("Drift of predictions", "prediction_drift", "prediction_drift"),
        )
    ]  # fmt: skip


def _drift(found: Endpoint) -> list[tuple[str, float | None, float | None, float | None, int]]:
    return [(d.column, d.score, d.psi, d.js, d.rows) for d in found.drift[:30]]


def _rules(rollout: Rollout) -> list[tuple[str, str]]:
    """ROLLOUT in words."""
    rows = []
    if rollout.shadow_requests:
        rows.append(("shadow", f"{rollout.shadow_requests:,} requests, whose answers are only compared"))
    if rollout.canary_requests:
        rows.append(("canary", f"{rollout.canary_requests:,} requests, {rollout.canary_share:.0%} of all"))
    rows.append(("errors", f"at most {rollout.max_error_rate:.3%} of them"))
    if rollout.max_p99 is not None:
        rows.append(("latency", f"p99 within {show_duration(rollout.max_p99)}"))
    if rollout.max_disagreement is not None:
        rows.append(("disagreement", f"at most {rollout.max_disagreement:.1%} of the answers"))
    if rollout.deadline is not None:
        rows.append(("deadline", f"{show_duration(rollout.deadline)} after it began it is rolled back"))
    return rows


def _rolling(found: Endpoint) -> dict[str, Any] | None:
    """How far a rollout that is under way is, as the state has it."""
    newest = found.revisions[0] if found.revisions else None
    if newest is None or not newest.under_way:
        return None
    rollout, progress = found.declared.rollout, newest.progress
    goal = rollout.shadow_requests if progress.stage is Stage.SHADOW else rollout.canary_requests
    return {"stage": newest.stage, "version": newest.version, "goal": goal, **progress.counts()}


def _statuses(counts: Mapping[int, int]) -> list[tuple[int, str, int]]:
    """Requests by status, with what each means."""
    return [
        (status, STATUSES.get(status, ("", ""))[0] if status >= 400 else "answered", n)
        for status, n in counts.items()
    ]
