"""What it costs to begin: `tilth --version`, `import tilth`, and a plan of 200 resources in which nothing changed.

The project of 200 resources is planned from real files and a real state file. Its snapshots and versions are recorded
as an apply records them, without training 99 models first: a plan reads the records and opens no bundle.
Run it: `python bench/startup.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from result import Result, at_most, cpu_of

TILTH = str(Path(sys.executable).parent / "tilth")
AT = "2013-05-01T00:00:00.000000Z"
TURNS, PLANS = 15, 5


def run() -> list[Result]:
    version = cpu_of([TILTH, "--version"], TURNS)
    imported = cpu_of([sys.executable, "-c", "import tilth"], TURNS)
    bare = cpu_of([sys.executable, "-c", "pass"], TURNS)
    everything = "import tilth.app.project, tilth.runtime.asking.session, tilth.kinds"
    whole = cpu_of([sys.executable, "-c", everything], TURNS)
    note = f"CPU seconds of the process; the bare interpreter is {bare:.3f} of them"
    return [
        at_most("`tilth --version`", version, 0.15, "s", note),
        at_most("`import tilth`", imported, 0.25, "s", f"{note}; with all that a plan imports {whole:.2f} s"),
        plan_of_200(),
    ]


def plan_of_200() -> Result:
    """CPU seconds of `tilth plan` of 1 source, 100 datasets and 99 models that are all applied."""
    with tempfile.TemporaryDirectory() as folder:
        applied(Path(folder))
        command = [TILTH, "plan", "--project", folder, "--json"]
        took = cpu_of(command, turns=PLANS)
    note = "CPU seconds of the process, with its start: 1 source, 100 datasets, 99 models"
    return at_most("`tilth plan` with nothing to do, 200 resources", took, 1.0, "s", note)


def applied(folder: Path) -> None:
    """The project, and its state as after an apply; refuses to go on when there is something left to do."""
    import tilth
    from tilth.core.principals import job
    from tilth.runtime.moving.publishing import Move, publish

    (folder / "sources.sql").write_text("CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');\n")
    for n in range(100):
        (folder / f"d{n}.sql").write_text(_dataset(n) + (_model(n) if n else ""))
    opened = tilth.open(str(folder))
    state, by = opened.work().state, job("bench")
    with state.change(by, AT) as change:
        pointers = [_recorded(change, resource) for resource in opened.graph()]
        change.audit("record", "bench", {"resources": len(pointers)})
    publish(state, Move("prod", 0, "bench", opened.clock.now()), pointers, by)
    left = opened.plan()
    opened.close()
    if left.actions or len(pointers) != 200:
        raise RuntimeError(f"{len(pointers)} resources, and there is something to do: {left.actions[:3]}")


def _dataset(n: int) -> str:
    return (
        f"CREATE DATASET d{n} KEY (id) EVENT TIME at REFRESH EVERY '36500 days' INCREMENTAL LOOKBACK '2 hours'\n"
        "  EXPECT (delay BETWEEN -120 AND 1500 ON FAIL QUARANTINE, COUNT(*) >= 1000 ON FAIL STOP)\n"
        f"AS SELECT f.id, f.at, f.origin, f.delay, f.late, w.wind FROM ops.flights{n} f\n"
        "  LEFT JOIN ops.weather w ON w.hour = f.hour AND w.origin = f.origin WHERE f.cancelled = 0;\n"
    )


def _model(n: int) -> str:
    return (
        f"CREATE MODEL m{n} PREDICT late FROM d{n} FEATURES (* EXCEPT (delay))\n"
        "  OBJECTIVE (metric = 'roc_auc', minimum = 0.7) USING (engine = 'auto', time_limit = '60 s')\n"
        "  RETRAIN WHEN drift > 0.2 OR new_rows > '20%' PROMOTE IF better;\n"
    )


def _recorded(change, resource):
    """The pointer of a resource, with the rows that stand behind it."""
    from tilth.core.schema import Schema
    from tilth.core.time import parse_instant
    from tilth.plan.snapshot import Pointer
    from tilth.ports.snapshots import Manifest
    from tilth.runtime.record import refreshes, snapshots, versions
    from tilth.runtime.record.refreshes import Refresh
    from tilth.runtime.record.versions import Version
    from tilth.sql.language.statements import Kind

    target, at = None, parse_instant(AT)
    if resource.kind is Kind.DATASET:
        manifest = Manifest(resource.name, resource.recipe, Schema(()), (), None, None)
        target = manifest.id
        snapshots.add(change, manifest, at)
        refreshes.add(change, Refresh(resource.name, resource.recipe, "published", at, {}, target, 1000), ())
    elif resource.kind is Kind.MODEL:
        target = "1"
        made = Version(
            resource.name, 1, resource.recipe, "", "0" * 64, "promoted", "auto", 1, 1000, None, "{}", "new", 1.0, at
        )  # fmt: skip
        versions.add(change, made)
    return Pointer(resource.kind, resource.name, resource.recipe, target, resource.text)


if __name__ == "__main__":
    for found in run():
        print(found)
