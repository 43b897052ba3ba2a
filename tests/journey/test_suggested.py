"""`tilth suggest` on a project: proposed, written, applied, and none of it fails."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import tilth
from tilth.interfaces.cli.commands import tilth as command
from tilth.ports.clock import ManualClock

SQL = """-- what comes in
CREATE SOURCE s ENGINE files WITH (path = 'data');
CREATE DATASET d KEY (id) EVENT TIME at TAG (email = 'pii') AS SELECT * FROM s.events;  -- kept
"""


@pytest.fixture(params=["mended"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A dataset whose c0 was missing in a third of two days; `mended` at its second refresh."""
    rng = np.random.default_rng(2)
    (tmp_path / "data").mkdir()
    (tmp_path / "d.sql").write_text(SQL)
    n, days = 6_000, 60
    at = np.datetime64("2026-01-05", "us") + np.sort(rng.integers(0, days * 86_400_000_000, n))
    events = {
        "id": np.arange(n), "at": at, "carrier": rng.choice(["AA", "UA"], n), "c0": rng.uniform(0, 9, n),
        "email": rng.choice(["a@b", "c@d"], n),
    }  # fmt: skip
    lacks = (at >= np.datetime64("2026-01-09")) & (at < np.datetime64("2026-01-11")) & (events["id"] % 3 == 0)
    table = pa.table(events)
    bad = table.set_column(3, "c0", pa.array(events["c0"], mask=lacks))
    pq.write_table(bad, tmp_path / "data" / "events.parquet")
    pq.write_table(
        pa.table({"carrier": ["AA", "UA", "DL"], "name": ["a", "u", "d"]}),
        tmp_path / "data" / "carriers.parquet",
    )
    made = tilth.open(str(tmp_path))
    made.clock = ManualClock(datetime(2026, 3, 6, 1, tzinfo=UTC))
    made.apply()
    if request.param == "mended":
        pq.write_table(table, tmp_path / "data" / "events.parquet")
        made.clock = ManualClock(datetime(2026, 3, 6, 2, tzinfo=UTC))
        made.sql("REFRESH DATASET d")
    return tmp_path


def asked(folder: Path, *options: str) -> dict[str, object]:
    (folder / "clock").write_text("2026-03-06T02:00:00Z")
    line = ["suggest", "d", "--project", str(folder), "--clock", str(folder / "clock"), "--json", *options]
    done = CliRunner().invoke(command, line)
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


def test_what_is_written_holds_at_the_next_apply(folder: Path) -> None:
    found = asked(folder, "--write")
    checks = [p["check"] for p in found["proposals"]]  # type: ignore[attr-defined]
    assert checks == [
        "USUAL (volume, nulls, distribution) FALSE ALARMS '1 per quarter'", "carrier IN ('AA', 'UA')",
        "REFERENCES s.carriers (carrier)", "c0 BETWEEN 0 AND 12",
    ]  # fmt: skip
    caught = {p["check"]: p["caught"] for p in found["proposals"]}  # type: ignore[attr-defined]
    assert caught["c0 BETWEEN 0 AND 12"].startswith("would have failed 1 of 2 refreshes: 2026-03-06 01:00 (")
    assert caught["c0 BETWEEN 0 AND 12"].endswith(" % NULL); 0 of the last 1, and 0 of 60 days")
    assert caught[checks[0]].startswith("would have failed 0 of 39 days")
    assert caught[checks[2]] == "would have failed 0 of 2 refreshes, and 0 of 60 days"
    text = (folder / "d.sql").read_text()
    assert f"-- {caught[checks[3]]}\n    c0 BETWEEN 0 AND 12 ON FAIL WARN" in text
    assert text.startswith("-- what comes in\n")
    assert text.endswith("AS SELECT * FROM s.events;  -- kept\n")
    made = tilth.open(str(folder))
    made.clock = ManualClock(datetime(2026, 3, 6, 2, tzinfo=UTC) + timedelta(minutes=1))
    assert {d.status for d in made.apply().did} == {"done"}
    assert not made.sql("SELECT expectation FROM tilth.check_results WHERE passed = 0").rows()
    assert not asked(folder)["proposals"]


@pytest.mark.parametrize("folder", ["bad"], indirect=True)
def test_what_fails_in_few_days_is_proposed_and_named(folder: Path) -> None:
    found = {p["check"]: p for p in asked(folder)["proposals"]}  # type: ignore[attr-defined]
    said = found["c0 BETWEEN 0 AND 12"]["caught"]
    assert said.startswith("would have failed 2 of 60 days: 2026-01-09 (")
    assert "; 0 of the last 54; these rows are still there: ON FAIL QUARANTINE would hold them back" in said
    assert [f["rows"] == f["missing"] for f in found["c0 BETWEEN 0 AND 12"]["tried"][0]["failed"]] == [
        True
    ] * 2


def test_a_dataset_that_is_not_there_is_one_error(folder: Path) -> None:
    done = CliRunner().invoke(command, ["suggest", "e", "--project", str(folder)])
    assert done.exit_code
    assert "There is no dataset `e`" in str(done.exception)
