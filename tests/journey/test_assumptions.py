"""What is assumed of a dataset goes well, then not, then well again: a history that tables, DESCRIBE and status show."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import tilth
from tilth.interfaces.cli.commands import tilth as command
from tilth.ports.clock import ManualClock

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SQL = """
CREATE SOURCE s ENGINE files WITH (path = 'data');
CREATE DATASET d KEY (id) EXPECT (x <= 100 ON FAIL WARN, AVG(x) < 50 ON FAIL WARN, USUAL (volume) ON FAIL WARN) AS SELECT * FROM s.t;
"""


@pytest.fixture
def project(tmp_path: Path) -> object:
    (tmp_path / "data").mkdir()
    (tmp_path / "d.sql").write_text(SQL)
    put(tmp_path, 80)
    made = tilth.open(str(tmp_path))
    made.clock = ManualClock(NOW)
    made.apply()
    for day, most in enumerate((90, 130, 120, 60), 1):
        put(tmp_path, most)
        made.clock.set(NOW + timedelta(days=day))
        made.sql("REFRESH DATASET d")
    return made


def put(folder: Path, most: int) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], "x": [0, 10, most]}), folder / "data" / "t.parquet")


def test_assumptions_have_a_history(project: tilth.Project) -> None:
    asked = "SELECT state, since, until, refreshes, failed, round(room, 2) AS room, value FROM tilth.assumptions WHERE expectation = 'x <= 100'"
    rows = [tuple(r.values()) for r in project.sql(f"{asked} ORDER BY since").rows()]
    day = [NOW.replace(tzinfo=None) + timedelta(days=d) for d in range(5)]
    assert rows == [
        ("holds", day[0], day[2], 2, 0, 0.1, 90.0),
        ("contradicted", day[2], day[4], 2, 1, -0.3, 120.0),
        ("holds", day[4], None, 1, 0, 0.4, 60.0),
    ]
    unjudged = project.sql(
        "SELECT state, refreshes FROM tilth.assumptions WHERE expectation = 'USUAL volume'"
    ).rows()
    assert [tuple(r.values()) for r in unjudged] == [("not judged", 5)]


def test_describe_and_status_show_them(project: tilth.Project, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["describe", "d", "--project", project.root, "--json"])
    checks = {c["expectation"]: c for c in json.loads(done.output)["checks"]}
    assert checks["x <= 100"]["since"].startswith("2026-03-06")
    assert checks["x <= 100"]["room"] == pytest.approx(0.4)
    assert checks["USUAL volume"]["passed"] is None
    assert project.status()["datasets"][0]["contradicted"] == []
    put(tmp_path, 400)
    project.clock.set(NOW + timedelta(days=5))  # type: ignore[attr-defined]
    project.sql("REFRESH DATASET d")
    now = {c["expectation"]: c["since"][:10] for c in project.status()["datasets"][0]["contradicted"]}
    assert now == {"x <= 100": "2026-03-07", "AVG(x) < 50": "2026-03-07"}
