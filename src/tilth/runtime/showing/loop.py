"""The loop of an environment as one picture: what stands, what it is made from, what needs attention, and what comes next.

All of it is of one reading (`standing`) and of the declarations that its generation points at; the console's overview shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tilth.core.figures import figure
from tilth.core.time import Instant, parse_instant, show_duration, show_instant
from tilth.resources.graph import Graph
from tilth.runtime.record import declarations, environments
from tilth.runtime.showing.promises import Promise, judged
from tilth.runtime.showing.standing import standing
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, CreateModel, CreateSource, Kind

GENERATIONS = 8  # the newest, that are told
DRAWN = (Kind.SOURCE, Kind.VIEW, Kind.DATASET, Kind.MODEL, Kind.ENDPOINT)
GOOD, WARN, BAD = "good", "warn", "bad"


@dataclass(frozen=True, slots=True)
class Node:
    """One thing of the loop: how it is (good, warn or bad) and two lines of what to know."""

    kind: str
    name: str
    state: str
    lines: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Concern:
    """Something to look at, in a sentence; `kind` and `name` are of what it is about."""

    level: str
    kind: str
    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Next:
    """What the loop will do of itself. `at` is None where it waits for something to happen."""

    at: Instant | None
    kind: str
    name: str
    words: str


def loop(work: Workspace, environment: str, graph: Graph, served: Mapping[str, Any]) -> dict[str, Any]:
    """The facts: `standing`, with nodes, concerns and what comes next. `served` is what a server says of its endpoints."""
    _, pointers = environments.pointers_of(work.state, environment)
    declared = {(p.kind, p.name): declarations.declared(p.text) for p in pointers}
    found, now = standing(work, environment), work.clock.now()
    broken = [p for p in judged(found, declared, now) if not p.holds]
    concerns = tuple(_concerns(found, broken, served))
    worst: dict[tuple[str, str], str] = {}
    for one in concerns:
        if one.level != "good" and worst.get((one.kind, one.name)) != BAD:
            worst[one.kind, one.name] = one.level
    return {
        **found,
        "now": show_instant(now),
        "nodes": tuple(_nodes(graph, found, worst, served, now)),
        "concerns": concerns,
        "next": tuple(sorted(_next(found, declared), key=lambda n: (n.at is None, n.at or now, n.name))),
        "generations": environments.generations(work.state, environment, GENERATIONS),
    }


# --- what needs attention ----------------------------------------------------------------------------------


def _concerns(
    found: Mapping[str, Any], broken: Sequence[Promise], served: Mapping[str, Any]
) -> Iterator[Concern]:
    """The worst first; each thing that is wrong is said once."""
    endpoints = {e["name"] for e in found["endpoints"]}
    for reason in served.get("health", {}).get("reasons", ()):
        name = reason.partition(": ")[0]
        kind, about = ("endpoint", name) if name in endpoints else ("", "")
        yield Concern(BAD, kind, about, f"The server does not serve all: {reason.rstrip('.')}.")
    told = set()
    for p in broken:
        told.add(p.name)
        yield Concern(
            BAD, p.kind, p.name, f"{p.name} does not hold what it promises ({p.promise}): {p.reason}."
        )
    for f in found["failures"]:
        if f["name"] not in told:
            yield Concern(
                BAD,
                _kind(f["action"]),
                f["name"],
                f"{_act(f['action'])} {f['name']} failed on {_day(f['at'])}: {f['error']}",
            )
    for u in found["undelivered"]:
        yield Concern(
            BAD,
            "channel",
            u["channel"],
            f"{u['messages']} messages of {u['channel']} were taken by nobody: {u['error']}",
        )
    for h in found["held"]:
        yield Concern(
            WARN,
            _kind(h["action"]),
            h["name"],
            f"{h['name']} is held back since {_day(h['at'])}: {h['error'] or h['status']}",
        )
    for w in found["waiting"]:
        yield Concern(WARN, "dataset", w["name"], f"{w['name']} is {w['status']}: {w['text']}")
    for d in found["datasets"]:
        for c in d["contradicted"]:
            seen = f", it is {c['observed']}" if c["observed"] else ""
            yield Concern(
                WARN,
                "dataset",
                d["name"],
                f"{d['name']} does not hold {c['expectation']}{seen}, since {_day(c['since'])}.",
            )
    for one, kind in (*((d, "dataset") for d in found["datasets"]), *((m, "model") for m in found["models"])):
        for words in one.get("notices") or ():
            yield Concern("soft", kind, one["name"], f"{one['name']}: {words}")


def _act(action: str) -> str:
    """`TrainModel` as words."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in action).strip().capitalize()


def _kind(action: str) -> str:
    for word in ("dataset", "model", "endpoint"):
        if word in action.lower():
            return word
    return ""


def _day(at: Any) -> str:
    return str(at or "an unknown day")[:10]


# --- the picture -------------------------------------------------------------------------------------------


def _nodes(
    graph: Graph,
    found: Mapping[str, Any],
    worst: Mapping[tuple[str, str], str],
    served: Mapping[str, Any],
    now: Instant,
) -> Iterator[Node]:
    facts = {
        (kind, one["name"]): one for kind in ("dataset", "model", "endpoint") for one in found[f"{kind}s"]
    }
    for r in graph.resources:
        if r.kind not in DRAWN:
            continue
        kind, one = r.kind.value, facts.get((r.kind.value, r.name))
        state = worst.get((kind, r.name), GOOD if one is not None else "")
        made = () if one is None else _lines(kind, one, served, now)
        if isinstance(r.declaration, CreateSource):
            made = (r.declaration.engine,)
        depends = [n for n in r.depends if r.kind is not Kind.ENDPOINT or graph.get(n).kind is Kind.MODEL]
        yield Node(kind, r.name, state if state != "soft" else GOOD, tuple(made), tuple(depends))


def _lines(kind: str, one: Mapping[str, Any], served: Mapping[str, Any], now: Instant) -> tuple[str, ...]:
    if kind == "dataset":
        return _of_dataset(one, now)
    return _of_model(one) if kind == "model" else _of_endpoint(one, served)


def _of_dataset(one: Mapping[str, Any], now: Instant) -> tuple[str, ...]:
    rows = "no rows yet" if one["rows"] is None else f"{one['rows']:,} rows"
    age = "" if one["newest"] is None else f", {_span(now - parse_instant(one['newest']))} old"
    hold = one["checks"] - one["checks_failed"]
    checks = f"{hold} of {one['checks']} checks" if one["checks"] else "no checks"
    held = f", {one['quarantined']:,} held back" if one["quarantined"] else ""
    return rows + age, checks + held


def _of_model(one: Mapping[str, Any]) -> tuple[str, ...]:
    if one["version"] is None:
        return ("no version serves",)
    value = f", {one['metric']} {figure(one['value'], 3)}" if one["value"] is not None else ""
    seen = [f"{k} {figure(one[k], 3)}" for k in ("drift", "quality") if one[k] is not None]
    return f"version {one['version']}{value}", ", ".join(seen) or "not looked at yet"


def _of_endpoint(one: Mapping[str, Any], served: Mapping[str, Any]) -> tuple[str, ...]:
    live = served.get("endpoints", {}).get(one["name"]) or {}
    versions = live.get("answering") or [v for v in (one["version"],) if v is not None]
    asked = sum(live.get("requests", {}).values())
    words = (
        f"version {' and '.join(map(str, versions))}, {live.get('stage') or one['stage']}"
        if versions
        else "answers nothing"
    )
    return words, f"{asked:,} requests since the start" if live else ""


def _span(age: timedelta) -> str:
    """An age in its largest unit.

    >>> _span(timedelta(hours=50)), _span(timedelta(minutes=3))
    ('2 days', '3 minutes')
    """
    for size in (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)):
        if age >= size:
            return show_duration(age // size * size)
    return "under a minute"


# --- what comes next ---------------------------------------------------------------------------------------


def _next(found: Mapping[str, Any], declared: Mapping[tuple[Kind, str], Any]) -> Iterator[Next]:
    for d in found["datasets"]:
        said = declared.get((Kind.DATASET, d["name"]))
        if isinstance(said, CreateDataset):
            if said.refresh.every is not None and d["refreshed_at"] is not None:
                at = parse_instant(d["refreshed_at"]) + said.refresh.every
                yield Next(
                    at,
                    "dataset",
                    d["name"],
                    f"{d['name']} is refreshed, every {show_duration(said.refresh.every)}",
                )
            elif said.refresh.on_change:
                yield Next(None, "dataset", d["name"], f"{d['name']} is refreshed when its sources change")
    for m in found["models"]:
        said = declared.get((Kind.MODEL, m["name"]))
        if isinstance(said, CreateModel):
            yield from _retrained(m, said)
    for e in found["endpoints"]:
        if e["stage"] in {"shadow", "canary"}:
            yield Next(
                None,
                "endpoint",
                e["name"],
                f"{e['name']} goes on from {e['stage']} when enough requests were seen",
            )
    for j in found["jobs"]:
        if j["next_due"] is not None:
            yield Next(parse_instant(j["next_due"]), "job", j["name"], f"{j['kind']} {j['name']} runs")


def _retrained(one: Mapping[str, Any], declared: CreateModel) -> Iterator[Next]:
    for rule in declared.retrain:
        if isinstance(rule.value, timedelta):
            if one["trained_at"] is not None:
                at = parse_instant(one["trained_at"]) + rule.value
                yield Next(
                    at,
                    "model",
                    one["name"],
                    f"{one['name']} is trained again: {rule.signal} {rule.op} {show_duration(rule.value)}",
                )
        else:
            now = one.get(rule.signal)
            seen = "" if now is None else f"; it is {figure(now, 3)}"
            yield Next(
                None,
                "model",
                one["name"],
                f"{one['name']} is trained again when {rule.signal} {rule.op} {rule.value:g}{seen}",
            )
