"""Whether what is promised holds: refreshes succeed, data is fresh, models are good enough and see what they know, endpoints have a version, tables are written, nothing is damaged.

Each promise is one thing that a declaration says, or that goes without saying, with the reason when it does not hold. What was
never looked at is not broken. `GET /promises`, `/metrics` and `tilth status --exit-code` tell the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from tilth.core.figures import figure
from tilth.core.metrics import HIGHER
from tilth.core.time import Instant, parse_instant, show_duration
from tilth.kinds.model import several
from tilth.plan.policy import compares, way_of
from tilth.runtime.record import declarations, environments
from tilth.runtime.record.refreshes import PUBLISHED
from tilth.runtime.showing.standing import standing
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CheckKind, CreateDataset, CreateModel, Declaration, Kind

REFRESHED, FRESH, GOOD, STEADY, SERVED = "refreshed", "fresh", "good", "steady", "served"
WRITTEN, WHOLE = "written", "whole"
LATE = 2  # times REFRESH EVERY
DRIFTS = ("drift", "prediction_drift")  # signals of RETRAIN WHEN, as `standing` names them too


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise: of which thing, what, whether it holds, and why not (empty when it does)."""

    kind: str
    name: str
    promise: str
    holds: bool
    reason: str = ""


def promises(work: Workspace, environment: str) -> tuple[Promise, ...]:
    """All promises of an environment, as of now."""
    _, pointers = environments.pointers_of(work.state, environment)
    declared = {(p.kind, p.name): declarations.declared(p.text) for p in pointers}
    return judged(standing(work, environment), declared, work.clock.now())


def judged(
    found: Mapping[str, Any], declared: Mapping[tuple[Kind, str], Any], now: Instant
) -> tuple[Promise, ...]:
    """The promises of what stands (as `standing` gives it) and is declared."""
    return tuple(_all(found, declared, now))


def facts(environment: str, found: tuple[Promise, ...]) -> dict[str, Any]:
    """For programs: whether all hold, and each."""
    return {
        "environment": environment,
        "holds": all(p.holds for p in found),
        "promises": [asdict(p) for p in found],
    }


def _all(
    found: Mapping[str, Any], declared: Mapping[tuple[Kind, str], Any], now: Instant
) -> Iterator[Promise]:
    failed = {f["name"]: f["error"] for f in found["failures"] if f["action"] == "CollectDataset"}
    names = [d["name"] for d in found["datasets"]]
    for name in failed.keys() - set(names):
        yield _promise("dataset", name, REFRESHED, f"it was never collected: {failed[name]}")
    for one in found["datasets"]:
        bad = one["last_refresh"] not in {None, PUBLISHED} or one["name"] in failed
        why = failed.get(one["name"]) or one["reason"]
        yield _promise("dataset", one["name"], REFRESHED, f"its last refresh failed: {why}" if bad else "")
        yield from _fresh(one, declared.get((Kind.DATASET, one["name"])), now)
    for one in found["models"]:
        model = declared.get((Kind.MODEL, one["name"]))
        if isinstance(model, CreateModel):
            yield _promise("model", one["name"], GOOD, _too_bad(one, model))
            yield from _steady(one, model)
    for one in found["endpoints"]:
        lacks = one["version"] is None and one["previous"] is None
        yield _promise("endpoint", one["name"], SERVED, "no version answers it" if lacks else "")
    for table in (f for f in found["failures"] if f["action"] == "write"):
        yield _promise("table", table["name"], WRITTEN, f"its last write did not end well: {table['error']}")
    damage: dict[str, str] = {d["of"]: d["damage"] for d in found["damage"]}
    for owner, what in damage.items():
        yield _promise("content", owner, WHOLE, what)


def _promise(kind: str, name: str, promise: str, reason: str) -> Promise:
    return Promise(kind, name, promise, not reason, reason)


def _fresh(one: Mapping[str, Any], declared: Declaration | None, now: Instant) -> Iterator[Promise]:
    """What FRESH WITHIN and REFRESH EVERY say of the age of the data."""
    if not isinstance(declared, CreateDataset):
        return
    reasons, promised = [], False
    within = min((e.within for e in declared.expect if e.kind is CheckKind.FRESH and e.within), default=None)
    if within is not None and one["newest"] is not None:
        promised = True
        age = now - parse_instant(one["newest"])
        if age > within:
            reasons.append(f"its newest row is {_span(age)} old, and FRESH WITHIN is {show_duration(within)}")
    every = declared.refresh.every
    if every is not None and one["refreshed_at"] is not None:
        promised = True
        since = now - parse_instant(one["refreshed_at"])
        if since > LATE * every:
            reasons.append(
                f"its last refresh was {_span(since)} ago, and REFRESH EVERY is {show_duration(every)}"
            )
    if promised:
        yield _promise("dataset", one["name"], FRESH, "; ".join(reasons))


def _span(age: timedelta) -> str:
    """In whole minutes, or seconds below two."""
    size = timedelta(minutes=1) if age >= timedelta(minutes=2) else timedelta(seconds=1)
    return show_duration(age // size * size)


def _too_bad(one: Mapping[str, Any], declared: CreateModel) -> str:
    """What the last look says against the model: OBJECTIVE's minimum, or a RETRAIN rule on quality."""
    value, metric = one["quality"], one["metric"]
    for target in declared.targets:
        found = next((t for t in one.get("targets", ()) if t["target"].lower() == target.column.lower()), one)
        if said := _too_low(found, several.minimum_of(declared, target)):
            return f"{said} for `{target.column}`" if found is not one else said
    if value is None:
        return ""
    for rule in declared.retrain:
        if rule.signal == "quality" and compares(rule, value, metric):
            way = way_of(rule, metric)
            return f"its {metric} is {figure(value)}: RETRAIN WHEN quality {way} {rule.value:g}"
    return ""


def _too_low(one: Mapping[str, Any], least: float | None) -> str:
    """What the last look says of a figure of its minimum."""
    value, metric = one["quality"], one["metric"]
    if value is None or least is None or not (value < least if metric in HIGHER else value > least):
        return ""
    bound = "minimum" if metric in HIGHER else "maximum"
    return f"its {metric} is {figure(value)}, and the {bound} is {figure(float(least))}"


def _steady(one: Mapping[str, Any], declared: CreateModel) -> Iterator[Promise]:
    """What RETRAIN WHEN drift and prediction_drift say of the last look, where they are declared."""
    rules = [rule for rule in declared.retrain if rule.signal in DRIFTS]
    reasons = []
    for rule in rules:
        value = one[rule.signal]
        if value is not None and compares(rule, value):
            what = rule.signal.replace("_", " ")
            reasons.append(
                f"its {what} is {figure(value, 3)}: RETRAIN WHEN {rule.signal} {rule.op} {rule.value:g}"
            )
    if rules:
        yield _promise("model", one["name"], STEADY, "; ".join(reasons))
