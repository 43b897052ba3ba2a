"""How an endpoint answers: its requests over time by status and latency, its revisions, and what was looked at of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tilth.core.errors import UnknownNameError
from tilth.core.latency import added, quantile
from tilth.core.names import did_you_mean
from tilth.core.time import Instant
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.record import endpoints, looks, requests, versions
from tilth.runtime.record.endpoints import Revision
from tilth.runtime.record.looks import Drift, Looked
from tilth.runtime.record.requests import Counted
from tilth.runtime.showing.describing import Place, describe
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateEndpoint, CreateModel, Kind

BINS = 96  # of a chart
LEAST = timedelta(minutes=1)
REVISIONS, LOOKS = 20, 400


@dataclass(frozen=True, slots=True)
class Bin:
    """The requests that began to be counted in a part of the time. The seconds are None where there were none."""

    at: Instant
    requests: int
    failed: int  # answered with a status of 400 or above
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What was counted of an endpoint in a span of time."""

    since: Instant
    until: Instant
    bins: tuple[Bin, ...]
    statuses: Mapping[int, int]  # requests by HTTP status
    versions: Mapping[int, int]  # requests by the version that answered; 0: none did
    rows: int
    p50: float | None
    p99: float | None


def answered(counted: Sequence[Counted], since: Instant, until: Instant) -> Answered:
    """The counts of all nodes together, in equal parts of the time. Latency is of requests that were answered (status below 400)."""
    width = max(LEAST, (until - since) / BINS)
    parts: dict[int, list[Counted]] = {}
    for one in counted:
        parts.setdefault(int((one.began_at - since) / width), []).append(one)
    good = added(c.buckets for c in counted if c.status < 400)
    return Answered(
        since,
        until,
        tuple(_bin(since + place * width, parts[place]) for place in sorted(parts)),
        _sums((c.status, c.requests) for c in counted),
        _sums((c.version, c.requests) for c in counted),
        sum(c.rows for c in counted),
        quantile(good, 0.5),
        quantile(good, 0.99),
    )


def _bin(at: Instant, counted: Sequence[Counted]) -> Bin:
    good = added(c.buckets for c in counted if c.status < 400)
    failed = sum(c.requests for c in counted if c.status >= 400)
    return Bin(at, sum(c.requests for c in counted), failed, quantile(good, 0.5), quantile(good, 0.99))


def _sums(pairs: Any) -> dict[int, int]:
    out: dict[int, int] = {}
    for key, count in pairs:
        out[key] = out.get(key, 0) + count
    return dict(sorted(out.items()))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """All that a page shows of an endpoint. `described` is what DESCRIBE says of it."""

    declared: CreateEndpoint
    definition: str
    described: Mapping[str, Any]
    answered: Answered
    revisions: tuple[Revision, ...]
    looks: tuple[Looked, ...]  # newest first
    drift: tuple[Drift, ...]  # of the newest look
    expected: tuple[str, float | None]  # the metric that training promises, and its value
    retrain: tuple[Any, ...]  # RETRAIN WHEN of its model
    answers: int | None  # the version that answers


def endpoint(
    work: Workspace, environment: str, graph: Graph, name: str, since: Instant, until: Instant
) -> Endpoint:
    """The endpoint as it stands; UnknownNameError where there is none."""
    one = required(graph, name, Kind.ENDPOINT)
    declared = one.as_(CreateEndpoint)
    described = describe(Place(work, environment, graph, deployed=True), one, differs=False)
    found = graph.find(declared.model)
    model = None if found is None or found.kind is not Kind.MODEL else found.as_(CreateModel)
    with work.state.reading() as reader:
        counted = requests.of(reader, environment, name, since)
        revisions = endpoints.of(reader, environment, name, REVISIONS)
        seen = looks.newest(reader, environment, declared.model, LOOKS)
        drift = looks.columns(reader, environment, declared.model, seen[0].at) if seen else ()
        number = described.get("version")
        version = None if number is None else versions.get(reader, declared.model, number)
    facts = {} if version is None else version.facts
    return Endpoint(
        declared, one.text, described, answered(counted, since, until), revisions, seen, drift,
        (str(facts.get("metric") or ""), facts.get("value")), () if model is None else model.retrain, number,
    )  # fmt: skip


def required(graph: Graph, name: str, kind: Kind) -> Resource:
    """The resource of that name and kind; UnknownNameError with the nearest names."""
    found = graph.find(name)
    if found is not None and found.kind is kind:
        return found
    known = [r.name for r in graph.resources if r.kind is kind]
    raise UnknownNameError(
        f"There is no {kind.value} `{name[:80]}`.", hint=did_you_mean(name, known, f"{kind.value}s")
    )
