"""Breaks the code one line at a time and says which breaks no test notices: `make mutations`.

`table.toml` has one entry a mutation: the file below `src/tilth`, a text that occurs in it once, what stands in its place, and
the test files that must fail then. Each runs on a copy of the source that goes before the installed one.

    python tests/mutations/run.py [NAME ...]     all, or those whose name holds one of the words
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600  # for the tests of one mutation
AT_ONCE = 2


@dataclass(frozen=True)
class Mutation:
    """One line that is broken, and the tests that must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        return Path("src", "tilth", self.file)


def table() -> tuple[Mutation, ...]:
    """All mutations."""
    found = tomllib.loads((ROOT / "tests" / "mutations" / "table.toml").read_text("utf-8"))
    return tuple(Mutation(**{**m, "tests": tuple(m["tests"])}) for m in found["mutation"])


def noticed(one: Mutation) -> tuple[bool, str]:
    """Whether a test fails with the broken line, and how the tests ended."""
    with tempfile.TemporaryDirectory(prefix="tilth-mutation-") as folder:
        shutil.copytree(ROOT / "src", Path(folder, "src"), ignore=shutil.ignore_patterns("__pycache__"))
        path = Path(folder, one.path)
        text = path.read_text("utf-8")
        if text.count(one.old) != 1:
            return False, f"its text occurs {text.count(one.old)} times in {one.path}"
        path.write_text(text.replace(one.old, one.new), "utf-8")
        environment = os.environ | {"PYTHONPATH": str(Path(folder, "src")), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-o", "addopts=", "-p", "no:cacheprovider", *one.tests]  # fmt: skip
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return True, f"the tests did not end in {SECONDS} s"
        words = done.stdout.strip().splitlines()
        failed = next((w for w in words if w.startswith(("FAILED", "ERROR"))), words[-1] if words else "")
        return done.returncode == 1, failed[:160]


def main(words: Sequence[str]) -> int:
    """Run them, two at a time; 1 when one was not noticed."""
    chosen = [m for m in table() if not words or any(w in m.name for w in words)]
    began, missed = time.monotonic(), []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for one, (seen, how) in zip(chosen, pool.map(noticed, chosen), strict=True):
            print(f"{'noticed ' if seen else 'SURVIVES'}  {one.name}: {how}", flush=True)
            missed += [] if seen else [one.name]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} noticed in {time.monotonic() - began:.0f} s")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
