"""Engines whose packages exclude ours: each has an environment of its own, made when a person asks for it, from a lock with hashes.

It lies inside the environment that tilth is installed in, so jailed workers may read it, and it goes when that goes. What is
said to a program there, and in what it is jailed, is the engine's business (`autogluon_learner`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from tilth.core.errors import MissingExtraError, StorageError

HERE = Path(__file__).parent
ENGINES = {"autogluon": "about 1.1 GB"}
"""Engines that are made so, and what they take."""
PATIENCE = 1_800
READY = ".ready"


def home(engine: str) -> Path:
    """Where its environment lies, or would: another lock or another Python has another place."""
    mark = sha256(lock(engine).read_bytes() + sys.version.encode()).hexdigest()[:12]
    return Path(sys.prefix) / "share" / "tilth" / "engines" / f"{engine}-{mark}"


def lock(engine: str) -> Path:
    """What is installed there: every package with its hashes."""
    return HERE / f"{engine}.lock"


def python(engine: str) -> Path:
    """Its Python; MissingExtraError, with the command that makes it, where there is none."""
    if why := absent(engine):
        raise MissingExtraError(why, hint=mend(engine))
    return home(engine) / "bin" / "python"


def absent(engine: str) -> str:
    """Why the engine cannot be used; empty when its environment is there."""
    if (home(engine) / READY).exists():
        return ""
    return f"The engine `{engine}` needs an environment of its own, since its packages exclude those of tilth; there is none yet."


def mend(engine: str) -> str:
    """The command that makes it."""
    return f"Run: tilth install {engine}   ({ENGINES[engine]}, into {Path(sys.prefix)})"


def make(engine: str, tell: Callable[[str], None]) -> Path:
    """Make the environment, whole or not at all; where it is. StorageError says why it cannot be."""
    goal = home(engine)
    if (goal / READY).exists():
        return goal
    shutil.rmtree(goal, ignore_errors=True)
    try:
        tell(f"making an environment in {goal}")
        _do([sys.executable, "-m", "venv", str(goal)])
        tell(f"installing {lock(engine).name} ({ENGINES[engine]})")
        pip = [str(goal / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _do([*pip, "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock(engine))])
        (goal / READY).touch()
    except BaseException:
        shutil.rmtree(goal, ignore_errors=True)
        raise
    return goal


def _do(line: list[str]) -> None:
    try:
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, "PYTHONPATH": ""},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(
            f"{line[0]} did not do its work: {error}.", hint="Look at the disk and the network."
        ) from error
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise StorageError(
            "The engine's packages could not be installed.",
            detail=tuple(told),
            hint="Look whether pip reaches its index and there is space, then run the command again.",
        )
