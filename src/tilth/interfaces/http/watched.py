"""What Prometheus is told of the environment beside this server's own counts: data, models, gates, what they took, promises, the disk.

Read from the state at each scrape, in the thread that reads it for the console. Labels are names of what is deployed, at most
`MOST` of a kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from tilth.app.disk import Disk
from tilth.core.errors import TilthError
from tilth.core.time import Instant, parse_instant
from tilth.interfaces.http.metrics import head, labelled
from tilth.runtime.record import looks, snapshots, tallies
from tilth.runtime.record.looks import Looked
from tilth.runtime.showing.promises import promises
from tilth.runtime.showing.standing import standing
from tilth.runtime.workspace import Workspace

MOST = 1000  # names of a kind
EVERY = 60.0  # seconds between measurings of the disk
Row = tuple[Mapping[str, str], float | None]
FAMILIES: Mapping[str, tuple[str, str]] = {
    "tilth_state_readable": ("gauge", "1 when the project's state could be read for this scrape."),
    "tilth_disk_bytes": ("gauge", "What .tilth holds on the disk, by kind."),
    "tilth_disk_limit_bytes": (
        "gauge",
        "What it may hold in all: disk under [limits]; none where none is set.",
    ),
    "tilth_promise": ("gauge", "1 while a promise holds, 0 while it does not: GET /promises says why."),
    "tilth_data_age_seconds": ("gauge", "Since the newest event time of a dataset."),
    "tilth_refresh_age_seconds": ("gauge", "Since the last refresh of a dataset, whatever became of it."),
    "tilth_refreshes_total": ("counter", "Refreshes of a dataset by what became of them."),
    "tilth_dataset_rows": ("gauge", "Rows of the snapshot that is deployed."),
    "tilth_dataset_bytes": ("gauge", "Bytes of the snapshot that is deployed."),
    "tilth_quarantined_rows": ("gauge", "Rows that the last refresh held back."),
    "tilth_model_version": ("gauge", "The version that is deployed."),
    "tilth_model_age_seconds": ("gauge", "Since that version was trained."),
    "tilth_drift": ("gauge", "How far the inputs moved, at the last look: 0 to 1."),
    "tilth_prediction_drift": ("gauge", "How far the predictions moved, at the last look: 0 to 1."),
    "tilth_quality": ("gauge", "The metric over outcomes, at the last look."),
    "tilth_outcomes": ("gauge", "Outcomes that the last look knew."),
    "tilth_gates_total": ("counter", "Gates of a model by what they said."),
    "tilth_run_seconds_total": ("counter", "Seconds spent on collecting and training, by what."),
    "tilth_run_memory_bytes": ("gauge", "The most memory that one of its runs took."),
}


class Measured:
    """What `.tilth` holds, measured again after `EVERY` seconds: to look at every file takes a while. For one thread."""

    def __init__(self, measure: Callable[[], Disk]) -> None:
        self._measure, self._at = measure, -EVERY
        self._disk: Disk | None = None

    def now(self) -> Disk:
        """As of the last time that it was measured."""
        wall = monotonic()
        if self._disk is None or wall - self._at >= EVERY:
            self._disk, self._at = self._measure(), wall
        return self._disk


def text(work: Workspace, environment: str, disk: Disk) -> bytes:
    """All of it in Prometheus' text format."""
    try:
        rows = figures(work, environment)
    except TilthError:  # its own counts are told all the same
        rows = {"tilth_state_readable": [({}, 0.0)]}
    rows["tilth_disk_bytes"] = [({"kind": kind}, size) for kind, size in disk.kinds.items()]
    rows["tilth_disk_limit_bytes"] = [({}, disk.limit)]
    lines: list[str] = []
    for name, (kind, words) in FAMILIES.items():
        known = [(labels, value) for labels, value in rows.get(name, []) if value is not None]
        if known:
            lines += head(name, kind, words)
            lines += [f"{name}{labelled(labels)} {value:.10g}" for labels, value in known]
    return ("\n".join(lines) + "\n").encode()


def figures(work: Workspace, environment: str) -> dict[str, Sequence[Row]]:
    """Labels and values by the name of their family."""
    now, out = work.clock.now(), dict[str, list[Row]]()

    def add(name: str, value: float | None, /, **labels: str) -> None:
        out.setdefault(name, []).append(({"environment": environment, **labels}, value))

    with work.state.reading() as reader:
        out["tilth_state_readable"] = [({}, 1.0)]
        found = standing(work, environment)
        datasets, models = found["datasets"][:MOST], found["models"][:MOST]
        kept, last = snapshots.current(reader, environment), looks.last(reader, environment)
        for one in datasets:
            of = {"dataset": one["name"]}
            add("tilth_data_age_seconds", _since(one["newest"], now), **of)
            add("tilth_refresh_age_seconds", _since(one["refreshed_at"], now), **of)
            add("tilth_dataset_rows", one["rows"], **of)
            add("tilth_dataset_bytes", getattr(kept.get(one["name"]), "bytes", None), **of)
            add("tilth_quarantined_rows", one["quarantined"], **of)
        for one in models:
            of, look = {"model": one["name"]}, last.get(one["name"])
            add("tilth_model_version", one["version"], **of)
            add("tilth_model_age_seconds", _since(one["trained_at"], now), **of)
            add("tilth_drift", None if look is None else look.drift, **of)
            add("tilth_prediction_drift", None if look is None else look.prediction_drift, **of)
            for labels, value in _quality(look):
                add("tilth_quality", value, **of, **labels)
            add("tilth_outcomes", None if look is None else look.outcomes, **of)
        there = {*_names(datasets), *_names(models)}
        for t in tallies.of_refreshes(reader):
            if t.name in there:
                add("tilth_refreshes_total", t.count, dataset=t.name, status=t.outcome)
        for t in tallies.of_gates(reader, environment):
            if t.name in there:
                add("tilth_gates_total", t.count, model=t.name, outcome=t.outcome)
        for u in tallies.of_runs(reader, environment):
            if u.name in there:
                add("tilth_run_seconds_total", u.seconds, kind=u.kind, name=u.name)
                add("tilth_run_memory_bytes", u.memory or None, kind=u.kind, name=u.name)
        for p in promises(work, environment)[: 4 * MOST]:
            add("tilth_promise", float(p.holds), kind=p.kind, name=p.name, promise=p.promise)
    return dict(out)


def _quality(look: Looked | None) -> list[tuple[dict[str, str], float | None]]:
    """The realised metric, with what it is of; of several targets that of each, with the name of its output."""
    if look is None or look.targets is None:
        return [({"metric": look.metric if look else ""}, None if look is None else look.value)]
    return [({"metric": t["metric"], "output": t["output"]}, t["quality"]) for t in json.loads(look.targets)]


def _names(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(r["name"]) for r in rows}


def _since(at: str | None, now: Instant) -> float | None:
    return None if at is None else (now - parse_instant(at)).total_seconds()
