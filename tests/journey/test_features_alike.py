"""Features that SQL declares once are the same in training, in a batch and online: real flights with the weather as of departure."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tilth
from tilth.app.project import Project
from tilth.interfaces.demo import data
from tilth.ports.clock import ManualClock
from tilth.ports.predictions import MemoryLog
from tilth.runtime.serving.answering import Answering
from tilth.runtime.serving.node import Node

DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'data/flights.db');
CREATE SOURCE wx ENGINE files WITH (path = 'data');
CREATE DATASET weather KEY (origin, time_hour) EVENT TIME time_hour KNOWN AT measured
AS SELECT origin, time_hour, time_hour + INTERVAL 50 MINUTE AS measured, temp, wind_speed, visib FROM wx.weather;
CREATE DATASET departures KEY (flight_id) EVENT TIME sched_dep
AS SELECT f.flight_id, f.sched_dep, f.origin, f.distance, w.temp, w.wind_speed, w.visib, f.arr_late
FROM ops.flights f LEFT JOIN weather AS OF f.sched_dep w ON w.origin = f.origin
WHERE f.arr_late IS NOT NULL AND f.flight_id % 7 = 0;
CREATE MODEL late PREDICT arr_late FROM departures FEATURES (distance, temp, wind_speed, visib)
USING (engine = 'lightgbm', time_limit = '10 s');
CREATE ENDPOINT late_api FOR MODEL late LOOK UP weather (origin) ELSE GAPS;
"""
WEATHER = ("temp", "wind_speed", "visib")
TRAINED = """
SELECT d.flight_id, d.sched_dep, d.origin, d.distance, d.temp, d.wind_speed, d.visib, m.arr_late_probability AS p
FROM departures d JOIN late m WHERE d.flight_id % 77 = 0 ORDER BY d.sched_dep, d.flight_id
"""
BATCH = """
SELECT d.*, m.arr_late_probability AS p FROM (
  SELECT f.flight_id, f.sched_dep, f.origin, f.distance, w.temp, w.wind_speed, w.visib
  FROM ops.flights f LEFT JOIN weather AS OF f.sched_dep w ON w.origin = f.origin
  WHERE f.arr_late IS NOT NULL AND f.flight_id % 77 = 0
) d JOIN late m ORDER BY d.sched_dep, d.flight_id
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("alike") / "flights"
    data.make(str(folder / "data"), datetime(2013, 2, 1), timedelta(days=1))
    (folder / "all.sql").write_text(DECLARED)
    with tilth.open(folder) as found:
        found.clock = ManualClock(datetime(2013, 2, 1, tzinfo=UTC))
        done = found.apply()
        assert {d.status for d in done.did} == {"done"}, [d.text for d in done.did]
        yield found


def test_one_declaration_gives_training_batch_and_endpoint_the_same_features(project: Project) -> None:
    trained, batch = project.sql(TRAINED).rows(), project.sql(BATCH).rows()
    assert len(trained) > 250
    assert batch == trained
    log, clock = MemoryLog(), ManualClock(datetime(2012, 1, 1, tzinfo=UTC))
    node = Node(replace(project.work(), clock=clock), "prod")
    node.refresh()
    assert not node.troubles
    answering = Answering(log, clock, lambda call: call(), print)
    answers = []
    for row in trained:
        clock.set(row["sched_dep"].replace(tzinfo=UTC))
        body = json.dumps({"origin": row["origin"], "distance": row["distance"]}).encode()
        answers.append(json.loads(answering.one(node.route("late_api"), body)[0]))
    logged = [json.loads(r)["inputs"] for r in log.records()]
    assert [{k: i[k] for k in ("distance", *WEATHER)} for i in logged] == [_asked(r) for r in trained]
    assert [a["arr_late_probability"] for a in answers] == [r["p"] for r in trained]
    assert len({tuple(i[k] for k in WEATHER) for i in logged}) > 100


def _asked(row: dict[str, Any]) -> dict[str, Any]:
    return {k: row[k] for k in ("distance", *WEATHER)}


def test_before_any_weather_was_known_there_are_gaps_everywhere(project: Project) -> None:
    early = project.sql("SELECT * FROM departures ORDER BY sched_dep LIMIT 40").rows()
    assert all((r["temp"] is None) == (r["visib"] is None) for r in early)
    clock = ManualClock(datetime(2012, 12, 1, tzinfo=UTC))
    node = Node(replace(project.work(), clock=clock), "prod")
    node.refresh()
    answering = Answering(MemoryLog(), clock, lambda call: call(), print)
    found = json.loads(answering.one(node.route("late_api"), b'{"origin": "JFK", "distance": 100}')[0])
    assert "weather has no row of origin" in found["notices"][-1]
