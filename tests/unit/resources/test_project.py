"""From text to graph: dependencies, recipes that change exactly when they must, and refusals with their place."""

import pytest

from tilth.core.engines import Engine
from tilth.core.errors import CycleError, TilthError
from tilth.kinds import (
    compile,  # noqa: A004
    parse,
)
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.sql.language.statements import Kind

FACTS = Facts((Engine("lightgbm"), Engine("sklearn", estimator=True)), {}, ("sqlite", "files", "postgres"))
PROJECT = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET departures KEY (flight_id) EVENT TIME sched_dep REFRESH EVERY '1 day' INCREMENTAL
  EXPECT (dep_delay < 1500 ON FAIL QUARANTINE, COUNT(*) > 10)
AS WITH recent AS (SELECT * FROM ops.flights) SELECT * FROM recent;
CREATE MODEL late PREDICT arr_late FROM departures OBJECTIVE (metric = 'roc_auc') USING (seed = 7)
  RETRAIN WHEN drift > 0.2 PROMOTE IF better;
CREATE ENDPOINT late_api FOR MODEL late OUTCOMES FROM departures (flight_id, arr_late);
"""


def graph(text: str = PROJECT) -> Graph:
    return compile(parse(text, "all.sql"), FACTS)  # type: ignore[arg-type]


def recipes(text: str) -> dict[str, str]:
    return {r.name: r.recipe for r in graph(text)}


def test_resources_come_after_what_they_need() -> None:
    found = graph()
    assert [r.name for r in found] == ["ops", "departures", "late", "late_api"]
    assert [r.name for r in found.upstream("late")] == ["ops", "departures"]
    assert [r.name for r in found.downstream("ops")] == ["departures", "late", "late_api"]
    assert [(t.source, t.table) for t in found.get("departures").tables] == [("ops", "flights")]
    assert [r.name for r in found.of_kind(Kind.MODEL)] == ["late"]


def test_the_order_of_statements_does_not_matter() -> None:
    statements = PROJECT.strip().removesuffix(";").split(";\n")
    assert graph(";\n".join(reversed(statements))) == graph()


CHANGES = [
    ("white space and comments", "SELECT * FROM recent", "SELECT  *  /* all */\n FROM recent -- x\n", set()),
    ("how often it is refreshed", "EVERY '1 day'", "EVERY '1 hour'", set()),
    ("when it is retrained", "drift > 0.2", "drift > 0.3", set()),
    ("how it is promoted", "PROMOTE IF better", "PROMOTE IF manual", set()),
    ("where the source lies", "ops.db", "new.db", {"ops"}),
    (
        "a literal in the query",
        "SELECT * FROM recent",
        "SELECT *, 1 AS one FROM recent",
        {"departures", "late"},
    ),
    ("an expectation", "dep_delay < 1500", "dep_delay < 1400", {"departures", "late"}),
    ("a seed", "seed = 7", "seed = 8", {"late"}),
    ("the truth's key", "(flight_id, arr_late)", "(id, arr_late)", {"late_api"}),
]


@pytest.mark.parametrize(("old", "new", "moved"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_recipes_change_exactly_where_they_must(old: str, new: str, moved: set[str]) -> None:
    assert old in PROJECT
    before, after = recipes(PROJECT), recipes(PROJECT.replace(old, new))
    assert {n for n in before if before[n] != after[n]} == moved


def test_another_engine_that_is_installed_moves_no_recipe() -> None:
    more = Facts((*FACTS.engines, Engine("catboost", rank=3)), {}, FACTS.sources)
    assert {r.name: r.recipe for r in compile(parse(PROJECT), more)} == recipes(PROJECT)


REFUSED = [
    ("FROM departures O", "FROM departurs O", "Did you mean `departures`?"),
    ("FROM ops.flights", "FROM opps.flights", "Did you mean `ops`?"),
    ("FOR MODEL late ", "FOR MODEL departures ", "is a dataset, not a model"),
    ("ENGINE sqlite", "ENGINE sqllite", "Did you mean `sqlite`?"),
    ("metric = 'roc_auc'", "metric = 'roc_acu'", "Did you mean `roc_auc`?"),
    ("metric = 'roc_auc'", "metrik = 'roc_auc'", "Did you mean `metric`?"),
    ("seed = 7", "sed = 7", "Did you mean `seed`?"),
    ("seed = 7", "engine = 'lightgmb'", "Did you mean `lightgbm`?"),
    (" EVENT TIME sched_dep", "", "has no EVENT TIME"),
    ("COUNT(*) > 10)", "COUNT(*) > 10 ON FAIL QUARANTINE)", "Only rows can be quarantined"),
    ("CREATE ENDPOINT late_api", "CREATE ENDPOINT late", "declared twice"),
    ("FOR MODEL late ", "FOR MODEL late REPLICAS 2 ", "not in this version"),
    ("PREDICT arr_late", "PREDICT arr_late HORIZON 4", "which column is the time"),
    ("PREDICT arr_late", "PREDICT arr_late FEATURES (arr_late)", "cannot be a feature"),
    ("SELECT * FROM recent", "SELECT * FROM recent WHERE", "cannot be read"),
]


@pytest.mark.parametrize(("old", "new", "says"), REFUSED)
def test_what_does_not_fit_is_refused_with_its_place_and_a_next_step(old: str, new: str, says: str) -> None:
    assert old in PROJECT
    with pytest.raises(TilthError) as caught:
        graph(PROJECT.replace(old, new))
    assert says in str(caught.value)
    assert "all.sql:" in str(caught.value)
    assert caught.value.hint


def test_a_cycle_shows_its_path() -> None:
    with pytest.raises(CycleError, match="a -> b -> a"):
        graph("CREATE DATASET a AS SELECT * FROM b; CREATE DATASET b AS SELECT * FROM a;")
