"""From a source's column to who asks, who used a column, and who is touched by a change: told by tables and by plans."""

from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.runtime.asking import statements

FILES = """
CREATE SOURCE files ENGINE files WITH (path = 'data');
CREATE DATASET fields KEY (id) AS SELECT id, rain * 10 AS wet, side, tons, 1 AS one FROM files.raw;
CREATE MODEL crop PREDICT tons FROM fields FEATURES (wet, side, one) USING (engine = 'linear');
CREATE ENDPOINT crop_api FOR MODEL crop;
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("fields")
    (folder / "data").mkdir()
    rows = [
        f"{n},{n * 37 % 101},{'north' if n % 3 else 'south'},{(n * 37 % 101) / 10 + n * 7 % 17}"
        for n in range(300)
    ]
    (folder / "data" / "raw.csv").write_text("\n".join(["id,rain,side,tons", *rows]))
    (folder / "fields.sql").write_text(FILES)
    with tilth.open(str(folder)) as project:
        project.apply()
        project.sql("SELECT f.id, m.tons FROM fields f JOIN crop m WHERE f.wet > 500").rows()
        statements.write(project.state())
        yield project, folder


def test_edges_lead_from_the_source_to_who_asks(made: Any) -> None:
    project, _ = made
    edges = {
        (r["from_name"], r["from_column"], r["to_name"], r["to_column"], r["how"].split(" ")[0])
        for r in project.sql("SELECT * FROM tilth.lineage").rows()
    }
    assert {
        ("files.raw", "rain", "fields", "wet", "computed"),
        ("files.raw", None, "fields", "one", "not"),
        ("fields", "wet", "crop", "wet", "learned"),
        ("fields", "one", "crop", "one", "offered"),
        ("fields", "tons", "crop", "tons", "target"),
        ("crop", None, "crop_api", None, "serves"),
    } <= edges
    asked = project.sql("SELECT * FROM tilth.lineage WHERE to_kind = 'principal'").rows()
    assert {r["from_name"] for r in asked} == {"fields", "crop"}


def test_who_used_a_column(made: Any) -> None:
    project, _ = made
    found = {r["column_name"]: r for r in project.sql("SELECT * FROM tilth.column_usage").rows()}
    assert (found["wet"]["models"], found["wet"]["endpoints"], found["wet"]["principals"]) == (
        "crop",
        "crop_api",
        1,
    )
    assert found["wet"]["statements"] >= 1
    assert found["wet"]["last_asked_at"] is not None
    assert (found["one"]["models"], found["one"]["statements"]) == ("", 0)


def test_a_plan_says_who_is_touched_by_what_changes(made: Any) -> None:
    project, folder = made
    assert not any("downstream" in n.text for n in project.plan().notes)
    (folder / "fields.sql").write_text(FILES.replace("rain * 10", "rain * 11"))
    notes = {n.name: n.text for n in project.plan().notes if "downstream" in n.text}
    assert notes["fields"].startswith(
        "downstream: model crop, endpoint crop_api; asked in 30 days by person:"
    )
    (folder / "fields.sql").write_text(FILES)
