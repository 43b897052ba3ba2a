"""Metrics and promises of a real server, and the files for Prometheus and Grafana: they name metrics that there are."""

import json
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import http_server
from http_server import ROW, up
from tilth.app.disk import Disk
from tilth.core.errors import SourceError
from tilth.interfaces.http import watched
from tilth.interfaces.http.watched import FAMILIES, Measured, text

OPS = resources.files("tilth").joinpath("ops")
RULES = OPS.joinpath("prometheus-rules.yml").read_text("utf-8")
BOARD = json.loads(OPS.joinpath("grafana.json").read_text("utf-8"))
SAMPLE = re.compile(r'[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? -?[0-9.e+-]+(inf|nan)?')


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return http_server.applied(tmp_path_factory.mktemp("ops") / "shop")


def test_a_scrape_tells_of_data_models_gates_and_promises(applied: Path) -> None:
    with up(applied) as server:
        assert server.predict(ROW).status == 200
        found = server.ask("GET", "/metrics").body.decode()
        assert server.ask("GET", "/promises").json["environment"] == "prod"
    lines = found.splitlines()
    assert all(line.startswith("# ") or SAMPLE.fullmatch(line) for line in lines)
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert len(names) == sum(line.startswith("# TYPE") for line in lines)
    looked = {
        "tilth_drift",
        "tilth_prediction_drift",
        "tilth_quality",
        "tilth_outcomes",
        "tilth_run_memory_bytes",
        "tilth_disk_limit_bytes",
    }
    assert set(FAMILIES) - names <= looked  # nobody looked yet
    assert 'tilth_promise{environment="prod",kind="endpoint",name="late_api",promise="served"} 1' in lines
    assert 'tilth_model_version{environment="prod",model="late"} 1' in lines
    assert any(
        line.startswith('tilth_gates_total{environment="prod",model="late",outcome="') for line in lines
    )
    known = names | {f"tilth_request_seconds_{s}" for s in ("bucket", "sum", "count")} | set(FAMILIES)
    asked = re.findall(r"tilth_[a-z_]+", RULES + json.dumps([p["targets"] for p in BOARD["panels"]]))
    assert set(asked) <= known
    if shutil.which("promtool"):
        done = subprocess.run(
            ["promtool", "check", "metrics"],
            input=found,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_label_cannot_forge_a_line(tmp_path: Path) -> None:
    from tilth.interfaces.http.metrics import labelled

    assert labelled({"model": 'a"} 1\nb\\'}) == '{model="a\\"} 1\\nb\\\\"}'


def test_a_state_that_cannot_be_read_is_a_figure(applied: Path) -> None:
    from types import SimpleNamespace
    from typing import Any

    from tilth.core.errors import StorageError

    def broken() -> Any:
        raise StorageError("gone")

    work: Any = SimpleNamespace(
        state=SimpleNamespace(reading=broken), clock=SimpleNamespace(now=lambda: None)
    )
    found = text(work, "prod", Disk({"blobs": 4096, "state": 512}, 1 << 20)).decode().splitlines()
    assert "tilth_state_readable 0" in found
    assert 'tilth_disk_bytes{kind="blobs"} 4096' in found  # which is told all the same
    assert "tilth_disk_limit_bytes 1048576" in found
    assert not [line for line in text(work, "prod", Disk({})).decode().splitlines() if "limit" in line]


def test_the_disk_is_measured_now_and_then_and_not_at_each_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    now, measured = [1000.0], list[Disk]()
    monkeypatch.setattr(watched, "monotonic", lambda: now[0])

    def measure() -> Disk:
        measured.append(Disk({"blobs": len(measured)}))
        return measured[-1]

    one = Measured(measure)
    for seconds, times in ((0, 1), (59, 1), (60, 2), (61, 2), (3600, 3)):
        now[0] = 1000.0 + seconds
        assert one.now().kinds["blobs"] == times - 1 == len(measured) - 1


@pytest.mark.parametrize("env", ["prod", "dev"])
def test_status_tells_by_its_exit_status_what_does_not_hold(applied: Path, tmp_path: Path, env: str) -> None:
    project = http_server.copied(applied, tmp_path / "shop")
    line = [sys.executable, "-m", "tilth", "status", "--project", project.root, "--env", env, "--exit-code"]

    def status() -> subprocess.CompletedProcess[str]:
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    if env == "dev":  # nothing is promised where nothing is published
        assert status().returncode == 0
        return
    before = status()
    shutil.move(tmp_path / "shop" / "ops.db", tmp_path / "gone")
    with pytest.raises(SourceError, match="no database"):
        project.sql("REFRESH DATASET deliveries")
    project.close()
    found = status()
    assert found.returncode == 9
    assert "not so: deliveries: its last refresh failed" in found.stderr
    assert "not so: deliveries: its last refresh failed" not in before.stderr
    said = subprocess.run([*line, "--json"], capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 9
    assert any(not p["holds"] for p in json.loads(said.stdout)["promises"])


CASES = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'up{job="tilth", instance="a"}', values: '1x4 0x10'}
      - {series: 'tilth_promise{instance="a",environment="prod",kind="dataset",name="d",promise="fresh"}', values: '1x4 0x20'}
      - {series: 'tilth_promise{instance="a",environment="prod",kind="model",name="m",promise="good"}', values: '1x30'}
      - {series: 'tilth_drift{instance="a",environment="prod",model="m"}', values: '0.1x10 0.5x90'}
      - {series: 'tilth_drift{instance="a",environment="prod",model="own"}', values: '0.5x100'}
      - {series: 'tilth_promise{instance="a",environment="prod",kind="model",name="own",promise="steady"}', values: '1x100'}
      - {series: 'tilth_disk_bytes{instance="a",job="tilth",kind="blobs"}', values: '50x10 70x90'}
      - {series: 'tilth_disk_bytes{instance="a",job="tilth",kind="state"}', values: '20x100'}
      - {series: 'tilth_disk_limit_bytes{instance="a",job="tilth"}', values: '100x100'}
      - {series: 'tilth_requests_total{instance="a",endpoint="e",status="200"}', values: '0+600x60'}
      - {series: 'tilth_requests_total{instance="a",endpoint="e",status="507"}', values: '0+60x60'}
      - {series: 'tilth_requests_total{instance="a",endpoint="f",status="200"}', values: '0+600x60'}
    alert_rule_test:
      - {eval_time: 3m, alertname: TilthDown, exp_alerts: []}
      - {eval_time: 3m, alertname: TilthPromiseBroken, exp_alerts: []}
      - eval_time: 9m
        alertname: TilthDown
        exp_alerts:
          - exp_labels: {severity: critical, job: tilth, instance: a}
            exp_annotations: {summary: "tilth at a does not answer"}
      - eval_time: 12m
        alertname: TilthPromiseBroken
        exp_alerts:
          - exp_labels: {severity: warning, instance: a, environment: prod, kind: dataset, name: d, promise: fresh}
            exp_annotations:
              summary: "dataset d in prod is not fresh"
              description: "GET /promises, or tilth status --exit-code, says why."
      - {eval_time: 30m, alertname: TilthDrift, exp_alerts: []}
      - eval_time: 90m
        alertname: TilthDrift
        exp_alerts:
          - exp_labels: {severity: warning, instance: a, environment: prod, model: m}
            exp_annotations: {summary: "The inputs of m in prod moved: 0.50 of 1"}
      - {eval_time: 9m, alertname: TilthDisk, exp_alerts: []}
      - eval_time: 40m
        alertname: TilthDisk
        exp_alerts:
          - exp_labels: {severity: warning, instance: a}
            exp_annotations: {summary: "What a keeps takes 90% of what it may", description: "tilth gc frees what nothing points at; disk under [limits] says how much it may take."}
      - eval_time: 30m
        alertname: TilthErrors
        exp_alerts:
          - exp_labels: {severity: critical, instance: a, endpoint: e}
            exp_annotations: {summary: "More than 1 % of the requests to e fail"}
"""


def test_the_rules_fire_when_they_should(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        assert RULES.count("- alert: ") == RULES.count("expr: ") == RULES.count("summary: ")
        pytest.skip("promtool is not here (apt-get install prometheus): the rules were counted and not run")
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "cases.yml").write_text(CASES)
    for line in (["check", "rules", "rules.yml"], ["test", "rules", "cases.yml"]):
        done = subprocess.run(
            ["promtool", *line], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_board_is_whole() -> None:
    assert len({p["id"] for p in BOARD["panels"]}) == len(BOARD["panels"]) >= 10
    assert len({(p["gridPos"]["x"], p["gridPos"]["y"]) for p in BOARD["panels"]}) == len(BOARD["panels"])
