"""ALTER at a prompt: what is deployed changes at once and alone, and what the files say of it is told."""

from pathlib import Path

import pytest

import shop_project
from tilth.app.project import Project
from tilth.core.errors import TilthError


@pytest.fixture
def project(applied: Path) -> Project:
    found = shop_project.opened(applied)
    found.sql("CREATE VIEW far AS SELECT * FROM deliveries WHERE distance > 20")
    found.sql("CREATE JOB fresh EVERY '1 day' AS (REFRESH DATASET deliveries)")
    return found


def text(project: Project, name: str) -> str:
    return project.deployed().get(name).text


def test_a_model_is_trained_by_what_it_is_altered_to_and_the_rest_stays(project: Project) -> None:
    done = project.sql("ALTER MODEL late SET (seed = 8, time_limit = '30 s')")
    assert done.text.splitlines()[:2] == [
        "- USING (engine = 'linear', time_limit = '20 s')",
        "+ USING (engine = 'linear', time_limit = '30 s', seed = 8)",
    ]
    assert project.model("late").version == 2
    assert "PROMOTE IF not_worse_by(0.02);" in text(project, "late")
    assert project.model("duration").version == 1
    assert (
        "`late` is declared in shop.sql, and the next APPLY makes it as it is written there" in done.told[0]
    )
    assert [a.name for a in project.plan().actions if a.name == "late"] == ["late"]


def test_what_makes_nothing_anew_is_a_changed_declaration(project: Project) -> None:
    before = project.generations(limit=1)[0].number
    done = project.sql("ALTER DATASET deliveries SET (every = '2 hours')")
    assert "takes the changed declaration; nothing is made anew" in done.text
    assert "REFRESH EVERY '2 hours' INCREMENTAL LOOKBACK '2 days'" in text(project, "deliveries")
    assert project.generations(limit=1)[0].number == before + 1


def test_what_it_says_already_changes_nothing(project: Project) -> None:
    before = project.generations(limit=1)[0].number
    assert project.sql("ALTER JOB fresh SET (every = '24 hours')").text == "`fresh` says so already."
    assert project.sql("ALTER JOB IF EXISTS no SET (every = '1 day')").text == "There is no job `no`."
    assert project.generations(limit=1)[0].number == before


def test_of_what_no_file_declares_nothing_is_told(project: Project) -> None:
    done = project.sql("ALTER JOB fresh SET (every = '2 hours', missed = 'skip')")
    assert done.told == []
    assert "EVERY '2 hours'\n  MISSED SKIP" in text(project, "fresh")
    project.sql("ALTER VIEW far AS SELECT id FROM deliveries WHERE distance > 30")
    assert project.sql("SELECT * FROM far LIMIT 1").schema.names == ["id"]


def test_a_source_of_mindsdb_s_keeps_its_password_in_a_file(project: Project, applied: Path) -> None:
    project.sql('CREATE DATABASE db WITH ENGINE = "sqlite", PARAMETERS = {"db_file": "ops.db"}')
    done = project.sql('ALTER DATABASE db PARAMETERS = {"db_file": "./ops.db"}')
    assert "./ops.db" in text(project, "db")
    assert done.told == []
    with pytest.raises(TilthError):
        project.sql("ALTER DATABASE db PARAMETERS = {'db_file': 'nothing.db', 'password': 'hidden'}")
    assert "hidden" not in "".join(p.read_text() for p in applied.rglob("*.sql"))
    assert "./ops.db" in text(project, "db")


WRONG = {
    "ALTER MODEL lat SET (seed = 8)": "There is no model `lat` in `prod`.",
    "ALTER MODEL deliveries SET (seed = 8)": "There is no model `deliveries` in `prod`.",
    "ALTER MODEL late SET (sed = 8)": "`sed` is not an option of a model.",
    "ALTER MODEL late SET (engine = 'nothing')": "There is no engine of models called `nothing`.",
    "ALTER DATASET deliveries SET (event_time = NULL)": "Dataset `deliveries` is INCREMENTAL but has no EVENT TIME.",
    "ALTER DATASET deliveries SET (key = 'no')": "There is no column `no`, which dataset `deliveries` needs.",
    "ALTER SOURCE ops SET (path = 'gone.db')": "There is no database at ",
    "ALTER CHANNEL c SET (url = 'https://x/')": "There is no channel `c` in `prod`.",
}


@pytest.mark.parametrize("statement", WRONG)
def test_what_cannot_be_is_an_error_and_changes_nothing(project: Project, statement: str) -> None:
    before = project.generations(limit=1)[0].number
    with pytest.raises(TilthError) as error:
        project.sql(statement)
    assert error.value.message.startswith(WRONG[statement])
    assert project.generations(limit=1)[0].number == before


def test_files_hold_none(shop: Path) -> None:
    (shop / "more.sql").write_text("ALTER MODEL late SET (seed = 8);")
    with pytest.raises(TilthError, match=r"more\.sql holds ALTER") as error:
        shop_project.opened(shop).plan()
    assert "Files say what is: change the text there" in (error.value.hint or "")
