"""Views: queries with a name over sources, datasets, models and views, asked like tables, and made into datasets and models where that can be."""

from pathlib import Path
from typing import Any

import pytest

import shop_project
import tilth
from tilth.core.errors import CycleError, ProjectError, TilthError

DECLARED = """
CREATE VIEW far AS SELECT * FROM deliveries WHERE distance > 30;
CREATE VIEW far_fast AS (SELECT id, distance, carrier FROM far WHERE carrier = 'fast'); -- over a view
CREATE VIEW raw AS SELECT id, distance -- of the source
FROM ops.deliveries;
CREATE VIEW guessed AS SELECT d.id, d.carrier, m.late AS said, m.late_probability AS p FROM deliveries d JOIN late m;
CREATE VIEW short FROM ops AS (SELECT id FROM deliveries WHERE distance < 5);
CREATE VIEW known AS SELECT name, environment FROM tilth.models;
CREATE VIEW held AS SELECT late FROM late FOR VERSION 1 WHERE carrier = 'fast' AND distance = 12 AND fragile = false AND weekday = 2;
CREATE DATASET far_rows KEY (id) AS SELECT f.* FROM far f;
"""


@pytest.fixture(scope="module")
def project(applied_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import shutil

    folder = tmp_path_factory.mktemp("views") / "shop"
    shutil.copytree(applied_once, folder)
    (folder / "views.sql").write_text(DECLARED)
    found = shop_project.opened(folder)
    found.apply()
    return found


SAME = {
    "SELECT count(*) AS n FROM short": "SELECT count(*) AS n FROM ops.deliveries WHERE distance < 5",
    "SELECT count(*) AS n FROM far": "SELECT count(*) AS n FROM deliveries WHERE distance > 30",
    "SELECT far.id FROM Far ORDER BY far.id LIMIT 3": "SELECT id FROM deliveries WHERE distance > 30 ORDER BY id LIMIT 3",
    "SELECT a.id FROM far_fast a JOIN far_fast b USING (id) ORDER BY ALL LIMIT 4": (
        "SELECT id FROM deliveries WHERE distance > 30 AND carrier = 'fast' ORDER BY id LIMIT 4"
    ),
    "SELECT max(distance) AS s FROM raw": "SELECT max(distance) AS s FROM ops.deliveries",
    "WITH f AS (SELECT * FROM far_fast) SELECT count(*) AS n FROM f": (
        "SELECT count(*) AS n FROM deliveries WHERE distance > 30 AND carrier = 'fast'"
    ),
    "SELECT said, count(*) AS n FROM guessed GROUP BY ALL ORDER BY ALL": (
        "SELECT m.late AS said, count(*) AS n FROM deliveries d JOIN late m GROUP BY ALL ORDER BY ALL"
    ),
    "SELECT id, p FROM guessed WHERE carrier = 'slow' ORDER BY id LIMIT 3": (
        "SELECT d.id, m.late_probability AS p FROM deliveries d JOIN late m WHERE d.carrier = 'slow' ORDER BY d.id LIMIT 3"
    ),
    "SELECT f.id, m.late FROM far f JOIN late m ORDER BY f.id LIMIT 3": (
        "SELECT d.id, m.late FROM deliveries d JOIN late m WHERE d.distance > 30 ORDER BY d.id LIMIT 3"
    ),
    "SELECT * FROM known WHERE environment = 'prod' ORDER BY ALL": (
        "SELECT name, environment FROM tilth.models WHERE environment = 'prod' ORDER BY ALL"
    ),
    "SELECT count(*) AS n FROM far_rows": "SELECT count(*) AS n FROM far",
    "SELECT * FROM far WHERE id IN (SELECT id FROM raw WHERE distance > 50) ORDER BY id LIMIT 2": (
        "SELECT * FROM deliveries WHERE distance > 50 ORDER BY id LIMIT 2"
    ),
}


@pytest.mark.parametrize("query", SAME)
def test_a_query_over_views_gives_what_it_gives_written_out(project: Any, query: str) -> None:
    found = project.sql(query).rows()
    assert found
    assert found == project.sql(SAME[query]).rows()


REFUSED = {
    "SELECT * FROM far FOR VERSION 1": "has no versions",
    "WITH deliveries AS (SELECT 1 AS a) SELECT * FROM far": "calls a table of its own `deliveries`",
    "SELECT nothing FROM far": "nothing",
    "SELECT * FROM fra": "There is no model `fra`|fra",
    "CREATE DATASET d AS SELECT * FROM guessed": "The view `guessed` asks the model `late`",
    "CREATE DATASET d AS SELECT * FROM known": "reads `tilth.models`",
    "CREATE DATASET d AS SELECT * FROM held": "holds `late` to what it was",
    "CREATE MODEL m PREDICT said FROM guessed": "asks the model `late`",
    "CREATE VIEW far AS SELECT 1": "is there already",
    "CREATE OR REPLACE VIEW far AS SELECT * FROM far_fast": "depend on each other",
    "CREATE VIEW x AS SELECT * FROM x": "depend on each other",
    "CREATE VIEW x AS SELECT nope FROM ops.deliveries": "nope",
    "CREATE VIEW x AS SELECT * FROM ops.nothing": "nothing",
    "CREATE VIEW x AS SELECT * FROM nowhere": "There is no dataset, view or model `nowhere`, which `x` needs",
    "CREATE VIEW x FROM ops AS (SELECT * FROM nothing)": "nothing",
    "CREATE VIEW x FROM nowhere AS (SELECT * FROM t)": "There is no source `nowhere`",
    "DROP VIEW far": "is used by",
    "CREATE ENDPOINT e FOR MODEL late OUTCOMES FROM far (id, late)": "is a view, not a dataset",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused_with_the_reason(project: Any, text: str) -> None:
    before = project.sql("SELECT * FROM tilth.views").rows()
    with pytest.raises(TilthError, match=REFUSED[text]):
        project.sql(text).rows()
    assert project.sql("SELECT * FROM tilth.views").rows() == before


def test_a_circle_of_views_in_files_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "all.sql").write_text(
        "CREATE VIEW a AS SELECT * FROM b;\nCREATE VIEW b AS SELECT * FROM a;\nCREATE DATASET d AS SELECT * FROM a;"
    )
    with pytest.raises(CycleError, match="a -> b -> a"):
        tilth.open(str(tmp_path)).plan()


def test_what_is_made_of_a_view_follows_it_and_goes_back_with_it(project: Any) -> None:
    whole = project.sql("SELECT count(*) AS n FROM far_rows").rows()
    text = project.sql("CREATE OR REPLACE VIEW far AS SELECT * FROM deliveries WHERE distance > 45").text
    assert "far_rows" in text
    less = project.sql("SELECT count(*) AS n FROM far_rows").rows()
    assert less[0]["n"] < whole[0]["n"]
    assert less == project.sql("SELECT count(*) AS n FROM deliveries WHERE distance > 45").rows()
    project.rollback()
    assert project.sql("SELECT count(*) AS n FROM far").rows() == whole
    assert project.sql("SELECT count(*) AS n FROM far_rows").rows() == whole


def test_each_environment_has_its_views(project: Any) -> None:
    project.sql("CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db')", environment="dev")
    project.sql("CREATE VIEW raw AS SELECT 1 AS only_here", environment="dev")
    assert project.sql("SELECT * FROM raw", environment="dev").rows() == [{"only_here": 1}]
    assert project.sql("SELECT count(*) > 1 AS several FROM raw").rows() == [{"several": True}]
    with pytest.raises(ProjectError, match="far"):
        project.sql("SELECT * FROM far", environment="dev").rows()


def test_a_view_is_listed_described_summarized_and_renamed(project: Any) -> None:
    names = [r["name"] for r in project.sql("SHOW VIEWS").rows()]
    assert {"far", "far_fast", "raw", "guessed"} <= set(names)
    assert {"name": "far", "kind": "view"} in project.sql("SHOW TABLES").rows()
    found = project.sql("DESCRIBE VIEW far_fast").facts
    assert (found["kind"], found["made_from"]) == ("view", ["ops", "deliveries", "far"])
    assert "answered when it is asked" in project.sql("DESCRIBE far_fast").text
    assert {r["column_name"] for r in project.sql("SUMMARIZE far_fast").rows()} == {
        "id",
        "distance",
        "carrier",
    }
    project.sql("CREATE VIEW faraway RENAMED FROM far AS SELECT * FROM deliveries WHERE distance > 30")
    assert "FROM faraway" in project.sql("DESCRIBE far_fast").facts["definition"]
    assert project.sql("SELECT count(*) AS n FROM far_fast").rows()[0]["n"] > 0
    project.sql("CREATE VIEW far RENAMED FROM faraway AS SELECT * FROM deliveries WHERE distance > 30")


def test_a_model_learns_from_a_view(project: Any) -> None:
    project.sql(
        "CREATE MODEL of_view PREDICT minutes FROM far FEATURES (distance, carrier) USING (engine = 'linear')"
    )
    found = project.sql("SELECT minutes FROM of_view WHERE distance = 40 AND carrier = 'fast'").rows()
    assert isinstance(found[0]["minutes"], float)


def test_what_names_a_model_that_has_not_passed_waits_and_stops_nothing_else(applied: Path) -> None:
    (applied / "more.sql").write_text(
        "CREATE MODEL never PREDICT late FROM deliveries FEATURES (distance) OBJECTIVE (metric = 'roc_auc', minimum = 0.9999) USING (engine = 'linear');\n"
        "CREATE VIEW of_never AS SELECT d.id, m.late AS said FROM deliveries d JOIN never m;\n"
        "CREATE JOB hourly EVERY '1 hour' AS (SELECT * FROM of_never);\n"
        "CREATE VIEW near AS SELECT * FROM deliveries WHERE distance < 5;\n"
    )
    project = shop_project.opened(applied)
    done = {d.action.name: d for d in project.apply().did}
    assert {n: d.status for n, d in done.items()} == {
        "never": "refused",
        "of_never": "held",
        "hourly": "held",
        "near": "done",
    }
    assert "waits for the model `never`" in done["of_never"].text
    assert "waits for the model `never`" in done["hourly"].text
    assert project.sql("SELECT count(*) > 0 AS some FROM near").rows() == [{"some": True}]
    project.sql("PROMOTE MODEL never VERSION 1 BECAUSE 'a test'")
    assert {d.action.name: d.status for d in project.apply().did} == {"of_never": "done", "hourly": "done"}
    assert project.sql("SELECT count(*) > 0 AS some FROM of_never").rows() == [{"some": True}]
