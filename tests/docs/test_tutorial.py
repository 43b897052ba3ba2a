"""The tutorial's commands run in its order, in one folder, and print what it shows, number by number (durations and sizes apart)."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import servers

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent


def steps() -> list[tuple[str, str]]:
    """(command, what it shows); a Python block is a command without output."""
    found: list[tuple[str, str]] = []
    for kind, text in BLOCKS:
        if kind == "python":
            found.append((f"python:{text}", ""))
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


UNSTEADY = (  # what differs from machine to machine, and nothing else
    (r"/\S*/\.tilth", ".tilth"),
    (r"\(\d+\.\d s\)", "(# s)"),
    (r"Judged by [0-9a-f]{12}, serves as [0-9a-f]{12}", "Judged by #, serves as #"),
    (r"about \d+ seconds?, \d+ MB", "about # s, # MB"),
    (r"audit chain of \d+ rows", "audit chain of # rows"),
    (r"\d[\d.]* MB", "# MB"),
)


def masked(text: str) -> list[str]:
    """The lines without durations, sizes, spacing and the rules of tables; every other number stands."""
    for pattern, instead in UNSTEADY:
        text = re.sub(pattern, instead, text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and set(line) - set("- #")]


class Terminal:
    """A folder, a server in the background, and commands as a reader would type them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.server, self.port = folder, None, 0
        self.path = f"{BIN}{os.pathsep}{os.environ['PATH']}"

    def run(self, command: str) -> str:
        if command.startswith("cd "):
            self.folder = self.folder / command[3:]
            return ""
        if command == "tilth up &":
            self._up()
            return ""
        if command.startswith("python:"):
            arguments: Any = [sys.executable, "-c", command[7:]]
            return self._output(arguments, self.folder.parent)
        return self._output(["bash", "-c", command.replace("8439", str(self.port))], self.folder)

    def _output(self, arguments: list[str], folder: Path) -> str:
        done = subprocess.run(
            arguments, cwd=folder, capture_output=True, text=True, check=False, timeout=400,
            env={**os.environ, "PATH": self.path},
        )  # fmt: skip
        assert done.returncode in (0, 2), done.stderr
        return done.stderr + done.stdout

    def _up(self) -> None:
        self.server = subprocess.Popen(
            [BIN / "tilth", "up", "--port", "0", "--json"], cwd=self.folder, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.server.stdout is not None
        self.port = json.loads(self.server.stdout.readline())["port"]

    def close(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.communicate(timeout=30)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if shutil.which("curl") is None:
        servers.missing("curl is not installed")
    made = Terminal(tmp_path_factory.mktemp("tutorial"))
    yield made
    made.close()


@pytest.mark.parametrize(("command", "shown"), steps(), ids=[c[:50] for c, _ in steps()])
def test_a_step_of_the_tutorial_does_what_it_shows(terminal: Terminal, command: str, shown: str) -> None:
    said = terminal.run(command)
    if shown:
        assert sorted(masked(said)) == sorted(masked(shown))
    elif not command.startswith(("cd ", "sed ", "tilth up")):
        assert said.strip()
