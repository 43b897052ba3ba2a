"""`tilth sql` with files, comments and values, and on a terminal: where an error is, what is asked first, what to do next."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

TABLE = """CREATE SOURCE ops ENGINE files WITH (path = 'data');
CREATE DATASET t KEY (id) AS SELECT * FROM ops.t;
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    (folder / "data").mkdir()
    (folder / "data" / "t.csv").write_text("id,v\n1,2\n2,3\n")
    (folder / "all.sql").write_text(TABLE)
    assert run(folder, "apply").returncode == 0
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tilth", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


PLACES = [
    ("-- first\nSELECT 1;\nSELECT * FROM ops.nope;\n", [], "q.txt:3:15", "3 | SELECT * FROM ops.nope;"),
    ("SELECT 1;\nSELECT x FROM t;\n", [], "q.txt:2:8", "2 | SELECT x FROM t;"),
    ("SELECT 1;\n\n  SELEC 2;\n", [], "q.txt:3:3", "3 |   SELEC 2;"),
    ("SELECT 1;\nREFRESH DATASET nope;\n", [], "q.txt:2:1", "2 | REFRESH DATASET nope;"),
    ("SELECT v FROM t\nWHERE v > $least AND nn;\n", ["-p", "least=1"], "q.txt:2:22", "2 | WHERE v > $least AND nn;"),
    ("SELECT 1;\nSELECT $least;\n", [], "q.txt:2:8", "2 | SELECT $least;"),
    ("-- nothing\n", [], "q.txt:1:1", "1 | -- nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "more", "place", "line"), PLACES)
def test_an_error_of_a_file_names_its_place(
    project: Path, text: str, more: list[str], place: str, line: str
) -> None:
    (project / "q.txt").write_text(text)
    done = run(project, "sql", "-f", "q.txt", *more)
    assert done.returncode == 2
    assert f"\n  {place}\n    {line}\n" in done.stderr


@pytest.mark.parametrize(
    "text", ["-- nothing", "-- nothing at = all", "--nothing at all", "/* nothing */", "", " ;"]
)
def test_a_comment_is_no_option_and_no_statement(project: Path, text: str) -> None:
    done = run(project, "sql", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("There is no statement in this text.  [E-SYNTAX]\n")
    assert run(project, "sql", f"{text}\nSELECT 7 AS a" if text != " ;" else "SELECT 7 AS a").returncode == 0


def test_a_comment_before_a_statement_and_options_beside_it(project: Path) -> None:
    done = run(project, "sql", "--csv", "-- why\nSELECT 7 AS a")
    assert (done.returncode, done.stdout) == (0, "a\n7\n")
    assert "No such option" in run(project, "sql", "--nothing").stderr


def terminal(folder: Path, *arguments: str, answers: Sequence[tuple[str, str]] = ()) -> tuple[int, str]:
    """Status and output of a command on a terminal; each answer is typed when what it waits for is there."""
    main, side = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "tilth", *arguments], cwd=folder, stdin=side, stdout=side, stderr=side,
        env={**os.environ, "HOME": str(folder.parent), "COLUMNS": "200"}, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(side)
        left = list(answers)
        seen, until = b"", time.monotonic() + 60
        while time.monotonic() < until:
            ready, _, _ = select.select([main], [], [], 0.2)
            try:
                seen += os.read(main, 65536) if ready else b""
            except OSError:  # the other end is closed
                break
            if left and left[0][0].encode() in seen.rpartition(b"\0")[2]:
                seen += b"\0"
                os.write(main, left.pop(0)[1].encode() + b"\n")
            if not ready and process.poll() is not None:
                break
        if process.poll() is None:
            process.kill()
    os.close(main)
    return process.returncode, seen.decode("utf-8", "replace").replace("\r\n", "\n").replace("\0", "")


NEXT = [
    (["sql", "REFRESH DATASET t"], 'tilth sql "SUMMARIZE t"   each column at a glance'),
    (["sql", "SELECT 1; REFRESH DATASET t"], 'tilth sql "SUMMARIZE t"   each column at a glance'),
    (["sql", "APPLY"], "tilth status   where prod stands"),
    (["sql", "PLAN"], "tilth status   where prod stands"),
    (["sql", "CREATE TOKEN 'a' FOR reader"], 'tilth sql "SELECT * FROM tilth.tokens"   who may ask'),
    (["sql", "CREATE SOURCE other ENGINE files WITH (path = 'data')"], "tilth status   where prod stands"),
    (["deploy", "prometheus"], "tilth deploy prometheus > FILE"),
]


@pytest.mark.parametrize(("arguments", "step"), NEXT)
def test_what_acts_says_what_to_do_next(project: Path, arguments: list[str], step: str) -> None:
    status, seen = terminal(project, *arguments)
    assert status == 0, seen
    assert f"Next:\n  {step}" in seen
    assert (
        "Next:"
        not in run(project, *arguments[:1], *(["SELECT 1"] if arguments[0] == "sql" else ["grafana"])).stderr
    )


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A project whose endpoint is no longer declared."""
    import shop_project

    folder = shop_project.make(tmp_path / "shop")
    text = (folder / "shop.sql").read_text()
    assert run(folder, "apply").returncode == 0
    (folder / "shop.sql").write_text(text[: text.index("CREATE ENDPOINT")])
    return folder


def test_an_apply_at_the_prompt_asks_before_it_drops_what_serves(served: Path) -> None:
    done = run(served, "sql", "APPLY")
    assert (done.returncode, "tilth apply --allow-drop" in done.stderr) == (2, True)
    status, seen = terminal(served, "sql", "APPLY", answers=[("[y/N]", "n")])
    assert (status, "Drop late_api? [y/N]" in seen) == (2, True)
    status, seen = terminal(served, "sql", answers=[("tilth>", "APPLY;"), ("[y/N]", "y"), ("tilth>", "quit")])
    assert "Drop late_api? [y/N]" in seen
    assert status == 0
    assert "late_api" not in run(served, "sql", "SELECT name FROM tilth.endpoints").stdout
