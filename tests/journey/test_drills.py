"""Drills rehearse on the real model, rows and rules, say what would happen, and change nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import returns
from tilth.app.project import Project
from tilth.core.errors import UnknownNameError
from tilth.core.principals import person
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.drills import moving_back as drills
from tilth.runtime.drills.drill import Drilled, drill
from tilth.sql.language.acts import DrillKind

BY = person("test")

LEFT = {"runs": 1, "audit": 1}  # the rows that a drill leaves


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = returns.make(tmp_path_factory.mktemp("shop") / "shop")
    project, _ = returns.opened(folder)
    assert not project.apply().refusals
    project.close()
    return folder


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(applied, tmp_path / "shop")
    made, clock = returns.opened(tmp_path / "shop")
    clock.set(returns.at(returns.HISTORY + 1))
    yield made
    made.close()


def counted(project: Project) -> dict[str, int]:
    state = project.state()
    return {name: len(state.table(name)[1]) for name in state.tables()}


def drilled(
    project: Project, kind: DrillKind, more: dict[str, int] = LEFT, graph: Graph | None = None
) -> Drilled:
    """The drill, after which nothing is different but what a drill leaves."""
    before, pointers = counted(project), project.current("prod").pointers
    done = drill(Act(project.work(), "prod", BY), graph or project.deployed("prod"), "returns", kind)
    after = counted(project)
    assert {n: after[n] - before[n] for n in after if after[n] != before[n]} == more
    assert project.current("prod").pointers == pointers
    assert project.work().log.table()[0].num_rows == 0
    project.verify()
    return done


def test_drift_shows_what_the_looks_would_see_and_when_the_rule_fires(project: Project) -> None:
    done = drilled(project, DrillKind.DRIFT)
    assert done.ok
    assert done.facts["inputs_moved"] == ["price", "shop"]
    assert done.facts["drift_before"] < 0.05
    assert done.facts["drift_after"] > 0.2
    assert done.facts["prediction_drift_after"] > done.facts["prediction_drift_before"]
    assert 6 <= done.facts["fires_after_days"] <= 9, (
        "a cool-down of seven days after training, one day of which is over"
    )
    assert "would fire" in done.text


def test_a_rule_that_is_too_lax_is_found_out(project: Project) -> None:
    lax = returns.MODEL.format(promote="better").replace("drift > 0.2", "drift > 50")
    (Path(project.root) / "models.sql").write_text(lax)
    done = drilled(project, DrillKind.DRIFT, graph=project.graph())
    assert not done.ok
    assert done.facts["fires_after_days"] is None
    assert "lower the limit" in done.text


def test_bad_data_shows_which_checks_catch_what(project: Project) -> None:
    done = drilled(project, DrillKind.BAD_DATA)
    assert done.ok
    found = {(m["kind"], m["column"]): m for m in done.facts["mishaps"]}
    scaled: dict[str, Any] = found[("scaled", "price")]
    assert "price BETWEEN 0 AND 1000" in scaled["caught"]
    assert scaled["quarantined"] > 10_000
    assert found[("missing", "shop")]["stopped"]
    assert found[("missing", "shop")]["caught"] == ["shop IS NOT NULL"]
    assert found[("repeated", None)]["caught"] == ["KEY (id)"]
    assert "price BETWEEN 0 AND 1000" in found[("missing", "price")]["caught"]
    assert "missing returned" in done.facts["unnoticed"]
    assert done.facts["rows"] > 10_000


def test_a_dataset_without_checks_is_found_out(project: Project) -> None:
    (Path(project.root) / "datasets.sql").write_text(
        "CREATE DATASET orders KEY (id) EVENT TIME placed AS SELECT * FROM ops.orders;"
    )
    project.apply()
    done = drilled(project, DrillKind.BAD_DATA)
    assert not done.ok
    assert "all numbers sixty times larger" in done.text.splitlines()[-1]


def test_rollback_is_timed_in_a_scratch_environment_that_is_gone_after(project: Project) -> None:
    done = drilled(project, DrillKind.ROLLBACK, {"runs": 1, "audit": 5})
    assert done.ok
    assert done.facts["pointers_equal"]
    assert done.facts["pointers"] == 4
    assert 0 < done.facts["rollback_ms"] < 5_000
    assert [r["name"] for r in project.state().read("environments")] == ["prod"]


def test_what_a_killed_drill_left_is_removed_by_the_next(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    graph = project.deployed("prod")
    with monkeypatch.context() as patched:
        patched.setattr(drills, "_drop", die)
        with pytest.raises(SystemExit):
            drill(Act(project.work(), "prod", BY), graph, "returns", DrillKind.ROLLBACK)
    assert len(project.state().read("environments")) == 2
    assert drill(Act(project.work(), "prod", BY), graph, "returns", DrillKind.ROLLBACK).ok
    assert [r["name"] for r in project.state().read("environments")] == ["prod"]


def test_a_model_that_is_not_there_is_named(project: Project) -> None:
    with pytest.raises(UnknownNameError, match="retturns") as caught:
        project.sql("DRILL MODEL retturns (drift)")
    assert "returns" in str(caught.value.hint)


def test_a_drill_can_be_asked_for_in_sql(project: Project) -> None:
    done = project.sql("DRILL MODEL returns (bad_data)")
    assert not done.refused
    assert done.facts["drill"] == "bad_data"


def test_a_lost_node_loses_no_answer_and_the_projects_log_is_not_touched(project: Project) -> None:
    done = drilled(project, DrillKind.NODE_LOSS)
    assert done.ok, done.text
    assert done.facts["lost_acknowledged"] == 0
    assert done.facts["acknowledged"] > 50
    assert done.facts["logged"] >= done.facts["acknowledged"]
    assert done.facts["answered_again_seconds"] > 0
    assert not project.state().table("nodes")[1]
