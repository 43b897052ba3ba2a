"""What the README shows is what happens."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def _plan(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "models.sql").write_text(text)
    with closing(sqlite3.connect(folder / "ops.db")) as db:
        db.execute(
            "CREATE TABLE flights (flight_id INTEGER, sched_dep TIMESTAMP, dep_delay REAL, carrier TEXT)"
        )
    command = [sys.executable, "-m", "tilth", "plan"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_the_project_in_the_readme_plans_as_shown(tmp_path: Path) -> None:
    found = re.search(r"```sql\n(.*?)```", README, re.DOTALL)
    assert found is not None
    assert _indented(_plan(tmp_path, found[1]).stdout) in README


def test_the_mistake_in_the_readme_is_refused_as_shown(tmp_path: Path) -> None:
    found = re.search(r"```sql\n(.*?)```", README, re.DOTALL)
    assert found is not None
    wrong = found[1].replace("FROM departures\n", "FROM departurs\n")
    assert _indented(_plan(tmp_path, wrong).stderr) in README
