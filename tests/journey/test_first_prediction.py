"""SELECT ... FROM PREDICT (...): answered without a declaration, trained once, kept, adopted, and taken away in the end."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from test_postgres_door import asked

import http_server
import shop_project
import tilth
from tilth.app.adopting import adopt
from tilth.app.project import Project
from tilth.core.errors import RightError, TilthError
from tilth.core.principals import Role, token
from tilth.runtime.record import runs, versions

OF_DATASET = "PREDICT (late FROM deliveries FEATURES (carrier, distance) USING (engine = 'linear'))"
OF_TABLE = "PREDICT (late FROM ops.deliveries FEATURES (carrier, distance) USING (engine = 'linear'))"
OF_QUERY = "PREDICT (late FROM (SELECT carrier, distance, late FROM ops.deliveries WHERE distance > 3) USING (engine = 'linear'))"
OF_VIEW = "PREDICT (late FROM far USING (engine = 'linear'))"
ROW = "distance = 50.5 AND carrier = 'slow'"
EVERY = (OF_DATASET, OF_TABLE, OF_QUERY, OF_VIEW)


@pytest.fixture
def project(applied: Path) -> Project:
    found = shop_project.opened(applied)
    found.sql("CREATE VIEW far AS SELECT carrier, distance, late FROM deliveries WHERE distance > 20")
    return found


def made(project: Project) -> list[str]:
    """The versions that nobody declared."""
    return [
        f"{v.model}@{v.version}" for v in versions.all_of(project.state()) if v.model.startswith("predict_")
    ]


def trainings(project: Project) -> int:
    sql = "SELECT count(*) AS n FROM tilth.audit WHERE verb = 'train'"
    return int(project.sql(sql).rows()[0]["n"])


def test_without_inputs_it_is_refused_before_it_learns(project: Project) -> None:
    before = trainings(project)
    with pytest.raises(TilthError, match="no rows to answer for: nothing was trained") as caught:
        project.sql(f"SELECT late FROM {OF_DATASET} LIMIT 2").rows()
    assert "JOIN PREDICT" in str(caught.value)
    assert (trainings(project), made(project)) == (before, [])


@pytest.mark.parametrize("first", EVERY)
def test_a_row_and_rows_are_answered_alike_and_training_is_done_once(project: Project, first: str) -> None:
    before = trainings(project)
    one = project.sql(f"SELECT late, late_probability FROM {first} p WHERE {ROW}")
    (row,) = one.rows()
    many = project.sql(
        f"SELECT p.late, p.late_probability FROM (SELECT 50.5 AS distance, 'slow' AS carrier) t JOIN {first.replace('  ', ' ')} p"
    )
    assert many.rows() == [row]
    assert 0.5 < row["late_probability"] < 1
    assert trainings(project) == before + 1
    assert len(made(project)) == 1
    assert one.told == many.told
    assert "roc_auc 0." in one.told[0]
    assert "rows that it did not learn from" in one.told[0]


def test_new_rows_make_a_new_version_and_the_same_rows_do_not(project: Project, applied: Path) -> None:
    ask = f"SELECT late FROM {OF_TABLE} p WHERE {ROW}"
    project.sql(ask)
    project.sql(ask)
    assert [v.rpartition("@")[2] for v in made(project)] == ["1"]
    shop_project.add(applied, shop_project.deliveries(shop_project.DAYS, shop_project.DAYS + 5))
    project.sql(ask)
    assert [v.rpartition("@")[2] for v in made(project)] == ["1", "2"]


def test_nothing_serves_it_and_it_is_shown_for_what_it_is(project: Project) -> None:
    generation = project.generations(limit=1)[0].number
    project.sql(f"SELECT late FROM {OF_DATASET} p WHERE {ROW}").rows()
    assert project.generations(limit=1)[0].number == generation
    (row,) = project.sql("SELECT status, reason FROM tilth.versions WHERE model LIKE 'predict_%'").rows()
    assert row["status"] == "candidate"
    assert row["reason"].startswith("asked for by SELECT: PREDICT (late\n  FROM deliveries")
    (run,) = project.sql("SELECT action, status FROM tilth.runs WHERE name LIKE 'predict_%'").rows()
    assert run == {"action": "Predict", "status": "done"}


def test_a_leak_is_told_beside_the_answer(project: Project) -> None:
    leaky = "PREDICT (late FROM (SELECT late, distance, CAST(late AS INTEGER) AS done FROM ops.deliveries) USING (engine = 'linear'))"
    told = project.sql(f"SELECT late FROM {leaky} p WHERE distance = 3 AND done = 1").told
    assert any("`done`" in words or "done" in words for words in told[1:]), told


def test_explain_says_what_it_would_take_and_makes_nothing(project: Project) -> None:
    ask = f"EXPLAIN SELECT p.late FROM ops.deliveries t JOIN {OF_QUERY} p"
    (step,) = project.sql(ask).rows()
    assert step["runs_in"] == "training process"
    assert step["what"].startswith("collect its rows, then train PREDICT (late FROM")
    assert "at most 60 s and 4 GB" in step["what"]
    assert made(project) == []
    project.sql(ask.removeprefix("EXPLAIN ")).rows()
    assert "training process" not in {s["runs_in"] for s in project.sql(ask).rows()}


WRONG = {
    "lat FROM deliveries": "There is no column `lat`, which PREDICT needs.",
    "late FROM deliverie": "There is no dataset `deliverie` in `prod`, which PREDICT could learn from.",
    "late FROM ops.deliverie": "There is no table `deliverie`.",
    "late FROM op.deliveries": "There is no source `op`, which PREDICT needs.",
    "late FROM late": "There is no dataset `late` in `prod`, which PREDICT could learn from.",
    "late FROM (SELECT late, distance FROM ops.deliveries LIMIT 5)": "There are 5 rows with a known `late`; at least 30 are needed.",
    "late FROM deliveries USING (engin = 'linear')": "`engin` is not an option of USING.",
    "late FROM (SELECT late FROM PREDICT (late FROM deliveries))": "PREDICT (...) is asked by SELECT, and does not stand in what is declared, or in another.",
}


@pytest.mark.parametrize("inside", WRONG)
def test_what_cannot_be_is_one_error_and_makes_no_version(project: Project, inside: str) -> None:
    with pytest.raises(TilthError) as error:
        project.sql(f"SELECT * FROM PREDICT ({inside}) p WHERE distance = 1")
    assert error.value.message.startswith(WRONG[inside])
    assert error.value.where is not None
    assert made(project) == []
    assert runs.unsettled(project.state(), "prod", 50) == ()


@pytest.mark.parametrize("text", ["CREATE VIEW v AS SELECT * FROM {0} p WHERE distance = 1", "CREATE DATASET v AS SELECT * FROM {0} p", "CREATE JOB v EVERY '1 day' AS (SELECT * FROM {0} p)"])  # fmt: skip
def test_a_declaration_names_a_model_instead(project: Project, text: str) -> None:
    with pytest.raises(TilthError) as error:
        project.sql(text.format(OF_DATASET))
    assert "adopt" in (error.value.hint or "")


def test_a_table_of_the_program_gives_rows_to_predict_and_none_to_learn_from(project: Project) -> None:
    frame = pa.table({"distance": [50.5], "carrier": ["slow"]})
    assert project.sql(f"SELECT p.late FROM $t t JOIN {OF_DATASET} p", t=frame).rows() == [{"late": True}]
    with pytest.raises(TilthError, match="does not learn from a table of the program"):
        project.sql("SELECT p.carrier FROM $t t JOIN PREDICT (carrier FROM $t) p", t=frame)


def test_who_may_only_read_is_answered_by_what_was_made(project: Project) -> None:
    reader = project.session(by=token("r", Role.READER))
    ask = f"SELECT late FROM {OF_TABLE} p WHERE {ROW}"
    with pytest.raises(
        RightError, match="A first prediction, which trains a model, needs the right to operate"
    ):
        reader.run(ask)
    assert made(project) == []
    rows = project.sql(ask).rows()
    assert reader.run(ask).rows() == rows


def test_a_cancelled_training_leaves_nothing_and_the_next_one_makes_it(project: Project) -> None:
    slow = OF_DATASET.replace("'linear'", "'auto'")
    session = project.session()
    stop = threading.Timer(0.4, session.cancel)
    stop.start()
    with pytest.raises(TilthError, match="was cancelled"):
        session.run(f"SELECT late FROM {slow} p WHERE {ROW}")
    stop.join()
    assert made(project) == []
    assert project.sql(f"SELECT late FROM {OF_DATASET} p WHERE {ROW}").rows()


def test_two_who_ask_the_same_at_once_train_it_once(project: Project) -> None:
    found: list[Any] = []

    def ask() -> None:
        found.append(project.session().run(f"SELECT late FROM {OF_DATASET} p WHERE {ROW}").rows())

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert found == [found[0]] * 3
    assert len(made(project)) == 1


def test_it_writes_into_a_source_and_is_evaluated_like_a_model(project: Project, applied: Path) -> None:
    project.sql("CREATE SOURCE out ENGINE files WITH (path = '.', writable = true)")
    done = project.sql(
        f"CREATE TABLE out.scored AS SELECT t.id, p.late FROM deliveries t JOIN {OF_DATASET} p"
    )
    assert done.facts["rows"] == 6000
    value = project.sql(
        f"EVALUATE accuracy FROM (SELECT t.late AS actual, p.late AS prediction FROM deliveries t JOIN {OF_DATASET} p)"
    )
    assert value.rows()[0]["accuracy"] > 0.8


@pytest.mark.parametrize(("first", "declared"), [
    (OF_DATASET, ["best"]), (OF_TABLE, ["best_rows", "best"]), (OF_QUERY, ["best_rows", "best"]), (OF_VIEW, ["far", "best_rows", "best"]),
])  # fmt: skip
def test_adopted_it_is_declared_and_the_next_apply_takes_what_was_trained(
    project: Project, first: str, declared: list[str]
) -> None:
    ask = f"SELECT late, late_probability FROM {first} p WHERE {ROW}"
    rows, before = project.sql(ask).rows(), trainings(project)
    assert list(adopt(project, ["best"]).names) == declared
    project.apply()
    assert trainings(project) == before
    assert project.sql(f"SELECT late, late_probability FROM best WHERE {ROW}").rows() == rows
    assert project.sql(ask).rows() == rows
    assert trainings(project) == before
    assert not project.plan().actions


def test_of_several_one_is_named(project: Project) -> None:
    for first in (OF_DATASET, OF_TABLE):
        project.sql(f"SELECT late FROM {first} p WHERE {ROW}").rows()
    with pytest.raises(TilthError, match="2 models were asked by PREDICT"):
        adopt(project, ["best"])
    names = [v.partition("@")[0] for v in made(project)]
    with pytest.raises(TilthError, match="Nothing that was asked by PREDICT is called `predict_x`"):
        adopt(project, ["best"], asked="predict_x")
    with pytest.raises(TilthError, match="`late` is declared already"):
        adopt(project, ["late"], asked=names[0])
    assert adopt(project, ["best"], asked=names[0]).names[-1] == "best"
    with pytest.raises(TilthError, match="no `other`"):
        adopt(project, ["other"], environment="dev")


def test_gc_takes_it_after_its_time_and_it_is_made_again_when_it_is_asked(project: Project) -> None:
    ask = f"SELECT late FROM {OF_TABLE} p WHERE {ROW}"
    rows = project.sql(ask).rows()
    project.gc()
    assert project.sql(ask).rows() == rows
    assert len(made(project)) == 1
    project.clock = shop_project.ManualClock(shop_project.NOW + timedelta(days=91))
    project.close()
    freed = project.gc()
    assert freed.refused == 1
    assert project.sql(ask).rows() == rows
    assert len(made(project)) == 2


def test_psql_and_http_ask_it_and_a_transaction_makes_nothing(applied: Path) -> None:
    sql = f"SELECT late FROM {OF_DATASET} p WHERE {ROW}"
    with http_server.up(applied) as server:
        refused = asked(server, f"BEGIN; {sql}; COMMIT")
        assert "would train a model, which is not done inside a transaction block" in refused.stderr
        made_now = asked(server, sql)
        assert "late \n------\n t" in made_now.stdout, made_now.stderr
        assert "NOTICE:  PREDICT (late FROM deliveries" in made_now.stderr
        within = asked(server, "BEGIN", sql, "COMMIT")
        assert "late \n------\n t" in within.stdout, within.stderr
        answer = server.ask("POST", "/sql", {"sql": sql})
        assert answer.json["rows"] == [[True]]
        assert "roc_auc" in answer.json["notices"][0]
        wrong = server.ask("POST", "/sql", {"sql": sql.replace("(late", "(lat")})
        assert (wrong.status, json.loads(wrong.body)["code"]) == (404, "E-NAME")


def test_a_project_that_was_never_applied_says_what_is_missing(shop: Path) -> None:
    with pytest.raises(TilthError, match="no dataset `deliveries`"):
        tilth.open(str(shop)).sql(f"SELECT late FROM {OF_DATASET} p WHERE {ROW}")
    assert not (shop / ".tilth").exists()
