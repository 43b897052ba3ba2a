"""RELEASE QUARANTINE: rows are repaired, vetted again and published; that holds until the source changes them."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.app.project import Project
from tilth.core.errors import CheckFailedError, TilthError
from tilth.ports.clock import ManualClock

START = datetime(2024, 1, 25, tzinfo=UTC)
DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d KEY (id) EVENT TIME ts REFRESH {refresh} EXPECT (
    v >= 0 ON FAIL QUARANTINE, shop IS NOT NULL ON FAIL QUARANTINE, REFERENCES ops.shops (shop) ON FAIL QUARANTINE, v < 1000 ON FAIL WARN
  )
  AS SELECT id, ts, shop, v FROM ops.t;
CREATE DATASET keyless EXPECT (v >= 0 ON FAIL QUARANTINE) AS SELECT id, v FROM ops.t;
"""
REFRESHES = ("INCREMENTAL LOOKBACK '1 day'", "EVERY '1 day'")


def write(folder: str | Path, *statements: str) -> None:
    with closing(sqlite3.connect(Path(folder) / "ops.db")) as db, db:
        for statement in statements:
            db.execute(statement)


def project_of(folder: Path, refresh: str) -> Project:
    (folder / "d.sql").write_text(DECLARED.format(refresh=refresh))
    write(
        folder,
        "CREATE TABLE t (id INTEGER, ts TIMESTAMP, shop TEXT, v REAL)",
        "CREATE TABLE shops (shop TEXT)",
    )
    write(folder, "INSERT INTO shops VALUES ('a'), ('b')")
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        bad = {5: ("a", -5.0), 6: ("b", -6.0), 7: (None, 7.0), 8: ("zz", 8.0)}
        rows = [
            (i, f"2024-01-{1 + i // 5:02} 0{i % 5}:00:00", *bad.get(i, ("a", float(i)))) for i in range(100)
        ]
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    found = tilth.open(str(folder))
    found.clock = ManualClock(START)
    found.apply()
    return found


@pytest.fixture(params=REFRESHES, ids=["incremental", "whole"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return project_of(tmp_path, request.param)


def values(project: Project, *ids: int) -> dict[int, float]:
    rows = project.sql("SELECT id, v FROM d ORDER BY id").rows()
    return {r["id"]: r["v"] for r in rows if not ids or r["id"] in ids}


def held(project: Project) -> int:
    return int(
        project.sql("SELECT count(*) AS n FROM tilth.quarantined_rows WHERE dataset = 'd'").rows()[0]["n"]
    )


def later(project: Project, days: int = 1) -> None:
    assert isinstance(project.clock, ManualClock)
    project.clock.set(project.clock.now() + timedelta(days=days))


def test_rows_are_repaired_and_published_at_once(project: Project) -> None:
    assert (len(values(project)), held(project)) == (96, 4)
    done = project.sql("RELEASE QUARANTINE d WHERE v < 0 SET v = abs(v) BECAUSE 'the old till had no sign'")
    assert done.facts["rows"] == 2
    assert values(project, 5, 6) == {5: 5.0, 6: 6.0}
    assert (len(values(project)), held(project)) == (98, 2)
    assert project.status()["datasets"][0]["quarantined"] == 2
    said = project.sql("SELECT detail FROM tilth.audit WHERE verb = 'release'").rows()
    assert [("the old till had no sign" in r["detail"]) for r in said] == [True]
    assert project.verify()
    assert project.plan().actions == ()


def test_a_row_that_is_held_again_is_held_once(project: Project) -> None:
    write(project.root, "INSERT INTO t VALUES (300, '2024-01-21 00:00:00', 'a', -1)")
    for turn in range(3):
        later(project)
        write(
            project.root,
            f"INSERT INTO t VALUES ({301 + turn}, '2024-01-21 0{turn + 1}:00:00', 'a', {1 - turn})",
        )
        project.sql("REFRESH DATASET d")
        count = 5 + (turn == 2)
        assert held(project) == count == project.status()["datasets"][0]["quarantined"]
    rows = project.sql(
        "SELECT row, since, refresh FROM tilth.quarantined_rows WHERE dataset = 'd' ORDER BY since"
    ).rows()
    assert [r["since"].day for r in rows] == [25] * 4 + [26, 28]
    if _days(project):
        files = project.sql("SELECT rows FROM tilth.quarantine WHERE dataset = 'd' ORDER BY refresh").rows()
        assert [r["rows"] for r in files] == [4, 1, 1]
        counted = project.sql(
            "SELECT rows_quarantined AS n FROM tilth.refreshes WHERE dataset = 'd' ORDER BY id"
        ).rows()
        assert [r["n"] for r in counted] == [4, 1, 1, 2], "a refresh says how many it held back"


def test_a_release_holds_until_the_source_changes_the_row(project: Project) -> None:
    project.sql("RELEASE QUARANTINE d WHERE v < 0 SET v = abs(v) BECAUSE 'sign'")
    for turn in range(2):
        later(project)
        write(project.root, f"INSERT INTO t VALUES ({200 + turn}, '2024-01-2{2 + turn} 00:00:00', 'a', 1)")
        project.sql(
            "REFRESH DATASET d FROM '2024-01-01' TO '2024-01-31'" if _days(project) else "REFRESH DATASET d"
        )
        assert values(project, 5, 6) == {5: 5.0, 6: 6.0}
    write(project.root, "UPDATE t SET v = -50 WHERE id = 5", "UPDATE t SET v = 60 WHERE id = 6")
    later(project)
    project.sql(
        "REFRESH DATASET d FROM '2024-01-01' TO '2024-01-31'" if _days(project) else "REFRESH DATASET d"
    )
    assert values(project, 5, 6) == {6: 60.0}


def _days(project: Project) -> bool:
    return "INCREMENTAL" in (Path(project.root) / "d.sql").read_text()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("WHERE v < 0 BECAUSE 'x'", "v >= 0: 2 of 2 rows fail"),
        ("WHERE id IN (5, 7) SET v = 1 BECAUSE 'x'", "shop IS NOT NULL: 1 of 2 rows fail"),
        ("WHERE shop = 'zz' BECAUSE 'x'", "REFERENCES ops.shops (shop)"),
    ],
)
def test_rows_that_still_fail_are_refused_with_the_check(tmp_path: Path, statement: str, says: str) -> None:
    project = project_of(tmp_path, REFRESHES[0])
    before = project.status()["generation"]
    with pytest.raises(CheckFailedError) as raised:
        project.sql(f"RELEASE QUARANTINE d {statement}")
    assert says in raised.value.message
    assert (len(values(project)), held(project), project.status()["generation"]) == (96, 4, before)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("d WHERE id = 99 BECAUSE 'x'", "No row in quarantine"),
        ("d WHERE gone = 1 BECAUSE 'x'", "gone"),
        ("d WHERE id = 5 SET gone = 1 BECAUSE 'x'", "gone"),
        ("d WHERE id = 5 SET v = 'text' BECAUSE 'x'", "not of type"),
        ("d WHERE id = 5 SET id = 7, v = 1 BECAUSE 'x'", "is of the KEY"),
        ("d WHERE id = 5 SET ID = NULL, v = 1 BECAUSE 'x'", "is of the KEY"),
        ("d WHERE id BECAUSE 'x'", "true or false"),
        ("d WHERE id = 5 BECAUSE ''", "reason is empty"),
        ("d WHERE id = 5", "BECAUSE"),
        ("keyless WHERE id = 5 BECAUSE 'x'", "no KEY"),
        ("nothere WHERE id = 5 BECAUSE 'x'", "no dataset"),
    ],
)
def test_what_cannot_be_released_changes_nothing(tmp_path: Path, statement: str, says: str) -> None:
    project = project_of(tmp_path, REFRESHES[0])
    with pytest.raises(TilthError) as raised:
        project.sql(f"RELEASE QUARANTINE {statement}")
    assert says in raised.value.message + raised.value.hint
    assert (len(values(project)), held(project)) == (96, 4)


def test_a_later_row_of_the_key_stays(tmp_path: Path) -> None:
    project = project_of(tmp_path, REFRESHES[1])
    write(project.root, "INSERT INTO t VALUES (5, '2024-01-20 00:00:00', 'a', 500)")
    later(project)
    project.sql("REFRESH DATASET d")
    project.sql("RELEASE QUARANTINE d WHERE id = 5 SET v = 5 BECAUSE 'x'")
    assert values(project, 5) == {5: 500.0}


def test_a_released_person_is_forgotten_too(tmp_path: Path) -> None:
    project = project_of(tmp_path, REFRESHES[1])
    project.sql("RELEASE QUARANTINE d WHERE v < 0 SET v = abs(v) BECAUSE 'sign'")
    project.sql("FORGET FROM d WHERE id = 5")
    assert values(project, 5, 6) == {6: 6.0}
    assert project.sql("SELECT rows FROM tilth.releases").rows() == [{"rows": 1}]
    assert project.verify()


def test_it_survives_gc(project: Project) -> Any:
    project.sql("RELEASE QUARANTINE d WHERE v < 0 SET v = abs(v) BECAUSE 'sign'")
    project.gc(keep=1)
    assert values(project, 5, 6) == {5: 5.0, 6: 6.0}
    assert project.verify()


def test_a_release_is_taken_back_at_once_and_for_good(project: Project) -> None:
    project.sql("RELEASE QUARANTINE d WHERE v < 0 SET v = abs(v) BECAUSE 'sign'")
    done = project.sql("HOLD QUARANTINE d WHERE id = 5 BECAUSE 'the till was right'")
    assert (done.facts["rows"], done.facts["held"], done.facts["published"]) == (1, 1, 0)
    assert values(project, 5, 6) == {6: 6.0}
    assert (len(values(project)), held(project)) == (97, 3)
    assert project.status()["datasets"][0]["quarantined"] == 3
    found = project.sql(
        "SELECT row, reasons FROM tilth.quarantined_rows WHERE dataset = 'd' AND json_extract(row, '$.id') = 5"
    ).rows()
    assert [("v >= 0" in str(r["reasons"]), '"v":-5.0' in r["row"]) for r in found] == [(True, True)]
    said = project.sql("SELECT detail FROM tilth.audit WHERE verb = 'hold'").rows()
    assert ["the till was right" in r["detail"] for r in said] == [True]
    assert project.verify()
    assert project.plan().actions == ()
    later(project)
    project.sql(
        "REFRESH DATASET d FROM '2024-01-01' TO '2024-01-31'" if _days(project) else "REFRESH DATASET d"
    )
    assert values(project, 5, 6) == {6: 6.0}
    project.sql("RELEASE QUARANTINE d WHERE id = 5 SET v = 50 BECAUSE 'it was not'")
    assert values(project, 5, 6) == {5: 50.0, 6: 6.0}


def test_what_the_source_changed_since_and_what_passes_now_stays(tmp_path: Path) -> None:
    project = project_of(tmp_path, REFRESHES[1])
    project.sql("RELEASE QUARANTINE d WHERE id IN (5, 7) SET v = 1, shop = 'a' BECAUSE 'x'")
    write(project.root, "UPDATE t SET v = 500 WHERE id = 5")
    text = Path(project.root) / "d.sql"
    text.write_text(text.read_text().replace("shop IS NOT NULL ON FAIL QUARANTINE, ", ""))
    later(project)
    project.apply()
    assert values(project, 5, 7) == {5: 500.0, 7: 1.0}
    done = project.sql("HOLD QUARANTINE d WHERE id IN (5, 7) BECAUSE 'x'")
    assert (done.facts["rows"], done.facts["held"], done.facts["published"]) == (2, 0, 1)
    assert values(project, 5, 7) == {5: 500.0, 7: 7.0}
    assert project.verify()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("d WHERE id = 8 BECAUSE 'x'", "No released row"),
        ("d WHERE nope = 8 BECAUSE 'x'", "nope"),
        ("d WHERE max(id) = 8 BECAUSE 'x'", "aggregate"),
        ("keyless WHERE id = 5 BECAUSE 'x'", "no KEY"),
        ("nothere WHERE id = 5 BECAUSE 'x'", "no dataset"),
    ],
)
def test_what_was_not_released_cannot_be_taken_back(tmp_path: Path, statement: str, says: str) -> None:
    project = project_of(tmp_path, REFRESHES[0])
    project.sql("RELEASE QUARANTINE d WHERE v < 0 SET v = abs(v) BECAUSE 'sign'")
    before = project.status()["generation"]
    with pytest.raises(TilthError) as raised:
        project.sql(f"HOLD QUARANTINE {statement}")
    assert says in raised.value.message + raised.value.hint
    assert (project.status()["generation"], held(project)) == (before, 2)
