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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    (tmp_path / "data").mkdir()
    (tmp_path / "d.sql").write_text(SQL)
    n, days = 6_000, 60
    at = np.datetime64("2026-01-05", "us") + np.sort(rng.integers(0, days * 86_400_000_000, n))
    events = {
        "id": np.arange(n), "at": at, "carrier": rng.choice(["AA", "UA"], n), "x": rng.uniform(0, 9, n),
        "email": rng.choice(["a@b", "c@d"], n),
    }  # fmt: skip
    pq.write_table(pa.table(events), tmp_path / "data" / "events.parquet")
    pq.write_table(
        pa.table({"carrier": ["AA", "UA", "DL"], "name": ["a", "u", "d"]}),
        tmp_path / "data" / "carriers.parquet",
    )
    made = tilth.open(str(tmp_path))
    made.clock = ManualClock(datetime(2026, 3, 6, 2, tzinfo=UTC))
    made.apply()
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
        "REFERENCES s.carriers (carrier)", "x BETWEEN 0 AND 12",
    ]  # fmt: skip
    text = (folder / "d.sql").read_text()
    assert text.startswith("-- what comes in\n")
    assert text.endswith("AS SELECT * FROM s.events;  -- kept\n")
    made = tilth.open(str(folder))
    made.clock = ManualClock(datetime(2026, 3, 6, 2, tzinfo=UTC) + timedelta(minutes=1))
    assert {d.status for d in made.apply().did} == {"done"}
    assert not made.sql("SELECT expectation FROM tilth.check_results WHERE passed = 0").rows()
    assert not asked(folder)["proposals"]


def test_a_dataset_that_is_not_there_is_one_error(folder: Path) -> None:
    done = CliRunner().invoke(command, ["suggest", "e", "--project", str(folder)])
    assert done.exit_code
    assert "There is no dataset `e`" in str(done.exception)
