"""The command line as a user meets it: a real process in a folder, its output, its exit status."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import tilth

PROJECT = """CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET departures KEY (flight_id) AS SELECT * FROM ops.flights;
CREATE MODEL late
  PREDICT arr_late
  FROM departures;
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tilth", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "all.sql").write_text(PROJECT)
    return tmp_path


def test_a_plan_of_a_new_project_says_what_and_why_and_writes_nothing(project: Path) -> None:
    done = run(project, "plan")
    assert done.stdout.splitlines() == [
        "+ source ops: declare (new)",
        "~ dataset departures: collect and vet (new)",
        "~ model late: train (new)",
        f"  departures: its source cannot be read now: There is no database at {project}/ops.db.",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    assert [p.name for p in project.iterdir()] == ["all.sql"]


def test_a_plan_for_programs_is_json(project: Path) -> None:
    shown = json.loads(run(project, "plan", "--json", "--env", "dev").stdout)
    assert shown["environment"] == "dev"
    assert [a["action"] for a in shown["actions"]] == ["DeclareSource", "CollectDataset", "TrainModel"]


def test_state_is_verified_and_a_foreign_edit_is_found(project: Path) -> None:
    import sqlite3

    import tilth

    assert run(project, "verify").returncode == 0
    tilth.open(str(project)).state()
    with sqlite3.connect(project / ".tilth" / "state.db") as db:
        db.execute("INSERT INTO audit VALUES (1, 't', 'a', 'v', 's', '{}', 'p', 'h')")
    db.close()
    done = run(project, "verify")
    assert done.returncode == 7
    assert "audit chain breaks at row 1" in done.stderr


WRONG = [
    ("FROM departures", "FROM departurs", 2, "Did you mean `departures`?"),
    ("PREDICT", "PREDCT", 2, "PREDICT"),
    ("CREATE MODEL", "CREAT MODEL", 2, "CREATE"),
    ("CREATE MODEL late", "PLAN; CREATE MODEL late", 2, "only declare"),
]


@pytest.mark.parametrize(("old", "new", "status", "says"), WRONG)
def test_a_wrong_project_gets_an_instruction(
    project: Path, old: str, new: str, status: int, says: str
) -> None:
    (project / "all.sql").write_text(PROJECT.replace(old, new))
    done = run(project, "plan")
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("tilth.toml", "naem = 'x'", "Did you mean `name`?"),
        ("tilth.toml", "name = ", "is not TOML"),
        ("more.sql", b"\xff\xfe".decode("latin-1"), "does not begin"),
    ],
)
def test_wrong_settings_get_an_instruction(project: Path, name: str, text: str, says: str) -> None:
    (project / name).write_text(text)
    done = run(project, "plan")
    assert done.returncode != 0
    assert says in done.stderr or name != "tilth.toml"
    assert "Traceback" not in done.stderr


def test_an_empty_or_missing_folder_says_what_a_project_is(tmp_path: Path) -> None:
    assert "no *.sql file" in run(tmp_path, "plan").stderr
    assert "no folder" in run(tmp_path, "plan", "--project", "nowhere").stderr


def test_version_and_help(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == "tilth 0.1.0\n"
    for command in ("plan", "verify"):
        shown = run(tmp_path, command, "--help").stdout
        assert "Example: tilth" in shown
        assert "--json" in shown


def test_a_plan_refuses_the_names_that_apply_refuses(project: Path) -> None:
    done = run(project, "plan", "--env", "bad name!")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be the name of an environment" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "redirected", "status"),
    [
        (["plan"], ">/dev/full", 5),
        (["plan", "--json"], ">/dev/full", 5),
        (["sql", "SELECT 1", "--csv"], ">/dev/full", 5),
        (["sql", "SELECT 1", "--json"], ">/dev/full", 5),
        (["sql", "SELECT"], "2>/dev/full", 2),
        (["sql", "SELECT", "--json"], ">/dev/full", 2),
        (["plan"], ">&-", 0),
        (["sql", "SELECT 1"], ">&- 2>&- <&-", 0),
        (["sql", "SELECT 1"], "2>&-", 0),
    ],
)
def test_an_answer_that_is_not_taken_is_said_by_the_status(
    project: Path, arguments: list[str], redirected: str, status: int
) -> None:
    words = " ".join(shlex.quote(w) for w in [sys.executable, "-m", "tilth", *arguments])
    done = subprocess.run(
        ["sh", "-c", f"{words} {redirected}"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert status != 5 or "could not be written out" in done.stderr


def test_promote_and_rollback_mean_where_models_serve(tmp_path: Path) -> None:
    (tmp_path / "tilth.toml").write_text('serving = "live"\n')
    for folder in ("data", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "s.sql").write_text("CREATE SOURCE s ENGINE files WITH (path = 'data');")
    assert run(tmp_path, "apply", "--env", "dev").returncode == 0
    assert "tilth apply --env live   " in run(tmp_path, "status", "--env", "live").stdout
    assert run(tmp_path, "promote", "dev").stdout.startswith("live is at generation 1")
    (tmp_path / "s.sql").write_text("CREATE SOURCE s ENGINE files WITH (path = 'other');")
    assert run(tmp_path, "apply", "--env", "live").returncode == 0
    assert run(tmp_path, "rollback").stdout.startswith("live is at generation 3: rolled back to generation 1")
    project = tilth.open(str(tmp_path))
    assert project.rollback() == 4
    assert [
        r["name"] for r in project.sql("SELECT DISTINCT name FROM tilth.environments ORDER BY name").rows()
    ] == ["dev", "live"]
