"""The examples of docs/postgres.md, asked by psql and psycopg of a running door."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import http_server
import servers

PAGE = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text("utf-8")
CONSOLE = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
ASKED = re.findall(r"prod=> (.*?)\n(.*?)(?=\nprod=> |\Z)", CONSOLE[0], re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http_server.Up]:
    folder = http_server.applied(tmp_path_factory.mktemp("page") / "p")
    with http_server.up(folder) as found:
        yield found


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").split("\n") if line.strip()]


@pytest.mark.parametrize(("command", "shown"), ASKED)
def test_psql_prints_what_the_page_shows(command: str, shown: str, server: http_server.Up) -> None:
    if shutil.which("psql") is None:
        servers.missing("psql is not installed")
    place = f"host=127.0.0.1 port={server.postgres} user=tilth dbname=prod"
    done = subprocess.run(
        ["psql", "-X", place, "-c", command.rstrip(";")],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "PGPASSWORD": server.token, "PAGER": ""},
    )  # fmt: skip
    assert lines(done.stdout) == lines(shown)


def test_the_program_of_the_page_runs(server: http_server.Up) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"token": server.token}
    exec(text.replace("port=5439", f"port={server.postgres}"), names)
    rows = names["rows"]
    assert isinstance(rows, list)
    assert len(rows) > 100


def test_the_examples_of_the_page_are_there() -> None:
    assert (len(CONSOLE), len(ASKED)) == (1, 2)
