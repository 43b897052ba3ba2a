"""What a long history costs: 100 models with 60 versions each, looked at daily for a year, as the state keeps them.

The history is written through the adapter as an apply, the gate and the reconciler write it, without training 6,000 models
first: neither the planner nor status nor a quiet step of the reconciler opens a bundle.
Run it: `python bench/state.py`.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from result import Result, at_most

MODELS, VERSIONS, DAYS = 100, 60, 365
COLUMNS, TURNS = 5, 11
DAY = timedelta(days=1)
SAID = json.dumps(
    {
        "metric": "roc_auc",
        "value": 0.7,
        "metrics": {f"metric_{n}": n / 7 for n in range(12)},
        "split": {"by": "time", "ids": 2},
        "folds": [{"roc_auc": 0.7, "rows": 1000} for _ in range(10)],
    }
)
REASON = "roc_auc 0.7123 against 0.7071 of the champion; lower bound of the difference 0.0021 on 1,204 rows in 31 days."


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        opened = lived(Path(folder))
        try:
            return measured(opened)
        finally:
            opened.close()


def measured(opened: Any) -> list[Result]:
    """What is asked of the state again and again, each the median of several."""
    from tilth.runtime.keeping.reconciler import Reconciler
    from tilth.runtime.record.current import current

    work, lines = opened.work(), list[str]()
    loop = Reconciler(work, "prod", lambda: opened.deployed("prod"), tell=lines.append)
    now = opened.clock.now()
    loop.step(now)  # it scrubs and clears once an hour and once a day, and writes that it rests
    if any("retrain" in line or "refresh" in line for line in lines):
        raise RuntimeError(f"there is something to do: {lines[:3]}")
    note = f"{MODELS} models with {VERSIONS} versions each, {DAYS} days of looks"
    return [
        at_most("`current()` for a plan", took(lambda: current(work.state, "prod")), 50, "ms", note),
        at_most("`status`", took(lambda: opened.status("prod")), 100, "ms", note),
        at_most("A step of the reconciler with nothing to do", took(lambda: loop.step(now)), 200, "ms", note),
    ]


def took(call: Callable[[], object]) -> float:
    """Milliseconds of this process's cores: the median of several."""
    call()
    found = []
    for _ in range(TURNS):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return 1000 * statistics.median(found)


def lived(folder: Path) -> Any:
    """An applied project with its history; refuses to go on when there is something left to do."""
    import tilth
    from tilth.core.principals import job
    from tilth.core.time import show_instant
    from tilth.runtime.moving.publishing import Move, publish

    (folder / "sources.sql").write_text("CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');\n")
    for n in range(MODELS):
        (folder / f"m{n}.sql").write_text(_declared(n))
    opened = tilth.open(str(folder))
    state, now, by = opened.work().state, opened.clock.now(), job("bench")
    with state.change(by, show_instant(now)) as change:
        past = _Past(change, now)
        pointers = [past.recorded(resource) for resource in opened.graph()]
        change.audit("record", "bench", {"resources": len(pointers)})
    publish(state, Move("prod", 0, "bench", now), pointers, by)
    left = opened.plan()
    if left.actions or len(pointers) != 3 * MODELS + 1:
        raise RuntimeError(f"{len(pointers)} resources, and there is something to do: {left.actions[:3]}")
    return opened


def _declared(n: int) -> str:
    return (
        f"CREATE DATASET d{n} KEY (id) EVENT TIME at REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '2 hours'\n"
        f"  EXPECT (COUNT(*) >= 1000 ON FAIL STOP) AS SELECT f.id, f.at, f.late FROM ops.flights{n} f;\n"
        f"CREATE MODEL m{n} PREDICT late FROM d{n} OBJECTIVE (metric = 'roc_auc') USING (engine = 'linear')\n"
        "  RETRAIN WHEN drift > 0.2 OR new_rows > '20%' PROMOTE IF better;\n"
        f"CREATE ENDPOINT e{n} FOR MODEL m{n} OUTCOMES FROM d{n} (id, late) ROLLOUT (shadow = '100 requests', deadline = '7 days');\n"
    )


@dataclass
class _Past:
    """Writes what stands behind a resource, for each day up to now."""

    change: Any
    now: datetime

    def recorded(self, resource: Any) -> Any:
        """The pointer of a resource, with its history."""
        from tilth.plan.snapshot import Pointer
        from tilth.sql.language.statements import Kind

        target = None
        if resource.kind is Kind.DATASET:
            target = self.collected(resource)
        elif resource.kind is Kind.MODEL:
            target = self.trained(resource)
            self.looked_at(resource.name)
        return Pointer(resource.kind, resource.name, resource.recipe, target, resource.text)

    def ran(self, action: str, kind: str, name: str, at: datetime) -> None:
        from tilth.runtime.record import runs
        from tilth.runtime.record.runs import Begun, Ended
        from tilth.sql.language.statements import Kind

        number = runs.begin(self.change, "prod", Begun(action, Kind(kind), name, "due"), at)
        runs.end(self.change, number, Ended("done", 1.5, None, 1 << 20), at)

    def collected(self, resource: Any) -> str:
        """A refresh a day."""
        from tilth.core.schema import DataType, Field, Schema
        from tilth.ports.snapshots import CheckResult, Manifest, Part
        from tilth.runtime.record import refreshes, snapshots
        from tilth.runtime.record.refreshes import Refresh

        fields = tuple(Field(f"column_{n}", DataType.FLOAT) for n in range(20))
        parts = tuple(Part("b" * 64, f"{n:064x}", 1000, 1 << 16) for n in range(12))
        made = Manifest(resource.name, resource.recipe, Schema(fields), parts, None, None)
        snapshots.add(self.change, made, self.now)
        checks = (CheckResult("COUNT(*) >= 1000", "set", "stop", True, 0, 1000, None),)
        for day in range(DAYS, -1, -1):
            at = self.now - day * DAY
            one = Refresh(resource.name, resource.recipe, "published", at, {"ops.t": "1"}, made.id, 1000)
            refreshes.add(self.change, one, checks)
            self.ran("CollectDataset", "dataset", resource.name, at)
        return made.id

    def trained(self, resource: Any) -> str:
        """A version every few days, each judged against the one before."""
        from tilth.runtime.record import evidence, versions
        from tilth.runtime.record.evidence import Gate
        from tilth.runtime.record.versions import Version

        won = 1
        for number in range(1, VERSIONS + 1):
            at = self.now - (VERSIONS + 8 - number) * DAY * (DAYS / (VERSIONS + 8))
            passed = number % 3 == 1
            made = Version(
                resource.name, number, resource.recipe, "s" * 32, f"{number:064x}", "promoted" if passed else "refused",
                "linear", 1, 1000, None, SAID, "drift 0.31 > 0.2", 12.0, at,
            )  # fmt: skip
            versions.add(self.change, made)
            said = Gate(
                resource.name, number, won if number > 1 else None, "prod", "better", "roc_auc",
                "pass" if passed else "fail", REASON, 1204, 31, "d after x", 1, at, 0.71, 0.7, 0.5, 0.01, 0.002, 0.02,
            )  # fmt: skip
            evidence.add(self.change, said, b"x" * 256, "id")
            self.ran("TrainModel", "model", resource.name, at)
            won = number if passed else won
        return str(won)

    def looked_at(self, model: str) -> None:
        """A look a day."""
        from tilth.core.time import show_instant
        from tilth.ml.data.drift import ColumnDrift
        from tilth.ml.watching.monitoring import Look
        from tilth.runtime.record import looks

        one = ColumnDrift("", 0.05, 0.01, 0.0, 0.0, 1000, 0.04)
        columns = tuple(replace(one, column=f"column_{n}") for n in range(COLUMNS))
        for day in range(DAYS, -1, -1):
            at = show_instant(self.now - day * DAY)
            look = Look(model, VERSIONS, at, columns, 0.04, 0.02, "roc_auc", 0.7, 900, 1000, 0.01, at, at)
            looks.add(self.change, "prod", look)


if __name__ == "__main__":
    for found in run():
        print(found)
