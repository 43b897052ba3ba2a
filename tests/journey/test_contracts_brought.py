"""Contracts by the command line: out of one project, into another, onto one that is there, and not at all when a rule is unknown."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import tilth
from tilth.interfaces.cli.commands import tilth as command

SOURCE = "CREATE SOURCE s ENGINE files WITH (path = 'data');\n"
DATASET = "CREATE DATASET d KEY (id) EXPECT (x > 0 ON FAIL WARN, COUNT(*) >= 2, USUAL (volume) ON FAIL WARN) AS SELECT * FROM s.t;\n"
OTHER = """
apiVersion: v3.1.0
kind: DataContract
id: c
version: 1.0.0
schema:
- name: d
  properties: [{name: x, required: true}]
- name: e
  physicalName: t
  properties: [{name: id, primaryKey: true}, {name: x, quality: [{metric: METRIC, mustBe: 0}]}]
"""


def project(folder: Path, text: str) -> Path:
    (folder / "data").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2, 3], "x": [1, 2, 3]}), folder / "data" / "t.parquet")
    (folder / "p.sql").write_text(text)
    return folder


def ran(folder: Path, *line: str) -> Result:
    return CliRunner().invoke(command, [*line, "--project", str(folder)])


def test_a_contract_goes_from_project_to_project(tmp_path: Path) -> None:
    first = project(tmp_path / "one", SOURCE + DATASET)
    tilth.open(str(first)).apply()
    path = tmp_path / "d.odcs.yaml"
    assert ran(first, "export", "d", "--format", "odcs", "--output", str(path)).exit_code == 0
    second = project(tmp_path / "two", SOURCE)
    assert "contracts.sql declares d now" in ran(second, "import", str(path)).output
    assert tilth.open(str(second)).graph().get("d").text == tilth.open(str(first)).graph().get("d").text
    assert "declare all that the contract says" in ran(second, "import", str(path)).output


def test_checks_are_added_to_what_is_declared(tmp_path: Path) -> None:
    there = project(tmp_path / "one", SOURCE + DATASET)
    (tmp_path / "c.yaml").write_text(OTHER.replace("METRIC", "nullValues"))
    done = ran(there, "import", str(tmp_path / "c.yaml"), "--source", "s")
    assert "Added to d: x IS NOT NULL" in done.output
    graph = tilth.open(str(there)).graph()
    assert len(graph.get("d").declaration.expect) == 4  # type: ignore[union-attr]
    assert "FROM s.t" in graph.get("e").text
    assert {d.status for d in tilth.open(str(there)).apply().did} == {"done"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OTHER.replace("METRIC", "luckyValues"), "'luckyValues' is not known"),
        (OTHER.replace("METRIC", "nullValues").replace("name: e", "name: s"), "is a source of the project"),
        (OTHER.replace("METRIC", "nullValues").replace("v3.1.0", "v2.2.0"), "of version 'v2.2.0'"),
    ],
)
def test_nothing_is_written_when_a_part_cannot_be_said(tmp_path: Path, text: str, said: str) -> None:
    there = project(tmp_path / "one", SOURCE + DATASET)
    (tmp_path / "c.yaml").write_text(text)
    done = ran(there, "import", str(tmp_path / "c.yaml"), "--source", "s")
    assert said in str(done.exception)
    assert (there / "p.sql").read_text() == SOURCE + DATASET
    assert not (there / "contracts.sql").exists()


def test_what_does_not_fit_the_project_is_taken_back(tmp_path: Path) -> None:
    there = project(tmp_path / "one", SOURCE + DATASET)
    (tmp_path / "c.yaml").write_text(OTHER.replace("METRIC", "nullValues"))
    done = ran(there, "import", str(tmp_path / "c.yaml"), "--source", "nowhere")
    assert done.exit_code
    assert (there / "p.sql").read_text() == SOURCE + DATASET
    assert not (there / "contracts.sql").exists()
