"""The reference page is what the code says, and nothing is left out of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tilth.interfaces.cli.commands import tilth

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference.md").read_text("utf-8")


def test_the_page_is_what_the_code_writes() -> None:
    """In a process of its own: click keeps what a command was first asked with."""
    line = [sys.executable, str(DOCS / "generate.py"), "--check"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", [n for n in tilth.list_commands(None) if n != "reconcile"])  # type: ignore[arg-type]
def test_every_command_has_an_example(name: str) -> None:
    section = PAGE.partition(f"### tilth {name}\n")[2].partition("\n### ")[0]
    assert "Example" in section, f"tilth {name} shows no example"
