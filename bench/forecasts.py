"""How good forecasts are: MASE against the seasonal naive over rolling windows, intervals over rolling origins, CPU of many series.

A window is fitted on what lies before it and answers its horizon. The best member is the one that would have been best on
those windows, which nobody knows before. Intervals are of one fit each three origins, asked with the history up to each
origin. Sets are read from `--data FOLDER` (`tasks.json` and Parquet files with unique_id, ds, y) or, without one, made up.
`--sets` takes some of them; `--windows` says how many windows there are at least, where a set's own few say little (the
figures of the goals stay those of its own); `--peer` measures AutoGluon without neural members beside it, in an environment
of its own. In the environment these are TILTH_BENCH_TASKS, _SETS, _WINDOWS and _PEER.
Run it: `python bench/forecasts.py --data FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from result import Result, at_least, at_most, compared

DATA, SETS = "TILTH_BENCH_TASKS", "TILTH_BENCH_SETS"  # in the environment
WINDOWS, PEER = "TILTH_BENCH_WINDOWS", "TILTH_BENCH_PEER"
KEPT = 0.5  # of the longest series, at least, that lies before the first window
ORIGINS = 12  # whose intervals are judged
REFIT = 3  # origins that one fit answers
MANY, POINTS = 1_000, 200


@dataclass(frozen=True)
class Task:
    """A set of series with what is asked of it."""

    name: str
    table: Any
    horizon: int
    season: int
    windows: int = 3


@dataclass
class Found:
    """Errors of the windows: ours, the naive's, and each member's; hits and widths of intervals; CPU of one fit."""

    ours: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)
    members: dict[str, list[float]] = field(default_factory=dict)
    hits: int = 0
    asked: int = 0
    cpu: float = 0.0
    last: int = 3  # windows that are the set's own

    @property
    def ratio(self) -> float:
        return statistics.fmean(self.ours[-self.last :]) / statistics.fmean(self.naive[-self.last :])

    @property
    def long(self) -> float:
        """The ratio over all windows."""
        return statistics.fmean(self.ours) / statistics.fmean(self.naive)

    @property
    def best(self) -> tuple[str, float]:
        """The member that was best, and our error against its."""
        means = {n: statistics.fmean(e) for n, e in self.members.items() if len(e) >= self.last}
        name = min(means, key=lambda n: means[n])
        return name, statistics.fmean(self.ours[-self.last :]) / means[name]

    @property
    def coverage(self) -> float:
        return self.hits / max(1, self.asked)


def tasks() -> Iterator[Task]:
    """The sets of `--data`, or two that are made."""
    folder = os.environ.get(DATA)
    wanted = [s for s in os.environ.get(SETS, "").split(",") if s]
    if folder is None:
        yield Task("made, monthly", made(20, 96, 12), 6, 12)
        yield Task("made, daily", made(5, 500, 7), 14, 7)
        return
    import pyarrow.parquet as pq

    for t in json.loads((Path(folder) / "tasks.json").read_text())["forecast"]:
        if not wanted or t["name"] in wanted:
            yield Task(
                t["name"], pq.read_table(Path(folder) / t["file"]), t["horizon"], t["season"], t["windows"]
            )


def made(groups: int, points: int, season: int) -> Any:
    """Series with a season, a trend and noise that remembers."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(0)
    t = np.arange(points)
    days = np.datetime64("2015-01-01", "D") + t
    ds = (np.datetime64("2000-01", "M") + t).astype("datetime64[D]") if season == 12 else days
    cycle = rng.normal(0, 10, (groups, season))[:, t % season]
    noise = rng.normal(0, 3, (groups, points)).cumsum(axis=1) * 0.3 + rng.normal(0, 3, (groups, points))
    y = 100 + rng.uniform(0, 0.2, (groups, 1)) * t + cycle + noise
    return pa.table({
        "unique_id": [f"g{i}" for i in range(groups) for _ in range(points)],
        "ds": pa.array(np.tile(ds, groups)), "y": y.ravel(),
    })  # fmt: skip


def spec_of(task: Task) -> Any:
    from tilth.ml.forecasting.spec import Spec

    return Spec("ds", ("y",), task.horizon, ("unique_id",))


def cut(task: Task, newest: int) -> tuple[Any, Any]:
    """(rows before, rows of the horizon after) an origin so many points before the end of each series."""
    import numpy as np
    import pyarrow as pa

    table = task.table.sort_by([("unique_id", "ascending"), ("ds", "ascending")])
    code = np.unique(
        table.column("unique_id").to_numpy(zero_copy_only=False).astype(str), return_inverse=True
    )[1]
    last = np.searchsorted(code, np.arange(code.max() + 1), side="right")
    behind = last[code] - np.arange(len(code)) - 1
    before = table.filter(pa.array(behind >= newest))
    return before, table.filter(pa.array((behind < newest) & (behind >= newest - task.horizon)))


def errors(answers: Any, truth: Any, before: Any, task: Task) -> tuple[float, float]:
    """(MASE of the answers, MASE of the seasonal naive), means over series; units are seasonal steps of the rows before."""
    import numpy as np

    own, naive = [], []
    said = {(r["unique_id"], r["ds"]): r["y"] for r in answers.to_pylist()}
    short = task.season if task.season <= 24 else 24 if task.season == 168 else 7
    past: dict[str, list[float]] = {}
    for name, value in zip(
        before.column("unique_id").to_pylist(), before.column("y").to_pylist(), strict=True
    ):
        past.setdefault(name, []).append(value)
    rows: dict[str, list[dict[str, Any]]] = {}
    for r in truth.to_pylist():
        rows.setdefault(r["unique_id"], []).append(r)
    for name, wanted in rows.items():
        y = np.array(past[name])
        unit = np.nanmean(np.abs(y[short:] - y[:-short])) if len(y) > short else 0
        if not unit > 0:
            continue
        repeat = (
            np.resize(y[-task.season :], len(wanted))
            if len(y) > task.season
            else np.repeat(y[-1], len(wanted))
        )
        true = np.array([r["y"] for r in wanted])
        ours = np.array([said[name, r["ds"]] for r in wanted])
        own.append(float(np.nanmean(np.abs(ours - true)) / unit))
        naive.append(float(np.nanmean(np.abs(repeat - true)) / unit))
    return statistics.fmean(own), statistics.fmean(naive)


def judged(task: Task, members: bool = True) -> Found:
    """One set."""
    from tilth.ml.forecasting.fitting import fit

    found, number = Found(last=task.windows), windows(task)
    for window in range(number, 0, -1):
        before, truth = cut(task, window * task.horizon)
        began = time.process_time()
        fitted = fit(before, spec_of(task))
        found.cpu += (time.process_time() - began) / number
        own, naive = errors(fitted.forecaster.forecast().table, truth, before, task)
        found.ours.append(own)
        found.naive.append(naive)
        if members and window <= task.windows:
            for name, table in everyone(fitted, before):
                found.members.setdefault(name, []).append(errors(table, truth, before, task)[0])
    return found


def windows(task: Task) -> int:
    """How many windows: the set's own, or more where it is asked for and half of the longest series lies before them."""
    wanted = int(os.environ.get(WINDOWS, "0"))
    return max(task.windows, min(wanted, int((1 - KEPT) * longest(task)) // task.horizon))


def longest(task: Task) -> int:
    """Rows of the longest series."""
    counted = task.table.group_by("unique_id").aggregate([("y", "count")])
    return max(counted.column("y_count").to_pylist())


def everyone(fitted: Any, before: Any) -> Iterator[tuple[str, Any]]:
    """What each member by itself says."""
    from dataclasses import replace

    import numpy as np

    from tilth.ml.forecasting.forecaster import Forecaster

    trial, f = fitted.evidence.trials[0], fitted.forecaster
    for name in trial.members:
        s = f.states[0]
        if name not in s.models and (name.startswith("trees") or name == "linear"):
            s = alone(fitted, name)
            if s is None:
                continue
        one = replace(
            s,
            members=(name,),
            unsure=False,
            weights=np.ones((1, len(s.panel))),
            pooled=np.ones(1),
            answers=s.answers[:0],
            halves=s.halves[:0],
        )
        yield name, Forecaster(f.spec, f.groups, f.schema, f.step, (one,), f.covariates).forecast().table


def alone(fitted: Any, name: str) -> Any:
    """The state with a member that has no weight, fitted all the same."""
    from dataclasses import replace

    from tilth.ml.forecasting.members import table
    from tilth.ml.forecasting.members.trees import Engine
    from tilth.ports import registry

    trial, f = fitted.evidence.trials[0], fitted.forecaster
    engine = Engine(
        registry.load("tilth.learners", "lightgbm"),
        registry.load("tilth.scorers", "lightgbm"),
        1,
        math.inf,
        f.spec.limits.pairs,
        0,
    )
    s = f.states[0]
    model = table.fitted(name, s.panel, s.setting, f.covariates, engine, trial.rounds.get(name))
    return None if model is None else replace(s, models={**s.models, name: model})


def intervals(task: Task, found: Found) -> None:
    """Hits of the intervals of each origin: a fit answers some origins, each with the history up to it."""
    import numpy as np

    from tilth.ml.forecasting.fitting import fit

    fitted = None
    stride = max(1, min(task.horizon, int(0.3 * longest(task)) // ORIGINS))
    for k in range(ORIGINS - 1, -1, -1):
        before, truth = cut(task, task.horizon + k * stride)
        if fitted is None or k % REFIT == REFIT - 1:
            fitted = fit(before, spec_of(task))
            answers = fitted.forecaster.forecast().table
        else:
            answers = fitted.forecaster.forecast(history=before).table
        said = {(r["unique_id"], r["ds"]): (r["y_lower"], r["y_upper"]) for r in answers.to_pylist()}
        for r in truth.to_pylist():
            ends = said.get((r["unique_id"], r["ds"]))
            if ends is not None and r["y"] is not None and not np.isnan(r["y"]):
                found.asked += 1
                found.hits += ends[0] <= r["y"] <= ends[1]


def run() -> list[Result]:
    found, peers = {}, {}
    for task in tasks():
        one = judged(task)
        intervals(task, one)
        found[task.name] = one
        if os.environ.get(PEER):
            peers[task.name] = peer(task)
        if sys.stderr.isatty() or os.environ.get("TILTH_BENCH_TELL"):
            print(
                task.name,
                one.ratio,
                one.best,
                one.coverage,
                one.cpu,
                {
                    k: round(statistics.fmean(v) / statistics.fmean(one.naive), 3)
                    for k, v in one.members.items()
                },
                file=sys.stderr,
            )
    return [*summed(found), *beside(found, peers), *many()]


def peer(task: Task) -> Found:
    """The same windows by AutoGluon's statistical and tree members, in a process of its own."""
    import pyarrow.parquet as pq
    import quality

    found = Found(last=task.windows)
    with tempfile.TemporaryDirectory() as place:
        for window in range(task.windows, 0, -1):
            before, truth = cut(task, window * task.horizon)
            pq.write_table(before, f"{place}/train.parquet")
            job = {
                "train": f"{place}/train.parquet",
                "answers": f"{place}/answers.parquet",
                "horizon": task.horizon,
            }
            Path(f"{place}/job.json").write_text(json.dumps(job))
            command = [
                quality.python_of("autogluon_ts"),
                str(quality.PEERS / "fit_autogluon_ts.py"),
                f"{place}/job.json",
            ]
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = used.ru_utime + used.ru_stime
            subprocess.run(command, check=True, capture_output=True, timeout=quality.PATIENCE)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            found.cpu += (used.ru_utime + used.ru_stime - began) / task.windows
            own, naive = errors(pq.read_table(job["answers"]), truth, before, task)
            found.ours.append(own)
            found.naive.append(naive)
    return found


def beside(found: dict[str, Found], peers: dict[str, Found]) -> Iterator[Result]:
    """Ours against the peer's."""
    if not peers:
        return
    ratios = {n: found[n].ratio / p.ratio for n, p in peers.items()}
    cpu = sum(found[n].cpu for n in peers) / sum(p.cpu for p in peers.values())
    note = ", ".join(f"{n} {r:.3f}" for n, r in ratios.items())
    overall = geomean(list(ratios.values()))
    yield compared(
        "MASE, geometric mean",
        f"{overall:.3f}",
        "AutoGluon without neural members",
        overall,
        most=1.0,
        note=note,
    )
    yield compared(
        "CPU",
        f"{cpu:.3f}",
        "AutoGluon without neural members",
        cpu,
        most=1 / 3,
        note="its process, imports included; ours a training",
    )


def geomean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(math.log(v) for v in values))


def summed(found: dict[str, Found]) -> Iterator[Result]:
    """All sets together."""
    ratios = {n: f.ratio for n, f in found.items()}
    worst = max(ratios, key=lambda n: ratios[n])
    listed = ", ".join(f"{n} {r:.3f}" for n, r in sorted(ratios.items(), key=lambda i: i[1]))
    overall = geomean(list(ratios.values()))
    yield compared(
        "MASE, geometric mean",
        f"{overall:.3f}",
        f"seasonal naive, {len(ratios)} sets",
        overall,
        most=0.88,
        note=listed,
    )
    yield compared(
        "MASE, worst set", f"{ratios[worst]:.3f}", "seasonal naive", ratios[worst], most=1.05, note=worst
    )
    yield from over_more(found)
    behind = {n: f.best for n, f in found.items()}
    lost = geomean([b[1] for b in behind.values()])
    note = ", ".join(f"{n} {b[0]} {b[1]:.3f}" for n, b in behind.items())
    yield compared(
        "MASE against the best member known afterwards",
        f"{lost:.3f}",
        "best member",
        lost,
        most=1.09,
        note=note,
    )
    pooled = sum(f.hits for f in found.values()) / sum(f.asked for f in found.values())
    covered = {n: f.coverage for n, f in found.items()}
    note = ", ".join(f"{n} {c:.3f}" for n, c in covered.items())
    yield at_least(f"coverage of 90 % intervals over {ORIGINS} origins, pooled", pooled, 0.87, "", note)
    yield at_most("the same", pooled, 0.93, "")
    yield at_least("coverage, lowest set", min(covered.values()), 0.75, "")
    share = sum(0.85 <= c <= 0.95 for c in covered.values()) / len(covered)
    yield at_least("sets within 85 to 95 %", share, 4 / 6, "of sets")
    cpu = {n: f.cpu for n, f in found.items()}
    note = ", ".join(f"{n} {c:.1f}" for n, c in cpu.items())
    yield Result(
        "CPU of one training, mean of sets",
        f"{statistics.fmean(cpu.values()):.1f} s",
        "-",
        f"{statistics.fmean(cpu.values()):.1f} s",
        "-",
        None,
        note,
    )


def over_more(found: dict[str, Found]) -> Iterator[Result]:
    """The same over more windows, where they were asked for."""
    longer = {n: f for n, f in found.items() if len(f.ours) > f.last}
    if not longer:
        return
    ratios = {n: f.long for n, f in found.items()}
    note = ", ".join(f"{n} {r:.3f} ({len(found[n].ours)} windows)" for n, r in ratios.items())
    overall, worst = geomean(list(ratios.values())), max(ratios.values())
    yield compared(
        "the same mean, over more windows", f"{overall:.3f}", "seasonal naive", overall, most=0.88, note=note
    )
    yield compared("worst set, over more windows", f"{worst:.3f}", "seasonal naive", worst, most=1.05)


def many() -> Iterator[Result]:
    """A thousand series of two hundred points."""
    from tilth.ml.forecasting import files
    from tilth.ml.forecasting.fitting import fit

    task = Task("many", made(MANY, POINTS, 7), 14, 7)
    began = time.process_time()
    fitted = fit(task.table, spec_of(task))
    trained = time.process_time() - began
    loaded = files.read(fitted.files())
    began = time.process_time()
    loaded.forecast()
    kept = time.process_time() - began
    began = time.process_time()
    loaded.forecast(history=task.table)
    anew = time.process_time() - began
    yield at_most(f"training of {MANY:,} series of {POINTS} points", trained, 60, "CPU-s")
    yield at_most("their answers, as kept", kept, 2, "CPU-s")
    yield at_most("their answers, with their history given anew", anew, 2, "CPU-s")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data")
    options.add_argument("--sets")
    options.add_argument("--windows")
    options.add_argument("--peer", action="store_true")
    given = options.parse_args()
    told = ((DATA, given.data), (SETS, given.sets), (WINDOWS, given.windows), (PEER, given.peer and "1"))
    for name, value in told:
        if value:
            os.environ[name] = value
    for found in run():
        print(found)


if __name__ == "__main__":
    main()
