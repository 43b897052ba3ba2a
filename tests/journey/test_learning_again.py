"""A model that goes on from the version that serves: judged by rows that it never saw, told, proven, and full where it cannot be."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import shop_project
from tilth.app.project import Project
from tilth.runtime.loading import verified
from tilth.runtime.record import versions

ASKED = "SELECT version, asked, way, start_version, turns, new_rows, why, cpu_seconds, loss_refit, loss_full FROM tilth.trainings ORDER BY version"


def declared(way: str, engine: str = "'lightgbm', lightgbm.rounds = 40") -> str:
    text = shop_project.DECLARED
    first = text[: text.index("CREATE MODEL late")]
    return f"{first} CREATE MODEL late PREDICT late FROM deliveries FEATURES (carrier, distance, ordered_at) USING (engine = {engine}, retrain = '{way}') PROMOTE IF not_worse_by(0.05);"


def notices(project: Project) -> list[str]:
    return [
        str(r["text"]) for r in project.sql("SELECT text FROM tilth.notices WHERE resource = 'model'").rows()
    ]


def begun(folder: Path, text: str) -> Project:
    project = shop_project.opened(shop_project.make(folder, text))
    assert not project.apply().refusals
    return project


def later(project: Project, folder: Path, days: int, since: int = shop_project.DAYS) -> dict[str, Any]:
    """So many days pass, and the model is trained again: what is told of that training."""
    shop_project.add(folder, shop_project.deliveries(since, since + days))
    project.clock.set(project.clock.now() + timedelta(days=days + 1))
    project.sql("REFRESH DATASET deliveries")
    project.sql("RETRAIN MODEL late")
    return dict(project.sql(ASKED).rows()[-1])


def test_leaves_are_learned_anew_and_judged_by_rows_that_the_start_never_saw(tmp_path: Path) -> None:
    project = begun(tmp_path / "shop", declared("refit"))
    first = dict(project.sql(ASKED).rows()[0])
    assert (first["way"], first["why"]) == ("full", "no version serves yet")
    found = later(project, tmp_path / "shop", 20)
    assert (found["way"], found["start_version"], found["turns"], found["new_rows"]) == ("refit", 1, 1, 1000)
    assert found["cpu_seconds"] > 0

    one, two = (versions.require(project.state(), "late", n) for n in (1, 2))
    sealed = verified(project.work(), two)
    assert sealed.statement.facts["start"] == {"version": 1, "digest": one.digest}
    judged = json.loads(sealed.files["metrics.json"])["split"]
    assert judged["since"] > one.tuned_until
    assert two.facts["agreement"]["holds"]
    assert any("The leaves of version 1 were learned anew" in n for n in notices(project))

    serving = project.model("late").version
    again = later(project, tmp_path / "shop", 20, shop_project.DAYS + 20)
    assert (again["way"], again["start_version"]) == ("refit", serving)
    assert again["turns"] == serving  # 1 where version 2 lost, 2 where it was gone on from
    assert project.verify().bundles == 3
    project.close()


def test_the_same_rows_and_start_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        project = begun(tmp_path / name, declared("warm"))
        assert later(project, tmp_path / name, 20)["way"] == "warm"
        found = verified(project.work(), versions.require(project.state(), "late", 2))
        made.append({n: c for n, c in found.files.items() if n != "metrics.json"})
        project.close()
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("text", "days", "why"),
    [
        (declared("warm", "'linear'"), 20, "its members (`linear`) cannot be"),
        (declared("refit"), 8, "only 400 rows are new to it"),
    ],
)
def test_everything_is_fitted_anew_where_there_is_nothing_to_go_on_from(
    tmp_path: Path, text: str, days: int, why: str
) -> None:
    project = begun(tmp_path / "shop", text)
    found = later(project, tmp_path / "shop", days)
    assert (found["way"], found["start_version"]) == ("full", None)
    assert why in found["why"]
    assert any(why in n for n in notices(project))
    project.close()


def test_auto_tries_all_ways_on_the_same_rows_and_holds_to_the_cheapest(tmp_path: Path) -> None:
    project = begun(tmp_path / "shop", declared("auto"))
    found = later(project, tmp_path / "shop", 20)
    assert found["loss_refit"] is not None
    assert found["loss_full"] is not None
    assert "least CPU" in found["why"]
    status = project.sql("SELECT status FROM tilth.versions WHERE version = 2").rows()[0]["status"]
    again = later(project, tmp_path / "shop", 20, shop_project.DAYS + 20)
    if status == "promoted" or found["way"] == "full":
        assert (again["way"], again["loss_full"]) == (found["way"], None)
    else:
        assert again["loss_full"] is not None
    project.close()
