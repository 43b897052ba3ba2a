"""`tilth adopt`: what was typed at a prompt is declared in a file, and a plan has nothing to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import shop_project
import tilth
from tilth.app.adopting import adopt
from tilth.app.project import Project
from tilth.core.errors import InputError, ProjectError, TilthError, UnknownNameError

AGAIN = "CREATE MODEL again PREDICT late FROM typed FEATURES (* EXCEPT (minutes)) USING (engine = 'linear')"
TYPED = "CREATE DATASET typed KEY (id) AS SELECT * FROM ops.deliveries"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = shop_project.opened(shop_project.make(tmp_path / "p"))
    found.apply()
    found.sql(TYPED)
    found.sql(AGAIN)
    return found


def files(project: Project) -> dict[str, str]:
    return {p.name: p.read_text() for p in Path(project.root).glob("**/*.sql")}


def test_what_was_typed_is_declared_with_what_it_needs(project: Project) -> None:
    assert "drop" in project.sql("PLAN").text
    done = adopt(project, ["again"])
    assert done.names == ("typed", "again")
    text = (Path(project.root) / "adopted.sql").read_text()
    assert text.index("CREATE DATASET typed") < text.index("CREATE MODEL again")
    assert project.sql("PLAN").text.startswith("Nothing to do")
    assert adopt(project).names == ()
    assert adopt(project, ["again"]).already == ("again",)


def test_all_that_the_files_lack_goes_to_the_end_of_a_file(project: Project) -> None:
    path = Path(project.root) / "more" / "typed.sql"
    path.parent.mkdir()
    path.write_text("-- ours\n\n")
    assert adopt(project, file="more/typed.sql").names == ("typed", "again")
    assert path.read_text().startswith("-- ours\n\nCREATE DATASET typed")
    assert project.sql("PLAN").text.startswith("Nothing to do")


@pytest.mark.parametrize("file", ["../out.sql", "/tmp/out.sql", "typed.txt", ".tilth/x.sql", "tests/x.sql"])
def test_a_file_that_does_not_declare_is_refused(file: str, project: Project) -> None:
    before = files(project)
    with pytest.raises(InputError, match="no file that declares"):
        adopt(project, file=file)
    assert files(project) == before


def test_names_that_are_not_there_or_declared_otherwise_are_refused(project: Project) -> None:
    before = files(project)
    with pytest.raises(UnknownNameError, match="no `nothere` deployed"):
        adopt(project, ["again", "nothere"])
    project.sql("CREATE OR REPLACE ENDPOINT late_api FOR MODEL late")
    with pytest.raises(ProjectError, match="otherwise than it is deployed"):
        adopt(project, ["late_api"])
    assert files(project) == before


def test_files_that_do_not_fit_together_then_stay_as_they_were(project: Project) -> None:
    path = Path(project.root) / "broken.sql"
    path.write_text("CREATE MODEL x PREDICT y FROM nowhere;\n")
    before = files(project)
    with pytest.raises(TilthError, match="nowhere"):
        adopt(project)
    assert files(project) == before


def test_the_command_says_what_it_wrote(project: Project) -> None:
    root = project.root
    project.close()
    line = [sys.executable, "-m", "tilth", "adopt", "--project", root]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120)
    assert "adopted.sql declares typed, again now." in done.stdout
    again = subprocess.run([*line, "--json"], capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(again.stdout)["adopted"] == []
    with tilth.open(root) as opened:
        assert {"typed", "again"} <= {r.name for r in opened.graph()}
