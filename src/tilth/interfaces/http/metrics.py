"""Counts for Prometheus: requests by endpoint, version and status, their time, rows, and the node's own figures.

Names of endpoints that are not served are not labels: what a stranger asks for must not grow our memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from tilth.core.latency import BOUNDS
from tilth.interfaces.http.once import Once
from tilth.ml.watching.rollout import Stage
from tilth.runtime.serving.answering import Answering
from tilth.runtime.serving.node import Node

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
KIND = b"text/plain; version=0.0.4; charset=utf-8"


class Series:
    """Requests with the same labels."""

    __slots__ = ("counts", "requests", "rows", "seconds")

    def __init__(self) -> None:
        self.requests = self.rows = 0
        self.seconds = 0.0
        self.counts = [0] * (len(BOUNDS) + 1)


class Metrics:
    """What this server counted since it started."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, int, int], Series] = {}
        self.without_key: dict[str, int] = {}  # rows answered that no outcome can be joined with, by endpoint

    def add(self, endpoint: str, version: int, status: int, seconds: float, rows: int) -> None:
        """One request; version 0 when none answered."""
        key = (endpoint, version, status)
        found = self.series.get(key)
        if found is None:
            found = self.series[key] = Series()
        found.requests += 1
        found.rows += rows
        found.seconds += seconds
        found.counts[bisect_left(BOUNDS, seconds)] += 1

    def lack(self, endpoint: str, rows: int) -> None:
        """Rows were answered without a column of the key that joins them with their outcome."""
        self.without_key[endpoint] = self.without_key.get(endpoint, 0) + rows

    def requests(self, endpoint: str) -> dict[str, int]:
        """By status, for people."""
        out: dict[str, int] = {}
        for (name, _, status), series in self.series.items():
            if name == endpoint:
                out[str(status)] = out.get(str(status), 0) + series.requests
        return out

    def text(self, node: Node, answering: Answering, once: Once) -> bytes:
        """All of it in Prometheus' text format."""
        lines = [*self._requests(), *_node(node, answering, once)]
        return ("\n".join(lines) + "\n").encode()

    def _requests(self) -> Iterable[str]:
        known = sorted(self.series.items())
        yield from head("tilth_requests_total", "counter", "Requests for predictions.")
        for key, series in known:
            yield f"tilth_requests_total{_labels(key)} {series.requests}"
        yield from head("tilth_rows_total", "counter", "Rows predicted.")
        for key, series in known:
            yield f"tilth_rows_total{_labels(key)} {series.rows}"
        name = "tilth_rows_without_key_total"
        yield from head(
            name, "counter", "Rows predicted that no outcome can be joined with, for want of a key."
        )
        for endpoint, rows in sorted(self.without_key.items()):
            yield f"{name}{labelled({'endpoint': endpoint})} {rows}"
        name = "tilth_request_seconds"
        yield from head(name, "histogram", "From the request's headers to its answer.")
        for key, series in known:
            total = 0
            for bound, count in zip((*BOUNDS, "+Inf"), series.counts, strict=True):
                total += count
                yield f"{name}_bucket{_labels(key, le=str(bound))} {total}"
            yield f"{name}_sum{_labels(key)} {series.seconds:.6f}"
            yield f"{name}_count{_labels(key)} {series.requests}"


def _node(node: Node, answering: Answering, once: Once) -> Iterable[str]:
    figures, table = node.figures, node.table
    simple: Mapping[str, tuple[str, str, float]] = {
        "tilth_generation": ("gauge", "The generation that is served.", table.generation if table else 0),
        "tilth_degraded": ("gauge", "1 while something cannot be served.", int(bool(node.troubles))),
        "tilth_swaps_total": ("counter", "Times the routes were replaced.", figures.swaps),
        "tilth_swap_seconds_total": ("counter", "From seeing a change to serving it.", figures.swap_seconds),
        "tilth_last_swap_seconds": ("gauge", "The same, of the last one.", figures.last_swap_seconds),
        "tilth_rejected_total": ("counter", "Bundles or generations that were not taken.", figures.rejected),
        "tilth_shadows_skipped_total": (
            "counter", "Requests the shadow did not see, for lack of time.", answering.shadows_skipped,
        ),
        "tilth_replayed_total": (
            "counter", "Requests answered again by their Idempotency-Key.", once.replayed,
        ),
        "tilth_replays_forgotten_total": (
            "counter", "Answers forgotten before their day was over, for lack of room.", once.forgotten,
        ),
    }  # fmt: skip
    for name, (kind, words, value) in simple.items():
        yield from head(name, kind, words)
        yield f"{name} {value:.6f}" if isinstance(value, float) else f"{name} {value}"
    yield from head("tilth_rollout_stage", "gauge", "1 for the stage an endpoint's newest revision is in.")
    for route in table.routes.values() if table else ():
        for stage in Stage:
            here = int(route.live_stage == stage.value)
            labels = labelled({"endpoint": route.endpoint, "stage": stage.value})
            yield f"tilth_rollout_stage{labels} {here}"


def head(name: str, kind: str, words: str) -> Iterable[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"


def _labels(key: tuple[str, int, int], **more: str) -> str:
    endpoint, version, status = key
    labels = {"endpoint": endpoint, "version": str(version or ""), "status": str(status), **more}
    return labelled(labels)


def labelled(labels: Mapping[str, str]) -> str:
    """Labels as they stand behind a name, their values escaped; nothing when there are none."""
    said = ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items())
    return f"{{{said}}}" if said else ""
