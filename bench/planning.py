"""A plan of 1,000 resources in which nothing changed, from its text: parsing, compiling and planning, each on its own.

Pure functions on values: no files, no state; `startup` measures the command. The project is chains of datasets, each with
a model and some with an endpoint; what is recorded of it has looks, costs and versions as a year leaves them. Each turn
has other names, so that nothing is remembered from the one before. Run it: `python bench/planning.py`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from result import Result, at_most

NOW = datetime(2013, 5, 1, tzinfo=UTC)
CHAINS, DEEP, VERSIONS, TURNS = 45, 10, 12, 5
ENDPOINTS = 98


def project(turn: int) -> str:
    """The text: 2 sources, CHAINS times DEEP datasets with a model each, and endpoints of the first models."""
    said = [f"CREATE SOURCE {name}{turn} ENGINE sqlite WITH (path = '{name}.db');" for name in ("ops", "wx")]
    for n in range(CHAINS * DEEP):
        reads = f"d{turn}_{n - 1}" if n % DEEP else f"ops{turn}.flights"
        said += [_dataset(turn, n, reads), _model(turn, n)]
    said += [
        f"CREATE ENDPOINT e{turn}_{n} FOR MODEL m{turn}_{n};" for n in range(min(ENDPOINTS, CHAINS * DEEP))
    ]
    return "\n".join(said)


def _dataset(turn: int, n: int, reads: str) -> str:
    return (
        f"CREATE DATASET d{turn}_{n} KEY (id) EVENT TIME at REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '2 hours'\n"
        "  EXPECT (delay BETWEEN -120 AND 1500 ON FAIL QUARANTINE, COUNT(*) >= 1000 ON FAIL STOP)\n"
        f"AS SELECT f.id, f.at, f.origin, f.delay, f.late, w.wind FROM {reads} f\n"
        f"  LEFT JOIN wx{turn}.weather w ON w.hour = f.hour AND w.origin = f.origin WHERE f.cancelled = 0;"
    )


def _model(turn: int, n: int) -> str:
    return (
        f"CREATE MODEL m{turn}_{n} PREDICT late FROM d{turn}_{n} FEATURES (* EXCEPT (delay))\n"
        "  OBJECTIVE (metric = 'roc_auc', minimum = 0.7) USING (engine = 'auto', time_limit = '60 s')\n"
        "  RETRAIN WHEN age > '300 days' OR new_rows > '20%' PROMOTE IF better;"
    )


def recorded(graph: Any) -> Any:
    """The state in which all of it stands as declared."""
    from tilth.plan.snapshot import Cost, Current, Pointer, Signals, SnapshotFacts, VersionFacts
    from tilth.sql.language.statements import Kind

    models, datasets = graph.of_kind(Kind.MODEL), graph.of_kind(Kind.DATASET)
    looks = tuple(Signals(NOW - timedelta(hours=h), drift=0.01, new_rows=0.02) for h in range(20, 0, -1))
    return Current(
        "prod",
        7,
        tuple(
            Pointer(r.kind, r.name, r.recipe, str(VERSIONS) if r.kind is Kind.MODEL else r.name, r.text)
            for r in graph
        ),
        tuple(SnapshotFacts(r.recipe, r.name, NOW, NOW, 10**6) for r in datasets),
        tuple(
            VersionFacts(r.name, v, r.recipe, r.name, "promoted", NOW - timedelta(days=30 - v))
            for r in models
            for v in range(1, VERSIONS + 1)
        ),
        tuple((r.name, looks) for r in models),
        tuple(Cost("TrainModel", r.name, 60.0) for r in models)
        + tuple(Cost("CollectDataset", r.name, 5.0) for r in datasets),
        NOW,
    )


def run() -> list[Result]:
    from tilth.kinds import compile, parse, plan  # noqa: A004
    from tilth.resources.facts import Facts

    took: list[tuple[float, float, float]] = []
    for turn in range(TURNS + 1):
        text = project(turn)
        statements, parsing = timed(lambda text=text: parse(text))
        graph, compiling = timed(lambda found=statements: compile(found, Facts()))
        current = recorded(graph)
        found, planning = timed(lambda graph=graph, current=current: plan(graph, current, NOW))
        if found.actions:
            raise RuntimeError(f"There is something to do: {found.actions[:3]}")
        if turn:  # the first one loads the parser of queries
            took.append((parsing, compiling, planning))
    parts = [statistics.median(t) for t in zip(*took, strict=True)]
    count = len(graph)
    note = f"CPU; {parts[0]:.2f} s of it parsing, {parts[1]:.2f} s compiling, {parts[2]:.3f} s planning"
    return [
        at_most(f"text to plan with nothing to do, {count} resources", sum(parts), 1.0, "s", note),
        at_most(f"planning alone, {count} resources", parts[2] * 1e3, 50, "ms", "CPU, median"),
    ]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What the call gives, and the CPU seconds that it takes."""
    start = time.process_time()
    found = call()
    return found, time.process_time() - start


if __name__ == "__main__":
    for found in run():
        print(found)
