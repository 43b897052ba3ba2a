"""Rows that hold what came after them: proven, tried, told, and models that learned from them held."""

import json
import random
from pathlib import Path

import pytest

import tilth
from tilth.app.project import Project

DECLARED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET plain KEY (id) EVENT TIME t AS SELECT id, t, x, y FROM f.events;
CREATE DATASET peeking KEY (id) EVENT TIME t AS
SELECT id, t, x, y, lead(x) OVER (ORDER BY t, id) AS next_x, sum(x) OVER (ORDER BY t ROWS UNBOUNDED PRECEDING) AS so_far FROM f.events;
CREATE DATASET kinds KEY (id) EVENT TIME t AS SELECT e.id, e.t, k.label FROM f.events e JOIN f.kinds k ON k.kind = e.kind;
CREATE DATASET before KEY (id) EVENT TIME t AS
SELECT e.id, e.t, (SELECT max(o.x) FROM f.events o WHERE o.t < e.t) AS most FROM f.events e;
CREATE MODEL guess PREDICT y FROM peeking FEATURES (x, next_x) USING (engine = 'linear');
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "data").mkdir()
    draw = random.Random(1)
    rows = ["id,t,x,y,kind"]
    for n in range(300):
        x = draw.gauss(0, 1)
        rows.append(
            f"{n},2024-01-{1 + n // 12:02} {n % 12:02}:00:00,{x:.4f},{x + draw.gauss(0, 1):.4f},{n % 3}"
        )
    (tmp_path / "data/events.csv").write_text("\n".join(rows))
    (tmp_path / "data/kinds.csv").write_text("kind,label\n0,a\n1,b\n2,c\n")
    (tmp_path / "all.sql").write_text(DECLARED)
    found = tilth.open(tmp_path)
    found.apply()
    return found


def test_what_is_known_of_each_dataset_is_a_table(project: Project) -> None:
    rows = project.sql("SELECT dataset, verdict, why, columns FROM tilth.leakage ORDER BY dataset").rows()
    assert {r["dataset"]: r["verdict"] for r in rows} == {
        "before": "tested",
        "kinds": "unproven",
        "peeking": "leaks",
        "plain": "proven",
    }
    by = {r["dataset"]: r for r in rows}
    assert json.loads(by["peeking"]["columns"]) == {"next_x": 1}
    assert "f.kinds has no one time by which it could be cut" in by["kinds"]["why"]
    told = project.sql("SELECT text FROM tilth.notices WHERE kind = 'leakage'").rows()
    assert [t["text"] for t in told] == [
        "Rows hold what came after them: when later rows are taken away, next_x changes in 1 row"
    ]


def test_a_model_that_learned_from_it_is_held_until_somebody_says_why(project: Project) -> None:
    [held] = project.sql("SELECT outcome, reason FROM tilth.gates WHERE model = 'guess'").rows()
    assert held["outcome"] == "inconclusive"
    assert "the model learned from next_x" in held["reason"]
    text = Path(project.root, "all.sql")
    text.write_text(
        text.read_text().replace(
            "FEATURES (x, next_x)",
            "FEATURES (x, next_x) ACCEPT LEAK (next_x) BECAUSE 'it is planned a day ahead'",
        )
    )
    project.apply()
    assert project.model("guess").version


def test_it_is_judged_once_for_what_is_declared(project: Project) -> None:
    before = project.sql("SELECT recipe, recorded_at FROM tilth.leakage ORDER BY recipe").rows()
    project.sql("REFRESH DATASET peeking")
    assert project.sql("SELECT recipe, recorded_at FROM tilth.leakage ORDER BY recipe").rows() == before


LABELLED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET rows KEY (id) AS SELECT * FROM f.rows;
CREATE MODEL kind PREDICT y FROM rows FEATURES (x, code) {accept} USING (engine = 'linear');
"""


def test_wrong_labels_are_listed_and_an_accepted_leak_is_in_the_evidence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    draw = random.Random(4)
    wrong = {7, 99, 250, 401}
    lines = ["id,x,code,y"]
    for n in range(600):
        x = draw.choice((-3, 3)) + draw.gauss(0, 0.4)
        yes = (x > 0) != (n in wrong)
        lines.append(f"{n},{x:.3f},{draw.random() + 5 * (x > 0):.3f},{'yes' if yes else 'no'}")
    (tmp_path / "data/rows.csv").write_text("\n".join(lines))
    (tmp_path / "all.sql").write_text(LABELLED.format(accept=""))
    project = tilth.open(tmp_path)
    project.apply()
    held = project.sql("SELECT reason, outcome FROM tilth.gates").rows()
    assert held[0]["outcome"] == "inconclusive"
    assert "ACCEPT LEAK (" in held[0]["reason"]
    (tmp_path / "all.sql").write_text(
        LABELLED.format(accept="ACCEPT LEAK (x, code) BECAUSE 'both are measured before'")
    )
    project.apply()
    gate = project.sql("SELECT reason, outcome FROM tilth.gates ORDER BY id DESC LIMIT 1").rows()[0]
    assert gate["outcome"] == "pass"
    assert "Accepted as no leak, because 'both are measured before': " in gate["reason"]
    found = project.sql(
        "SELECT row_key, given, likely, confidence, asked_rows FROM tilth.suspicious_labels"
    ).rows()
    assert {json.loads(r["row_key"])["id"] for r in found} & wrong
    assert all(r["given"] != r["likely"] and 0 < r["confidence"] <= 1 for r in found)
    assert found[0]["asked_rows"] == 600
