"""What `pip install tilth` puts on a machine: packages and megabytes of a base install, without extras.

A fresh environment gets the packages of requirements.lock that the base needs, by their hashes, and tilth's own wheel;
`pip check` and `tilth --version` must then be content. Run it: `python bench/install.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from result import Result, at_most

ROOT = Path(__file__).parents[1]
PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
NOT_OURS = {"pip", "setuptools"}  # what every environment comes with


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        python = made(Path(folder))
        names = _packages(python)
        files, compiled = _sizes(python)
    total, bytecode = sum(files.values()), sum(compiled.values())
    largest = sorted(files.items(), key=lambda s: -s[1])[:6]
    note = "largest: " + ", ".join(f"{name} {size:.0f}" for name, size in largest) + " MB; as du counts"
    said = f"of which {bytecode:.0f} MB is bytecode that pip compiles; uv, and pip --no-compile, leave it out"
    return [
        at_most("packages of a base install, with tilth", len(names), 35, "packages", ", ".join(names)),
        at_most("disk space of a base install, the packages' files", total, 550, "MB", note),
        at_most("disk space of a base install, as pip leaves it", total + bytecode, 550, "MB", said),
    ]


def made(folder: Path) -> str:
    """The interpreter of a fresh environment with a base install."""
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    (folder / "base.lock").write_text(base_lock())
    _run(sys.executable, *PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    wheel = next(folder.glob("tilth-*.whl"))
    _run(python, *PIP, "install", "--no-deps", "--require-hashes", "-r", folder / "base.lock")
    _run(python, *PIP, "install", "--no-deps", wheel)
    _run(python, *PIP, "check")
    _run(str(folder / "venv" / "bin" / "tilth"), "--version")
    _run(
        python,
        "-c",
        "import tilth.app.project, tilth.interfaces.cli.up, tilth.ml.learning.training, duckdb, sklearn, skops",
    )
    return python


def base_lock() -> str:
    """The part of requirements.lock that a base install needs."""
    wanted: set[str] = set()
    todo: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    while todo:
        need = Requirement(todo.pop())
        name = canonicalize_name(need.name)
        if name not in wanted and (need.marker is None or need.marker.evaluate({"extra": ""})):
            wanted.add(name)
            todo += distribution(need.name).requires or ()
    blocks = re.split(r"^(?=\S)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    return "".join(b for b in blocks if canonicalize_name(b.partition("==")[0].strip()) in wanted)


def _packages(python: str) -> list[str]:
    found = _run(python, "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check").split()
    return sorted(name for name in (line.partition("==")[0] for line in found) if name not in NOT_OURS)


def _sizes(python: str) -> tuple[dict[str, float], dict[str, float]]:
    """Megabytes on disk, by what lies in site-packages: of files, and of compiled bytecode."""
    home = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    files: dict[str, float] = {}
    compiled: dict[str, float] = {}
    for path in home.rglob("*"):
        top = path.relative_to(home).parts[0].partition(".")[0].partition("-")[0]
        if path.is_file() and top not in {*NOT_OURS, "pkg_resources", "_distutils_hack"}:
            kind = compiled if path.suffix == ".pyc" else files
            kind[top] = kind.get(top, 0.0) + path.lstat().st_blocks * 512 / 2**20
    return files, compiled


def _run(*command: object) -> str:
    return subprocess.run(
        [str(c) for c in command], check=True, capture_output=True, text=True, timeout=900
    ).stdout


if __name__ == "__main__":
    for found in run():
        print(found)
