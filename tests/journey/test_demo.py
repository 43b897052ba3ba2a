"""The demo: its whole story once, for real; its parts; and what happens when a step does not hold."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest

import console_story
from tilth.adapters.clocks import FileClock
from tilth.app.project import Project
from tilth.core.errors import TamperError
from tilth.interfaces.demo import data, mishaps, story
from tilth.interfaces.demo.airline import SHARE, Airline
from tilth.interfaces.demo.scene import FIGURES, Scene, hold, instant
from tilth.interfaces.demo.serving import Answers, Client, DemoError, Server, total
from tilth.ports.progress import Silent

DEMO = [sys.executable, "-m", "tilth", "demo"]
DAY = datetime(2013, 5, 1)


# --- the whole ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_step_of_the_story_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--json", "--keep", str(tmp_path / "flights")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert tuple(told) == FIGURES
    assert told["roc_auc_last"] > max(told["roc_auc_first"], 0.7)
    assert told["batch_rows_per_second"] > 0.1 * told["raw_model_rows_per_second"]
    assert told["rows_collected"] == 246_670
    assert told["rows_quarantined"] > 800
    assert told["retrains"] >= 2
    assert told["promotions"] >= 1
    assert told["refusals"] >= 1
    assert (told["dev_models_trained"], told["dev_bytes_copied"]) == (1, 0)
    assert (told["http_failed"], told["lost_acknowledged"]) == (0, 0)
    assert told["http_requests"] > 2_500
    assert told["tamper_refused"] is told["kill_recovered"] is told["audit_chain_ok"] is True
    kept = Project(str(tmp_path / "flights"), FileClock(str(tmp_path / "flights" / "clock")))
    assert kept.verify().bundles >= 2
    assert kept.plan().actions == ()
    kept.close()
    console_story.followed(tmp_path / "flights")


@pytest.mark.parametrize("after", [0.2, 0.5, 1.5])  # seconds into the second step
def test_ctrl_c_ends_it_whole(tmp_path: Path, after: float) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        DEMO, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert "1. plan" in process.stdout.readline()
            time.sleep(after)
            process.send_signal(signal.SIGINT)
            _out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert err.strip().startswith("Stopped;")
    assert not list(tmp_path.glob("tilth-demo-*"))


# --- steps that do not hold --------------------------------------------------------------------------------


def test_a_step_that_does_not_hold_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_scene: Scene) -> str:
        hold(False, "the moon is made of cheese")
        return "never told"

    monkeypatch.setattr(story, "STEPS", (("a wish", broken), ("plan", story.plan)))
    told: list[story.Told] = []
    figures, held = story.tell_story(str(tmp_path / "flights"), Silent(), told.append)
    assert [(t.number, t.held) for t in told] == [(1, False), (2, True)]
    assert "moon" in told[0].text
    assert not held
    assert figures["roc_auc_first"] is None


# --- the airline -------------------------------------------------------------------------------------------

QUERY = """SELECT f.flight_id, f.sched_dep, f.carrier, f.origin, w.temp, f.arr_delay FROM ops.flights AS f
ASOF LEFT JOIN wx.weather AS w ON f.origin = w.origin AND f.sched_dep >= w.time_hour WHERE f.arr_delay IS NOT NULL"""


@pytest.fixture
def airline(tmp_path: Path) -> Airline:
    data.make(str(tmp_path), DAY)
    return Airline(str(tmp_path), QUERY, DAY, DAY + 3 * data.DAY)


def test_planned_flights_of_a_day_are_asked_about_by_the_hour(airline: Airline) -> None:
    bodies = list(airline.asks(DAY, ["sched_dep", "carrier", "origin", "temp"]))
    rows = [row for body, _ in bodies for row in json.loads(body)]
    flights = data.flights(DAY, DAY + data.DAY)
    assert len(rows) == -(-flights.num_rows // SHARE)
    assert {r["flight_id"] for r in rows} <= set(flights["flight_id"].to_pylist())
    assert [n for _, n in bodies] == [len(json.loads(body)) for body, _ in bodies]
    assert all(len({r["sched_dep"][:13] for r in json.loads(body)}) == 1 for body, _ in bodies)
    assert {"arr_delay"}.isdisjoint(rows[0])


def test_flights_that_will_be_cancelled_are_asked_about_too(airline: Airline) -> None:
    flights = data.flights(DAY, DAY + 3 * data.DAY)
    cancelled = set(flights.filter(pc.is_null(flights["arr_delay"]))["flight_id"].to_pylist())
    planned = set(airline.planned(DAY, DAY + 3 * data.DAY)["flight_id"].to_pylist())
    assert cancelled
    assert cancelled <= planned


def test_a_spoilt_day_is_corrected_to_what_really_happened(airline: Airline, tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    airline.lands(DAY, DAY + data.DAY, spoil=True)
    assert airline.corrects(DAY, DAY + data.DAY) == data.flights(DAY, DAY + data.DAY).num_rows
    sql = "SELECT dep_delay, arr_delay FROM flights WHERE sched_dep >= ? ORDER BY flight_id"
    with closing(sqlite3.connect(tmp_path / "flights.db")) as db:
        got = db.execute(sql, (str(DAY),)).fetchall()
    real = data.flights(DAY, DAY + data.DAY).select(["dep_delay", "arr_delay"]).to_pylist()
    assert got == [(r["dep_delay"], r["arr_delay"]) for r in real]


# --- the client --------------------------------------------------------------------------------------------


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 400 if body == b"bad" else 200
        text = json.dumps({"id": f"x-{len(body)}"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None: ...


def test_the_client_counts_what_was_acknowledged_and_what_failed() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    answers = Answers()
    client = Client(server.server_address[1], "secret", answers)
    try:
        assert client.ask(b"row") == {"id": "x-3"}
        assert client.ask(b"bad") is None
        assert client.ask(b"rows", 2) == {"id": "x-4"}
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()
    assert client.ask(b"row") is None  # nobody listens any more
    assert (answers.requests, answers.failed, answers.rows) == (4, 2, 3)
    assert total([answers, answers]).requests == 8
    assert answers.ids() == {"x-3", "x-4.0", "x-4.1"}


def test_a_server_that_cannot_start_is_told(tmp_path: Path) -> None:
    server = Server(str(tmp_path), str(tmp_path / ".tilth"), str(tmp_path / "clock"), str(tmp_path / "log"))
    with pytest.raises(DemoError, match="did not start"):
        server.start()
    server.stop()


# --- small things ------------------------------------------------------------------------------------------


def test_a_flipped_bit_is_turned_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(10)))
    path.chmod(0o444)
    with mishaps._flipped(str(path), 4):
        assert path.read_bytes()[4] == 5
    assert path.read_bytes() == bytes(range(10))
    assert path.stat().st_mode & 0o777 == 0o444


def test_a_refusal_is_a_refusal_to_load_and_nothing_else() -> None:
    def tampered() -> None:
        raise TamperError("It is not what was signed.")

    assert mishaps._refused(tampered) == "It is not what was signed."
    assert mishaps._refused(lambda: None) is None


def test_local_times_are_the_clocks_times() -> None:
    assert instant(DAY).isoformat() == "2013-05-01T00:00:00+00:00"
