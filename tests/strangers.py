"""Environments of their own for programs of strangers: made once for a lock and a Python, beside `.venv`."""

import fcntl
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import servers

ROOT = Path(__file__).parents[1]
PATIENCE = 120


def environment(name: str, lock: Path, *beside: str) -> Path:
    """Where the programs of `.venv-NAME` are; its Python also finds what lies in the folders `beside`."""
    venv = ROOT / f".venv-{name}"
    mark = sha256("\n".join((lock.read_text(), sys.version, *beside)).encode()).hexdigest()
    ready = venv / ".ready"
    with (ROOT / f".venv-{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != mark:
            shutil.rmtree(venv, ignore_errors=True)
            _make(venv, lock)
            (found,) = venv.glob("lib/python*/site-packages")
            (found / "beside.pth").write_text("".join(f"{path}\n" for path in beside))
            ready.write_text(mark)
    return venv / "bin"


def _make(venv: Path, lock: Path) -> None:
    line = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    line += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock)]
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", venv], check=True, capture_output=True, timeout=PATIENCE
        )
        done = subprocess.run(line, capture_output=True, text=True, timeout=250, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        servers.missing(f"the environment {venv.name} cannot be made: {error}")
    if done.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        servers.missing(f"the packages of {venv.name} cannot be got: {done.stderr.strip()[-300:]}")
