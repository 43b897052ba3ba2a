"""One model of several targets, from its declaration to its watching, on real flights: late or cancelled, and by how many minutes."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import http_server
from tilth.app.project import Project
from tilth.core.errors import UnsupportedError
from tilth.interfaces.cli.commands import tilth
from tilth.interfaces.cli.look import words
from tilth.interfaces.demo import data
from tilth.interfaces.report.page import page
from tilth.ports.clock import ManualClock
from tilth.runtime.asking.exporting import exported
from tilth.runtime.watching import watcher

SINCE, UNTIL = datetime(2013, 1, 1), datetime(2013, 3, 1)
NOW = datetime(2013, 3, 1, tzinfo=UTC)
EVERY = 19
DECLARED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE SOURCE results ENGINE files WITH (path = 'results', writable = true);
CREATE DATASET departures KEY (flight_id) EVENT TIME sched_dep REFRESH EVERY '1 day' AS
  SELECT flight_id, sched_dep, origin, carrier, distance, dep_delay, arr_delay,
         arr_delay IS NULL OR arr_delay > 15 AS arr_late FROM f.flights;
CREATE MODEL flight PREDICT arr_late, arr_delay AS minutes FROM departures
  OBJECTIVE (slices = ['origin'], cost_false_negative = 5) USING (engine = 'linear') RETRAIN WHEN drift > 0.5;
CREATE ENDPOINT flights FOR MODEL flight OUTCOMES FROM departures (flight_id, arr_late, arr_delay);
"""
ALONE = """
CREATE MODEL late PREDICT arr_late FROM departures FEATURES (* EXCEPT (arr_delay))
  OBJECTIVE (slices = ['origin'], cost_false_negative = 5) USING (engine = 'linear');
CREATE DATASET landed KEY (flight_id) EVENT TIME sched_dep AS
  SELECT flight_id, sched_dep, origin, carrier, distance, dep_delay, arr_delay FROM f.flights WHERE arr_delay IS NOT NULL;
CREATE MODEL delay PREDICT arr_delay AS minutes FROM landed OBJECTIVE (slices = ['origin']) USING (engine = 'linear');
"""
SCORED = "SELECT d.flight_id, m.* FROM departures d JOIN {model} m ORDER BY d.flight_id"


def flights(until: datetime) -> pa.Table:
    table = data.flights(SINCE, until)
    return table.take(pa.array(range(0, table.num_rows, EVERY)))


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several") / "p"
    (folder / "data").mkdir(parents=True)
    (folder / "results").mkdir()
    pq.write_table(flights(UNTIL), folder / "data" / "flights.parquet")
    (folder / "all.sql").write_text(DECLARED + ALONE)
    made = Project(str(folder), ManualClock(NOW))
    done = made.apply()
    assert not done.refusals
    told = [n for one in done.did for n in one.notices]
    assert any("`arr_delay` is missing in" in n and "teach `arr_late` alone" in n for n in told), told
    made.close()
    return folder


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(applied, tmp_path / "p")
    made = Project(str(tmp_path / "p"), ManualClock(NOW))
    yield made
    made.close()


def scored(project: Project, model: str) -> pa.Table:
    return project.sql(SCORED.format(model=model)).arrow()


def test_each_target_is_answered_as_by_a_model_of_its_own(project: Project) -> None:
    both, late, delay = (scored(project, m) for m in ("flight", "late", "delay"))
    for alone in (late, delay):
        for name in alone.column_names:
            column, own = both.column(name).to_pylist(), alone.column(name).to_pylist()
            assert column == own or column == pytest.approx(own, abs=1e-12), name
    model = project.model("flight")
    assert not {"arr_late", "arr_delay", "minutes"} & set(model.inputs), "no target is an input"
    for output, alone in (("arr_late", "late"), ("minutes", "delay")):
        mine, own = model.metrics[output], project.model(alone).metrics
        assert (mine["value"], mine["slices"]) == (own["value"], own["slices"])


def test_every_door_of_python_has_an_output_for_each(project: Project) -> None:
    model = project.model("flight")
    row = {
        "sched_dep": "2013-02-03T10:00:00",
        "origin": "JFK",
        "carrier": "AA",
        "distance": 500,
        "dep_delay": 30,
    }
    table = pa.table({k: [v] for k, v in row.items()} | {"sched_dep": pa.array([datetime(2013, 2, 3, 10)])})
    one, (listed,), (many,) = model.predict(row), model.predict([row]), model.predict(table).to_pylist()
    names = ("arr_late", "arr_late_probability", "minutes", "minutes_lower", "minutes_upper")
    assert [one[n] for n in names] == [listed[n] for n in names] == [many[n] for n in names]
    assert model.classes == {"arr_late": (False, True), "minutes": ()}
    assert model.predict_proba([row]).tolist() == [
        [1 - one["arr_late_probability"], one["arr_late_probability"]]
    ]
    told = model.explain(row)
    assert (told["minutes"]["value"], told["arr_late"]["value"]) == (one["minutes"], one["arr_late"])
    for mine, own in zip(
        model.explain(table)[0]["minutes"]["contributions"], told["minutes"]["contributions"], strict=True
    ):
        assert (mine["input"], mine["contribution"]) == (
            own["input"],
            pytest.approx(own["contribution"], abs=1e-9),
        )
    sql = project.sql(
        "SELECT minutes, arr_late_probability, minutes_explain FROM flight WHERE sched_dep = TIMESTAMP '2013-02-03 10:00:00' "
        "AND origin = 'JFK' AND carrier = 'AA' AND distance = 500 AND dep_delay = 30"
    ).rows()[0]
    assert (sql["minutes"], sql["arr_late_probability"]) == (one["minutes"], one["arr_late_probability"])
    assert json.loads(sql["minutes_explain"])["base"] == told["minutes"]["base"]


def test_http_answers_both_and_what_is_logged_is_watched(project: Project) -> None:
    folder = Path(project.root)
    rows = flights(UNTIL).slice(0, 40).to_pylist()
    asked = [
        {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()
         if k in ("flight_id", "sched_dep", "origin", "carrier", "distance", "dep_delay")}
        for row in rows if row["dep_delay"] is not None
    ]  # fmt: skip
    expected = {r["flight_id"]: r for r in scored(project, "flight").to_pylist()}
    with http_server.up(folder) as server:
        single = [server.predict(row, path="/predict/flights").json for row in asked[:3]]
        many = server.predict(asked, path="/predict/flights").json["rows"]
        for answer, row in zip([*single, *many], [*asked[:3], *asked], strict=True):
            own = expected[row["flight_id"]]
            assert {k: answer[k] for k in own if k != "flight_id"} == {
                k: v for k, v in own.items() if k != "flight_id"
            }
        why = server.predict(asked[0], path="/predict/flights?outputs=minutes_explain,arr_late").json
        assert (why["arr_late"], why["minutes_explain"]["value"]) == (
            single[0]["arr_late"],
            single[0]["minutes"],
        )
        tensors = [
            {"name": k, "shape": [1], "datatype": {"distance": "INT64", "dep_delay": "INT64"}.get(k, "BYTES"), "data": [v]}
            for k, v in asked[0].items() if k != "flight_id"
        ]  # fmt: skip
        v2 = server.ask("POST", "/v2/models/flights/infer", {"inputs": tensors}).json["outputs"]
        assert {o["name"]: o["data"][0] for o in v2}["minutes"] == single[0]["minutes"]
        schema = server.ask("GET", "/openapi.json").json["components"]["schemas"]["Part.flights"][
            "properties"
        ]
        assert schema["arr_late"]["enum"] == [False, True]
        assert schema["minutes_upper"]["description"].startswith("where the interval ends")
        assert [len(r["score"]) for r in server.records()] == [2] * (3 + len(asked) + 1 + 1)


def logged(project: Project, until: datetime) -> int:
    """The flights since, answered as they leave, as the server logs them."""
    work = project.work()
    from tilth.core.time import show_instant
    from tilth.runtime.loading import version_of

    model = version_of(work, "flight", 1)
    count = 0
    for row in flights(until).to_pylist():
        if row["sched_dep"] < UNTIL or row["dep_delay"] is None:
            continue
        given = {i.name: row[i.name] for i in (*model.inputs, *model.carried)}
        answer = model.score_row(model.convert(given))
        record = {
            "at": show_instant(row["sched_dep"].replace(tzinfo=UTC)), "id": str(row["flight_id"]), "endpoint": "flights",
            "model": "flight", "version": 1, "digest": model.digest, "environment": "prod", "role": "champion",
            "inputs": json.loads(model.record(model.convert(given))),
            "outputs": json.loads(b"{" + model.render(answer) + b"}"), "score": json.loads(model.logged(answer)),
        }  # fmt: skip
        work.log.append(json.dumps(record).encode())
        count += 1
    return count


def test_drift_and_quality_are_told_of_each_target(project: Project) -> None:
    until = UNTIL + timedelta(days=7)
    answers = logged(project, until)
    pq.write_table(flights(until), Path(project.root) / "data" / "flights.parquet")
    project.clock.set(until.replace(tzinfo=UTC))
    project.sql("REFRESH DATASET departures")
    (look,) = watcher.look_now(
        project.work(), "prod", project.clock.now(), project.deployed("prod"), {"flight"}
    )
    seen = {t["output"]: t for t in json.loads(look.targets or "[]")}
    assert (look.predictions, look.metric, look.quality) == (answers, "roc_auc, rmse", None)
    assert seen["arr_late"]["quality"] > 0.85
    assert 5 < seen["minutes"]["quality"] < 40
    assert seen["minutes"]["outcomes"] <= seen["arr_late"]["outcomes"] == answers
    assert {"arr_late_score", "minutes_score"} <= {c.column for c in look.columns}
    assert look.drift == max((t["drift"] for t in seen.values() if t["drift"] is not None), default=None)
    watcher.Watcher(project.work(), "prod").look(project.clock.now(), project.deployed("prod"))
    shown = project.status()
    (model,) = (m for m in shown["models"] if m["name"] == "flight")
    assert [t["quality"] for t in model["targets"]] == [
        seen["arr_late"]["quality"],
        seen["minutes"]["quality"],
    ]
    assert "TARGETS" in words(shown)
    kept = project.sql("SELECT targets FROM tilth.quality WHERE model = 'flight'").rows()
    assert {t["output"] for t in json.loads(kept[-1]["targets"])} == {"arr_late", "minutes"}


def test_one_gate_decides_on_both_and_a_rollback_brings_both_back(project: Project) -> None:
    model = Path(project.root) / "all.sql"
    model.write_text(model.read_text().replace("RETRAIN WHEN drift > 0.5", "RETRAIN WHEN drift > 0.6"))
    assert not project.apply().refusals
    before = scored(project, "flight")
    project.sql("RETRAIN MODEL flight USING (seed = 8)")
    gate = project.sql("SELECT * FROM tilth.gates WHERE model = 'flight' ORDER BY id").rows()[-1]
    each = {t["output"]: t for t in json.loads(gate["targets"])}
    assert (gate["candidate"], gate["champion"]) == (2, 1)
    assert {t["outcome"] for t in each.values()} <= {"pass", "fail"}
    assert all(f"`{name}`: {t['reason']}" in gate["reason"] for name, t in each.items())
    worse = "FROM departures FEATURES (* EXCEPT (dep_delay))\n  OBJECTIVE (slices = ['origin'], cost"
    model.write_text(
        model.read_text().replace("FROM departures\n  OBJECTIVE (slices = ['origin'], cost", worse, 1)
    )
    done = project.apply()
    gate = project.sql("SELECT * FROM tilth.gates WHERE model = 'flight' ORDER BY id").rows()[-1]
    assert gate["outcome"] == "fail", done
    assert "`minutes`" in gate["reason"].partition(".")[0], "the target that refused it is named first"
    assert scored(project, "flight").equals(before)


def test_it_is_described_reported_exported_and_written_as_one(project: Project, tmp_path: Path) -> None:
    described = str(project.sql("DESCRIBE flight").rows())
    assert "Predicts arr_late (binary): roc_auc" in described
    assert "Predicts arr_delay (regression): rmse" in described
    html = page(project.report("flight"))
    for of in ("arr_late", "minutes"):
        assert f"How good it is: {of}" in html
        assert f"What each input does: {of}" in html
    with pytest.raises(UnsupportedError, match="predicts several targets"):
        exported(project.work(), "flight", 1, "onnx")
    folder = exported(project.work(), "flight", 1, "mlflow").files
    for name, held in folder.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(held)
    from tilth.interfaces.mlflow import _load_pyfunc

    some = flights(UNTIL).slice(0, 20).select(["sched_dep", "origin", "carrier", "distance", "dep_delay"])
    rows: Any = some.filter(some["dep_delay"].is_valid()).to_pandas()
    made = _load_pyfunc(str(tmp_path / "out" / "bundle")).predict(rows)
    assert (
        made["minutes"].tolist()
        == project.model("flight").predict(pa.Table.from_pandas(rows))["minutes"].to_pylist()
    )
    assert project.verify().audit_rows > 0


GIVEN = "sched_dep = TIMESTAMP '2013-02-03 10:00:00', origin = 'JFK', carrier = 'AA', distance = 500, dep_delay = 30"


def test_it_is_explained_and_written_and_drilled_as_one(project: Project, tmp_path: Path) -> None:
    why = project.sql(f"EXPLAIN PREDICT flight ({GIVEN})")
    assert {r["output"] for r in why.rows()} == {"arr_late", "minutes"}
    assert "minutes: value " in why.text
    row = {
        "sched_dep": "2013-02-03T10:00:00",
        "origin": "JFK",
        "carrier": "AA",
        "distance": 500,
        "dep_delay": 30,
    }
    line = ["predict", "flight", *(f"{k}={v}" for k, v in row.items()), "--project", str(project.root)]
    said = CliRunner().invoke(tilth, [*line, "--explain"])
    assert (
        "arr_late of flight version 1 says" in said.output,
        "minutes of flight version 1 says" in said.output,
    ) == (True, True), said.output
    project.sql(
        "CREATE TABLE results.scored AS SELECT d.flight_id, m.minutes, m.arr_late FROM departures d JOIN flight m LIMIT 50"
    )
    logged = project.sql("SELECT role, outputs, score, scores FROM tilth.predictions").rows()
    assert (len(logged), {(r["role"], r["score"]) for r in logged}) == (50, {("batch", None)})
    assert {"minutes_upper", "arr_late_probability"} <= set(json.loads(logged[0]["outputs"]))
    project.clock.set(NOW + timedelta(days=1))
    work = project.work()
    assert all(len(json.loads(r)["score"]) == 2 for r in work.log.records())
    made = project.sql("SELECT output, cpu_seconds FROM tilth.trainings WHERE model = 'flight'").rows()
    assert [(r["output"], r["cpu_seconds"] > 0) for r in made] == [("arr_late", True), ("minutes", True)]
    drilled = project.sql("DRILL MODEL flight (drift)")
    assert "inputs_moved" in drilled.facts
    project.sql("DRILL MODEL flight (bad_data)")
    folder = tmp_path / "out"
    for name, held in exported(work, "flight", 1, "mlflow").files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(held)
    with pytest.raises(UnsupportedError, match="is of a model of several targets"):
        project.bring("late", str(folder))
