"""The examples of docs/http.md run against a real server, and answer in the shape that the page shows; tritonclient's is run by `tests/clients`."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import http_server
import servers
import shop_project
from http_server import Up, up
from tilth.interfaces.http.paths import PAGES, PATHS
from tilth.interfaces.http.shapes import OBJECTS
from tilth.interfaces.statuses import STATUSES

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
CONSOLE = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PORT = "8439"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    if shutil.which("curl") is None:
        servers.missing("curl is not installed")
    with up(http_server.applied(tmp_path_factory.mktemp("page") / "shop")) as found:
        yield found


def shape(value: Any) -> Any:
    """The value with types in the place of numbers, and of texts that differ from run to run."""
    if isinstance(value, dict):
        return {k: "#" if k in {"digest", "id"} else shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value]
    return "#" if isinstance(value, float) else value


def run(server: Up, line: list[str]) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        line, cwd=server.folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(("command", "shown"), CONSOLE, ids=[str(n) for n in range(len(CONSOLE))])
def test_a_command_prints_what_the_page_shows(server: Up, command: str, shown: str) -> None:
    said = run(server, ["bash", "-c", command.replace(PORT, str(server.port))])
    if not shown.startswith("{"):
        assert sorted(said.split()) == sorted(shown.split())
        return
    assert shape(json.loads(said)) == shape(json.loads(shown))


@pytest.mark.parametrize(("code", "shown"), [p for p in PYTHON if "tritonclient" not in p[0]])
def test_python_prints_what_the_page_shows(server: Up, code: str, shown: str) -> None:
    assert run(server, [sys.executable, "-c", code.replace(PORT, str(server.port))]) == shown


def test_the_examples_are_there() -> None:
    assert (len(CONSOLE), len(PYTHON)) == (6, 2)


def test_the_endpoint_of_the_page_is_the_one_that_is_asked() -> None:
    (declared,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert declared.strip() in shop_project.DECLARED


@pytest.mark.parametrize("path", [*PATHS, *PAGES])
def test_a_path_is_on_the_page(path: str) -> None:
    assert f"| `{(PATHS.get(path) or PAGES[path]).method} {path}` |" in PAGE


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_on_the_page_and_named_by_what_gives_or_takes_it(name: str) -> None:
    assert f"\n### {name}\n" in PAGE
    assert f"(#{name.lower()})" in PAGE or name in {"Failure", "Problem", "ProtocolFailure"}


@pytest.mark.parametrize("status", [n for n in STATUSES if n != 200])
def test_a_status_is_on_the_page(status: int) -> None:
    assert f"| {status} | " in PAGE


def test_what_is_linked_is_there() -> None:
    for page, anchor in re.findall(r"\]\(([a-z]*(?:\.md)?)#([a-z-]+)\)", PAGE):
        text = PAGE if not page else (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
        heads = [
            re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-")
            for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        ]
        assert anchor in heads, (page, anchor)
