"""How good engines are: error, CPU and memory of each on the same rows, in processes and environments of their own.

Error is log loss, or RMSE; a figure is an engine's mean error over the seeds against that of the reference. Tasks are read from
`--data FOLDER` (`tasks.json` and Parquet files) or, without one, made of the sets that scikit-learn ships. `best` may use the
CPU that the reference took on the same rows. Run it: `python bench/quality.py --data FOLDER`; `--engines`, `--tasks` and
`--seeds` take some of them; with `--kept FILE` a run that was stopped goes on where it was. In the environment these are
TILTH_BENCH_TASKS, _ENGINES, _SEEDS and _KEPT.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from result import Result, at_most, compared

HERE = Path(__file__).parent
PEERS = HERE / "peers"
OWN = HERE.parent / "src" / "tilth" / "adapters" / "learners"  # where the lock of an engine of ours lies
DATA = os.environ.get("TILTH_BENCH_TASKS")  # a folder with tasks.json; None: what scikit-learn ships
SEEDS: tuple[int, ...] = tuple(map(int, os.environ.get("TILTH_BENCH_SEEDS", "0,1,2").split(",")))
TASKS: tuple[str, ...] | None = None
REFERENCE = "autogluon"
ENGINES: tuple[str, ...] = tuple(
    os.environ.get("TILTH_BENCH_ENGINES", "autogluon,auto,best,lightgbm defaults").split(",")
)
KEPT = Path(os.environ["TILTH_BENCH_KEPT"]) if "TILTH_BENCH_KEPT" in os.environ else None
"""Where fits are kept, a line each."""
GOALS = {  # of the error's median, geometric mean and worst task, of CPU and of memory; one row and the bundle
    "auto": (1.0, 1.0, 1.08, 0.25, 0.7, (0.3, 1.0, 10.0)),
    "best": (math.inf, 0.97, 1.05, 1.0, math.inf, (math.inf, 10.0, 10.0)),
}
NO_GOALS = (math.inf,) * 5 + ((math.inf,) * 3,)
SCRIPTS = {
    "auto": ("tilth", "auto"),
    "best": ("tilth", "auto"),
    "linear": ("tilth", "linear"),
    "lightgbm": ("tilth", "lightgbm"),
    "lightgbm defaults": ("lightgbm", None),
    "autogluon": ("autogluon", None),
    "flaml": ("flaml", None),
}
PATIENCE = 1800  # seconds for one fit
OWN_CPU = 3  # seconds that the command takes beside the training
TINY = 1e-15


@dataclass(frozen=True)
class Task:
    """One table with a target; `kind` is binary, multiclass or regression."""

    name: str
    path: str
    target: str
    kind: str
    fraction: float = 0.25


@dataclass
class Fit:
    """What one fit cost, and how wrong it was."""

    error: float
    cpu: float
    memory: float  # MB, of the largest process
    facts: Mapping[str, float] = field(default_factory=dict)


def tasks(folder: Path) -> tuple[Task, ...]:
    """The tasks of `--data`, or those made into `folder`."""
    if DATA is None:
        return tuple(_shipped(folder))
    listed = json.loads((Path(DATA) / "tasks.json").read_text())["tabular"]
    return tuple(
        Task(t["name"], str((Path(DATA) / t["file"]).resolve()), t["target"], t["kind"], t["test_fraction"])
        for t in listed
        if TASKS is None or t["name"] in TASKS
    )


def _shipped(folder: Path) -> Iterator[Task]:
    """Three small sets of scikit-learn as Parquet files."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn import datasets

    for name, kind in (("breast_cancer", "binary"), ("wine", "multiclass"), ("diabetes", "regression")):
        if TASKS is not None and name not in TASKS:
            continue
        found = getattr(datasets, f"load_{name}")()
        columns = {f"x{i}": found.data[:, i] for i in range(found.data.shape[1])}
        target = found.target if kind == "regression" else [f"c{v}" for v in found.target]
        path = folder / f"{name}.parquet"
        pq.write_table(pa.table({**columns, "y": target}), path)
        yield Task(name, str(path), "y", kind)


def split(task: Task, seed: int, folder: Path) -> dict[str, Any]:
    """The job of a seed: rows to fit and to answer as files, and the truth that nobody is shown."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(task.path)
    table = table.filter(table.column(task.target).is_valid())
    truth = table.column(task.target).to_pylist()
    random = np.random.default_rng(seed)
    groups: dict[Any, list[int]] = {}
    for place, value in enumerate(truth):
        groups.setdefault(None if task.kind == "regression" else value, []).append(place)
    chosen: list[int] = []
    for members in groups.values():
        chosen += random.permutation(members)[: round(len(members) * task.fraction)].tolist()
    tested = np.zeros(len(truth), bool)
    tested[chosen] = True
    pq.write_table(table.filter(~tested), folder / "train.parquet")
    pq.write_table(table.filter(tested).drop_columns([task.target]), folder / "test.parquet")
    classes = [] if task.kind == "regression" else sorted({str(v) for v in truth})
    return {
        "train": str(folder / "train.parquet"), "test": str(folder / "test.parquet"), "target": task.target,
        "kind": task.kind, "classes": classes, "seed": seed, "truth": [truth[i] for i in np.flatnonzero(tested)],
    }  # fmt: skip


def fit(engine: str, job: Mapping[str, Any], folder: Path, cpu: float | None = None) -> Fit:
    """Fit in a process of its own; CPU with all that it starts, and the peak of its largest process. `cpu` is what `best` may use."""
    script, using = SCRIPTS[engine]
    answers = folder / f"{engine.replace(' ', '_')}.parquet"
    more = f", preset = 'best', time_limit = '30 min', cpu_limit = '{max(4, round(cpu or 60) - OWN_CPU)} s'"
    given = {k: v for k, v in job.items() if k != "truth"} | {
        "answers": str(answers),
        "engine": using,
        "more": more if engine == "best" else "",
    }
    (folder / "job.json").write_text(json.dumps(given))
    command = [python_of(script), str(PEERS / f"fit_{script}.py"), str(folder / "job.json")]
    began = time.monotonic()
    with (folder / "said.txt").open("wb") as said:
        child = subprocess.Popen(
            command, stdout=said, stderr=said, env={**os.environ, "OMP_WAIT_POLICY": "passive"}
        )
        while True:
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > PATIENCE:
                child.kill()
            time.sleep(0.02)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{engine} failed: {(folder / 'said.txt').read_text()[-2000:]}")
    facts = Path(f"{answers}.json")
    return Fit(
        error(job, answers), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024,
        json.loads(facts.read_text()) if facts.exists() else {},
    )  # fmt: skip


def error(job: Mapping[str, Any], answers: Path) -> float:
    """Log loss of the answers, or their RMSE."""
    import numpy as np
    import pyarrow.parquet as pq

    said, truth = pq.read_table(answers), job["truth"]
    if job["kind"] == "regression":
        return float(np.sqrt(np.mean((said.column("y").to_numpy() - np.asarray(truth, float)) ** 2)))
    found = np.array(
        [
            np.zeros(len(truth)) if c not in said.column_names else said.column(c).to_numpy()
            for c in job["classes"]
        ]
    )
    found = np.clip(found / found.sum(axis=0), TINY, 1)
    places = [job["classes"].index(str(v)) for v in truth]
    return float(-np.mean(np.log(found[places, np.arange(len(truth))])))


def python_of(script: str) -> str:
    """The Python that has the engine: this one, or that of an environment made from its lock."""
    lock = next((p for p in (PEERS / f"{script}.lock", OWN / f"{script}.lock") if p.exists()), PEERS)
    if lock is PEERS:
        return sys.executable
    home = HERE.parent / f".venv-{script}"
    mark = sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    ready = home / ".ready"
    if not ready.exists() or ready.read_text() != mark:
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=120)
        line = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*line, "--no-deps", "--require-hashes", "-r", lock], check=True, timeout=1200)
        ready.write_text(mark)
    return str(home / "bin" / "python")


def run() -> list[Result]:
    fits = measured(sys.stderr.isatty())
    return [r for engine in ENGINES if engine != REFERENCE for r in summed(engine, fits)]


def measured(tell: bool) -> dict[str, dict[str, list[Fit]]]:
    """All fits, by task and engine."""
    found: dict[str, dict[str, list[Fit]]] = {}
    with tempfile.TemporaryDirectory() as place:
        listed = tasks(Path(place))
        for seed in SEEDS:
            for task in listed:
                job = split(task, seed, Path(place))
                reference: Fit | None = None
                for engine in ENGINES:
                    place_of = [task.name, seed, engine]
                    one, known = _known(place_of), True
                    if one is None:
                        one, known = fit(engine, job, Path(place), reference and reference.cpu), False
                        _keep(place_of, one)
                    reference = one if engine == REFERENCE else reference
                    found.setdefault(task.name, {}).setdefault(engine, []).append(one)
                    if tell and not known:
                        print(
                            f"{task.name} {seed} {engine}: {one.error:.5g}, {one.cpu:.1f} CPU-s, {one.memory:.0f} MB",
                            file=sys.stderr,
                        )
    return found


def _known(place: Sequence[Any]) -> Fit | None:
    """The fit of a task, seed and engine that a run before has kept."""
    if KEPT is None or not KEPT.exists():
        return None
    for line in KEPT.read_text().splitlines():
        found = json.loads(line)
        if found["of"] == list(place):
            return Fit(**found["fit"])
    return None


def _keep(place: Sequence[Any], one: Fit) -> None:
    if KEPT is not None:
        with KEPT.open("a") as file:
            file.write(json.dumps({"of": list(place), "fit": asdict(one)}) + "\n")


def summed(engine: str, fits: Mapping[str, Mapping[str, Sequence[Fit]]]) -> Iterator[Result]:
    """The engine against the reference over all tasks."""

    def mean(of: str, what: str, task: str) -> float:
        return statistics.fmean(getattr(f, what) for f in fits[task][of])

    ratios = {t: mean(engine, "error", t) / mean(REFERENCE, "error", t) for t in fits}
    cpu = sum(mean(engine, "cpu", t) for t in fits) / sum(mean(REFERENCE, "cpu", t) for t in fits)
    memory = statistics.median(mean(engine, "memory", t) / mean(REFERENCE, "memory", t) for t in fits)
    median, worst = statistics.median(ratios.values()), max(ratios, key=lambda t: ratios[t])
    overall = math.exp(statistics.fmean(math.log(r) for r in ratios.values()))
    won = sum(r < 1 for r in ratios.values())
    listed = ", ".join(f"{t} {r:.3f}" for t, r in sorted(ratios.items(), key=lambda i: i[1]))
    seeds = max(len(found) for one in fits.values() for found in one.values())
    against, note = f"{REFERENCE}, {len(ratios)} tasks, {seeds} seeds", f"error of each: {listed}"
    middle, whole, largest, used, held, serving = GOALS.get(engine, NO_GOALS)
    yield _against(f"error of {engine}, median", median, against, middle, note)
    yield _against(
        f"error of {engine}, geometric mean", overall, against, whole, f"{won} of {len(ratios)} won"
    )
    yield _against(f"error of {engine}, worst", ratios[worst], against, largest, worst)
    yield _against(f"CPU of {engine}", cpu, against, used, "sum over tasks")
    yield _against(f"memory of {engine}", memory, against, held, "median over tasks, largest process")
    rows = [f.facts["row_ms"] for t in fits for f in fits[t][engine] if "row_ms" in f.facts]
    if rows and engine in GOALS:
        bundles = [f.facts["bundle_mb"] for t in fits for f in fits[t][engine]]
        yield _limit(f"one row of {engine}, median of tasks", statistics.median(rows), serving[0], "ms")
        yield _limit(f"one row of {engine}, slowest task", max(rows), serving[1], "ms")
        yield _limit(f"largest bundle of {engine}", max(bundles), serving[2], "MB")


def _limit(what: str, value: float, most: float, unit: str) -> Result:
    if math.isinf(most):
        return Result(what, f"{value:.3g} {unit}", "-", "-", "-", None, "")
    return at_most(what, value, most, unit)


def _against(what: str, ratio: float, against: str, most: float, note: str = "") -> Result:
    if math.isinf(most):
        return Result(what, f"{ratio:.3f}", against, f"{ratio:.3f}", "-", None, note)
    return compared(what, f"{ratio:.3f}", against, ratio, most=most, note=note)


def main() -> None:
    global DATA, ENGINES, KEPT, SEEDS, TASKS
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data")
    options.add_argument("--engines", default=",".join(ENGINES))
    options.add_argument("--tasks")
    options.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    options.add_argument("--kept", type=Path)
    given = options.parse_args()
    DATA, ENGINES, KEPT = given.data or DATA, tuple(given.engines.split(",")), given.kept or KEPT
    SEEDS, TASKS = (
        tuple(map(int, given.seeds.split(","))),
        tuple(given.tasks.split(",")) if given.tasks else None,
    )
    for found in run():
        print(found)


if __name__ == "__main__":
    main()
