"""Declaring at a prompt: two sessions at once, and no more work than the one resource asks for."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import shop_project as c
from tilth.app.project import Project
from tilth.core.errors import DataError, ProjectError, UnknownNameError
from tilth.core.principals import reconciler
from tilth.runtime.act import Act
from tilth.runtime.applying import executor

BY = reconciler("prod")

DATA = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET deliveries KEY (id) EVENT TIME ordered_at REFRESH EVERY '1 day' AS SELECT * FROM ops.deliveries;
CREATE DATASET slow KEY (id) AS SELECT id, minutes FROM deliveries WHERE carrier = 'slow';
"""
WX = "CREATE SOURCE wx ENGINE sqlite WITH (path = 'ops.db')"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Applied, and a day later: `deliveries` is due."""
    made = c.opened(c.make(tmp_path / "shop", DATA))
    made.apply()
    return c.opened(Path(made.root), c.NOW + timedelta(days=2))


def did(project: Project, text: str) -> list[tuple[str, str]]:
    return [(a["action"], a["name"]) for a in project.sql(text).facts["actions"]]


def names(project: Project) -> set[str]:
    return {r.name for r in project.deployed()}


def test_two_sessions_that_declare_at_once_lose_nothing(project: Project) -> None:
    sessions = [c.opened(Path(project.root), c.NOW), c.opened(Path(project.root), c.NOW)]
    for turn in range(10):
        begin, failures = threading.Barrier(2), list[BaseException]()

        def declare(one: Project, name: str, begin: Any = begin, failures: Any = failures) -> None:
            begin.wait(10)
            try:
                one.sql(f"CREATE SOURCE {name} ENGINE sqlite WITH (path = 'ops.db')")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=declare, args=(s, f"s{turn}_{n}")) for n, s in enumerate(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
    made = {f"s{turn}_{n}" for turn in range(10) for n in range(2)}
    assert names(project) == made | {"ops", "deliveries", "slow"}


def test_a_session_that_looked_before_another_declared_undoes_nothing(project: Project) -> None:
    other = c.opened(Path(project.root), c.NOW)
    assert "wx" not in names(project)  # what it knows is from before
    other.sql(WX)
    project.sql("CREATE SOURCE third ENGINE sqlite WITH (path = 'ops.db')")
    project.sql("DROP SOURCE third")
    assert names(project) == {"ops", "deliveries", "slow", "wx"}


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        (WX, [("DeclareSource", "wx")]),
        ("DROP DATASET slow", [("DropResource", "slow")]),
        (
            "CREATE DATASET own KEY (id) AS SELECT id FROM deliveries WHERE carrier = 'own'",
            [("CollectDataset", "own")],
        ),
        (
            "CREATE OR REPLACE DATASET deliveries KEY (id) AS SELECT * FROM ops.deliveries WHERE id > 50",
            [("CollectDataset", "deliveries"), ("CollectDataset", "slow")],
        ),
        (
            "CREATE OR REPLACE DATASET slow KEY (id) AS SELECT id FROM deliveries WHERE carrier = 'slow'",
            [("CollectDataset", "slow")],
        ),
        ("CREATE SOURCE IF NOT EXISTS ops ENGINE sqlite WITH (path = 'x.db')", None),
        ("DROP MODEL IF EXISTS slow", None),
    ],
)
def test_a_declaration_does_what_its_resource_needs_and_nothing_that_is_due_elsewhere(
    project: Project, text: str, actions: list[tuple[str, str]] | None
) -> None:
    assert "deliveries" in {a.name for a in project.plan().actions}
    before = project.generations()[0].number
    if actions is None:
        assert "actions" not in project.sql(text).facts
        assert project.generations()[0].number == before
    else:
        assert did(project, text) == actions
        assert project.generations()[0].number == before + 1


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db')", ProjectError, "there already"),
        ("DROP SOURCE wxx", UnknownNameError, "no source `wxx`"),
        ("DROP DATASET deliveries", ProjectError, "used by slow"),
    ],
)
def test_a_declaration_that_does_not_fit_changes_nothing(
    project: Project, text: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        project.sql(text)
    assert names(project) == {"ops", "deliveries", "slow"}


def test_what_is_made_from_what_failed_is_held_with_the_reason(project: Project) -> None:
    folder = Path(project.root)
    declared = (folder / "shop.sql").read_text()
    changed = declared.replace("FROM ops.deliveries", "FROM ops.deliveries WHERE id < 0")  # leaves no row
    more = "CREATE MODEL m PREDICT minutes FROM slow USING (engine = 'linear');"
    (folder / "shop.sql").write_text(changed + more)
    project = c.opened(folder, c.NOW + timedelta(days=2))
    done = executor.apply(Act(project.work(), "prod", BY), project.graph(), go_on=True)
    found = {d.action.name: (d.status, d.text) for d in done.did}
    assert found["deliveries"][0] == "failed"
    assert found["slow"][0] == "held"
    assert found["slow"][1].startswith("waits for `deliveries`, which was not made: The query of dataset")
    assert found["m"][0] == "held"
    assert project.state().read("versions") == ()
    with pytest.raises(DataError):
        project.apply()


def test_a_model_is_not_trained_on_rows_of_an_earlier_declaration(project: Project) -> None:
    """The dataset failed a while ago and rests: the plan of its model comes without it."""
    folder = Path(project.root)
    declared = (folder / "shop.sql").read_text()
    more = "CREATE MODEL m PREDICT minutes FROM slow USING (engine = 'linear');"
    (folder / "shop.sql").write_text(declared.replace("= 'slow'", "= 'own'") + more)
    project = c.opened(folder, c.NOW + timedelta(days=2))
    whole = project.plan()
    only = type(whole)(whole.environment, whole.generation, tuple(a for a in whole.actions if a.name == "m"))
    done = executor.apply(Act(project.work(), "prod", BY), project.graph(), plan=only, go_on=True)
    assert [(d.status, d.text) for d in done.did] == [
        ("held", "waits for `slow`, which is not yet collected as it is declared now")
    ]
