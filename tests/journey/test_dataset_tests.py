"""`tilth test`: a dataset's query over the tables of a case; cases made of a sample give what the query gives."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tilth.interfaces.cli.testing import test as command

DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d KEY (id) EVENT TIME ts AS
  SELECT f.id, f.ts, w.temp, coalesce(f.delay > 0, false) AS late, f.note FROM ops.f f
  ASOF LEFT JOIN ops.w w ON w.origin = f.origin AND w.h <= f.ts WHERE f.id > 2;
CREATE DATASET sums AS SELECT late, count(*) AS n FROM d GROUP BY late;
"""
INPUT = "id:BIGINT,ts:TIMESTAMP,origin:VARCHAR,delay:DOUBLE,note:VARCHAR\n"
WEATHER = "origin:VARCHAR,h:TIMESTAMP,temp:DOUBLE\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "all.sql").write_text(DECLARED)
    with closing(sqlite3.connect(tmp_path / "ops.db")) as db, db:
        db.execute("CREATE TABLE f (id INTEGER, ts TIMESTAMP, origin TEXT, delay REAL, note TEXT)")
        db.execute("CREATE TABLE w (origin TEXT, h TIMESTAMP, temp REAL)")
        at = [(datetime(2026, 1, 1) + timedelta(hours=i)).isoformat(sep=" ") for i in range(500)]
        notes = [None, "", 'say "a, b"', " edge ", "two\nlines"]
        db.executemany(
            "INSERT INTO f VALUES (?, ?, ?, ?, ?)",
            [(i, at[i], "ab"[i % 2], i % 7 - 3 if i % 5 else None, notes[i % 5]) for i in range(500)],
        )
        db.executemany("INSERT INTO w VALUES (?, ?, ?)", [("ab"[i % 2], at[i], i / 10) for i in range(500)])
    return tmp_path


def case(folder: Path, name: str = "one", **files: str) -> Path:
    made = folder / "tests" / "d" / name
    made.mkdir(parents=True)
    for table, text in files.items():
        (made / f"{table.replace('__', '.')}.csv").write_text(text)
    return made


def run(folder: Path, *options: str) -> Any:
    return CliRunner().invoke(command, [*options, "--project", str(folder)])


ROWS = '7,2026-01-01 05:00:00,a,3.5,""\n8,2026-01-01 06:00:00,a,,\n'
EXPECTED = 'id,ts,temp,late,note\n8,2026-01-01 06:00:00,1.5,false,\n7,2026-01-01 05:00:00,1.5,true,""\n'


def test_a_case_passes_and_makes_no_project(folder: Path) -> None:
    case(folder, ops__f=INPUT + ROWS, ops__w=WEATHER + "a,2026-01-01 04:00:00,1.5\n", expected=EXPECTED)
    found = run(folder)
    assert (found.exit_code, "1 of 1 cases passed" in found.output) == (0, True)
    assert not (folder / ".tilth").exists()


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        (EXPECTED.replace("1.5,true", "2.5,true"), "~ id 7: temp is 1.5, expected 2.5"),
        (EXPECTED.replace(',""', ","), "~ id 7: note is '', expected NULL"),
        ("id,late\n7,true\n", "+ id 8, late false"),
        ("id,late\n7,true\n8,false\n9,true\n", "- id 9, late true"),
        ("id,late\n7,true\n7,true\n8,false\n", "- id 7, late true"),
    ],
)
def test_what_differs_is_shown(folder: Path, expected: str, says: str) -> None:
    case(folder, ops__f=INPUT + ROWS, ops__w=WEATHER + "a,2026-01-01 04:00:00,1.5\n", expected=expected)
    found = run(folder)
    assert (found.exit_code, says in found.output) == (3, True)
    assert [c["status"] for c in json.loads(run(folder, "--json").output)["cases"]] == ["failed"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"ops__f": INPUT + ROWS, "expected": EXPECTED}, "has no ops.w.csv"),
        ({"ops__f": INPUT + ROWS, "ops__w": WEATHER}, "has no expected.csv"),
        (
            {"ops__f": INPUT + ROWS, "ops__w": WEATHER, "ops__x": "a:INT\n", "expected": EXPECTED},
            "does not read",
        ),
        (
            {"ops__f": INPUT.replace(":BIGINT", "") + ROWS, "ops__w": WEATHER, "expected": EXPECTED},
            "column `id` has no type",
        ),
        ({"ops__f": INPUT + "x,2026-01-01,a,1,b\n", "ops__w": WEATHER, "expected": EXPECTED}, "ops.f.csv: "),
        ({"ops__f": INPUT + "1,2\n", "ops__w": WEATHER, "expected": EXPECTED}, "cannot be read"),
        ({"ops__f": "", "ops__w": WEATHER, "expected": EXPECTED}, "cannot be read"),
        ({"ops__f": "id:BIGINT\n1\n", "ops__w": WEATHER, "expected": EXPECTED}, "ts"),
        ({"ops__f": INPUT + ROWS, "ops__w": WEATHER, "expected": "id,gone\n7,1\n"}, "gives no column `gone`"),
    ],
)
def test_a_case_that_is_none_is_an_error_with_its_place(
    folder: Path, files: dict[str, str], says: str
) -> None:
    case(folder, **files)
    found = run(folder)
    assert found.exit_code not in (0, 3)
    assert says in found.output


def test_a_sample_gives_what_the_query_gives_and_is_small(folder: Path) -> None:
    assert run(folder, "--create", "d").exit_code == 0
    made = folder / "tests" / "d" / "sample"
    assert {p.name for p in made.iterdir()} == {"ops.f.csv", "ops.w.csv", "expected.csv"}
    assert sum(len(p.read_text().splitlines()) for p in made.iterdir()) < 20
    assert run(folder, "d/sample").exit_code == 0
    (folder / "all.sql").write_text(DECLARED.replace("f.delay > 0", "f.delay > 1e9"))
    assert run(folder).exit_code == 3
    assert "is there already" in str(run(folder, "--create", "d").exception)


def test_names_that_there_are_not(folder: Path) -> None:
    assert "no case of `d`" in str(run(folder, "d").exception)
    assert "no dataset `nope`" in str(run(folder, "--create", "nope").exception)
