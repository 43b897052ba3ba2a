"""Run the benches and write RESULTS.md: `python bench/run.py` runs all but those of ASKED, with names only those, and keeps the others' rows.

Each bench is a module here with `run() -> list[Result]`, and runs in a process of its own. A bench that fails leaves the
rows it had, and the exit status is 1.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from result import Result

HERE = Path(__file__).parent

BENCHES = {
    "startup": "Starting and planning",
    "small": "A small apply",
    "state": "A long history",
    "language": "The language",
    "planning": "Planning at a thousand resources",
    "data": "Collecting and vetting",
    "usual": "What is usual",
    "healing": "Comparing days with a source",
    "asof": "Joins as of a time",
    "lookup": "Requests that are completed",
    "columns": "What columns are worth",
    "learning": "Learning",
    "tall": "Tall tables",
    "intervals": "Intervals",
    "forecasts": "Forecasts",
    "batch": "Batch prediction by SQL",
    "querying": "Queries in processes of their own",
    "writing": "Writing into sources",
    "serving": "Serving",
    "floods": "Serving under a flood",
    "console": "The console",
    "doors": "The Postgres door",
    "install": "Installing",
    "quality": "How good engines are",
    "luck": "Gates: luck and drift",
    "keeping": "Learning again",
}
ASKED = {
    "quality": 6 * 3600,
    "luck": 4 * 3600,
    "keeping": 3600,
}  # those that run only when they are named, and the seconds they may take
RESULTS = HERE / "RESULTS.md"
PACKAGES = ("duckdb", "pyarrow", "lightgbm", "sqlglot")
HEAD = "| what | measured | against | ratio or value | goal | holds? |\n|---|---|---|---|---|---|"
LIMIT = 1800  # seconds for one bench


def machine() -> str:
    """Cores, memory, processor and versions, as lines."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    model = found[1] if found else "unknown"
    versions = ", ".join(f"{p} {version(p)}" for p in PACKAGES)
    python = ".".join(str(v) for v in sys.version_info[:3])
    cores = len(os.sched_getaffinity(0))
    return f"- machine: {cores} cores, {memory:.0f} GB of memory, {model}\n- versions: python {python}, {versions}"


def beside() -> str:
    """That other work has the machine, where more wants to run than there are cores; nothing else."""
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    return (
        f", beside other work (a load of {load:.1f} on {cores} cores before it began)" if load > cores else ""
    )


def section(name: str, results: Sequence[Result], shared: str = "") -> str:
    """The part of RESULTS.md of one bench; `shared` says what else the machine did."""
    day = datetime.now(UTC).date().isoformat()
    rows, notes = [], []
    for r in results:
        mark = ""
        if r.note:
            notes.append(r.note)
            mark = f" [{len(notes)}]"
        holds = {True: "yes", False: "**no**", None: "-"}[r.holds]
        rows.append(f"| {r.what}{mark} | {r.measured} | {r.against} | {r.ratio} | {r.goal} | {holds} |")
    said = "".join(f"\n{n}. {text}" for n, text in enumerate(notes, 1))
    return f"## {BENCHES[name]}\n\nMeasured on {day}{shared}.\n\n{HEAD}\n" + "\n".join(rows) + "\n" + said


def kept() -> dict[str, str]:
    """The sections that RESULTS.md has now, by bench."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    names = {title: name for name, title in BENCHES.items()}
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    found = {p.partition("\n")[0].removeprefix("## "): p.rstrip() for p in parts}
    return {names[title]: part for title, part in found.items() if title in names}


def write(sections: dict[str, str]) -> None:
    """RESULTS.md with these sections, in the order of BENCHES."""
    head = (
        "# Results\n\nMade by `make bench`; each figure is a ratio or a limit from one run on one machine, and a figure that misses"
        f" its goal\nis written as it is. What is compared took turns; where other work shared the machine, trust ratios and CPU more than"
        f" seconds.\n\n{machine()}\n"
    )
    RESULTS.write_text("\n\n".join([head.rstrip(), *(sections[n] for n in BENCHES if n in sections)]) + "\n")


def measured(name: str) -> list[Result]:
    """The results of a bench that runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--json", name],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=ASKED.get(name, LIMIT),
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )
    return [Result(**r) for r in json.loads(done.stdout.splitlines()[-1])]


def main(names: Sequence[str]) -> int:
    """Run these benches, all but those of ASKED when there are none; the exit status."""
    unknown = [n for n in names if n not in BENCHES]
    if unknown:
        print(f"There is no bench `{unknown[0]}`. There are: {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    sections, status = kept(), 0
    for name in names or [n for n in BENCHES if n not in ASKED]:
        print(f"{name} ...", file=sys.stderr, flush=True)
        shared = beside()
        try:
            results = measured(name)
        except (subprocess.SubprocessError, ValueError, IndexError) as error:
            print(f"{name} failed: {error}", file=sys.stderr)
            status = 1
            continue
        for r in results:
            print(f"  {r.what}: {r.ratio} (goal {r.goal or 'none'})", file=sys.stderr, flush=True)
        sections[name] = section(name, results, shared)
        write(sections)
    return status


if __name__ == "__main__":
    if sys.argv[1:2] == ["--json"]:
        print(json.dumps([asdict(r) for r in importlib.import_module(sys.argv[2]).run()]))
    else:
        sys.exit(main(sys.argv[1:]))
