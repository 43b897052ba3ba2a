"""A data file that is a link out of where it should lie, a FIFO or a device is refused by name, and nothing of it is shown."""

import os
from pathlib import Path

import pytest

from tilth.adapters.sources.files.source import FilesSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import TilthError
from tilth.core.scan import Scan

WRONG = [
    (lambda p: p.symlink_to("/etc/passwd"), "leads out of"),
    (lambda p: p.symlink_to("/dev/zero"), "leads out of"),
    (lambda p: p.symlink_to(p.name), "leads back to itself"),
    (lambda p: p.symlink_to("gone.csv"), "cannot be read"),
    (lambda p: p.symlink_to("../../outside.csv"), "leads out of"),
    (os.mkfifo, "is a FIFO"),
]
IDS = ["passwd", "device", "loop", "dangling", "outside", "FIFO"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "outside.csv").write_text("secret\nof somebody\n")
    (tmp_path / "p" / "data").mkdir(parents=True)
    (tmp_path / "p" / "data" / "good.csv").write_text("id\n1\n2\n")
    return tmp_path / "p"


@pytest.mark.parametrize("path", ["data", "data/*.csv", "data/x.csv"])
@pytest.mark.parametrize(("make", "says"), WRONG, ids=IDS)
def test_a_file_that_leads_elsewhere_is_refused_by_name(project: Path, path: str, make, says: str) -> None:
    make(project / "data" / "x.csv")
    source = FilesSource.from_options({"path": path}, str(project))
    for ask in (
        source.describe,
        source.change_token,
        lambda t: source.scan(Scan(t)).read_all(),
        lambda t: source.broken(Scan(t)),
    ):
        with pytest.raises(TilthError) as caught:
            ask("x")
        if not (path != "data" and says == "cannot be read"):  # a pattern does not find what is not there
            assert "x.csv" in caught.value.message
            assert says in caught.value.message
        assert "root:" not in str(caught.value)
        assert "somebody" not in str(caught.value)
    if path != "data/x.csv":
        assert source.scan(Scan("good")).read_all().num_rows == 2


@pytest.mark.parametrize(("make", "says"), WRONG, ids=IDS)
def test_a_database_that_leads_elsewhere_is_refused_by_name(project: Path, make, says: str) -> None:
    make(project / "ops.csv")
    with pytest.raises(TilthError) as caught:
        SqliteSource.from_options({"path": "ops.csv"}, str(project))
    assert "ops.csv" in caught.value.message


def test_a_folder_that_is_a_link_out_of_the_project_is_to_be_named_itself(project: Path) -> None:
    (project.parent / "lake").mkdir()
    (project.parent / "lake" / "visits.csv").write_text("id\n1\n")
    (project / "linked").symlink_to(project.parent / "lake")
    with pytest.raises(TilthError, match="leads out of") as caught:
        FilesSource.from_options({"path": "linked"}, str(project)).describe("visits")
    assert "name the folder where it really lies" in str(caught.value.hint)
    for path in (str(project.parent / "lake"), "../lake", "../lake/*.csv"):
        source = FilesSource.from_options({"path": path}, str(project))
        assert source.scan(Scan("visits")).read_all().num_rows == 1


def test_a_link_inside_the_project_is_read_as_what_its_own_name_says(project: Path) -> None:
    (project / "store").mkdir()
    (project / "store" / "rows.txt").write_text("id\n7\n")
    (project / "data" / "x.csv").symlink_to("../store/rows.txt")
    source = FilesSource.from_options({"path": "data"}, str(project))
    assert source.scan(Scan("x")).read_all().to_pylist() == [{"id": 7}]
