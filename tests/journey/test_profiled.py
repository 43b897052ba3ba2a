"""`tilth profile` and `tilth report dataset`: what rows look like, against the snapshot before, in words, JSON and a page."""

import json
from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.interfaces.cli.commands import run

FILES = """
CREATE SOURCE files ENGINE files WITH (path = 'data');
CREATE DATASET fields KEY (id) EXPECT (COUNT(*) >= 1 ON FAIL WARN) TAG (name = 'pii') AS SELECT * FROM files.raw;
CREATE DATASET wide AS SELECT {wide} FROM files.raw;
"""


def rows(folder: Path, add: float) -> None:
    lines = [
        f"{n},{n % 100 + add},{'north' if n % 3 else ''},7,name{n},{'x' * 1_000_000 if n == 5 else 'y'}"
        for n in range(600)
    ]
    (folder / "data" / "raw.csv").write_text("\n".join(["id,rain,side,one,name,long", *lines]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("fields")
    (folder / "data").mkdir()
    rows(folder, 0)
    wide = ", ".join(f"id + {n} AS c{n}" for n in range(260))
    (folder / "fields.sql").write_text(FILES.format(wide=wide))
    with tilth.open(str(folder)) as project:
        project.apply()
        rows(folder, 40)
        project.sql("REFRESH DATASET fields")
        yield project, folder


def test_columns_have_gaps_ends_values_and_drift(made: Any) -> None:
    facts = made[0].profile("fields")
    by = {c["name"]: c for c in facts["columns"]}
    assert by["side"]["missing"] == pytest.approx(1 / 3)
    assert by["side"]["values"] == [["north", 400]]
    assert (by["rain"]["minimum"], by["rain"]["maximum"]) == (40, 139)
    assert sum(by["rain"]["counts"]) + by["rain"]["below"] + by["rain"]["above"] == 600
    assert by["rain"]["drift"] > 0.2 > (by["id"]["drift"] or 0)
    assert by["name"]["kind"] == "other"  # it is tagged: nothing of it is shown
    history = {h["check"]: h["points"] for h in facts["history"]}
    assert [p["passed"] for p in history["COUNT(*) >= 1"]] == [True, True]
    assert {e["to_column"] for e in facts["lineage"]} >= {"rain", "side"}


def test_of_many_columns_some_are_looked_at(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "wide", "--project", str(made[1])]) == 0
    assert "60 more columns were not looked at" in capsys.readouterr().out


def test_pages_and_json_at_the_command_line(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--project", str(made[1])]
    page = made[1] / "page.html"
    assert run(["profile", "fields", "--html", str(page), *at]) == 0
    assert "<svg" in page.read_text()
    assert "name5" not in page.read_text()
    assert run(["report", "dataset", "fields", "--output", str(page), *at]) != 0  # it is there
    assert run(["report", "dataset", "fields", "--output", str(page), "--force", *at]) == 0
    capsys.readouterr()
    assert run(["profile", "fields", "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 600
    assert run(["profile", "field", *at]) != 0
    assert "fields" in capsys.readouterr().err
