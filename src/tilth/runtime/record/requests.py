"""Requests for predictions by the minute, as nodes counted them: the table `requests`. Noted beside the audit chain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tilth.core.latency import BUCKETS, quantile
from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Reader, Row, State, decoded, foreign, instant, real_or_none, text, whole


@dataclass(frozen=True, slots=True)
class Counted:
    """What one node answered of an endpoint in a minute, by the version that answered (0: none) and the HTTP status."""

    began_at: Instant
    ended_at: Instant
    node: str
    endpoint: str
    version: int
    status: int
    requests: int
    rows: int
    seconds: float  # of all together
    buckets: tuple[int, ...]  # see `core.latency`


def note(state: State, environment: str, counted: Sequence[Counted]) -> None:
    """Note them."""
    state.note("add_requests", [_plain(environment, one) for one in counted])


def of(reader: Reader, environment: str, endpoint: str, since: Instant) -> tuple[Counted, ...]:
    """What was counted of an endpoint since then, oldest first."""
    found = reader.read("requests_of", environment=environment, endpoint=endpoint, since=show_instant(since))
    return tuple(map(_counted, found))


def since(reader: Reader, environment: str, at: Instant) -> dict[str, dict[int, int]]:
    """How many requests there were since then, by endpoint and HTTP status."""
    out: dict[str, dict[int, int]] = {}
    for row in reader.read("requests_since", environment=environment, since=show_instant(at)):
        known = out.setdefault(text(row, "endpoint"), {})
        known[whole(row, "status")] = known.get(whole(row, "status"), 0) + whole(row, "requests")
    return out


def forget(state: State, before: Instant) -> None:
    """Forget what was counted before."""
    state.note("forget_requests", [{"before": show_instant(before)}])


def _plain(environment: str, one: Counted) -> dict[str, str | int | float]:
    return {
        "began_at": show_instant(one.began_at), "ended_at": show_instant(one.ended_at), "environment": environment, "node": one.node,
        "endpoint": one.endpoint, "version": one.version, "status": one.status, "requests": one.requests, "rows": one.rows,
        "seconds": one.seconds, "p50_seconds": quantile(one.buckets, 0.5) or 0.0, "p99_seconds": quantile(one.buckets, 0.99) or 0.0,
        "buckets": json.dumps(one.buckets),
    }  # fmt: skip


def _counted(row: Row) -> Counted:
    buckets = decoded(text(row, "buckets"))
    if not isinstance(buckets, list) or len(buckets) != BUCKETS or not all(type(n) is int for n in buckets):
        raise foreign(
            f"The buckets of requests of `{text(row, 'endpoint')}` are no list of {BUCKETS} counts."
        )
    return Counted(
        instant(row, "began_at"), instant(row, "ended_at"), text(row, "node"), text(row, "endpoint"), whole(row, "version"),
        whole(row, "status"), whole(row, "requests"), whole(row, "rows"), real_or_none(row, "seconds") or 0.0, tuple(buckets),
    )  # fmt: skip
