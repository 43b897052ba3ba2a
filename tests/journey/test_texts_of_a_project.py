"""`tilth check` and `tilth fmt` by real processes: words, JSON, exit statuses, and files that are only changed whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

UGLY = "create source ops engine files with(path='data'); -- of ops\n"
LAID = "CREATE SOURCE ops ENGINE files WITH (path = 'data');  -- of ops\n"
FINE = "CREATE DATASET t KEY (id) AS SELECT * FROM ops.t;\n"
WRONG = "CREATE MODEL m PREDCT y FROM t;\n"


def run(folder: Path, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tilth", *arguments]
    return subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False, timeout=60)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "ops.sql").write_text(UGLY)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "t.sql").write_text(FINE)
    return tmp_path


def test_a_project_is_checked_without_a_source_or_a_state(project: Path) -> None:
    done = run(project, "check")
    assert (done.returncode, done.stdout) == (0, "Nothing is wrong: 2 declarations in 2 files.\n")
    assert sorted(os.listdir(project)) == ["more", "ops.sql"]
    (project / "m.sql").write_text(WRONG + "CREATE MODEL n PREDICT y FROM u;\n")
    done = run(project, "check")
    assert done.returncode == 2
    assert done.stdout.index("m.sql:1:16") < done.stdout.index("m.sql:2:31")
    assert done.stdout.endswith("2 problems: 3 declarations in 3 files could be read.\n")
    told = json.loads(run(project, "check", "--json").stdout)
    assert (told["ok"], [p["where"] for p in told["problems"]]) == (False, ["m.sql:1:16", "m.sql:2:31"])
    assert not (project / ".tilth").exists()


def test_files_are_laid_out_and_then_stay(project: Path) -> None:
    os.chmod(project / "ops.sql", 0o664)
    done = run(project, "fmt", "--check")
    assert (done.returncode, done.stdout) == (1, "ops.sql: would be laid out\n1 file is as it should be.\n")
    done = run(project, "fmt", "--diff")
    assert (done.returncode, f"-{UGLY}+{LAID}" in done.stdout) == (0, True)
    assert run(project, "fmt", "--check", "--diff").returncode == 1
    assert (project / "ops.sql").read_text() == UGLY
    done = run(project, "fmt")
    assert (done.returncode, done.stdout) == (0, "ops.sql: laid out\n1 file is as it should be.\n")
    assert (project / "ops.sql").read_text() == LAID
    assert os.stat(project / "ops.sql").st_mode & 0o777 == 0o664
    inode = os.stat(project / "ops.sql").st_ino
    assert run(project, "fmt", "--check").returncode == 0
    assert run(project, "fmt").returncode == 0
    assert os.stat(project / "ops.sql").st_ino == inode
    assert sorted(os.listdir(project)) == ["more", "ops.sql"]


def test_a_file_that_cannot_be_read_stays_and_the_others_do_not_wait(project: Path) -> None:
    (project / "m.sql").write_text(WRONG)
    done = run(project, "fmt", "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert (told["changed"], told["written"], told["unchanged"]) == (["ops.sql"], True, 1)
    assert [p["where"] for p in told["problems"]] == ["m.sql:1:16"]
    assert "m.sql:1:16" in done.stderr
    assert (project / "m.sql").read_text() == WRONG


NAMED = [
    (["ops.sql"], 0, LAID, ""),
    (["more/t.sql", "ops.sql", "ops.sql"], 0, LAID, ""),
    (["linked.sql"], 0, LAID, ""),
    (["nowhere.sql", "ops.sql"], 5, LAID, "There is no file nowhere.sql"),
    (["more", "ops.sql"], 2, LAID, "more is a folder"),
    (["pipe", "ops.sql"], 2, LAID, "pipe is a FIFO"),
]


@pytest.mark.parametrize(("names", "status", "text", "says"), NAMED)
def test_files_that_are_named(project: Path, names: list[str], status: int, text: str, says: str) -> None:
    (project / "linked.sql").symlink_to("ops.sql")
    os.mkfifo(project / "pipe")
    done = run(project, "fmt", *names)
    assert (done.returncode, says in done.stderr) == (status, True)
    assert (project / "ops.sql").read_text() == text
    assert (project / "linked.sql").is_symlink()


def test_a_pipe_is_laid_out_or_nothing_comes_out(tmp_path: Path) -> None:
    assert run(tmp_path, "fmt", "-", given=UGLY).stdout == LAID
    done = run(tmp_path, "fmt", "-", given=WRONG)
    assert (done.returncode, done.stdout, "<stdin>:1:16" in done.stderr) == (2, "", True)


def test_what_init_makes_is_laid_out_and_right(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = "".join(f"{n},2024-01-{n % 28 + 1:02d},{n % 3},{n % 2}\n" for n in range(200))
    (tmp_path / "data" / "t.csv").write_text(f"id,day,a,y\n{rows}")
    assert run(tmp_path, "init", "p", "--from", "data/t.csv", "--predict", "y").returncode == 0
    assert run(tmp_path / "p", "check").returncode == 0
    assert (
        run(tmp_path / "p", "fmt", "--check").stdout.startswith("3 files")
        or run(tmp_path / "p", "fmt", "--diff").stdout == ""
    )
