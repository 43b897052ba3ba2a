"""Who only looks makes nothing: no `.tilth` in a project that was never applied, and nothing left elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tilth
from tilth.interfaces.cli.commands import LATER
from tilth.interfaces.cli.commands import tilth as command

DECLARED = """CREATE SOURCE ops ENGINE files WITH (path = 'data');
CREATE DATASET t KEY (id) AS SELECT * FROM ops.t;
"""
COMMANDS: dict[str, tuple[list[str], int]] = {
    "plan": ([], 0),
    "check": ([], 0),
    "fmt": (["--check"], 0),
    "status": ([], 0),
    "environments": ([], 0),
    "describe": (["t"], 0),
    "profile": (["t"], 2),
    "suggest": (["t"], 2),
    "report": (["model", "m"], 2),
    "export": (["m", "--format", "onnx"], 2),
    "adopt": (["m"], 2),
    "import": (["m", "nowhere"], 2),
    "predict": (["m", "a=1"], 2),
    "watch": ([], 0),
    "diff": (["m@1", "m@2"], 2),
    "verify": ([], 0),
    "backup": (["b.tilth"], 2),
    "gc": ([], 0),
    "promote": (["dev"], 2),
    "rollback": ([], 2),
    "drill": (["m", "drift"], 2),
    "deploy": (["systemd"], 0),
    "test": ([], 0),
    "sql": (["SHOW TABLES"], 0),
}
MAKE = {
    "apply",
    "backfill",
    "up",
    "reconcile",
    "init",
    "demo",
    "restore",
    "install",
}  # what begins a project, or a folder
STATEMENTS = {
    "SELECT 1": 0,
    "SELECT * FROM tilth.models": 0,
    "SHOW MODELS": 0,
    "DESCRIBE ops": 0,
    "SUMMARIZE t": 2,
    "PLAN": 0,
    "LOOK AT MODEL m": 2,
    "EXPLAIN PREDICT m (a = 1)": 2,
    "REFRESH DATASET t": 2,
    "RETRAIN m": 2,
    "DROP MODEL IF EXISTS m": 0,
    "DROP TOKEN IF EXISTS 'a'": 0,
    "PROMOTE ENVIRONMENT dev TO prod": 2,
    "PROMOTE MODEL m VERSION 1": 2,
    "ROLLBACK ENVIRONMENT prod": 2,
    "DRILL MODEL m (drift)": 2,
    "RUN JOB j": 2,
    "CANCEL RUN '1'": 2,
    "SHOW JOBS": 0,
    "SHOW MODELS FROM mindsdb": 0,
    "USE mindsdb": 0,
    "EVALUATE mae FROM (SELECT 1 AS actual, 2 AS prediction)": 0,
    "CREATE TABLE ops.x AS SELECT 1 AS a": 2,
    "INSERT INTO ops.t SELECT 1 AS a": 2,
    "SET statement_timeout = '3 s'": 0,
    "RESET ALL": 0,
    "SHOW ALL": 0,
    "EXPLAIN SELECT 1": 0,
    "USE nowhere": 2,
    "CANCEL STATEMENT '3f2a'": 2,
    "SELEC": 2,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "t.csv").write_text("id,v\n1,2\n")
    (folder / "all.sql").write_text(DECLARED)
    (tmp_path / "temp").mkdir()
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tilth", *arguments], cwd=folder, env={**os.environ, "TMPDIR": str(folder.parent / "temp")},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_every_command_is_one_that_makes_or_one_that_looks() -> None:
    assert {*LATER, *command.commands} == set(COMMANDS) | MAKE


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_looks_makes_nothing(project: Path, name: str) -> None:
    arguments, status = COMMANDS[name]
    done = run(project, name, *arguments)
    assert done.returncode == status, done.stderr
    assert sorted(os.listdir(project)) == ["all.sql", "data"]
    assert os.listdir(project.parent / "temp") == []


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_statement_that_looks_makes_nothing(project: Path, text: str) -> None:
    done = run(project, "sql", text)
    assert done.returncode == STATEMENTS[text], done.stderr
    assert sorted(os.listdir(project)) == ["all.sql", "data"]
    assert os.listdir(project.parent / "temp") == []


def test_the_first_statement_that_makes_something_begins_the_project(project: Path) -> None:
    text = "SHOW TABLES; CREATE SOURCE ops ENGINE files WITH (path = 'data'); SELECT count(*) AS n FROM ops.t"
    done = run(project, "sql", text, "--json")
    assert (done.returncode, '"n": 1' in done.stdout.replace('"n":1', '"n": 1')) == (0, True)
    assert (project / ".tilth" / "state.db").exists()


def test_a_program_that_asks_makes_nothing_until_it_makes_something(project: Path) -> None:
    with tilth.open(str(project)) as opened:
        assert opened.sql("SELECT 1 AS a").rows() == [{"a": 1}]
        assert opened.sql("SHOW MODELS").rows() == []
        assert opened.generations() == ()
        assert not (project / ".tilth").exists()
        opened.apply()
        assert opened.sql("SELECT v FROM t").rows() == [{"v": 2}]
    assert (project / ".tilth" / "state.db").exists()
