"""A table whose columns change between refreshes: told by plan, by apply, by the refresh and in tilth.schema_changes, with what it concerns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import tilth
from tilth.core.errors import TilthError

DECLARED = """
CREATE SOURCE ops ENGINE duckdb WITH (path = 'ops.duckdb');
CREATE DATASET d KEY (id) REFRESH ON CHANGE AS SELECT id, x, y FROM ops.t;
CREATE DATASET every_column KEY (id) REFRESH ON CHANGE AS SELECT * FROM ops.t;
CREATE MODEL m PREDICT y FROM d USING (engine = 'linear');
"""


def ask(folder: Path, *statements: str) -> None:
    with duckdb.connect(folder / "ops.duckdb") as db:
        for statement in statements:
            db.execute(statement)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Any]:
    ask(
        tmp_path,
        "CREATE TABLE t AS SELECT range AS id, (range * 37) % 100 AS x, 'a' AS note, (range * 37) % 100 > 50 AS y FROM range(400)",
    )
    (tmp_path / "all.sql").write_text(DECLARED)
    found = tilth.open(str(tmp_path))
    found.apply()
    assert found.sql("SELECT count(*) AS n FROM tilth.schema_changes").rows() == [{"n": 0}]
    yield found
    found.close()


def planned(project: Any) -> list[str]:
    return [f"{n['name']}: {n['text']}" for n in project.sql("PLAN").facts["notes"] if "column" in n["text"]]


def written(project: Any) -> list[tuple[str, ...]]:
    sql = "SELECT dataset, column_name, change, was, now, status FROM tilth.schema_changes ORDER BY id"
    return [tuple(r.values()) for r in project.sql(sql).rows()]


def test_what_changed_is_a_plan_with_its_effect(project: Any) -> None:
    folder = Path(project.root)
    ask(
        folder, "ALTER TABLE t DROP note", "ALTER TABLE t ALTER x TYPE DOUBLE", "ALTER TABLE t ADD extra DATE"
    )
    assert planned(project) == [
        "d: column `x` of ops.t was retyped from INTEGER to FLOAT: dataset `d` reads it, model `m` learns from that",
        "d: column `note` of ops.t was dropped: dataset `d` does not read it",
        "d: column `extra` of ops.t is new: nothing reads it",
        "every_column: column `x` of ops.t was retyped from INTEGER to FLOAT: dataset `every_column` reads it",
        "every_column: column `note` of ops.t was dropped: dataset `every_column` reads it",
        "every_column: column `extra` of ops.t is new: dataset `every_column` takes it, as all columns",
    ]
    done = project.apply()
    told = " ".join(n for d in done.did for n in d.notices)
    assert (
        "column `x` was retyped from INTEGER to FLOAT: dataset `d` reads it, model `m` learns from that"
        in told
    )
    assert written(project)[:3] == [
        ("d", "x", "retyped", "INTEGER", "FLOAT", "published"),
        ("d", "note", "dropped", "STRING", None, "published"),
        ("d", "extra", "added", None, "DATE", "published"),
    ]
    assert [r["kind"] for r in project.sql("SELECT kind FROM tilth.notices WHERE name = 'd'").rows()] == [
        "changed"
    ] * 3
    ask(folder, "INSERT INTO t VALUES (1000, 1.5, true, NULL)")
    assert planned(project) == []
    project.apply()
    assert len(written(project)) == 6


def test_a_column_that_is_read_and_gone_stops_before_anything_is_done(project: Any) -> None:
    ask(Path(project.root), "ALTER TABLE t RENAME x TO z")
    says = "column `x` of ops.t is gone, and `z` of the same type stands in its place: it may have been renamed: dataset `d` reads it, model `m` learns from that"
    assert planned(project)[0] == f"d: {says}"
    for _ in range(2):
        with pytest.raises(TilthError, match="x") as caught:
            project.apply()
        assert says in caught.value.detail
    assert project.sql("SELECT count(*) AS n FROM d").rows() == [{"n": 400}]
    with pytest.raises(TilthError):
        project.sql("REFRESH DATASET d")
    with pytest.raises(TilthError):
        project.sql("REFRESH DATASET d")
    assert len(written(project)) <= 1


def test_what_the_refresh_of_another_dataset_saw_is_still_told_of_this_one(project: Any) -> None:
    ask(Path(project.root), "ALTER TABLE t ALTER x TYPE DOUBLE")
    project.sql("REFRESH DATASET every_column")
    assert [line.partition(":")[0] for line in planned(project)] == ["d"]
