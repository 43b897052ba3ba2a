"""Views, jobs and triggers as declared: what they need, when what is made of them is made anew, and what the plan says."""

from datetime import UTC, datetime

import pytest

from tilth.core.errors import CycleError, TilthError
from tilth.kinds import KINDS
from tilth.plan.actions import Plan
from tilth.plan.snapshot import Current, Pointer, SnapshotFacts, VersionFacts
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.sql.language.statements import CreateDataset, CreateModel, CreateView, Query

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE SOURCE wx ENGINE files WITH (path = 'data');
CREATE DATASET days AS SELECT * FROM wx.days;
CREATE VIEW base AS SELECT f.*, d.rain FROM ops.flights f JOIN days d USING (day);
CREATE VIEW v AS SELECT id, rain, late FROM base b WHERE b.id > 0;
CREATE DATASET rows KEY (id) AS SELECT * FROM v;
CREATE MODEL m PREDICT late FROM v;
CREATE MODEL on_rows PREDICT late FROM rows;
CREATE VIEW said AS SELECT r.id, m.late FROM rows r JOIN m;
CREATE JOB j EVERY '1 hour' AS (INSERT INTO ops.out KEY (id) SELECT * FROM said; RETRAIN m; REFRESH DATASET days);
CREATE TRIGGER g ON ops.flights AS (INSERT INTO wx.log SELECT * FROM TABLE_DELTA);
"""


def graph(*changes: tuple[str, str], text: str = PROJECT) -> Graph:
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return KINDS.compile(KINDS.parse(text, "all.sql"), Facts())


def standing(found: Graph, environment: str = "prod") -> Current:
    return Current(
        environment,
        3,
        tuple(Pointer(r.kind, r.name, r.recipe, "1", r.text) for r in found),
        tuple(SnapshotFacts(r.recipe, "1", NOW, NOW, 10) for r in found),
        tuple(VersionFacts(r.name, 1, r.recipe, "1", "promoted", NOW) for r in found),
    )


def plan(*changes: tuple[str, str], environment: str = "prod") -> Plan:
    return KINDS.plan(graph(*changes), standing(graph(), environment), NOW)


def test_what_is_read_stands_in_the_place_of_a_view() -> None:
    found = graph()
    base = "SELECT f.*, d.rain FROM ops.flights f JOIN days d USING (day)"
    v = f"SELECT id, rain, late FROM ({base}) b WHERE b.id > 0"
    assert found.get("v").as_(CreateView).query.sql == v
    assert found.get("rows").as_(CreateDataset).query.sql == f"SELECT * FROM ({v}) AS v"
    assert found.get("m").as_(CreateModel).source == Query(f"SELECT * FROM ({v}) AS v")
    assert "FROM v" in found.get("rows").text
    assert found.get("rows").declaration == KINDS.parse_one("CREATE DATASET rows KEY (id) AS SELECT * FROM v")


NEEDS = {
    "v": ["base", "days", "ops"],
    "rows": ["base", "days", "ops", "v"],
    "m": ["base", "days", "ops", "v"],
    "said": ["m", "rows"],
    "j": ["days", "m", "ops", "rows", "said"],
    "g": ["ops", "wx"],
}


@pytest.mark.parametrize("name", NEEDS)
def test_what_is_behind_a_view_is_needed_too(name: str) -> None:
    assert list(graph().get(name).depends) == NEEDS[name]
    assert {t.table for t in graph().get("rows").tables} == {"flights"}


CHANGES: dict[str, tuple[tuple[str, str], list[str]]] = {
    "nothing": (("CREATE VIEW", "CREATE VIEW"), []),
    "white space": (("WHERE b.id > 0", "WHERE   b.id>0"), ["v"]),
    "a view's query": (("b.id > 0", "b.id > 1"), ["v DeclareView", "m TrainModel", "rows CollectDataset", "on_rows TrainModel", "said DeclareView"]),
    "a view behind a view": (
        ("d.rain FROM", "d.rain + 1 AS rain FROM"),
        ["base DeclareView", "v DeclareView", "m TrainModel", "rows CollectDataset", "on_rows TrainModel", "said DeclareView"],
    ),
    "a view over models": (("SELECT r.id, m.late", "SELECT r.id, m.late AS l"), ["said DeclareView"]),
    "a job's statement": (("RETRAIN m;", "LOOK AT MODEL m;"), ["j DeclareJob"]),
    "a job's time": (("EVERY '1 hour'", "EVERY '60 minutes'"), []),
    "a job's other time": (("EVERY '1 hour'", "EVERY '2 hours'"), ["j DeclareJob"]),
    "a trigger's table": (("ON ops.flights", "ON ops.planes"), ["g DeclareTrigger"]),
    "a model that a view asks": (("PREDICT late FROM v;", "PREDICT late FROM v USING (seed = 8);"), ["m TrainModel"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_makes_anew_what_is_made_of_it(name: str) -> None:
    change, expected = CHANGES[name]
    if name == "nothing":
        assert not plan()
        return
    found = [f"{a.name} {type(a).__name__}" for a in plan(change).actions]
    if name == "white space":
        assert {f.split()[0] for f in found} <= set(expected)
    else:
        assert sorted(found) == sorted(expected)


def test_the_plan_says_where_jobs_run_and_what_is_written_at_most_once() -> None:
    first = KINDS.plan(graph(), Current("dev", 0, serving="prod"), NOW)
    notes = {(n.name, n.text) for n in first.notes}
    assert {n for n, text in notes if "runs in `prod` alone" in text} == {"j", "g"}
    assert {n for n, text in notes if "has no KEY" in text} == {"g"}
    here = KINDS.plan(graph(), Current("prod", 0, serving="prod"), NOW)
    assert not [n for n in here.notes if "alone" in n.text]


REFUSED = {
    "CREATE VIEW x AS SELECT * FROM x": CycleError,
    "CREATE VIEW x AS SELECT * FROM y; CREATE VIEW y AS SELECT * FROM z; CREATE VIEW z AS SELECT * FROM x": CycleError,
    "CREATE VIEW x AS SELECT * FROM y; CREATE VIEW y AS SELECT * FROM d; CREATE DATASET d AS SELECT * FROM x": CycleError,
    "CREATE DATASET d AS SELECT * FROM said": TilthError,
    "CREATE DATASET d AS SELECT * FROM w; CREATE VIEW w AS SELECT * FROM said": TilthError,
    "CREATE DATASET d AS SELECT * FROM w; CREATE VIEW w AS SELECT * FROM tilth.models": TilthError,
    "CREATE DATASET d AS SELECT * FROM w; CREATE VIEW w AS SELECT * FROM days FOR SNAPSHOT 'a'": TilthError,
    "CREATE MODEL x PREDICT late FROM said": TilthError,
    "CREATE DATASET d AS WITH days AS (SELECT 1 AS a) SELECT * FROM v, days": TilthError,
    "CREATE JOB x AS (SELECT * FROM nothing)": TilthError,
    "CREATE VIEW tilth AS SELECT 1": TilthError,
}


@pytest.mark.parametrize("more", REFUSED)
def test_what_cannot_be_is_an_error_of_the_project(more: str) -> None:
    with pytest.raises(REFUSED[more]):
        graph(text=PROJECT + more)
    found, problems = KINDS.look_at(KINDS.parse(PROJECT + more, "all.sql"), Facts())
    assert problems
    assert "said" in found or not len(found)


@pytest.mark.parametrize("name", ["ops", "days", "base", "v", "rows", "m", "said"])
def test_all_that_names_a_resource_is_renamed_with_it(name: str) -> None:
    names = {name: f"{name}_2"}
    made = [KINDS.renamed(r.declaration, names) for r in graph()]
    found = KINDS.compile(made, Facts())
    assert f"{name}_2" in found
    assert name not in found
    texts = " ".join(r.text for r in found)
    for r in graph():
        if name in r.depends:
            assert f"{name}_2" in texts
