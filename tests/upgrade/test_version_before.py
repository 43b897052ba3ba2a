"""A project of the version before this house was built: nothing is planned, nothing is made anew, and it goes on from there."""

import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import shop_project as c
from tilth.adapters.state.sqlite.state import memory, migrations, pending

RECORDED = Path(__file__).parent / "project_0005.tar.xz"
LATER = c.NOW + c.timedelta(days=3)
LEARNS = {
    "asked": "linear",
    "duration": "linear",
    "late": "lightgbm",
    "own": "sklearn",
}  # engines that learn otherwise since


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two environments, a refresh, a retraining and a rollback, made by the version whose state ends at migration 0005."""
    with tarfile.open(RECORDED) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "shop"


def known(shop: Path) -> dict[str, Any]:
    """What that version said of the project."""
    found: dict[str, Any] = json.loads((shop / "known.json").read_text("utf-8"))
    return found


def test_no_recipe_changes_and_nothing_is_planned(recorded: Path) -> None:
    project = c.opened(recorded, LATER)
    recipes = {
        r.name: {"recipe": r.recipe, "earlier": list(r.earlier), "text": r.text} for r in project.graph()
    }
    assert recipes == known(recorded)["recipes"]
    plan = project.plan()
    assert plan.actions == ()
    said = [
        f"`{e}` learns in another way since version 1 was made; the next training uses it"
        for e in LEARNS.values()
    ]
    for notes in (plan.notes, project.plan("dev").notes):
        assert [(n.name, n.text, n.withheld) for n in notes] == [
            (m, t, False) for m, t in zip(LEARNS, said, strict=True)
        ]


def test_what_was_recorded_reads_the_same_and_the_same_version_answers(recorded: Path) -> None:
    was, project = known(recorded), c.opened(recorded, LATER)
    assert [[g.number, g.reason] for g in project.generations("prod")] == was["generations"]
    rows = project.sql(
        "SELECT model, version, status, recipe FROM tilth.versions ORDER BY model, version"
    ).rows()
    assert rows == was["versions"]
    row = "carrier = 'slow' AND distance = 55 AND ordered_at = TIMESTAMP '2024-05-01 18:00'"
    assert project.sql(f"SELECT late, late_probability FROM late WHERE {row}").rows() == was["answer"]
    assert project.verify().audit_rows > 30


def test_the_state_needs_no_more_than_numbered_migrations(recorded: Path) -> None:
    path = recorded / ".tilth" / "state.db"
    assert pending(str(path)) == [name for number, name, _ in migrations() if number > 5]
    c.opened(recorded, LATER).plan()
    assert pending(str(path)) == []
    wanted = {name: memory().column_types(name) for name in memory().tables()}
    with closing(sqlite3.connect(path)) as db:
        for table, columns in wanted.items():
            assert [r[1] for r in db.execute(f'PRAGMA table_info("{table}")')] == list(columns)


def test_it_goes_on_from_there(recorded: Path) -> None:
    project = c.opened(recorded, LATER)
    assert "nothing" in project.sql("APPLY").text.lower()
    assert project.rollback("prod", 3) == 5  # forward again
    c.add(recorded, c.deliveries(c.DAYS + 3, c.DAYS + 6))
    project.clock.set(LATER + c.timedelta(days=3))
    done = project.apply()
    assert [(d.action.name, d.status) for d in done.did] == [("deliveries", "done")]
    actors = {r["actor"] for r in project.sql("SELECT actor FROM tilth.generations WHERE number > 4").rows()}
    assert all(a.startswith("person:") for a in actors)
    assert not project.plan().actions
