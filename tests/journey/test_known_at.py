"""KNOWN AT and AS OF: features as they could be known, in a dataset, a view, a SELECT, and joined with a model."""

from pathlib import Path

import pytest

import tilth
from tilth.app.project import Project
from tilth.core.errors import TilthError

DECLARED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET prices KEY (n) EVENT TIME at KNOWN AT loaded AS SELECT * FROM f.prices;
CREATE VIEW priced AS SELECT s.sid, p.price FROM f.sales s JOIN prices AS OF s.t p ON p.id = s.id;
CREATE DATASET sold KEY (sid) EVENT TIME t AS
SELECT s.sid, s.t, p.price, p.at AS priced_at FROM f.sales s LEFT JOIN prices AS OF s.t p ON p.id = s.id;
"""
PRICES = """n,id,at,loaded,price
1,1,2024-01-01 00:00:00,2024-01-01 01:00:00,10
2,1,2024-01-02 00:00:00,2024-01-02 01:00:00,20
3,1,2024-01-02 00:00:00,2024-01-04 00:00:00,21
4,1,2024-01-01 00:00:00,2024-01-05 00:00:00,11
5,2,2024-01-01 00:00:00,2023-12-30 00:00:00,5
6,2,2024-01-03 00:00:00,,6
"""
SALES = """sid,t,id
1,2024-01-01 00:30:00,1
2,2024-01-01 02:00:00,1
3,2024-01-03 00:00:00,1
4,2024-01-04 12:00:00,1
5,2024-01-06 00:00:00,1
6,2023-12-31 00:00:00,2
7,2024-01-09 00:00:00,2
"""
SEEN = [None, 10, 20, 21, 21, None, 5]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/prices.csv").write_text(PRICES)
    (tmp_path / "data/sales.csv").write_text(SALES)
    (tmp_path / "all.sql").write_text(DECLARED)
    found = tilth.open(tmp_path)
    found.apply()
    return found


def test_a_late_correction_is_seen_from_when_it_was_known(project: Project) -> None:
    rows = project.sql("SELECT price FROM sold ORDER BY sid").rows()
    assert [r["price"] for r in rows] == SEEN
    of_view = project.sql("SELECT price FROM priced ORDER BY sid").rows()
    assert [r["price"] for r in of_view] == [p for p in SEEN if p is not None]
    asked = "SELECT p.price FROM f.sales s LEFT JOIN prices AS OF s.t p ON p.id = s.id ORDER BY s.sid"
    assert [r["price"] for r in project.sql(asked).rows()] == SEEN


def test_rows_of_which_nobody_says_when_they_were_known_are_told(project: Project) -> None:
    asked = "SELECT passed, failed, observed FROM tilth.check_results WHERE kind = 'known'"
    [check] = project.sql(asked).rows()
    assert (check["passed"], check["failed"]) == (0, 1)
    assert check["observed"].startswith("1 row has none: AS OF never sees it; others known 01:00:00 after it")
    assert project.sql("DESCRIBE DATASET prices").rows()


def test_another_known_at_makes_what_is_joined_anew(project: Project) -> None:
    text = Path(project.root, "all.sql")
    text.write_text(text.read_text().replace(" KNOWN AT loaded", ""))
    assert [a.name for a in project.plan().actions] == ["prices", "priced", "sold"]
    project.apply()
    assert [r["price"] for r in project.sql("SELECT price FROM sold ORDER BY sid").rows()][1:3] == [11, 21]


REFUSED = [
    ("EVENT TIME at KNOWN AT loaded", "KNOWN AT loaded", "has KNOWN AT and no EVENT TIME"),
    ("KNOWN AT loaded", "KNOWN AT lodaed", "no column `lodaed`"),
    ("KNOWN AT loaded", "KNOWN AT price", "KNOWN AT price of dataset `prices` is of type"),
    ("prices AS OF s.t p", "f.prices AS OF s.t p", "none that is called `f.prices`"),
    ("prices AS OF s.t p", "prices AS OF s.sid p", "Cannot compare"),
]


@pytest.mark.parametrize(("old", "new", "said"), REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(
    project: Project, old: str, new: str, said: str
) -> None:
    text = Path(project.root, "all.sql")
    text.write_text(text.read_text().replace(old, new))
    before = project.generations(limit=1)[0].number
    with pytest.raises(TilthError) as caught:
        done = project.apply()
        raise next(d.error for d in done.did if d.error is not None)
    assert said in str(caught.value)
    assert project.generations(limit=1)[0].number == before
