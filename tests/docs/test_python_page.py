"""Every example of the Python page runs, in its order, beside a folder `flights`."""

import re
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.app.project import Project
from tilth.interfaces.demo import data
from tilth.ports.clock import ManualClock

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'flights.db');
CREATE DATASET departures KEY (flight_id) EVENT TIME sched_dep
AS SELECT flight_id, sched_dep, origin, carrier, distance, dep_delay, arr_delay > 15 AS arr_late FROM ops.flights
   WHERE arr_delay IS NOT NULL;
CREATE MODEL late PREDICT arr_late FROM departures FEATURES (* EXCEPT (dep_delay)) USING (engine = 'linear');
"""


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    folder = tmp_path / "flights"
    data.make(str(folder / "data"), datetime(2013, 2, 1), timedelta(days=1))
    (folder / "data" / "flights.db").rename(folder / "flights.db")
    (folder / "page.sql").write_text(DECLARED)
    made = tilth.open(str(folder))
    made.clock = ManualClock(datetime(2013, 2, 1, tzinfo=UTC))
    made.apply()
    made.close()
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", tilth.ExtraWarning)
        for example in EXAMPLES:
            exec(compile(example, "python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "E-NAME Did you mean `departures`?" in said
    assert "<Model late version 1:" in said


def test_what_is_exported_and_what_a_project_does_are_on_the_page() -> None:
    for name in (*tilth.__all__, *(n for n in vars(tilth.Model) if not n.startswith("_"))):
        assert name in PAGE or name in {"inputs", "outputs", "name", "version"}, name
    for name in (
        "sql",
        "model",
        "plan",
        "apply",
        "promote",
        "rollback",
        "status",
        "diff",
        "generations",
        "verify",
    ):
        assert f"`{name}`" in PAGE
        assert hasattr(Project, name)
